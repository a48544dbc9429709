#include "agent/stream_collector.hh"

#include <gtest/gtest.h>

#include "agent/engine_script_test.hh"

namespace insomnia::agent {
namespace {

using llm::BlockDelta;
using llm::BlockStart;
using llm::BlockStop;
using llm::BlockType;

std::string shown(std::vector<wire::EventBody> const& events) {
  std::string lines;
  for (auto const& event : events) lines += print(event) + "\n";
  return lines;
}

std::string take(StreamCollector& collector, std::vector<llm::StreamEvent> const& events) {
  std::string lines;
  for (auto const& event : events) lines += shown(collector.take(event));
  return lines;
}

TEST(StreamCollector, JoinsAllTextIntoOneMessageAfterTheReasoning) {
  StreamCollector collector;
  EXPECT_EQ(
      take(collector, {BlockStart{0, BlockType::Thinking, "", ""}, BlockDelta{0, "hm"}, BlockStop{0},
                       llm::ReasoningDone{{.text = "hm", .signature = "s"}}, BlockStart{1, BlockType::Text, "", ""},
                       BlockDelta{1, "a"}, BlockStop{1}, BlockStart{2, BlockType::Text, "", ""}, BlockDelta{2, "b"},
                       BlockStop{2}, llm::Completed{}}),
      "thinking_start\n"
      "thinking_delta 'hm'\n"
      "thinking_done 'hm'\n"
      "text_delta 'a'\n"
      "text_done 'a'\n"
      "text_delta 'b'\n"
      "text_done 'b'\n");
  EXPECT_TRUE(collector.completed());
  EXPECT_EQ(print(collector.items()), "reasoning 'hm'\nassistant 'ab'\n");
}

TEST(StreamCollector, KeepsInterleavedParallelCallsApart) {
  StreamCollector collector;
  take(collector, {BlockStart{0, BlockType::ToolUse, "c1", "Read"}, BlockStart{1, BlockType::ToolUse, "c2", "Bash"},
                   BlockDelta{0, "{\"a\""}, BlockDelta{1, "{\"b\""}, BlockDelta{0, ":1}"}, BlockDelta{1, ":2}"},
                   BlockStop{1}, BlockStop{0}});
  EXPECT_EQ(print(collector.items()), "call Read c1 {\"a\":1}\ncall Bash c2 {\"b\":2}\n");
}

TEST(StreamCollector, AnIndexThatIsUsedAgainIsANewBlock) {
  StreamCollector collector;
  take(collector, {BlockStart{0, BlockType::Text, "", ""}, BlockDelta{0, "a"}, BlockStop{0},
                   BlockStart{0, BlockType::ToolUse, "c1", "Read"}, BlockStop{0},
                   BlockStart{0, BlockType::Text, "", ""}, BlockDelta{0, "b"}});
  EXPECT_EQ(print(collector.items()), "assistant 'ab'\ncall Read c1 {}\n");
}

TEST(StreamCollector, ReasoningKeepsItsPlaceAmongTextAndCalls) {
  StreamCollector collector;
  auto signature = [](std::string text, std::optional<size_t> block) { return llm::ReasoningDone{{.text = std::move(text)}, block}; };
  take(collector, {BlockStart{0, BlockType::Thinking, "", ""}, BlockStop{0}, signature("one", 0),
                   BlockStart{1, BlockType::Text, "", ""}, BlockDelta{1, "a"}, BlockStop{1},
                   BlockStart{2, BlockType::ToolUse, "c1", "Read"}, BlockStop{2},
                   BlockStart{3, BlockType::Text, "", ""}, BlockDelta{3, "b"}, BlockStop{3},
                   BlockStart{4, BlockType::Thinking, "", ""}, BlockStop{4}, signature("two", 4),
                   signature("of the call", std::nullopt), BlockStart{5, BlockType::ToolUse, "c2", "Read"}, BlockStop{5},
                   signature("last", std::nullopt)});
  EXPECT_EQ(print(collector.items()),
            "reasoning 'one'\nassistant 'ab'\ncall Read c1 {}\nreasoning 'two'\nreasoning 'of the call'\ncall Read c2 {}\nreasoning 'last'\n");
  EXPECT_EQ(print(collector.salvage()), "reasoning 'one'\nassistant 'ab'\n");
}

TEST(StreamCollector, ReasoningThatIsWholeOnlyAtTheEndStandsWhereItBegan) {
  StreamCollector collector;
  take(collector, {BlockStart{0, BlockType::Thinking, "", ""}, BlockStop{0}, BlockStart{1, BlockType::ToolUse, "c1", "Read"}, BlockStop{1},
                   llm::ReasoningDone{{.text = "hm"}, 0}});
  EXPECT_EQ(print(collector.items()), "reasoning 'hm'\ncall Read c1 {}\n");
}

TEST(StreamCollector, TextWithoutAStartIsText) {
  StreamCollector collector;
  EXPECT_EQ(take(collector, {BlockDelta{3, "a"}, BlockStop{3}}), "text_delta 'a'\ntext_done 'a'\n");
}

TEST(StreamCollector, AStopOfNothingIsNothing) {
  StreamCollector collector;
  EXPECT_EQ(take(collector, {BlockStop{3}, llm::Ping{}, llm::Unhandled{"x"}, llm::Started{"id", "m"}}), "");
  EXPECT_FALSE(collector.active());
}

TEST(StreamCollector, ACallWithoutItsEndIsNotRun) {
  StreamCollector collector;
  take(collector, {BlockStart{0, BlockType::ToolUse, "c1", "Read"}, BlockDelta{0, "{"}, llm::Completed{}});
  EXPECT_TRUE(collector.items().empty());
}

TEST(StreamCollector, IsActiveWithTheFirstThingThatAClientSees) {
  StreamCollector text;
  take(text, {BlockStart{0, BlockType::Text, "", ""}, BlockDelta{0, ""}, llm::Usage{.input_tokens = 1}});
  EXPECT_FALSE(text.active());
  take(text, {BlockDelta{0, "a"}});
  EXPECT_TRUE(text.active());
  StreamCollector thinking;
  take(thinking, {BlockStart{0, BlockType::Thinking, "", ""}});
  EXPECT_TRUE(thinking.active());
  StreamCollector tool;
  take(tool, {BlockStart{0, BlockType::ToolUse, "c1", "Read"}});
  EXPECT_TRUE(tool.active());
}

TEST(StreamCollector, ClosesThinkingOnce) {
  StreamCollector collector;
  take(collector, {BlockStart{0, BlockType::Thinking, "", ""}, BlockDelta{0, "hm"}, BlockDelta{1, "text"}});
  EXPECT_EQ(shown(collector.close()), "thinking_done 'hm'\n");
  EXPECT_EQ(shown(collector.close()), "");
}

TEST(StreamCollector, SalvagesTextAndItsReasoningButNoCalls) {
  StreamCollector collector;
  take(collector, {llm::ReasoningDone{{.text = "hm"}}, BlockDelta{0, "half"},
                   BlockStart{1, BlockType::ToolUse, "c1", "Read"}, BlockStop{1}});
  EXPECT_EQ(print(collector.salvage()), "reasoning 'hm'\nassistant 'half'\n");
}

TEST(StreamCollector, SalvagesNoReasoningAlone) {
  StreamCollector collector;
  take(collector, {llm::ReasoningDone{{.text = "hm"}}, BlockStart{1, BlockType::ToolUse, "c1", "Read"}, BlockStop{1}});
  EXPECT_TRUE(collector.salvage().empty());
}

TEST(StreamCollector, ReasoningMayPrecedeACall) {
  StreamCollector collector;
  take(collector, {llm::ReasoningDone{{.text = "hm"}}, BlockStart{1, BlockType::ToolUse, "c1", "Read"}, BlockStop{1}});
  EXPECT_EQ(print(collector.items()), "reasoning 'hm'\ncall Read c1 {}\n");
}

TEST(StreamCollector, LeavesOutTheCallThatTheOutputLimitCut) {
  StreamCollector collector;
  take(collector,
       {BlockStart{0, BlockType::ToolUse, "c1", "Read"}, BlockStop{0}, BlockStart{1, BlockType::ToolUse, "c2", "Write"},
        BlockDelta{1, "{\"pa"}, BlockStop{1}, llm::Stopped{llm::StopReason::MaxTokens}});
  EXPECT_EQ(print(collector.items()), "call Read c1 {}\n");
}

TEST(StreamCollector, MergesUsageFieldByField) {
  StreamCollector collector;
  take(collector, {llm::Usage{.input_tokens = 10, .output_tokens = 1, .cache_read_input_tokens = 4},
                   llm::Usage{.output_tokens = 7}, llm::Usage{.cache_creation_input_tokens = 2}});
  EXPECT_EQ(collector.usage(), (llm::Usage{10, 7, 4, 2}));
}

TEST(StreamCollector, TellsWhatIsInFlight) {
  StreamCollector collector;
  take(collector, {BlockStart{0, BlockType::Thinking, "", ""}, BlockDelta{0, "hm"}, BlockDelta{1, "text"},
                   BlockStart{2, BlockType::ToolUse, "c1", "Read"}, BlockDelta{2, "{"}});
  EXPECT_EQ(collector.in_flight(), (wire::InFlight{"text", "hm", {{"c1", "Read", "{"}}}));
}

}  // namespace
}  // namespace insomnia::agent
