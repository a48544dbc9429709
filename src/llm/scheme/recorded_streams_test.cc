#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>

#include "base/io.hh"
#include "base/json.hh"
#include "llm/scheme/anthropic.hh"
#include "llm/scheme/gemini.hh"
#include "llm/scheme/openai_chat.hh"
#include "llm/scheme/openai_responses.hh"

namespace insomnia::llm {
namespace {

namespace bj = boost::json;
using Events = std::vector<StreamEvent>;

std::string folder() { return std::string(INSOMNIA_SOURCE_DIR) + "/tests/fixtures/provider-streams"; }

/// "openai_chat/OpenAICommon__….json" and so on, all of them.
std::vector<std::string> recordings() {
  std::vector<std::string> result;
  for (std::string scheme : {"anthropic", "gemini", "openai_chat", "openai_responses"}) {
    for (auto const& name : io::list_directory(folder() + "/" + scheme).value_or(std::vector<std::string>{})) result.push_back(scheme + "/" + name);
  }
  return result;
}

struct Call {
  bj::object request;
  std::string body;
};

std::unique_ptr<Scheme> scheme_of(std::string_view name) {
  if (name == "anthropic") return make_anthropic_scheme();
  if (name == "gemini") return make_gemini_scheme();
  return name == "openai_chat" ? make_openai_chat_scheme() : make_openai_responses_scheme();
}

template <class T>
std::vector<T> all(Events const& events) {
  std::vector<T> out;
  for (auto const& event : events) {
    if (auto const* match = std::get_if<T>(&event)) out.push_back(*match);
  }
  return out;
}

/// What a response means to the user: text and tool calls. Found in the recording by other means than the decoder's.
struct Meaning {
  std::string text;
  std::vector<std::pair<std::string, std::string>> calls;  ///< name, arguments
  friend bool operator==(Meaning const&, Meaning const&) = default;
};

Meaning meaning_of(Events const& events) {
  Meaning meaning;
  std::map<size_t, std::pair<BlockType, size_t>> blocks;
  for (auto const& event : events) {
    if (auto const* start = std::get_if<BlockStart>(&event)) {
      if (start->type == BlockType::ToolUse) meaning.calls.emplace_back(start->name, "");
      blocks[start->index] = {start->type, meaning.calls.size()};
    }
    auto const* delta = std::get_if<BlockDelta>(&event);
    if (delta == nullptr) continue;
    auto [type, number] = blocks.at(delta->index);
    if (type == BlockType::Text) meaning.text += delta->text;
    if (type == BlockType::ToolUse) meaning.calls[number - 1].second += delta->text;
  }
  for (auto& [name, arguments] : meaning.calls) {
    auto parsed = json::parse(arguments);
    EXPECT_TRUE(parsed) << arguments;
    if (parsed) arguments = json::dump(*parsed);
  }
  return meaning;
}

std::string string_at(bj::value const& value, std::string_view pointer) {
  boost::system::error_code error;
  auto const* found = value.find_pointer(pointer, error);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : "";
}

/// The same, read from the recorded lines.
Meaning recorded_meaning(std::string_view scheme, std::string_view body) {
  Meaning meaning;
  std::map<std::string, std::pair<std::string, std::string>> calls;
  size_t number = 0;
  for (size_t at = 0; at < body.size();) {
    size_t end = std::min(body.find('\n', at), body.size());
    std::string_view line = body.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with("data:") || line.find("[DONE]") != line.npos) continue;
    bj::value event = bj::parse(line.substr(5));
    auto add = [&](std::string const& key, std::string const& name, std::string const& arguments) {
      auto& call = calls[key];
      if (!name.empty()) call.first = name;
      call.second += arguments;
    };
    if (scheme == "anthropic") {
      meaning.text += string_at(event, "/delta/text");
      std::string key = event.as_object().contains("index") ? json::dump(event.at("index")) : "";
      std::string name = string_at(event, "/content_block/name"), arguments = string_at(event, "/delta/partial_json");
      if (!name.empty() || !arguments.empty()) add(key, name, arguments);
    } else if (scheme == "openai_chat") {
      meaning.text += string_at(event, "/choices/0/delta/content");
      std::string name = string_at(event, "/choices/0/delta/tool_calls/0/function/name"), arguments = string_at(event, "/choices/0/delta/tool_calls/0/function/arguments");
      if (!name.empty() || !arguments.empty()) add("0", name, arguments);
    } else if (scheme == "openai_responses") {
      std::string type = string_at(event, "/type");
      if (type == "response.output_text.delta") meaning.text += string_at(event, "/delta");
      if (type == "response.output_item.done" && string_at(event, "/item/type") == "function_call")
        add(string_at(event, "/item/call_id"), string_at(event, "/item/name"), string_at(event, "/item/arguments"));
    } else {
      for (auto const& part : event.at_pointer("/candidates/0/content/parts").as_array()) {
        auto const* thought = part.as_object().if_contains("thought");
        if (thought == nullptr || !thought->as_bool()) meaning.text += string_at(part, "/text");
        if (auto const* call = part.as_object().if_contains("functionCall"))
          add(std::to_string(number++), string_at(*call, "/name"), json::dump(call->at("args")));
      }
    }
  }
  for (auto& [key, call] : calls) meaning.calls.emplace_back(call.first, json::dump(bj::parse(call.second)));
  return meaning;
}

class RecordedStream : public testing::TestWithParam<std::string> {
 protected:
  RecordedStream() {
    scheme_name = GetParam().substr(0, GetParam().find('/'));
    auto document = json::parse_object(io::read_file(folder() + "/" + GetParam()).value_or(""));
    EXPECT_TRUE(document) << GetParam();
    if (!document) return;
    for (auto const& call : document->at("calls").as_array())
      calls.push_back({call.at("request").as_object(), std::string(call.at("body").as_string())});
    scheme = scheme_of(scheme_name);
  }

