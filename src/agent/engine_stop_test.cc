#include <gtest/gtest.h>

#include "agent/engine_script_test.hh"

// Cancel and pause in every phase of a run.
namespace insomnia::agent {
namespace {

std::vector<Input> calls() {
  return finished(tool_stream({{"c1", "Read", "{}"}, {"c2", "Bash", "{}"}}), llm::StopReason::ToolUse);
}

class EngineStop : public ::testing::TestWithParam<bool> {
 protected:
  bool pause() const { return GetParam(); }
  Input stop() const { return pause() ? Input(Pause{}) : Input(Cancel{}); }
  std::string name() const { return pause() ? "paused" : "cancelled"; }
  std::string ended(std::string const& answer = "") const {
    return "> run_end " + name() + "\nEND " + name() + " '" + answer + "'\n> status " + (pause() ? "paused" : "idle") +
           "\n";
  }
};
INSTANTIATE_TEST_SUITE_P(CancelAndPause, EngineStop, ::testing::Bool(),
                         [](auto const& info) { return info.param ? "Pause" : "Cancel"; });

char const kRolledBack[] =
    "> run_end rolled_back\n"
    "END rolled_back ''\n"
    "> status idle\n";

// ---- Starting

TEST_P(EngineStop, WhileTheStartIsWrittenRollsBack) {
  Driver driver;
  driver.in(say("hi"));
  EXPECT_EQ(driver.in(stop()), "");
  EXPECT_EQ(driver.in(append_done(1)),
            "> user_message 'hi'\n"
            "> status running\n"
            "> invoke_start user_send\n"
            "log 2!: completed rolled_back\n");
  EXPECT_EQ(driver.in(append_done(2)), kRolledBack);
  EXPECT_EQ(print(driver.engine().history()), "");
}

TEST_P(EngineStop, WhileARunOfANoticeStartsKeepsTheNotice) {
  Driver driver;
  driver.in(notice("news"));
  driver.in(stop());
  driver.in(append_done(1));
  EXPECT_EQ(driver.in(append_done(2)), ended());
  EXPECT_EQ(print(driver.engine().history()), "system 'news'\n");
}

TEST_P(EngineStop, WhileAResumedRunStartsKeepsWhatThereWas) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("half"));
  driver.go(Pause{});
  driver.in(Resume{});
  driver.in(stop());
  driver.in(append_done(3));
  EXPECT_EQ(driver.in(append_done(4)), ended());
  EXPECT_EQ(print(driver.engine().history()), "user 'hi'\n");
}

TEST_P(EngineStop, WhileNoticesAreWrittenEndsWhenTheyAre) {
  Driver driver;
  driver.in(say("hi"));
  driver.in(notice("news"));
  driver.in(append_done(1));
  EXPECT_EQ(driver.in(stop()), "");
  EXPECT_EQ(driver.in(append_done(2)), "> system_item\nlog 3!: completed " + name() + " interrupted\n");
  EXPECT_EQ(driver.in(append_done(3)), ended());
}

// ---- Streaming

TEST_P(EngineStop, BeforeAnythingWasShownRollsBack) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model(llm::Started{"id", "m"}));
  driver.go(model(llm::BlockStart{0, llm::BlockType::Text, "", ""}));
  driver.go(model(llm::Usage{.input_tokens = 5}));
  EXPECT_EQ(driver.in(stop()),
            "abort model\n"
            "> usage 5/-\n"
            "> llm_call_end 0\n"
            "> turn_end 0\n"
            "log 2!: completed rolled_back\n");
  EXPECT_EQ(driver.in(append_done(2)), kRolledBack);
  EXPECT_EQ(print(driver.engine().history()), "");
}

TEST_P(EngineStop, OnlyTheLatestMessageIsRolledBack) {
  Driver driver;
  driver.go(say("one"));
  driver.go(finished(text_stream("first")));
  driver.go(say("two"));
  driver.go(stop());
  EXPECT_EQ(print(driver.engine().history()), "user 'one'\nassistant 'first'\n");
}

TEST_P(EngineStop, MidTextDropsThePartialText) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model(llm::BlockDelta{0, "half"}));
  EXPECT_EQ(driver.in(stop()),
            "abort model\n"
            "> llm_call_end 0\n"
            "> turn_end 0\n"
            "log 2!: completed " +
                name() + " interrupted\n");
  EXPECT_EQ(driver.in(append_done(2)), ended());
  EXPECT_EQ(print(driver.engine().history()), "user 'hi'\n");
}

TEST_P(EngineStop, MidThinkingEndsTheThinking) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model(llm::BlockStart{0, llm::BlockType::Thinking, "", ""}));
  EXPECT_EQ(driver.in(stop()),
            "abort model\n"
            "> thinking_done ''\n"
            "> llm_call_end 0\n"
            "> turn_end 0\n"
            "log 2!: completed " +
                name() + " interrupted\n");
}

