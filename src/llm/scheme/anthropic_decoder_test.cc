#include <gtest/gtest.h>

#include "llm/scheme/anthropic.hh"

namespace insomnia::llm {
namespace {

using Events = std::vector<StreamEvent>;

/// Decodes `data` lines, one event each.
Events decode_data(std::vector<std::string> const& data, AnthropicDecoder&& decoder = {}) {
  Events out;
  for (auto const& line : data) EXPECT_FALSE(decoder.decode({"message", line}, out)) << line;
  return out;
}

template <class T>
std::vector<T> all(Events const& events) {
  std::vector<T> out;
  for (auto const& event : events) {
    if (auto const* match = std::get_if<T>(&event)) out.push_back(*match);
  }
  return out;
}

TEST(AnthropicDecoder, UsageIsTheWholePrompt) {
  Events events = decode_data(
      {R"({"type":"message_start","message":{"id":"m","model":"c","usage":{"input_tokens":100,"cache_read_input_tokens":800,"cache_creation_input_tokens":200,"output_tokens":1}}})",
       R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":50}})"});
  EXPECT_EQ(events, (Events{Started{"m", "c"}, Usage{1100, 1, 800, 200}, Usage{{}, 50, {}, {}}, Stopped{StopReason::EndTurn}}));
}

TEST(AnthropicDecoder, ALaterReportOfTheInputAloneKeepsTheCachedParts) {
  Events events = decode_data(
      {R"({"type":"message_start","message":{"id":"m","model":"c","usage":{"input_tokens":100,"cache_read_input_tokens":800,"output_tokens":1}}})",
       R"({"type":"message_delta","delta":{},"usage":{"input_tokens":110,"cache_read_input_tokens":null,"output_tokens":50}})"});
  EXPECT_EQ(all<Usage>(events).back(), (Usage{910, 50, {}, {}}));
}

TEST(AnthropicDecoder, InterleavedBlocksAreToldApartByIndex) {
  auto start = [](int index, std::string id) {
    return R"({"type":"content_block_start","index":)" + std::to_string(index) +
           R"(,"content_block":{"type":"tool_use","id":")" + id + R"(","name":"T","input":{}}})";
  };
  auto delta = [](int index, std::string json) {
    return R"({"type":"content_block_delta","index":)" + std::to_string(index) +
           R"(,"delta":{"type":"input_json_delta","partial_json":")" + json + R"("}})";
  };
  auto stop = [](int index) { return R"({"type":"content_block_stop","index":)" + std::to_string(index) + "}"; };
  Events events = decode_data({start(0, "a"), start(1, "b"), delta(1, "{"), delta(0, "{ "), delta(1, "}"), stop(1), delta(0, " }"), stop(0)});
  EXPECT_EQ(events, (Events{BlockStart{0, BlockType::ToolUse, "a", "T"}, BlockStart{1, BlockType::ToolUse, "b", "T"},
                            BlockDelta{1, "{"}, BlockDelta{0, "{ "}, BlockDelta{1, "}"}, BlockStop{1}, BlockDelta{0, " }"},
                            BlockStop{0}}));
}

TEST(AnthropicDecoder, ThinkingEndsWithWhatMustBeSentBack) {
  Events events = decode_data(
      {R"({"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}})",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"I "}})",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"think"}})",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"si"}})",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"g"}})",
       R"({"type":"content_block_stop","index":0})",
       R"({"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"blob"}})",
       R"({"type":"content_block_stop","index":1})"});
  EXPECT_EQ(events, (Events{BlockStart{0, BlockType::Thinking, "", ""}, BlockDelta{0, "I "}, BlockDelta{0, "think"}, BlockStop{0},
                            ReasoningDone{{.text = "I think", .signature = "sig"}, 0}, BlockStart{1, BlockType::Thinking, "", ""},
                            BlockStop{1}, ReasoningDone{{.text = "", .encrypted_content = "blob"}, 1}}));
}

