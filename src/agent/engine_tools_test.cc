#include <gtest/gtest.h>

#include "agent/engine_script_test.hh"

// Tool calls: run side by side, logged as they finish, seen by the model in the order of the calls, answered once.
namespace insomnia::agent {
namespace {

std::vector<Input> two_calls() {
  return finished(tool_stream({{"c1", "Read", R"({"a":1})"}, {"c2", "Bash", R"({"b":2})"}}), llm::StopReason::ToolUse);
}

TEST(EngineTools, StartWhenTheCallsAreOnDisk) {
  Driver driver;
  driver.go(say("look"));
  std::string shown;
  for (auto const& input : two_calls()) shown += driver.in(input);
  EXPECT_EQ(shown,
            "> tool_call_start c1\n"
            "> tool_call_args_delta c1 {\"a\":1}\n"
            "> tool_call_done c1 {\"a\":1}\n"
            "> tool_call_start c2\n"
            "> tool_call_args_delta c2 {\"b\":2}\n"
            "> tool_call_done c2 {\"b\":2}\n"
            "> llm_call_end 0\n"
            "> turn_end 0\n"
            "log 2!: call Read c1 {\"a\":1} | call Bash c2 {\"b\":2} | turn_end 1\n");
  EXPECT_EQ(driver.engine().in_flight().tool_calls.size(), 2U);
  EXPECT_EQ(driver.in(append_done(2)), "run 1: Read c1\nrun 2: Bash c2\n");
  EXPECT_EQ(driver.engine().in_flight().tool_calls.size(), 2U);
}

TEST(EngineTools, ResultsAreLoggedAsTheyComeAndSentInTheOrderOfTheCalls) {
  Driver driver;
  driver.go(say("look"));
  driver.go(two_calls());
  EXPECT_EQ(driver.in(tool_done(2, "second")), "log 3: result c2 'second'\n");
  EXPECT_EQ(driver.in(append_done(3)), "> tool_result c2 'second'\n");
  EXPECT_EQ(driver.in(tool_done(1, "first")), "log 4!: result c1 'first'\n");
  EXPECT_EQ(driver.in(append_done(4)),
            "> tool_result c1 'first'\n"
            "> turn_start 1\n"
            "> llm_call_start 1\n"
            "call model\n");
  EXPECT_EQ(driver.request(),
            "user 'look'\n"
            "call Read c1 {\"a\":1}\n"
            "call Bash c2 {\"b\":2}\n"
            "result c1 'first'\n"
            "result c2 'second'\n");
}

TEST(EngineTools, TheRequestWaitsForEveryResultOnDisk) {
  Driver driver;
  driver.go(say("look"));
  driver.go(two_calls());
  driver.in(tool_done(1, "first"));
  driver.in(tool_done(2, "second"));
  driver.in(append_done(3));
  EXPECT_FALSE(driver.calling());
  driver.in(append_done(4));
  EXPECT_TRUE(driver.calling());
}

TEST(EngineTools, RecordsOfAToolAreWrittenWithItsResult) {
  Driver driver;
  driver.go(say("look"));
  driver.go(finished(tool_stream({{"c1", "Task", "{}"}}), llm::StopReason::ToolUse));
  ToolDone done{1, {.call_id = "", .summary = "ok", .content = std::nullopt}, {wire::Extension{"tasks", "{}"}}};
  EXPECT_EQ(driver.in(done), "log 3!: extension tasks | result c1 'ok'\n");
}

TEST(EngineTools, ErrorsGoToTheModelLikeResults) {
  Driver driver;
  driver.go(say("look"));
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}}), llm::StopReason::ToolUse));
  driver.go(ToolDone{1, {.call_id = "", .summary = "no such file", .content = std::nullopt, .is_error = true}, {}});
  EXPECT_EQ(driver.request(), "user 'look'\ncall Read c1 {}\nresult c1 ERROR 'no such file'\n");
}