TEST_P(EngineStop, ToolCallsOfACancelledStreamReachNoLaterTurn) {
  Driver driver;
  driver.go(say("look"));
  driver.go(tool_stream({{"c1", "Bash", "{}"}}));
  driver.go(stop());
  for (auto const& late : calls()) EXPECT_EQ(driver.in(late), "");
  driver.go(say("other"));
  EXPECT_EQ(driver.request(), "user 'look'\nsystem 'was interrupted'\nuser 'other'\n");
  driver.go(finished(text_stream("ok")));
  EXPECT_TRUE(driver.running_tools().empty());
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Finished);
}

// ---- Backing off

TEST_P(EngineStop, WhileBackingOffRollsBackAMessageThatGaveNothing) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model_failed_with("busy", true, 529));
  EXPECT_EQ(driver.go(stop()),
            std::string("stop timer\n> llm_call_end 0\n> turn_end 0\nlog 2!: completed rolled_back\n") + kRolledBack);
  EXPECT_EQ(driver.go(TimerFired{}), "");
}

TEST_P(EngineStop, WhileBackingOffInALaterTurnKeepsTheFirst) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}}), llm::StopReason::ToolUse));
  driver.go(tool_done(1, "text"));
  driver.go(model_failed_with("busy", true, 529));
  EXPECT_EQ(driver.go(stop()),
            "stop timer\n> llm_call_end 1\n> turn_end 1\nlog 4!: completed " + name() + " interrupted\n" + ended());
}

TEST_P(EngineStop, WhileABrokenStreamWaitsKeepsItsText) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("half"));
  driver.go(model_failed_with("reset"));
  EXPECT_EQ(driver.go(stop()),
            "stop timer\n> turn_end 0\nlog 3!: completed " + name() + " interrupted\n" + ended("half"));
  EXPECT_EQ(print(driver.engine().history()), "user 'hi'\nassistant 'half'\nsystem 'go on'\n");
}

// ---- Committing

TEST_P(EngineStop, WhileTheCallsAreWrittenRunsNoneAndAnswersAll) {
  Driver driver;
  driver.go(say("look"));
  for (auto const& input : calls()) driver.in(input);
  EXPECT_EQ(driver.in(stop()), "");
  EXPECT_EQ(driver.in(append_done(2)), "log 3!: result c1 ERROR 'interrupted' | result c2 ERROR 'interrupted'\n");
  EXPECT_EQ(driver.in(append_done(3)),
            "> tool_result c1 ERROR 'interrupted'\n"
            "> tool_result c2 ERROR 'interrupted'\n"
            "log 4!: completed " +
                name() + " interrupted\n");
  EXPECT_EQ(driver.in(append_done(4)), ended());
}

TEST_P(EngineStop, WhileABrokenStreamIsWrittenKeepsItsText) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("half"));
  driver.in(model_failed_with("reset"));
  EXPECT_EQ(driver.in(stop()), "");
  driver.in(append_done(2));
  EXPECT_EQ(driver.in(append_done(3)), ended("half"));
  EXPECT_EQ(print(driver.engine().history()), "user 'hi'\nassistant 'half'\nsystem 'go on'\n");
}

// ---- Tools

TEST(EngineCancel, CancelsToolsAndKeepsResultsThatCameBefore) {
  Driver driver;
  driver.go(say("look"));
  driver.go(calls());
  driver.go(tool_done(1, "text"));
  EXPECT_EQ(driver.go(Cancel{}), "cancel 2\ntimer 5000\n");
  EXPECT_EQ(driver.go(tool_done(2, "killed")),
            "log 4!: result c2 'killed'\n"
            "> tool_result c2 'killed'\n"
            "stop timer\n"
            "log 5!: completed cancelled interrupted\n"
            "> run_end cancelled\n"
            "END cancelled ''\n"
            "> status idle\n");
}

TEST(EngineCancel, AnswersForToolsThatDoNot) {
  Driver driver;
  driver.go(say("look"));
  driver.go(calls());
  driver.go(Cancel{});
  EXPECT_EQ(driver.go(TimerFired{}),
            "log 3!: result c1 ERROR 'interrupted' | result c2 ERROR 'interrupted'\n"
            "> tool_result c1 ERROR 'interrupted'\n"
            "> tool_result c2 ERROR 'interrupted'\n"
            "log 4!: completed cancelled interrupted\n"
            "> run_end cancelled\n"
            "END cancelled ''\n"
            "> status idle\n");
  EXPECT_EQ(driver.go(tool_done(1, "late")), "") << "answered already";
}

TEST(EngineCancel, AskingAgainGivesToolsNoMoreTime) {
  Driver driver;
  driver.go(say("look"));
  driver.go(calls());
  driver.go(Cancel{});
  EXPECT_EQ(driver.go(Cancel{}), "");
  EXPECT_EQ(driver.go(Pause{}), "") << "it stays a cancel";
  driver.go(TimerFired{});
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Cancelled);
}

