#include "llm/scheme/openai_chat.hh"

#include "llm/scheme/scheme_fixture_test.hh"

namespace insomnia::llm {
namespace {

std::string chunk(std::string const& delta, std::string const& more = "") {
  return R"({"id":"r","model":"m","choices":[{"index":0,"delta":)" + delta + more + "}]}";
}
std::string finish(std::string const& reason) { return chunk("{}", R"(,"finish_reason":")" + reason + "\""); }
std::string decoded(std::vector<std::string> const& lines) { return in_words(decode_lines<ChatDecoder>(lines)); }

TEST(ChatDecoder, TextReasoningAndACallWithAllThatEndsThem) {
  EXPECT_EQ(decoded({chunk(R"({"role":"assistant","content":"","reasoning_content":"Hm"})"), chunk(R"({"reasoning_content":"m."})"), chunk(R"({"content":"I look"})"),
                     chunk(R"({"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"Read","arguments":""}}]})"),
                     chunk(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]})"), chunk(R"({"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]})"),
                     finish("tool_calls"), R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":5}}})", "[DONE]"}),
            "started r m\n0 start thinking\n0 'Hm'\n0 'm.'\n0 stop\n1 start text\n1 'I look'\n1 stop\n2 start tool c1 Read\n2 '{\"a\"'\n2 ':1}'\nstopped tool_use\nusage 9 4 5 -\n2 stop\n"
            "reasoning 'Hmm.' signature reasoning_content of 0\ncompleted\n");
}

TEST(ChatDecoder, ParallelCallsInterleave) {
  EXPECT_EQ(decoded({chunk(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"A","arguments":"{"}},{"index":1,"id":"b","function":{"name":"B","arguments":"{"}}]})"),
                     chunk(R"({"tool_calls":[{"index":1,"function":{"arguments":"}"}},{"index":0,"function":{"arguments":"}"}}]})"), finish("tool_calls")}),
            "started r m\n0 start tool a A\n0 '{'\n1 start tool b B\n1 '{'\n1 '}'\n0 '}'\nstopped tool_use\n0 stop\n1 stop\ncompleted\n");
}

// Each of these is what some server does.
TEST(ChatDecoder, CallsAreToldApartWhateverTheServerNumbers) {
  std::string two = "started r m\n0 start tool a A\n0 '{}'\n";
  EXPECT_EQ(decoded({chunk(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"A","arguments":"{}"}}]})"),
                     chunk(R"({"tool_calls":[{"index":0,"id":"b","function":{"name":"B","arguments":"{}"}}]})"), finish("stop")}),
            two + "0 stop\n1 start tool b B\n1 '{}'\nstopped tool_use\n1 stop\ncompleted\n")
      << "another id under the same number";
  EXPECT_EQ(decoded({chunk(R"({"tool_calls":[{"id":"a","function":{"name":"A","arguments":"{}"}},{"id":"b","function":{"name":"B","arguments":"{}"}}]})"), finish("stop")}),
            two + "1 start tool b B\n1 '{}'\nstopped tool_use\n0 stop\n1 stop\ncompleted\n")
      << "no numbers";
  EXPECT_EQ(decoded({chunk(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"A","arguments":"{"}}]})"),
                     chunk(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"A","arguments":"}"}}]})"), finish("stop")}),
            "started r m\n0 start tool a A\n0 '{'\n0 '}'\nstopped tool_use\n0 stop\ncompleted\n")
      << "id and name in every piece";
  EXPECT_EQ(decoded({chunk(R"({"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{"}}]})"), chunk(R"({"tool_calls":[{"index":0,"function":{"name":"A","arguments":"}"}}]})"), finish("stop")}),
            "started r m\n0 start tool a A\n0 '{}'\nstopped tool_use\n0 stop\ncompleted\n")
      << "the name comes later";
  EXPECT_EQ(decoded({chunk(R"({"tool_calls":[{"function":{"name":"A","arguments":{"x":1}}},{"function":{"name":"B"}}]})"), finish("tool_calls")}),
            "started r m\n0 start tool " + made_up_call_id("r", 0) + " A\n0 '{\"x\":1}'\n1 start tool " + made_up_call_id("r", 1) + " B\nstopped tool_use\n0 stop\n1 stop\ncompleted\n")
      << "neither ids nor numbers, arguments as an object";
}

