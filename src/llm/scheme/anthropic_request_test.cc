#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json.hh"
#include "llm/scheme/anthropic.hh"

namespace insomnia::llm {
namespace {

namespace bj = boost::json;
using wire::assistant_message;
using wire::Item;
using wire::system_message;
using wire::ToolCall;
using wire::ToolResult;
using wire::user_message;

ModelConfig plain_model() {
  ModelConfig model;
  model.scheme = "anthropic";
  model.model_id = "claude";
  return model;
}

ModelConfig caching_model() {
  ModelConfig model = plain_model();
  model.capability = {.reasoning = "budget_tokens", .explicit_caching = true, .max_breakpoints = 4};
  return model;
}

bj::object body(Request const& request, ModelConfig const& model = plain_model()) {
  std::string text = build_anthropic_body(request, model);
  auto parsed = json::parse_object(text);
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(bj::object{});
}

/// The messages as compact JSON.
std::string messages(std::vector<Item> const& items, ModelConfig const& model = plain_model(),
                     std::optional<size_t> anchor = {}) {
  return bj::serialize(body({.items = items, .cache_anchor = anchor}, model).at("messages"));
}

/// The texts of the blocks that carry a breakpoint, in order ("id" of calls and results).
std::vector<std::string> marked(bj::object const& request) {
  std::vector<std::string> out;
  auto look = [&](bj::value const& value) {
    auto const* block = value.if_object();
    if (block == nullptr || !block->contains("cache_control")) return;
    EXPECT_EQ(bj::serialize(block->at("cache_control")), R"({"type":"ephemeral"})");
    for (auto key : {"text", "id", "tool_use_id", "name"}) {
      if (auto const* text = block->if_contains(key)) return out.push_back(std::string(text->as_string()));
    }
  };
  if (auto const* tools = request.if_contains("tools")) {
    for (auto const& tool : tools->as_array()) look(tool);
  }
  if (auto const* system = request.if_contains("system"); system != nullptr && system->is_array()) {
    for (auto const& part : system->as_array()) look(part);
  }
  for (auto const& message : request.at("messages").as_array()) {
    auto const& content = message.at("content");
    if (!content.is_array()) continue;
    for (auto const& block : content.as_array()) look(block);
  }
  return out;
}

std::vector<std::string> list(std::initializer_list<char const*> texts) { return {texts.begin(), texts.end()}; }

TEST(AnthropicRequest, TheSimplestOne) {
  std::vector<Item> items{user_message("hi")};
  EXPECT_EQ(build_anthropic_body({.system_prompt = "be brief", .items = items}, plain_model()),
            R"({"model":"claude","max_tokens":8192,"system":"be brief","messages":[{"role":"user","content":"hi"}],"stream":true})");
}

TEST(AnthropicRequest, AnEmptyConversation) { EXPECT_EQ(messages({}), "[]"); }

TEST(AnthropicRequest, SettingsAreSentAsGiven) {
  wire::RequestConfig config{
      .max_tokens = 100, .temperature = 0.5, .top_p = 0.25, .top_k = 7, .stop_sequences = {"END", "\"q\""}};
  bj::object request = body({.config = config});
  EXPECT_EQ(request.at("max_tokens").as_int64(), 100);
  EXPECT_EQ(request.at("temperature").as_double(), 0.5);
  EXPECT_EQ(request.at("top_p").as_double(), 0.25);
  EXPECT_EQ(request.at("top_k").as_int64(), 7);
  EXPECT_EQ(bj::serialize(request.at("stop_sequences")), R"(["END","\"q\""])");
  EXPECT_FALSE(request.contains("thinking"));
}

TEST(AnthropicRequest, ToolsHaveNameDescriptionAndSchemaAndNoBreakpointWithoutExplicitCaching) {
  std::vector<ToolDefinition> tools{{"Read", "Reads.", R"({"type":"object","properties":{"a":{"type":"string"}}})"},
                                    {"Now", "", ""}};
  EXPECT_EQ(bj::serialize(body({.tools = tools}).at("tools")),
            R"([{"name":"Read","description":"Reads.","input_schema":{"type":"object","properties":{"a":{"type":"string"}}}},)"
            R"({"name":"Now","input_schema":{"type":"object","properties":{}}}])");
}

TEST(AnthropicRequest, AnAssistantBurstIsOneMessageAndResultsAreOneUserMessage) {
  EXPECT_EQ(messages({user_message("go"), wire::Reasoning{.text = "hm", .signature = "sig"}, assistant_message("I look."),
                      ToolCall{"t1", "Read", R"({"p":1})"}, ToolCall{"t2", "Read", "nonsense"},
                      ToolResult{"t1", "one", "more", false}, ToolResult{"t2", "bad", {}, true}, assistant_message("Done.")}),
            R"([{"role":"user","content":"go"},)"
            R"({"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"sig"},)"
            R"({"type":"text","text":"I look."},{"type":"tool_use","id":"t1","name":"Read","input":{"p":1}},)"
            R"({"type":"tool_use","id":"t2","name":"Read","input":{}}]},)"
            R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"one\nmore"},)"
            R"({"type":"tool_result","tool_use_id":"t2","content":"bad","is_error":true}]},)"
            R"({"role":"assistant","content":[{"type":"text","text":"Done."}]}])");
}

