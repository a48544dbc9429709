#include "llm/scheme/openai_responses.hh"

#include "llm/scheme/scheme_fixture_test.hh"

namespace insomnia::llm {
namespace {

std::string decoded(std::vector<std::string> const& lines) { return in_words(decode_lines<ResponsesDecoder>(lines)); }
std::string added(int output, std::string const& item) { return R"({"type":"response.output_item.added","output_index":)" + std::to_string(output) + R"(,"item":)" + item + "}"; }
std::string done(int output, std::string const& item) { return R"({"type":"response.output_item.done","output_index":)" + std::to_string(output) + R"(,"item":)" + item + "}"; }
std::string const kCreated = R"({"type":"response.created","response":{"id":"r","model":"m"}})";
std::string const kCompleted = R"({"type":"response.completed","response":{"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":3}}})";

TEST(ResponsesDecoder, ReasoningTextAndParallelCalls) {
  EXPECT_EQ(decoded({kCreated, R"({"type":"response.in_progress","response":{"id":"r","model":"m"}})", added(0, R"({"type":"reasoning","id":"rs"})"),
                     R"({"type":"response.reasoning_summary_part.added","output_index":0,"summary_index":0})",
                     R"({"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"Hm"})",
                     R"({"type":"response.reasoning_summary_text.done","output_index":0,"summary_index":0,"text":"Hm"})",
                     done(0, R"({"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":"blob"})"),
                     R"({"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"I look"})",
                     R"({"type":"response.output_text.done","output_index":1,"content_index":0,"text":"I look"})", added(2, R"({"type":"function_call","call_id":"a","name":"A"})"),
                     added(3, R"({"type":"function_call","call_id":"b","name":"B"})"), R"({"type":"response.function_call_arguments.delta","output_index":3,"delta":"{}"})",
                     R"({"type":"response.function_call_arguments.delta","output_index":2,"delta":"{"})", R"({"type":"response.function_call_arguments.delta","output_index":2,"delta":"}"})",
                     R"({"type":"response.function_call_arguments.done","output_index":2,"arguments":"{}"})", done(2, R"({"type":"function_call","call_id":"a","name":"A","arguments":"{}"})"),
                     done(3, R"({"type":"function_call","call_id":"b","name":"B","arguments":"{}"})"), kCompleted}),
            "started r m\n0 start thinking\n0 'Hm'\n0 stop\nreasoning '' summary 'Hm' encrypted blob id rs of 0\n1 start text\n1 'I look'\n1 stop\n2 start tool a A\n3 start tool b B\n"
            "3 '{}'\n2 '{'\n2 '}'\n2 stop\n3 stop\nusage 9 3 4 -\nstopped tool_use\ncompleted\n");
}

TEST(ResponsesDecoder, WholePartsCountWhereNothingStreamed) {
  EXPECT_EQ(decoded({kCreated, R"({"type":"response.output_text.done","output_index":0,"content_index":0,"text":"all"})",
                     done(1, R"({"type":"function_call","call_id":"a","name":"A","arguments":"{\"x\":1}"})"),
                     R"({"type":"response.reasoning_text.done","output_index":2,"content_index":0,"text":"thought"})",
                     done(2, R"({"type":"reasoning","id":"rs","summary":[],"content":[{"type":"reasoning_text","text":"thought"}]})"), kCompleted}),
            "started r m\n0 start text\n0 'all'\n0 stop\n1 start tool a A\n1 '{\"x\":1}'\n1 stop\n2 start thinking\n2 'thought'\n2 stop\nreasoning 'thought' id rs of 2\n"
            "usage 9 3 4 -\nstopped tool_use\ncompleted\n");
}

TEST(ResponsesDecoder, HowItEndedIsToldApart) {
  auto end = [](std::string const& event) { return decoded({event}); };
  EXPECT_EQ(end(R"({"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}})"), "stopped max_tokens\ncompleted\n");
  EXPECT_EQ(end(R"({"type":"response.incomplete","response":{"incomplete_details":{"reason":"content_filter"}}})"), "stopped content_filter\ncompleted\n");
  EXPECT_EQ(end(R"({"type":"response.completed","response":{}})"), "stopped end_turn\ncompleted\n");
  EXPECT_EQ(decoded({R"({"type":"response.refusal.delta","output_index":0,"content_index":0,"delta":"No."})", R"({"type":"response.completed","response":{}})"}),
            "0 start text\n0 'No.'\n0 stop\nstopped refusal\ncompleted\n");
  EXPECT_EQ(decoded({kCreated, R"({"type":"response.output_text.delta","delta":"x"})"}), "started r m\n0 start text\n0 'x'\n") << "not complete";
  EXPECT_EQ(decoded({added(0, R"({"type":"function_call","call_id":"a","name":"A"})"), R"({"type":"response.function_call_arguments.delta","output_index":0,"delta":"{\"pa"})",
                     R"({"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}})"}),
            "0 start tool a A\n0 '{\"pa'\nstopped max_tokens\ncompleted\n")
      << "a call that was cut has no end";
}

