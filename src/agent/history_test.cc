#include "agent/history.hh"

#include <gtest/gtest.h>

namespace insomnia::agent {
namespace {

wire::Item call(std::string id) {
  return wire::ToolCall{std::move(id), "Read", "{}"};
}
wire::Item result(std::string id, std::string summary = "ok") {
  return wire::ToolResult{.call_id = std::move(id), .summary = std::move(summary), .content = std::nullopt};
}
std::vector<std::string> ids(std::vector<wire::ToolCall> const& calls) {
  std::vector<std::string> list;
  for (auto const& one : calls) list.push_back(one.call_id);
  return list;
}

TEST(History, UnansweredCallsAreThoseWithoutAResult) {
  EXPECT_TRUE(unanswered_calls({}).empty());
  EXPECT_TRUE(unanswered_calls({call("a"), result("a")}).empty());
  EXPECT_EQ(ids(unanswered_calls({call("a"), call("b"), call("c"), result("b")})),
            (std::vector<std::string>{"a", "c"}));
}

TEST(History, ACallIdThatOccursAgainIsAnotherCall) {
  EXPECT_EQ(ids(unanswered_calls({call("a"), result("a"), call("a")})), (std::vector<std::string>{"a"}));
  EXPECT_TRUE(unanswered_calls({call("a"), call("a"), result("a"), result("a")}).empty());
}

TEST(History, AResultAnswersNoCallThatComesLater) {
  EXPECT_EQ(ids(unanswered_calls({result("a"), call("a")})), (std::vector<std::string>{"a"}));
}

TEST(History, ResultsAreOrderedLikeTheirCalls) {
  std::vector<wire::Item> history = {
      wire::user_message("u"),     call("a"), call("b"), call("c"), result("c"), result("a"), result("b"),
      wire::assistant_message("x")};
  order_results(history);
  std::vector<wire::Item> wanted = {
      wire::user_message("u"),     call("a"), call("b"), call("c"), result("a"), result("b"), result("c"),
      wire::assistant_message("x")};
  EXPECT_EQ(history, wanted);
  order_results(history);
  EXPECT_EQ(history, wanted) << "once is enough";
}

TEST(History, IdsThatOccurAgainLaterDoNotDisturbTheOrderOfEarlierOnes) {
  std::vector<wire::Item> history = {call("a"), call("b"), result("b", "1b"), result("a", "1a"),
                                     call("b"), call("a"), result("a", "2a"), result("b", "2b")};
  order_results(history);
  std::vector<wire::Item> wanted = {call("a"), call("b"), result("a", "1a"), result("b", "1b"),
                                    call("b"), call("a"), result("b", "2b"), result("a", "2a")};
  EXPECT_EQ(history, wanted);
}

TEST(History, AResultWithoutACallComesLast) {
  std::vector<wire::Item> history = {call("a"), result("stray"), result("a")};
  order_results(history);
  EXPECT_EQ(history, (std::vector<wire::Item>{call("a"), result("a"), result("stray")}));
}

TEST(History, TheLastAnswerIsTheLastAssistantText) {
  EXPECT_EQ(last_answer({}), "");
  EXPECT_EQ(last_answer({wire::assistant_message("one"), call("a"), result("a"), wire::user_message("u")}), "one");
}

TEST(History, KnowsWhatCannotBeSentAsItIs) {
  EXPECT_FALSE(ends_with_model({}));
  EXPECT_FALSE(ends_with_model({wire::user_message("u")}));
  EXPECT_FALSE(ends_with_model({wire::system_message("s")}));
  EXPECT_FALSE(ends_with_model({call("a"), result("a")}));
  EXPECT_TRUE(ends_with_model({wire::assistant_message("x")}));
  EXPECT_TRUE(ends_with_model({call("a")}));
  EXPECT_TRUE(ends_with_model({wire::Reasoning{.text = "hm"}}));
}

}  // namespace
}  // namespace insomnia::agent