  Events decode(std::vector<http::SseEvent> const& events) const {
    auto decoder = scheme->decoder();
    Events out;
    for (auto const& event : events) EXPECT_FALSE(decoder->decode(event, out));
    decoder->end(out);
    return out;
  }
  static std::vector<http::SseEvent> parse(std::vector<std::string_view> const& pieces) {
    http::SseParser parser;
    std::vector<http::SseEvent> events;
    for (auto piece : pieces) EXPECT_TRUE(parser.feed(piece, events));
    return events;
  }

  std::string scheme_name;
  std::vector<Call> calls;
  std::unique_ptr<Scheme> scheme;
};

TEST_P(RecordedStream, IsUnderstoodWhole) {
  ASSERT_FALSE(calls.empty());
  for (auto const& call : calls) {
    Events events = decode(parse({call.body}));
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(all<Unhandled>(events), std::vector<Unhandled>{});
    ASSERT_EQ(all<Started>(events).size(), 1u);
    EXPECT_FALSE(all<Started>(events)[0].model.empty());
    EXPECT_TRUE(std::holds_alternative<Completed>(events.back()));
    EXPECT_EQ(all<Completed>(events).size(), 1u);
    EXPECT_EQ(all<BlockStart>(events).size(), all<BlockStop>(events).size());
    Meaning meaning = meaning_of(events);
    EXPECT_EQ(meaning, recorded_meaning(scheme_name, call.body));
    EXPECT_TRUE(!meaning.text.empty() || !meaning.calls.empty());
    ASSERT_EQ(all<Stopped>(events).size(), 1u);
    EXPECT_EQ(all<Stopped>(events)[0].reason, meaning.calls.empty() ? StopReason::EndTurn : StopReason::ToolUse);
    Usage usage;
    for (auto const& report : all<Usage>(events)) {
      if (report.input_tokens) usage.input_tokens = report.input_tokens;
      if (report.output_tokens) usage.output_tokens = report.output_tokens;
    }
    EXPECT_GT(usage.input_tokens.value_or(0), 0u);
    EXPECT_GT(usage.output_tokens.value_or(0), 0u);
    std::set<std::string> ids;
    for (auto const& start : all<BlockStart>(events)) {
      if (start.type != BlockType::ToolUse) continue;
      EXPECT_FALSE(start.id.empty());
      EXPECT_TRUE(ids.insert(start.id).second) << start.id;
    }
  }
}

// What a decoder sees are whole events, so for a cut it is enough that the parser gives the same ones.
TEST_P(RecordedStream, GivesTheSameEventsWhereverItIsCut) {
  for (auto const& call : calls) {
    std::string_view body = call.body;
    auto expected = parse({body});
    std::vector<std::string_view> bytes;
    for (size_t i = 0; i < body.size(); ++i) bytes.push_back(body.substr(i, 1));
    EXPECT_EQ(parse(bytes), expected);
    std::mt19937 random(7);
    std::vector<size_t> cuts;
    if (body.size() <= 16u << 10) {
      for (size_t cut = 0; cut <= body.size(); ++cut) cuts.push_back(cut);
    } else {
      for (int i = 0; i < 500; ++i) cuts.push_back(random() % body.size());
    }
    // A parser that has been given a part; a copy of it goes on at each cut.
    http::SseParser begun;
    std::vector<http::SseEvent> before;
    size_t fed = 0;
    std::sort(cuts.begin(), cuts.end());
    for (size_t cut : cuts) {
      ASSERT_TRUE(begun.feed(body.substr(fed, cut - fed), before));
      fed = cut;
      http::SseParser rest = begun;
      std::vector<http::SseEvent> after;
      ASSERT_TRUE(rest.feed(body.substr(cut), after));
      ASSERT_EQ(before.size() + after.size(), expected.size()) << "cut at " << cut;
      ASSERT_TRUE(std::equal(after.begin(), after.end(), expected.begin() + static_cast<ptrdiff_t>(before.size()))) << "cut at " << cut;
    }
    EXPECT_TRUE(std::equal(before.begin(), before.end(), expected.begin()));
  }
}

TEST_P(RecordedStream, BrokenOffItIsNeverComplete) {
  for (auto const& call : calls) {
    auto events = parse({call.body});
    // Without its last event that counts. What follows the reason to stop (usage, [DONE]) may be missing: the answer is whole then.
    for (size_t count = 0; count < events.size(); ++count) {
      auto decoder = scheme->decoder();
      Events out;
      for (size_t i = 0; i < count; ++i) EXPECT_FALSE(decoder->decode(events[i], out));
      decoder->end(out);
      bool complete = !out.empty() && std::holds_alternative<Completed>(out.back());
      EXPECT_TRUE(!complete || !all<Stopped>(out).empty()) << count;
      if (!complete) continue;
      EXPECT_EQ(meaning_of(out), recorded_meaning(scheme_name, call.body)) << count;
    }
  }
}

std::string test_name(testing::TestParamInfo<std::string> const& info) {
  std::string name;
  for (char c : info.param.substr(0, info.param.size() - 5)) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Vendors, RecordedStream, testing::ValuesIn(recordings()), test_name);

TEST(RecordedStreams, AreAllThere) { EXPECT_EQ(recordings().size(), 45u); }

}  // namespace
}  // namespace insomnia::llm