TEST(EngineTools, ASecondAnswerOrAnUnknownOneChangesNothing) {
  Driver driver;
  driver.go(say("look"));
  driver.go(two_calls());
  driver.go(tool_done(1, "first"));
  EXPECT_EQ(driver.go(tool_done(1, "again")), "");
  EXPECT_EQ(driver.go(tool_done(99, "who")), "");
}

TEST(EngineTools, IdsAreNeverUsedAgain) {
  Driver driver;
  driver.go(say("look"));
  driver.go(two_calls());
  driver.go(tool_done(1, "first"));
  driver.go(tool_done(2, "second"));
  auto shown = driver.go(finished(tool_stream({{"c3", "Read", "{}"}}), llm::StopReason::ToolUse));
  EXPECT_NE(shown.find("run 3: Read c3\n"), std::string::npos) << shown;
}

TEST(EngineTools, ArgumentsThatAreNoObjectBecomeAnEmptyOne) {
  Driver driver;
  driver.go(say("look"));
  driver.go(finished(tool_stream({{"c1", "Ls", ""}}), llm::StopReason::ToolUse));
  ASSERT_EQ(driver.running_tools().size(), 1U);
  EXPECT_EQ(driver.running_tools().at(1).arguments, "{}");
}

TEST(EngineTools, ACallThatTheOutputLimitCutIsNotRun) {
  Driver driver;
  driver.go(say("write"));
  driver.go(finished(tool_stream({{"c1", "Write", R"({"path":"/w/a","content":"hal)"}}), llm::StopReason::MaxTokens));
  EXPECT_TRUE(driver.running_tools().empty());
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Failed);
  EXPECT_EQ(print(driver.engine().history()), "user 'write'\n");
}

TEST(EngineTools, CallsBeforeTheOneThatTheOutputLimitCutAreRun) {
  Driver driver;
  driver.go(say("write"));
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}, {"c2", "Write", R"({"pa)"}}), llm::StopReason::MaxTokens));
  ASSERT_EQ(driver.running_tools().size(), 1U);
  EXPECT_EQ(driver.running_tools().begin()->second.call_id, "c1");
}

// ---- max_turns

TEST(EngineTools, MaxTurnsCountsPerRun) {
  auto settings = test_settings();
  settings.max_turns = 2;
  Driver driver(settings);
  for (int run = 0; run < 2; ++run) {
    driver.go(say("look"));
    uint64_t tool = static_cast<uint64_t>(run) * 2 + 1;
    driver.go(finished(tool_stream({{"c" + std::to_string(tool), "Read", "{}"}}), llm::StopReason::ToolUse));
    driver.go(tool_done(tool, "text"));
    EXPECT_TRUE(driver.calling());
    driver.go(finished(tool_stream({{"c" + std::to_string(tool + 1), "Read", "{}"}}), llm::StopReason::ToolUse));
    EXPECT_EQ(driver.go(tool_done(tool + 1, "text")).find("call model"), std::string::npos);
    EXPECT_EQ(driver.ends().back().outcome, Outcome::LimitReached);
    EXPECT_EQ(print(driver.log().back()), "completed limit_reached");
    EXPECT_EQ(driver.engine().status(), wire::PodStatus::Idle);
  }
  EXPECT_EQ(driver.engine().turn_count(), 4U);
}

TEST(EngineTools, TheLastTurnMayAnswer) {
  auto settings = test_settings();
  settings.max_turns = 1;
  Driver driver(settings);
  driver.go(say("hi"));
  driver.go(finished(text_stream("ok")));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Finished);
}

TEST(EngineTools, AStopAtTheLimitIsAStop) {
  auto settings = test_settings();
  settings.max_turns = 1;
  Driver driver(settings);
  driver.go(say("look"));
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}}), llm::StopReason::ToolUse));
  driver.go(Pause{});
  driver.go(tool_done(1, "text"));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Paused);
}

}  // namespace
}  // namespace insomnia::agent