TEST(AnthropicDecoder, UnknownKindsAreSkippedAndCountedNeverFatal) {
  Events events = decode_data(
      {R"({"type":"weather_report","cloudy":true})",
       R"({"type":"content_block_start","index":0,"content_block":{"type":"hologram"}})",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"hologram_delta"}})", R"({"type":"content_block_stop","index":0})",
       R"({"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}})",
       R"({"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{}}})",
       R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"still here"}})",
       R"({"type":"content_block_stop","index":1})", R"({"type":"ping"})"});
  EXPECT_EQ(events, (Events{Unhandled{"weather_report"}, Unhandled{"content_block_start:hologram"},
                            BlockStart{1, BlockType::Text, "", ""}, Unhandled{"content_block_delta:citations_delta"},
                            BlockDelta{1, "still here"}, BlockStop{1}, Ping{}}));
}

TEST(AnthropicDecoder, AnUnknownEventNeedsNoJson) {
  AnthropicDecoder decoder;
  Events out;
  EXPECT_FALSE(decoder.decode({"custom", "not json"}, out));
  EXPECT_EQ(out, Events{Unhandled{"custom"}});
}

TEST(AnthropicDecoder, AKnownEventThatCannotBeReadFailsTheCall) {
  AnthropicDecoder decoder;
  Events out;
  auto failure = decoder.decode({"message_delta", "{broken"}, out);
  ASSERT_TRUE(failure);
  EXPECT_FALSE(failure->retryable);
  EXPECT_NE(failure->error.message.find("message_delta"), std::string::npos);
}

TEST(AnthropicDecoder, StopReasonsAreMapped) {
  std::vector<std::pair<std::string, StopReason>> const cases{
      {"end_turn", StopReason::EndTurn},           {"tool_use", StopReason::ToolUse},
      {"max_tokens", StopReason::MaxTokens},       {"stop_sequence", StopReason::StopSequence},
      {"refusal", StopReason::Refusal},            {"pause_turn", StopReason::PauseTurn},
      {"model_context_window_exceeded", StopReason::MaxTokens}, {"something_new", StopReason::Other}};
  for (auto const& [name, reason] : cases) {
    EXPECT_EQ(decode_data({R"({"type":"message_delta","delta":{"stop_reason":")" + name + R"("}})"}), Events{Stopped{reason}});
  }
}

TEST(AnthropicDecoder, AnErrorEventIsRetryableByItsType) {
  for (auto const& [type, retryable] : std::vector<std::pair<std::string, bool>>{{"overloaded_error", true},
                                                                                 {"api_error", true},
                                                                                 {"rate_limit_error", true},
                                                                                 {"timeout_error", true},
                                                                                 {"invalid_request_error", false},
                                                                                 {"authentication_error", false}}) {
    AnthropicDecoder decoder;
    Events out;
    auto failure = decoder.decode({"error", R"({"type":"error","error":{"type":")" + type + R"(","message":"M"}})"}, out);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->retryable, retryable) << type;
    EXPECT_EQ(failure->api_code, type);
    EXPECT_EQ(failure->error.message, "API error [" + type + "]: M");
  }
}

TEST(AnthropicDecoder, AToolCallThatComesWholeInItsStartKeepsItsArguments) {
  std::string start = R"({"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"T","input":{"x":1}}})";
  EXPECT_EQ(decode_data({start, R"({"type":"content_block_stop","index":0})"}),
            (Events{BlockStart{0, BlockType::ToolUse, "a", "T"}, BlockDelta{0, R"({"x":1})"}, BlockStop{0}}));
  EXPECT_EQ(decode_data({start, R"({"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}})",
                         R"({"type":"content_block_stop","index":0})"}),
            (Events{BlockStart{0, BlockType::ToolUse, "a", "T"}, BlockDelta{0, "{}"}, BlockStop{0}}));
}

TEST(AnthropicDecoder, TextWithoutAStartGetsOneAndOpenBlocksAreClosedAtTheEnd) {
  EXPECT_EQ(decode_data({R"({"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"x"}})",
                         R"({"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{"}})",
                         R"({"type":"message_stop"})"}),
            (Events{BlockStart{2, BlockType::Text, "", ""}, BlockDelta{2, "x"}, Unhandled{"content_block_delta:input_json_delta"},
                    BlockStop{2}, Completed{}}));
}

}  // namespace
}  // namespace insomnia::llm
