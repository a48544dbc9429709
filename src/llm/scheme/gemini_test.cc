#include "llm/scheme/gemini.hh"

#include "llm/scheme/scheme_fixture_test.hh"

namespace insomnia::llm {
namespace {

std::string decoded(std::vector<std::string> const& lines) { return in_words(decode_lines<GeminiDecoder>(lines)); }
std::string parts(std::string const& list, std::string const& more = "") {
  return R"({"responseId":"r","modelVersion":"m","candidates":[{"index":0,"content":{"role":"model","parts":[)" + list + "]}" + more + "}]}";
}
std::string finish(std::string const& reason) { return parts("", R"(,"finishReason":")" + reason + "\""); }

TEST(GeminiDecoder, ThoughtTextAndCallsWithTheirSignatures) {
  EXPECT_EQ(decoded({parts(R"({"text":"Hm","thought":true})"), parts(R"({"text":"I "},{"text":"look"})"),
                     parts(R"({"functionCall":{"id":"a","name":"A","args":{"x":1}},"thoughtSignature":"sig"},{"functionCall":{"name":"B"}})"), finish("STOP")}),
            "started r m\n0 start thinking\n0 'Hm'\n0 stop\n1 start text\n1 'I '\n1 'look'\n1 stop\nreasoning 'Hm' signature sig id a\n2 start tool a A\n2 '{\"x\":1}'\n2 stop\n"
            "3 start tool " + made_up_call_id("r", 1) + " B\n3 stop\nstopped tool_use\ncompleted\n");
}

TEST(GeminiDecoder, ASignatureOfTheTextComesWithItsLastPart) {
  EXPECT_EQ(decoded({parts(R"({"text":"Hm","thought":true})"), parts(R"({"text":"Done"})"), parts(R"({"text":"","thoughtSignature":"sig"})", R"(,"finishReason":"STOP")")}),
            "started r m\n0 start thinking\n0 'Hm'\n0 stop\n1 start text\n1 'Done'\nreasoning 'Hm' signature sig\nstopped end_turn\n1 stop\ncompleted\n");
  EXPECT_EQ(decoded({parts(R"({"text":"Hm","thought":true})"), parts(R"({"text":"Done"})"), finish("STOP")}),
            "started r m\n0 start thinking\n0 'Hm'\n0 stop\n1 start text\n1 'Done'\nstopped end_turn\n1 stop\nreasoning 'Hm' of 0\ncompleted\n");
}

TEST(GeminiDecoder, ReasonsToStopAreToldApart) {
  for (auto [reason, stopped] : {std::pair{"STOP", "end_turn"}, {"MAX_TOKENS", "max_tokens"}, {"SAFETY", "content_filter"}, {"RECITATION", "content_filter"}, {"OTHER", "other"}}) {
    EXPECT_EQ(decoded({parts(R"({"text":"x"})"), finish(reason)}), "started r m\n0 start text\n0 'x'\nstopped " + std::string(stopped) + "\n0 stop\ncompleted\n");
  }
  EXPECT_EQ(decoded({R"({"responseId":"r","modelVersion":"m","promptFeedback":{"blockReason":"SAFETY"}})"}), "started r m\nstopped content_filter\ncompleted\n");
  EXPECT_EQ(decoded({parts(R"({"text":"x"})")}), "started r m\n0 start text\n0 'x'\n") << "not complete";
  auto slip = failure_of<GeminiDecoder>({finish("MALFORMED_FUNCTION_CALL")});
  ASSERT_TRUE(slip);
  EXPECT_TRUE(slip->retryable);
}

TEST(GeminiDecoder, UsageCountsThoughtsAsOutputAndTheCacheAsInput) {
  EXPECT_EQ(decoded({R"({"responseId":"r","modelVersion":"m","usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":80,"candidatesTokenCount":7,"thoughtsTokenCount":5,"toolUsePromptTokenCount":3}})"}),
            "started r m\nusage 103 12 80 -\n");
}

TEST(GeminiDecoder, FailuresAreStructuredAndOddThingsSkipped) {
  auto busy = failure_of<GeminiDecoder>({R"({"error":{"code":503,"status":"UNAVAILABLE","message":"busy"}})"});
  ASSERT_TRUE(busy);
  EXPECT_TRUE(busy->retryable);
  EXPECT_EQ(busy->api_code, "UNAVAILABLE");
  EXPECT_FALSE(failure_of<GeminiDecoder>({R"({"error":{"code":400,"status":"INVALID_ARGUMENT","message":"no"}})"})->retryable);
  EXPECT_TRUE(failure_of<GeminiDecoder>({R"({"error":{"code":500,"message":"no"}})"})->retryable);
  EXPECT_EQ(decoded({"", "[DONE]", parts(R"({"inlineData":{"mimeType":"image/png"}},{"text":7},{"text":"x"})"), R"({"new":1})", finish("STOP")}),
            "started r m\nunhandled part:inlineData\n0 start text\n0 'x'\nunhandled chunk without candidates\nstopped end_turn\n0 stop\ncompleted\n");
}

// ---- Requests

std::string body(std::vector<wire::Item> const& items, std::string model_id = "gemini-2.5-flash", std::string reasoning = "both", wire::RequestConfig config = {}) {
  ModelConfig model;
  model.scheme = "gemini";
  model.provider_id = "gemini";
  model.model_id = std::move(model_id);
  model.capability.reasoning = std::move(reasoning);
  return build_gemini_body({.system_prompt = "S", .items = items, .tools = {}, .config = std::move(config), .cache_anchor = {}, .cache_key = ""}, model);
}
std::string contents(std::vector<wire::Item> const& items, std::string model_id = "gemini-2.5-flash") {
  std::string all = body(items, std::move(model_id));
  size_t begin = all.find("\"contents\":[") + 12;
  return all.substr(begin, all.rfind("],\"generationConfig\"") - begin);
}

TEST(GeminiRequest, TurnsAlternateAndResultsNameTheirFunction) {
  std::vector<wire::Item> items{wire::user_message("a"), wire::user_message("b"), wire::assistant_message("I"), wire::ToolCall{"c1", "Read", "{\"p\":1}"}, wire::ToolCall{"c2", "Read", "bad"},
                                wire::ToolResult{"c2", "failed", std::nullopt, true}, wire::ToolResult{"c1", "ok", "text", false}, wire::system_message("note")};
  EXPECT_EQ(contents(items),
            R"({"role":"user","parts":[{"text":"a"},{"text":"b"}]},{"role":"model","parts":[{"text":"I"},{"functionCall":{"id":"c1","name":"Read","args":{"p":1}}},{"functionCall":{"id":"c2","name":"Read","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"id":"c2","name":"Read","response":{"error":"failed"}}},{"functionResponse":{"id":"c1","name":"Read","response":{"result":"ok\ntext"}}},{"text":"<system-notice>\nnote\n</system-notice>"}]})");
}

