#include <gtest/gtest.h>

#include "agent/engine_script_test.hh"

// The log cannot be written: in every phase memory goes back to what is on disk and the run ends.
namespace insomnia::agent {
namespace {

char const kMessage[] = "cannot write the session log, so the run stops here: disk full";

std::string failed(std::string const& status = "idle", std::string const& answer = "") {
  return std::string("> error internal '") + kMessage + "'\n> run_end failed\nEND failed '" + answer + "'\n> status " +
         status + "\n";
}

TEST(EngineLogFailure, ARunWhoseStartCannotBeWrittenNeverWas) {
  Driver driver;
  driver.in(say_delegated("work"));
  EXPECT_EQ(driver.in(append_failed(1)), failed());
  EXPECT_EQ(print(driver.engine().history()), "");
  EXPECT_EQ(driver.ends().back().report, std::nullopt) << "the mail is not taken in: it comes again";
  driver.go(say("hi"));
  EXPECT_EQ(driver.request(), "user 'hi'\n");
}

TEST(EngineLogFailure, APausedPodThatCannotWriteStaysPaused) {
  Driver driver;
  driver.go(say_delegated("work"));
  driver.go(text_stream("half"));
  driver.go(Pause{});
  driver.in(Resume{});
  EXPECT_EQ(driver.in(append_failed(3)), failed("paused"));
  driver.in(say("other"));
  EXPECT_EQ(driver.in(append_failed(4)), failed("paused"));
  driver.go(Resume{});
  EXPECT_EQ(driver.request(), "user 'work'\n");
  driver.go(finished(text_stream("done")));
  EXPECT_EQ(driver.ends().back().report, 2U) << "still the parent's work";
}

TEST(EngineLogFailure, NoticesWaitForALogThatWorks) {
  Driver driver;
  driver.in(notice("one"));
  driver.in(notice("two"));
  EXPECT_EQ(driver.in(append_failed(1)), failed()) << "no run starts by itself: it would only fail again";
  EXPECT_TRUE(driver.engine().has_pending_notices());
  EXPECT_EQ(driver.in(notice("three")),
            "log 2!: invoke notify | notification 'one' | notification 'two' | notification 'three'\n");
}

TEST(EngineLogFailure, WhileNoticesAreWrittenEndsTheRunAndTheyWait) {
  Driver driver;
  driver.in(say("hi"));
  driver.in(notice("news"));
  driver.in(append_done(1));
  EXPECT_EQ(driver.in(append_failed(2)), std::string("log 3!: errored '") + kMessage + "'\n");
  EXPECT_EQ(driver.in(append_done(3)), failed());
  EXPECT_EQ(print(driver.engine().history()), "user 'hi'\n");
  driver.go(say("again"));
  EXPECT_EQ(driver.request(), "user 'hi'\nsystem 'was interrupted'\nuser 'again'\nsystem 'news'\n");
}

TEST(EngineLogFailure, WhileTheCallsAreWrittenRunsNone) {
  Driver driver;
  driver.go(say("look"));
  for (auto const& input : finished(tool_stream({{"c1", "Bash", "{}"}}), llm::StopReason::ToolUse)) driver.in(input);
  driver.in(append_failed(2));
  EXPECT_EQ(driver.in(append_done(3)), failed());
  EXPECT_EQ(print(driver.engine().history()), "user 'look'\n");
}

TEST(EngineLogFailure, WhileABrokenStreamIsWrittenForgetsItsText) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("half"));
  driver.in(model_failed_with("reset"));
  driver.in(append_failed(2));
  EXPECT_EQ(driver.in(append_done(3)), failed("idle", "half"));
  EXPECT_EQ(print(driver.engine().history()), "user 'hi'\n");
}

