#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/io.hh"
#include "base/json.hh"
#include "llm/scheme/anthropic.hh"

namespace insomnia::llm {
namespace {

using Events = std::vector<StreamEvent>;

/// Decodes a raw stream that arrives in pieces.
Events decode(std::vector<std::string_view> const& pieces) {
  http::SseParser parser;
  AnthropicDecoder decoder;
  Events out;
  for (auto piece : pieces) {
    std::vector<http::SseEvent> events;
    EXPECT_TRUE(parser.feed(piece, events));
    for (auto const& event : events) EXPECT_FALSE(decoder.decode(event, out));
  }
  return out;
}

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

std::string joined(Events const& events, size_t index) {
  std::string out;
  for (auto const& delta : all<BlockDelta>(events)) {
    if (delta.index == index) out += delta.text;
  }
  return out;
}

struct Recording {
  std::string file;
  std::vector<std::string> bodies;
};

std::vector<Recording> recordings() {
  std::string folder = std::string(INSOMNIA_SOURCE_DIR) + "/tests/fixtures/provider-streams/anthropic";
  std::vector<Recording> out;
  auto names = io::list_directory(folder);
  for (auto const& name : names.value_or(std::vector<std::string>{})) {
    Recording recording{.file = name, .bodies = {}};
    auto document = json::parse_object(io::read_file(folder + "/" + name).value_or(""));
    EXPECT_TRUE(document) << name;
    if (!document) continue;
    for (auto const& call : document->at("calls").as_array()) {
      recording.bodies.emplace_back(call.at("body").as_string());
    }
    out.push_back(std::move(recording));
  }
  return out;
}

TEST(AnthropicDecoder, RecordedStreamsAreUnderstoodWhole) {
  auto found = recordings();
  ASSERT_EQ(found.size(), 6u);
  for (auto const& recording : found) {
    for (auto const& body : recording.bodies) {
      Events events = decode({body});
      EXPECT_TRUE(all<Unhandled>(events).empty()) << recording.file;
      EXPECT_EQ(all<Started>(events).size(), 1u) << recording.file;
      EXPECT_EQ(all<Stopped>(events).size(), 1u) << recording.file;
      EXPECT_EQ(all<BlockStart>(events).size(), all<BlockStop>(events).size()) << recording.file;
      ASSERT_FALSE(events.empty());
      EXPECT_TRUE(std::holds_alternative<Completed>(events.back())) << recording.file;
      for (auto const& start : all<BlockStart>(events)) {
        if (start.type != BlockType::ToolUse) continue;
        EXPECT_FALSE(start.id.empty());
        EXPECT_EQ(start.name, "weather");
        EXPECT_TRUE(json::parse_object(joined(events, start.index))) << joined(events, start.index);
        EXPECT_EQ(all<Stopped>(events).front().reason, StopReason::ToolUse);
      }
      for (auto const& reasoning : all<ReasoningDone>(events)) {
        EXPECT_FALSE(reasoning.item.text.empty());
        EXPECT_TRUE(reasoning.item.signature);
      }
    }
  }
}

TEST(AnthropicDecoder, RecordedStreamsCutAtAnyByteGiveTheSameEvents) {
  for (auto const& recording : recordings()) {
    for (std::string_view body : recording.bodies) {
      ASSERT_LE(body.size(), 16u << 10);
      Events whole = decode({body});
      std::vector<std::string_view> bytes;
      for (size_t i = 0; i < body.size(); ++i) bytes.push_back(body.substr(i, 1));
      EXPECT_EQ(decode(bytes), whole) << recording.file;
      // The decoder sees whole events only, so for the cuts it is enough that the parser gives the same ones.
      http::SseParser reference;
      std::vector<http::SseEvent> expected;
      ASSERT_TRUE(reference.feed(body, expected));
      for (size_t cut = 0; cut <= body.size(); ++cut) {
        http::SseParser parser;
        std::vector<http::SseEvent> events;
        ASSERT_TRUE(parser.feed(body.substr(0, cut), events) && parser.feed(body.substr(cut), events));
        ASSERT_EQ(events, expected) << recording.file << " cut at " << cut;
      }
    }
  }
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
                            ReasoningDone{{.text = "I think", .signature = "sig"}}, BlockStart{1, BlockType::Thinking, "", ""},
                            BlockStop{1}, ReasoningDone{{.text = "", .encrypted_content = "blob"}}}));
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