TEST(GeminiRequest, SignaturesStandWhereTheyCameFrom) {
  wire::Reasoning of_call{.text = "Hm", .signature = "sigA", .origin = "gemini:gemini", .id = "c1"}, of_text{.text = "", .signature = "sigT", .origin = "gemini:gemini"};
  EXPECT_EQ(contents({wire::user_message("a"), of_call, wire::ToolCall{"c1", "T", "{}"}, wire::ToolResult{"c1", "r", std::nullopt, false}, wire::assistant_message("done"), of_text}, "gemini-3-pro"),
            R"({"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"id":"c1","name":"T","args":{}},"thoughtSignature":"sigA"}]},{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"T","response":{"result":"r"}}}]},{"role":"model","parts":[{"text":"done","thoughtSignature":"sigT"}]})");
}

TEST(GeminiRequest, CallsOfAnotherVendorsModelAreMarkedAsSuch) {
  wire::Reasoning foreign{.text = "", .signature = "sig", .origin = "anthropic:anthropic"};
  std::vector<wire::Item> items{wire::user_message("a"), foreign, wire::ToolCall{"c1", "T", "{}"}, wire::ToolCall{"c2", "T", "{}"}};
  EXPECT_EQ(contents(items).find("thoughtSignature"), std::string::npos);
  std::string sent = contents(items, "gemini-3.1-pro-preview");
  EXPECT_NE(sent.find(R"({"id":"c1","name":"T","args":{}},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"id":"c2","name":"T","args":{}}}])"), std::string::npos) << sent;
  EXPECT_EQ(contents({wire::user_message("a"), wire::Reasoning{.text = "only thought"}}), R"({"role":"user","parts":[{"text":"a"}]})");
}

TEST(GeminiRequest, Settings) {
  wire::RequestConfig config{.max_tokens = 100, .temperature = 0.5, .top_p = 0.9, .top_k = 3, .stop_sequences = {"X"}, .reasoning = int64_t{-1}};
  EXPECT_NE(body({}, "g", "both", config)
                .find(R"("generationConfig":{"maxOutputTokens":100,"temperature":0.5,"topP":0.9,"topK":3,"stopSequences":["X"],"thinkingConfig":{"includeThoughts":true,"thinkingBudget":-1}}})"),
            std::string::npos);
  config.reasoning = std::string("high");
  EXPECT_NE(body({}, "g", "effort", config).find(R"("thinkingLevel":"HIGH")"), std::string::npos);
  EXPECT_EQ(body({}, "g", "budget_tokens", config).find("thinking"), std::string::npos);
  EXPECT_NE(body({}, "g").find(R"("systemInstruction":{"role":"user","parts":[{"text":"S"}]})"), std::string::npos);
  EXPECT_NE(body({}, "g").find(R"("generationConfig":{}})"), std::string::npos);
  ModelConfig model;
  model.model_id = "gemini-2.5-flash";
  for (auto const* base : {"https://h", "https://h/", "https://h/v1beta"})
    EXPECT_EQ(make_gemini_scheme()->url(base, model), "https://h/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse");
  Scheme::Headers headers;
  make_gemini_scheme()->add_headers("k", headers);
  EXPECT_EQ(headers, (Scheme::Headers{{"x-goog-api-key", "k"}})) << "a key in the URL would end up in logs";
}

TEST(GeminiSchema, OnlyWhatTheApiKnows) {
  EXPECT_EQ(gemini_schema(R"({"$schema":"s","type":"object","additionalProperties":false,"properties":{"a":{"type":["string","null"],"default":"x","format":"uri"},)"
                          R"("b":{"type":"array","items":{"type":"integer","minimum":1}},"c":{"oneOf":[{"type":"string"},{"const":"k"}]},"type":{"type":"boolean"}},"required":["a"]})"),
            R"({"type":"OBJECT","properties":{"a":{"nullable":true,"type":"STRING"},"b":{"type":"ARRAY","items":{"type":"INTEGER","minimum":1}},"c":{"anyOf":[{"type":"STRING"},{"enum":["k"],"type":"STRING"}]},"type":{"type":"BOOLEAN"}},"required":["a"]})");
  EXPECT_EQ(gemini_schema("{}"), R"({"type":"OBJECT"})");
  EXPECT_EQ(gemini_schema("rubbish"), R"({"type":"OBJECT"})");
  EXPECT_EQ(gemini_schema(R"({"enum":[1,2]})"), R"({"type":"OBJECT"})");
}

}  // namespace
}  // namespace insomnia::llm