TEST(AnthropicRequest, ReasoningGoesBackAsTheVendorWantsItOrNotAtAll) {
  EXPECT_EQ(messages({user_message("a"), wire::Reasoning{.text = "", .encrypted_content = "blob"},
                      wire::Reasoning{.text = "unsigned"}, assistant_message("b")}),
            R"([{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"redacted_thinking","data":"blob"},)"
            R"({"type":"text","text":"b"}]}])");
}

TEST(AnthropicRequest, UserSideMessagesInARowAreOneMessage) {
  EXPECT_EQ(messages({user_message("a"), user_message("b")}),
            R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])");
}

TEST(AnthropicRequest, ResultsComeFirstInTheirMessage) {
  EXPECT_EQ(messages({ToolCall{"t1", "X", "{}"}, user_message("wait"), ToolResult{"t1", "r", {}, false}}),
            R"([{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"X","input":{}}]},)"
            R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r"},{"type":"text","text":"wait"}]}])");
}

TEST(AnthropicRequest, SystemItemsAreMarkedAsNoticesAndCannotEndTheirMarkThemselves) {
  EXPECT_EQ(messages({system_message("x</system-notice>y")}),
            R"([{"role":"user","content":[{"type":"text","text":"<system-notice>\nx&lt;/system-notice>y\n</system-notice>"}]}])");
}

TEST(AnthropicRequest, BlankTextIsNeverSent) {
  EXPECT_EQ(messages({user_message(""), user_message("a"), assistant_message(" \n"), user_message("b")}),
            R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])");
}

TEST(AnthropicRequest, BadUtf8AndControlCharactersStillGiveJson) {
  body({.items = std::vector<Item>{user_message("a\xff\x01\"\\\n")}});
}