TEST(ChatDecoder, DetailsOfReasoningAreJoinedAndKeptWhole) {
  EXPECT_EQ(decoded({chunk(R"({"reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a","format":"f","index":0}]})"),
                     chunk(R"({"reasoning":"b","reasoning_details":[{"type":"reasoning.text","text":"b","format":"f","index":0}]})"),
                     chunk(R"({"reasoning_details":[{"type":"reasoning.text","signature":"sig","index":0}]})"), chunk(R"({"content":"x"})"),
                     chunk(R"({"reasoning_details":[{"type":"reasoning.encrypted","data":"blob","id":null,"index":1}]})"), finish("stop"), "[DONE]"}),
            "started r m\n0 start thinking\n0 'a'\n0 'b'\n0 stop\n1 start text\n1 'x'\nstopped end_turn\n1 stop\n"
            "reasoning 'ab' encrypted [{\"type\":\"reasoning.text\",\"text\":\"ab\",\"signature\":\"sig\",\"index\":0,\"format\":\"f\"},"
            "{\"type\":\"reasoning.encrypted\",\"data\":\"blob\",\"index\":1}] of 0\ncompleted\n");
}

TEST(ChatDecoder, ReasonsToStopAreToldApart) {
  for (auto [reason, stopped] : {std::pair{"stop", "end_turn"}, {"length", "max_tokens"}, {"content_filter", "content_filter"}, {"function_call", "tool_use"}, {"new_reason", "other"}}) {
    EXPECT_EQ(decoded({chunk(R"({"content":"x"})"), finish(reason)}), "started r m\n0 start text\n0 'x'\nstopped " + std::string(stopped) + "\n0 stop\ncompleted\n");
  }
  EXPECT_EQ(decoded({chunk(R"({"refusal":"I won't"})"), finish("stop")}), "started r m\n0 start text\n0 'I won't'\nstopped refusal\n0 stop\ncompleted\n");
}

TEST(ChatDecoder, WithoutAReasonToStopItIsNotComplete) {
  EXPECT_EQ(decoded({chunk(R"({"content":"x"})")}), "started r m\n0 start text\n0 'x'\n");
  EXPECT_EQ(decoded({chunk(R"({"content":"x"})"), "[DONE]"}), "started r m\n0 start text\n0 'x'\n0 stop\n");
}

TEST(ChatDecoder, ErrorsInTheStreamAreFailures) {
  auto overloaded = failure_of<ChatDecoder>({chunk(R"({"content":"x"})"), R"({"error":{"code":502,"message":"upstream"},"choices":[{"index":0,"delta":{},"finish_reason":"error"}]})"});
  ASSERT_TRUE(overloaded);
  EXPECT_TRUE(overloaded->retryable);
  EXPECT_EQ(overloaded->api_code, "502");
  auto refused = failure_of<ChatDecoder>({R"({"error":{"type":"invalid_request_error","message":"no"}})"});
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->retryable);
  EXPECT_NE(refused->error.message.find("no"), std::string::npos);
  EXPECT_TRUE(failure_of<ChatDecoder>({finish("error")})->retryable);
  EXPECT_FALSE(failure_of<ChatDecoder>({"{\"id\":"})->retryable);
}

TEST(ChatDecoder, WhatIsOddIsSkipped) {
  EXPECT_EQ(decoded({"", R"({"object":"ping.event"})", R"({"choices":[{"index":1,"delta":{"content":"other"}}]})", R"({"choices":[{"delta":{"content":["x"],"tool_calls":7,"reasoning":{}}}]})",
                     R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]})", finish("stop")}),
            "started  \nunhandled ping.event\nstopped tool_use\nunhandled a tool call without a name\ncompleted\n");
}

TEST(ChatDecoder, UsageOfEveryServer) {
  auto usage = [](std::string const& json) { return decoded({R"({"id":"r","model":"m","choices":[],"usage":)" + json + "}"}); };
  EXPECT_EQ(usage(R"({"prompt_tokens":390,"completion_tokens":26,"total_tokens":493,"prompt_tokens_details":{"cached_tokens":384}})"), "started r m\nusage 390 103 384 -\n") << "thinking counted beside";
  EXPECT_EQ(usage(R"({"prompt_tokens":10,"completion_tokens":2,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":2})"), "started r m\nusage 10 2 8 -\n");
  EXPECT_EQ(usage(R"({"prompt_tokens":10,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":7}})"), "started r m\nusage 10 2 0 7\n");
  EXPECT_EQ(usage(R"({"prompt_tokens":10,"completion_tokens":2,"cache_creation_input_tokens":7})"), "started r m\nusage 10 2 - 7\n");
  EXPECT_EQ(decoded({R"({"id":"r","model":"m","choices":[],"x_groq":{"usage":{"prompt_tokens":3,"completion_tokens":1}}})"}), "started r m\nusage 3 1 - -\n");
}

// ---- Requests

std::string body(std::vector<wire::Item> const& items, ModelConfig model = {}, wire::RequestConfig config = {}) {
  model.scheme = "openai_chat";
  model.model_id = "m";
  if (model.base_url.empty()) model.base_url = "https://h/v1";
  return build_chat_body({.system_prompt = "S", .items = items, .tools = {}, .config = std::move(config), .cache_anchor = {}, .cache_key = ""}, model);
}
std::string messages(std::vector<wire::Item> const& items, ModelConfig model = {}) {
  std::string all = body(items, std::move(model));
  size_t begin = all.find(R"({"role":"system","content":"S"})"), end = all.rfind("],\"stream_options\"");
  if (end == std::string::npos) end = all.rfind("],\"stream\"");
  return begin == std::string::npos ? all : all.substr(begin + 31, end - begin - 31);
}

TEST(ChatRequest, OneMessageForWhatOneSideSaysInARow) {
  std::vector<wire::Item> items{wire::user_message("a"),
                                wire::system_message("note"),
                                wire::assistant_message("I "),
                                wire::ToolCall{"c1", "Read", "{\"p\":1}"},
                                wire::ToolCall{"c2", "Bash", "broken"},
                                wire::ToolResult{"c1", "ok", "text", false},
                                wire::system_message("later"),
                                wire::ToolResult{"c2", "failed", std::nullopt, true},
                                wire::user_message("b")};
  EXPECT_EQ(messages(items),
            R"(,{"role":"user","content":"a\n\n<system-notice>\nnote\n</system-notice>"},{"role":"assistant","content":"I ","tool_calls":[{"id":"c1","type":"function","function":{"name":"Read","arguments":"{\"p\":1}"}},{"id":"c2","type":"function","function":{"name":"Bash","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"ok\ntext"},{"role":"tool","tool_call_id":"c2","content":"failed"},{"role":"user","content":"<system-notice>\nlater\n</system-notice>\n\nb"})");
}

TEST(ChatRequest, ReasoningGoesBackInItsField) {
  wire::Reasoning plain{.text = "hm", .signature = "reasoning_content"}, details{.text = "t", .encrypted_content = R"([{"type":"reasoning.encrypted","data":"d"}])"},
      foreign{.text = "x", .signature = "sig", .origin = "anthropic:anthropic"};
  std::vector<wire::Item> items{wire::user_message("a"), plain, foreign, wire::ToolCall{"c", "T", "{}"}, wire::ToolResult{"c", "r", std::nullopt, false}, details, wire::ToolCall{"d", "T", "{}"},
                                wire::ToolResult{"d", "r", std::nullopt, false}};
  std::string sent = messages(items);
  EXPECT_NE(sent.find(R"({"role":"assistant","content":null,"reasoning_content":"hm","tool_calls")"), std::string::npos) << sent;
  EXPECT_NE(sent.find(R"({"role":"assistant","content":null,"reasoning_details":[{"type":"reasoning.encrypted","data":"d"}],"reasoning":"t","tool_calls")"), std::string::npos) << sent;
  EXPECT_EQ(sent.find("sig"), std::string::npos);
  items.push_back(wire::user_message("b"));
  sent = messages(items);
  EXPECT_EQ(sent.find("\"hm\""), std::string::npos) << "of an earlier question";
  EXPECT_NE(sent.find("reasoning_details"), std::string::npos);
}

TEST(ChatRequest, SettingsAreNamedAsTheServerKnowsThem) {
  wire::RequestConfig config{.max_tokens = 100, .temperature = 0.5, .top_p = 0.9, .top_k = 3, .stop_sequences = {"X"}, .reasoning = std::string("high")};
  ModelConfig effort;
  effort.capability.reasoning = "effort";
  std::string other = body({}, effort, config);
  EXPECT_NE(other.find(R"("max_tokens":100)"), std::string::npos);
  EXPECT_NE(other.find(R"("temperature":0.5,"top_p":0.9,"stop":["X"],"reasoning_effort":"high","stream_options":{"include_usage":true},"stream":true})"), std::string::npos) << other;
  EXPECT_EQ(other.find("top_k"), std::string::npos);
  effort.base_url = "https://api.openai.com/v1";
  EXPECT_NE(body({}, effort, config).find(R"("max_completion_tokens":100)"), std::string::npos);
  effort.base_url = "https://openrouter.ai/api/v1";
  EXPECT_NE(body({}, effort, config).find(R"("reasoning":{"effort":"high"})"), std::string::npos);
  EXPECT_NE(body({}, effort, config).find(R"("usage":{"include":true})"), std::string::npos);
  effort.base_url = "https://api.mistral.ai";
  EXPECT_EQ(body({}, effort, config).find("stream_options"), std::string::npos);
  EXPECT_EQ(body({}, {}, config).find("reasoning"), std::string::npos) << "the model takes no such setting";
  EXPECT_EQ(body({}, {}, {}).find("max_tokens"), std::string::npos) << "the server knows its own limit";
}

TEST(ChatRequest, CallIdsAreMadeWhatTheServerTakes) {
  std::vector<wire::Item> items{wire::user_message("a"), wire::ToolCall{"functions.weather:0", "T", "{}"}, wire::ToolResult{"functions.weather:0", "r", std::nullopt, false}};
  EXPECT_NE(messages(items).find(R"("id":"functions.weather:0")"), std::string::npos);
  ModelConfig mistral;
  mistral.provider_id = "mistral";
  std::string sent = messages(items, mistral);
  size_t at = sent.find("\"id\":\"") + 6;
  std::string id = sent.substr(at, 9);
  EXPECT_EQ(sent[at + 9], '"');
  EXPECT_NE(sent.find("\"tool_call_id\":\"" + id + "\""), std::string::npos);
}

TEST(ChatRequest, BreakpointsWhereTheModelTakesThem) {
  ModelConfig model;
  model.capability.explicit_caching = true;
  std::string cached = R"("cache_control":{"type":"ephemeral"}}])";
  std::string sent = body({wire::user_message("a"), wire::assistant_message("b"), wire::user_message("c")}, model);
  EXPECT_NE(sent.find(R"({"role":"system","content":[{"type":"text","text":"S",)" + cached), std::string::npos) << sent;
  EXPECT_NE(sent.find(R"({"role":"user","content":"a"})"), std::string::npos);
  EXPECT_NE(sent.find(R"({"role":"user","content":[{"type":"text","text":"c",)" + cached), std::string::npos);
}

TEST(ChatUrl, BasesWithAndWithoutVersionWork) {
  auto scheme = make_openai_chat_scheme();
  for (auto [base, url] : {std::pair{"https://api.openai.com", "https://api.openai.com/v1/chat/completions"},
                           {"https://api.openai.com/v1/", "https://api.openai.com/v1/chat/completions"},
                           {"https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/chat/completions"},
                           {"https://openrouter.ai/api", "https://openrouter.ai/api/v1/chat/completions"},
                           {"https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1/chat/completions"},
                           {"https://h/v1beta/openai", "https://h/v1beta/openai/chat/completions"},
                           {"https://h/api/paas/v4", "https://h/api/paas/v4/chat/completions"},
                           {"http://v2.example:80", "http://v2.example:80/v1/chat/completions"}}) {
    EXPECT_EQ(scheme->url(base, {}), url);
  }
}

}  // namespace
}  // namespace insomnia::llm