TEST(ResponsesDecoder, FailuresAreStructured) {
  auto failed = failure_of<ResponsesDecoder>({R"({"type":"response.failed","response":{"error":{"code":"server_error","message":"oops"}}})"});
  ASSERT_TRUE(failed);
  EXPECT_TRUE(failed->retryable);
  EXPECT_EQ(failed->api_code, "server_error");
  auto limit = failure_of<ResponsesDecoder>({R"({"type":"error","code":"rate_limit_exceeded","message":"slow down"})"});
  ASSERT_TRUE(limit);
  EXPECT_TRUE(limit->retryable);
  auto refused = failure_of<ResponsesDecoder>({R"({"type":"error","error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"too long"}})"});
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->retryable);
  EXPECT_EQ(refused->api_code, "context_length_exceeded");
}

TEST(ResponsesDecoder, UnknownKindsAreSkippedAndCounted) {
  EXPECT_EQ(decoded({R"({"type":"response.new_thing","x":1})", added(0, R"({"type":"web_search_call"})"), R"({"type":"response.function_call_arguments.delta","output_index":9,"delta":"x"})",
                     R"({"type":"keepalive"})", R"({"type":"response.output_text.annotation.added"})", kCompleted}),
            "unhandled response.new_thing\nunhandled output_item:web_search_call\nunhandled arguments of a call that did not begin\nping\nusage 9 3 4 -\nstopped end_turn\ncompleted\n");
}

// ---- Requests

std::string body(std::vector<wire::Item> const& items, ModelConfig model = {}, wire::RequestConfig config = {}, std::string system = "S") {
  model.scheme = "openai_responses";
  model.provider_id = "openai";
  model.model_id = "m";
  static ToolDefinition const tool{"T", "does", R"({"type":"object"})"};
  return build_responses_body({.system_prompt = system, .items = items, .tools = std::span(&tool, 1), .config = std::move(config), .cache_anchor = {}, .cache_key = "key"}, model);
}

TEST(ResponsesRequest, EverythingIsSentAndNothingIsStored) {
  wire::Reasoning own{.text = "", .summary = {"Hm"}, .encrypted_content = "blob", .signature = {}, .origin = "openai_responses:openai", .id = "rs"};
  std::vector<wire::Item> items{wire::user_message("a"), own, wire::assistant_message("b"), wire::ToolCall{"c", "T", "broken"}, wire::ToolResult{"c", "sum", "text", true}, wire::system_message("note")};
  EXPECT_EQ(body(items),
            R"({"model":"m","instructions":"S","input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":"blob"},{"role":"assistant","content":[{"type":"output_text","text":"b"}]},{"type":"function_call","call_id":"c","name":"T","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"sum\ntext"},{"role":"developer","content":[{"type":"input_text","text":"note"}]}],"tools":[{"type":"function","name":"T","description":"does","parameters":{"type":"object","properties":{}},"strict":false}],"tool_choice":"auto","parallel_tool_calls":true,"prompt_cache_key":"key","store":false,"include":["reasoning.encrypted_content"],"stream":true})");
}

TEST(ResponsesRequest, ReasoningThatMeansNothingToTheServerIsLeftOut) {
  wire::Reasoning plain{.text = "x"}, foreign{.text = "", .encrypted_content = "blob1", .origin = "anthropic:anthropic"}, signed_one{.text = "y", .signature = "sig"},
      last{.text = "", .encrypted_content = "blob2"};
  std::string sent = body({wire::user_message("a"), plain, foreign, signed_one, wire::assistant_message("b"), last, wire::user_message("c")});
  EXPECT_EQ(sent.find("\"reasoning\""), std::string::npos) << sent;
  EXPECT_EQ(sent.find("blob"), std::string::npos) << "also one that nothing of its answer follows";
}

TEST(ResponsesRequest, Settings) {
  ModelConfig effort;
  effort.capability.reasoning = "effort";
  wire::RequestConfig config{.max_tokens = 100, .temperature = 0.5, .top_p = 0.9, .top_k = 3, .stop_sequences = {"X"}, .reasoning = std::string("low")};
  std::string sent = body({}, effort, config, "");
  EXPECT_NE(sent.find(R"("reasoning":{"effort":"low","summary":"auto"},"max_output_tokens":100,"temperature":0.5,"top_p":0.9,)"), std::string::npos) << sent;
  EXPECT_EQ(sent.find("instructions"), std::string::npos);
  EXPECT_EQ(sent.find("top_k"), std::string::npos);
  EXPECT_EQ(sent.find("\"stop"), std::string::npos);
  config.reasoning = int64_t{2000};
  EXPECT_EQ(body({}, effort, config).find("\"effort\""), std::string::npos) << "a number is no label";
  EXPECT_EQ(make_openai_responses_scheme()->url("https://api.openai.com/v1", {}), "https://api.openai.com/v1/responses");
  EXPECT_EQ(make_openai_responses_scheme()->url("https://api.openai.com", {}), "https://api.openai.com/v1/responses");
}

}  // namespace
}  // namespace insomnia::llm