TEST(EnginePause, LetsToolsFinishForAWhile) {
  Driver driver;
  driver.go(say("look"));
  driver.go(calls());
  EXPECT_EQ(driver.go(Pause{}), "timer 3000\n");
  EXPECT_EQ(driver.go(Pause{}), "") << "asking again gives no more time";
  driver.go(tool_done(1, "one"));
  EXPECT_EQ(driver.go(tool_done(2, "two")),
            "log 4!: result c2 'two'\n"
            "> tool_result c2 'two'\n"
            "stop timer\n"
            "log 5!: completed paused interrupted\n"
            "> run_end paused\n"
            "END paused ''\n"
            "> status paused\n");
}

TEST(EnginePause, CancelsToolsThatTakeLonger) {
  Driver driver;
  driver.go(say("look"));
  driver.go(calls());
  driver.go(Pause{});
  driver.go(tool_done(1, "one"));
  EXPECT_EQ(driver.go(TimerFired{}), "cancel 2\ntimer 5000\n");
  driver.go(TimerFired{});
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Paused);
  EXPECT_EQ(print(driver.engine().history()),
            "user 'look'\ncall Read c1 {}\ncall Bash c2 {}\nresult c1 'one'\nresult c2 ERROR 'interrupted'\n");
}

TEST(EnginePause, TurnedIntoACancelStopsToolsAtOnce) {
  Driver driver;
  driver.go(say("look"));
  driver.go(calls());
  driver.go(Pause{});
  EXPECT_EQ(driver.go(Cancel{}), "cancel 1\ncancel 2\ntimer 5000\n");
  driver.go(tool_done(1, "one"));
  driver.go(tool_done(2, "two"));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Cancelled);
}

TEST_P(EngineStop, WhileTheLastResultIsWrittenEndsWithIt) {
  Driver driver;
  driver.go(say("look"));
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}}), llm::StopReason::ToolUse));
  driver.in(tool_done(1, "text"));
  EXPECT_EQ(driver.in(stop()), "");
  driver.in(append_done(3));
  EXPECT_EQ(driver.in(append_done(4)), ended());
}

// ---- Ending

TEST_P(EngineStop, WhileTheEndIsWrittenChangesNothing) {
  Driver driver;
  driver.go(say("hi"));
  for (auto const& input : finished(text_stream("ok"))) driver.in(input);
  EXPECT_EQ(driver.in(stop()), "");
  EXPECT_EQ(driver.in(append_done(2)), "> run_end finished\nEND finished 'ok'\n> status idle\n");
}

TEST_P(EngineStop, OfTheParentsWorkIsReported) {
  Driver driver;
  driver.go(say_delegated("work"));
  driver.go(text_stream("half"));
  driver.go(stop());
  EXPECT_EQ(driver.ends().back().report, 1U);
}

TEST_P(EngineStop, ARollBackIsAnEndOfTheParentsWorkToo) {
  Driver driver;
  driver.go(say_delegated("work"));
  driver.go(stop());
  EXPECT_EQ(driver.ends().back().outcome, Outcome::RolledBack);
  EXPECT_EQ(driver.ends().back().report, 1U);
}

// ---- Going on

TEST(EngineResume, GoesOnWithoutANewMessage) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("half"));
  driver.go(Pause{});
  EXPECT_EQ(driver.go(Pause{}), "") << "a second pause is no error";
  EXPECT_EQ(driver.go(Cancel{}), "refused not_running\n");
  EXPECT_EQ(driver.go(Resume{}),
            "log 3!: invoke wakeup\n"
            "> status running\n"
            "> invoke_start wakeup\n"
            "> turn_start 0\n"
            "> llm_call_start 1\n"
            "call model\n");
  driver.go(finished(text_stream("whole")));
  EXPECT_EQ(print(driver.engine().history()), "user 'hi'\nassistant 'whole'\n");
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Finished);
}

TEST(EngineResume, OfTheParentsWorkIsTheParentsWork) {
  Driver driver;
  driver.go(say_delegated("work"));
  driver.go(text_stream("half"));
  driver.go(Pause{});
  driver.go(Resume{});
  driver.go(finished(text_stream("done")));
  EXPECT_EQ(driver.ends().back().report, 2U);
}

TEST(EngineResume, ARolledBackMessageLeavesNoSecondInterruptNote) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("half"));
  driver.go(Pause{});
  driver.go(say("two"));
  driver.go(Cancel{});
  EXPECT_EQ(driver.ends().back().outcome, Outcome::RolledBack);
  driver.go(say("three"));
  EXPECT_EQ(driver.request(), "user 'hi'\nsystem 'was interrupted'\nuser 'three'\n");
}

}  // namespace
}  // namespace insomnia::agent