TEST(EngineLogFailure, OfAResultStopsTheOtherToolsAndTheCallIsAnsweredByTheNextRun) {
  Driver driver;
  driver.go(say("look"));
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}, {"c2", "Bash", "{}"}}), llm::StopReason::ToolUse));
  driver.in(tool_done(1, "one"));
  EXPECT_EQ(driver.in(append_failed(3)), "cancel 2\ntimer 5000\n");
  EXPECT_EQ(driver.in(tool_done(2, "two")), "log 4!: result c2 'two'\n");
  EXPECT_EQ(driver.in(append_done(4)),
            std::string("> tool_result c2 'two'\nstop timer\nlog 5!: errored '") + kMessage + "'\n");
  EXPECT_EQ(driver.in(append_done(5)), failed());
  driver.go(say("again"));
  EXPECT_EQ(driver.request(),
            "user 'look'\n"
            "call Read c1 {}\n"
            "call Bash c2 {}\n"
            "result c1 ERROR 'crashed'\n"
            "result c2 'two'\n"
            "system 'was interrupted'\n"
            "user 'again'\n");
}

TEST(EngineLogFailure, AResultThatIsWrittenAfterOneThatIsNotIsAnsweredOnce) {
  Driver driver;
  driver.go(say("look"));
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}, {"c2", "Bash", "{}"}}), llm::StopReason::ToolUse));
  driver.in(tool_done(1, "one"));
  driver.in(tool_done(2, "two"));
  EXPECT_EQ(driver.in(append_failed(3)), "");
  driver.in(append_done(4));
  driver.in(append_done(5));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Failed);
  EXPECT_EQ(print(driver.engine().history()), "user 'look'\ncall Read c1 {}\ncall Bash c2 {}\nresult c2 'two'\n");
}

TEST(EngineLogFailure, OfTheLastResultEndsTheRun) {
  Driver driver;
  driver.go(say("look"));
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}}), llm::StopReason::ToolUse));
  driver.in(tool_done(1, "one"));
  EXPECT_EQ(driver.in(append_failed(3)), std::string("log 4!: errored '") + kMessage + "'\n");
}

TEST(EngineLogFailure, WithAToolThatDoesNotStopEndsAfterItsTime) {
  Driver driver;
  driver.go(say("look"));
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}, {"c2", "Bash", "{}"}}), llm::StopReason::ToolUse));
  driver.in(tool_done(1, "one"));
  driver.in(append_failed(3));
  EXPECT_EQ(driver.in(TimerFired{}), "log 4!: result c2 ERROR 'interrupted'\n");
  driver.in(append_failed(4));
  driver.in(append_failed(5));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Failed);
  EXPECT_EQ(driver.in(tool_done(2, "late")), "");
}

TEST(EngineLogFailure, OfTheEndIsAFailureAndNoNumberIsLost) {
  Driver driver;
  driver.go(say_delegated("work"));
  for (auto const& input : finished(text_stream("done"))) driver.in(input);
  EXPECT_EQ(driver.in(append_failed(2)), failed("idle", "done"));
  EXPECT_EQ(driver.ends().back().report, std::nullopt);
  EXPECT_EQ(print(driver.engine().history()), "user 'work'\n");
  driver.go(say_delegated("again"));
  EXPECT_EQ(driver.request(), "user 'work'\nsystem 'was interrupted'\nuser 'again'\n");
  driver.go(finished(text_stream("done")));
  EXPECT_EQ(driver.ends().back().report, 1U);
}

TEST(EngineLogFailure, OfARollBackKeepsWhatIsOnDisk) {
  Driver driver;
  driver.go(say("hi"));
  driver.in(Cancel{});
  driver.in(append_failed(2));
  EXPECT_EQ(print(driver.engine().history()), "user 'hi'\n");
  driver.in(say("two"));
  driver.in(append_failed(3));
  EXPECT_EQ(print(driver.engine().history()), "user 'hi'\n");
}

TEST(EngineLogFailure, OfTheEndWithNoticesWaitingStartsNothing) {
  Driver driver;
  driver.go(say("hi"));
  driver.in(notice("news"));
  for (auto const& input : finished(text_stream("ok"))) driver.in(input);
  EXPECT_EQ(driver.in(append_failed(2)), failed("idle", "ok"));
  EXPECT_TRUE(driver.engine().has_pending_notices());
}

}  // namespace
}  // namespace insomnia::agent