TEST(AnthropicRequest, AThinkingBudgetIsSentWhereTheModelTakesOne) {
  bj::object request = body({.config = {.max_tokens = 10'000, .reasoning = int64_t{2'000}}}, caching_model());
  EXPECT_EQ(bj::serialize(request.at("thinking")), R"({"type":"enabled","budget_tokens":2000})");
  EXPECT_EQ(request.at("max_tokens").as_int64(), 10'000);
  EXPECT_FALSE(body({.config = {.reasoning = "high"}}, caching_model()).contains("thinking")) << "an effort label";
  EXPECT_FALSE(body({.config = {.reasoning = int64_t{2'000}}}).contains("thinking")) << "no capability";
  EXPECT_FALSE(body({.config = {.reasoning = int64_t{-1}}}, caching_model()).contains("thinking"));
}

TEST(AnthropicRequest, ABudgetThatReachesMaxTokensRaisesIt) {
  auto limits = [](uint32_t max_tokens, int64_t budget) {
    return anthropic_limits({.max_tokens = max_tokens, .reasoning = budget}, caching_model());
  };
  EXPECT_EQ(limits(4096, 4096), (AnthropicLimits{8192, 4096}));
  EXPECT_EQ(limits(4096, 10'000), (AnthropicLimits{14'096, 10'000}));
  EXPECT_EQ(limits(4096, 5), (AnthropicLimits{4096, 1024}));
}

TEST(AnthropicRequest, ThinkingLeavesOutWhatTheApiRefusesBesideIt) {
  wire::RequestConfig config{.temperature = 0.2, .top_p = 0.5, .top_k = 1, .reasoning = int64_t{2048}};
  bj::object request = body({.config = config}, caching_model());
  for (auto key : {"temperature", "top_p", "top_k"}) EXPECT_FALSE(request.contains(key)) << key;
}

// ---- Breakpoints

TEST(AnthropicBreakpoints, OnToolsPromptAndTheEndOfTheConversation) {
  std::vector<ToolDefinition> tools{{"A", "", ""}, {"B", "", ""}};
  std::vector<Item> items{user_message("hi")};
  EXPECT_EQ(marked(body({.system_prompt = "sys", .items = items, .tools = tools}, caching_model())), list({"B", "sys", "hi"}));
}

TEST(AnthropicBreakpoints, TheEndOfThePreviousRequestIsMarkedSoThatItIsFoundAgain) {
  std::vector<ToolDefinition> tools{{"A", "", ""}};
  std::vector<Item> items{user_message("go"), ToolCall{"t1", "A", "{}"}, ToolResult{"t1", "r", {}, false},
                          ToolCall{"t2", "A", "{}"}, ToolResult{"t2", "r", {}, false}};
  EXPECT_EQ(marked(body({.system_prompt = "sys", .items = items, .tools = tools}, caching_model())),
            list({"A", "sys", "t1", "t2"}));
}

TEST(AnthropicBreakpoints, AtMostFourAndTheAnchorComesBeforeTheRest) {
  std::vector<ToolDefinition> tools{{"A", "", ""}};
  std::vector<Item> items{user_message("a"), assistant_message("b"), user_message("c"), assistant_message("d"), user_message("e")};
  EXPECT_EQ(marked(body({.system_prompt = "sys", .items = items, .tools = tools, .cache_anchor = 1}, caching_model())),
            list({"A", "sys", "b", "e"}));
  EXPECT_EQ(marked(body({.items = items, .cache_anchor = 0}, caching_model())), list({"a", "c", "d", "e"}));
}

TEST(AnthropicBreakpoints, AStaleAnchorIsIgnored) {
  std::vector<Item> items{user_message("a"), assistant_message("b"), user_message("c")};
  EXPECT_EQ(marked(body({.items = items, .cache_anchor = 99}, caching_model())), list({"a", "b", "c"}));
}

TEST(AnthropicBreakpoints, SamePlacesCountOnce) {
  std::vector<Item> items{user_message("a")};
  EXPECT_EQ(marked(body({.items = items, .cache_anchor = 0}, caching_model())), list({"a"}));
}

TEST(AnthropicBreakpoints, NeverOnThinkingButBeforeIt) {
  std::vector<Item> items{user_message("a"), wire::Reasoning{.text = "t", .signature = "s"}};
  EXPECT_EQ(marked(body({.items = items}, caching_model())), list({"a"}));
  EXPECT_EQ(marked(body({.items = items, .cache_anchor = 1}, caching_model())), list({"a"}));
}

TEST(AnthropicBreakpoints, FewerWhereTheModelTakesFewer) {
  std::vector<ToolDefinition> tools{{"A", "", ""}};
  std::vector<Item> items{user_message("a"), assistant_message("b"), user_message("c")};
  ModelConfig model = caching_model();
  model.capability.max_breakpoints = 1;
  EXPECT_EQ(marked(body({.system_prompt = "s", .items = items, .tools = tools}, model)), list({"c"}));
  model.capability.max_breakpoints = 2;
  EXPECT_EQ(marked(body({.system_prompt = "s", .items = items, .tools = tools}, model)), list({"s", "c"}));
}

TEST(AnthropicBreakpoints, AMarkedUserMessageHasPartsAndAnUnmarkedOneIsPlain) {
  EXPECT_EQ(messages({user_message("a")}, caching_model()),
            R"([{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}])");
  EXPECT_EQ(messages({user_message("a")}), R"([{"role":"user","content":"a"}])");
}

// ---- URLs

TEST(AnthropicUrl, ABaseWithAndWithoutVersion) {
  auto scheme = make_anthropic_scheme();
  for (auto base : {"http://h", "http://h/", "http://h/v1", "http://h/v1/"}) {
    EXPECT_EQ(scheme->url(base, plain_model()), "http://h/v1/messages") << base;
  }
  EXPECT_EQ(scheme->url("http://h/api/v1", plain_model()), "http://h/api/v1/messages");
}

TEST(AnthropicHeaders, TheKeyAndTheVersion) {
  Scheme::Headers with, without;
  make_anthropic_scheme()->add_headers("k", with);
  make_anthropic_scheme()->add_headers("", without);
  EXPECT_EQ(with.at(0), (std::pair<std::string, std::string>{"x-api-key", "k"}));
  EXPECT_EQ(with.at(1), (std::pair<std::string, std::string>{"anthropic-version", "2023-06-01"}));
  EXPECT_EQ(without.at(0).first, "anthropic-version");
}

}  // namespace
}  // namespace insomnia::llm
