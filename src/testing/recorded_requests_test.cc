#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "agent/stream_collector.hh"
#include "base/json.hh"
#include "llm/scheme/anthropic.hh"
#include "llm/scheme/gemini.hh"
#include "llm/scheme/openai_chat.hh"
#include "llm/scheme/openai_responses.hh"
#include "testing/recorded_stream.hh"

// What we send after a recorded answer, beside what the recorded client sent.
namespace insomnia::testing {
namespace {

namespace bj = boost::json;

std::vector<std::string> conversations() {
  auto result = recorded_conversations();
  std::erase_if(result, [](std::string const& name) { return recorded_conversation(name).calls.size() < 2; });
  return result;
}

/// Everything of `wanted` is in `got`; says at which path not. Lists are compared member by member.
std::string missing(bj::value const& wanted, bj::value const& got, std::string const& path) {
  if (auto const* object = wanted.if_object()) {
    if (!got.is_object()) return path + " is " + json::dump(got) + " instead of " + json::dump(wanted);
    for (auto const& member : *object) {
      auto const* other = got.get_object().if_contains(member.key());
      std::string here = path + "." + std::string(member.key());
      if (other == nullptr) return here + " is not there";
      if (std::string what = missing(member.value(), *other, here); !what.empty()) return what;
    }
    return "";
  }
  if (auto const* list = wanted.if_array()) {
    if (!got.is_array() || got.get_array().size() != list->size()) return path + " is " + json::dump(got) + " instead of " + json::dump(wanted);
    for (size_t i = 0; i < list->size(); ++i) {
      if (std::string what = missing((*list)[i], got.get_array()[i], path + "[" + std::to_string(i) + "]"); !what.empty()) return what;
    }
    return "";
  }
  return wanted == got ? "" : path + " is " + json::dump(got) + " instead of " + json::dump(wanted);
}

/// The conversation of a request, without what clients may differ in.
bj::value conversation_of(std::string const& scheme, bj::object request) {
  bj::array result;
  if (scheme == "gemini") {
    for (auto& content : request.at("contents").as_array()) {
      for (auto& part : content.as_object()["parts"].as_array()) {
        // Ids that the server did not give are the client's own.
        if (auto* call = part.as_object().if_contains("functionCall")) call->as_object().erase("id");
        if (auto* response = part.as_object().if_contains("functionResponse")) response->as_object().erase("id");
      }
      result.push_back(content);
    }
    return result;
  }
  if (scheme == "openai_responses") {
    for (auto& item : request.at("input").as_array()) {
      auto& object = item.as_object();
      auto const* role = object.if_contains("role");
      if (role != nullptr && (role->as_string() == "developer" || role->as_string() == "system")) continue;  // ours goes as instructions
      auto const* type = object.if_contains("type");
      if (type != nullptr && type->as_string() == "reasoning") continue;  // the recorded client drops it; see below
      if (object.contains("arguments")) object["arguments"] = json::dump(bj::parse(object["arguments"].as_string()));
      result.push_back(object);
    }
    return result;
  }
  for (auto& message : request.at("messages").as_array()) {
    auto& object = message.as_object();
    object.erase("cache_control");
    if (auto* calls = object.if_contains("tool_calls")) {
      for (auto& call : calls->as_array()) {
        call.as_object().erase("cache_control");
        auto& function = call.as_object()["function"].as_object();
        function["arguments"] = json::dump(bj::parse(function["arguments"].as_string()));
      }
    }
    // Our text of a tool's result is longer by nothing, and one text part may be written as a string.
    auto* content = object.if_contains("content");
    if (content != nullptr && content->is_array()) {
      for (auto& part : content->as_array()) {
        part.as_object().erase("cache_control");
        auto* inner = part.as_object().if_contains("content");
        if (inner != nullptr && inner->is_array() && inner->as_array().size() == 1) *inner = bj::value(inner->as_array()[0].at("text"));
      }
      bool one_text = content->as_array().size() == 1 && content->as_array()[0].as_object().contains("text");
      if (one_text) *content = bj::value(content->as_array()[0].at("text"));
    }
    // The recorded client keeps only what is encrypted of these.
    if (auto* details = object.if_contains("reasoning_details"); details != nullptr) {
      bj::array kept;
      for (auto const& detail : details->as_array()) {
        bool text_alone = detail.at("type") == "reasoning.text" && !detail.as_object().contains("signature");
        if (!text_alone) kept.push_back(detail);
      }
      *details = std::move(kept);
    }
    result.push_back(object);
  }
  return result;
}

class RecordedRequest : public ::testing::TestWithParam<std::string> {};

TEST_P(RecordedRequest, TheNextRequestHoldsTheAnswerAsTheVendorDemands) {
  auto conversation = recorded_conversation(GetParam());
  std::string scheme_name = conversation.scheme;
  auto const& calls = conversation.calls;
  std::unique_ptr<llm::Scheme> scheme = scheme_name == "anthropic"     ? llm::make_anthropic_scheme()
                                        : scheme_name == "gemini"      ? llm::make_gemini_scheme()
                                        : scheme_name == "openai_chat" ? llm::make_openai_chat_scheme()
                                                                       : llm::make_openai_responses_scheme();
  http::SseParser parser;
  std::vector<http::SseEvent> events;
  ASSERT_TRUE(parser.feed(calls[0].body, events));
  auto decoder = scheme->decoder();
  agent::StreamCollector collector;
  std::vector<llm::StreamEvent> out;
  for (auto const& event : events) ASSERT_FALSE(decoder->decode(event, out));
  decoder->end(out);
  for (auto const& event : out) collector.take(event);

  bool no_blank = calls[1].request.find("Florence,Italy?") != std::string::npos;
  std::string question = no_blank ? "What's the weather in Florence,Italy?" : "What's the weather in Florence, Italy?";
  std::vector<wire::Item> items{wire::user_message(question)};
  size_t results = 0;
  for (auto const& item : collector.items()) items.push_back(item);
  for (auto const& item : collector.items()) {
    auto const* call = std::get_if<wire::ToolCall>(&item);
    if (call == nullptr) continue;
    items.emplace_back(wire::ToolResult{call->call_id, "40 C", std::nullopt, false});
    ++results;
  }
  ASSERT_EQ(results, 1u);

  llm::ModelConfig model;
  model.scheme = scheme_name;
  auto theirs = *json::parse_object(calls[1].request);
  model.base_url = calls[1].url;
  model.model_id = theirs.contains("model") ? std::string(theirs.at("model").as_string()) : "gemini-3-pro-preview";
  llm::ToolDefinition weather{"weather", "Get weather information for a location",
                              R"({"properties":{"location":{"description":"the city","type":"string"}},"required":["location"],"type":"object"})"};
  std::string body = scheme->body({.system_prompt = "You are a helpful assistant", .items = items, .tools = std::span(&weather, 1), .config = {}, .cache_anchor = {}, .cache_key = ""}, model);
  auto ours = json::parse_object(body);
  ASSERT_TRUE(ours) << body;
  EXPECT_EQ(missing(conversation_of(scheme_name, theirs), conversation_of(scheme_name, *ours), "conversation"), "") << body;
  for (std::string_view key : {"model", "stream", "stream_options", "tool_choice", "toolConfig", "systemInstruction", "store"}) {
    auto const* wanted = theirs.if_contains(key);
    if (wanted == nullptr || (scheme_name == "anthropic" && key == "tool_choice")) continue;
    ASSERT_TRUE(ours->contains(key)) << key;
    EXPECT_EQ(missing(*wanted, ours->at(key), std::string(key)), "");
  }
  // Reasoning that came encrypted or signed goes back.
  for (auto const& item : items) {
    auto const* reasoning = std::get_if<wire::Reasoning>(&item);
    if (reasoning == nullptr) continue;
    bool opaque = reasoning->encrypted_content && !reasoning->encrypted_content->starts_with("[");
    EXPECT_TRUE(!opaque || body.find(*reasoning->encrypted_content) != std::string::npos);
  }
}

std::string test_name(::testing::TestParamInfo<std::string> const& info) { return recorded_test_name(info.param); }
INSTANTIATE_TEST_SUITE_P(Vendors, RecordedRequest, ::testing::ValuesIn(conversations()), test_name);

}  // namespace
}  // namespace insomnia::testing
