#include <gtest/gtest.h>

#include "agent/engine_script_test.hh"

// Failed calls are repeated with back-off; broken streams are continued. The driver's random number is always 0.5.
namespace insomnia::agent {
namespace {

TEST(EngineRetry, WaitsLongerEachTimeAndTellsWhy) {
  Driver driver;
  driver.go(say("hi"));
  driver.now_ms = 120;
  EXPECT_EQ(driver.go(model_failed_with("overloaded", true, 529)),
            "> llm_retry call 0 failed 1 of 5 wait 250 elapsed 120 status 529 'overloaded'\n"
            "timer 250\n");
  EXPECT_EQ(driver.go(TimerFired{}), "call model\n");
  driver.now_ms = 500;
  EXPECT_EQ(driver.go(model_failed_with("no route")),
            "> llm_retry call 0 failed 2 of 5 wait 500 elapsed 500 'no route'\n"
            "timer 500\n");
  EXPECT_EQ(driver.go(TimerFired{}), "call model\n");
  driver.go(finished(text_stream("ok")));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Finished);
  EXPECT_EQ(driver.engine().llm_calls(), 1U) << "one call, three attempts";
}

TEST(EngineRetry, RetryAfterIsObeyed) {
  Driver driver;
  driver.go(say("hi"));
  auto shown = driver.go(model_failed_with("slow down", true, 429, 20'000));
  EXPECT_NE(shown.find("timer 21000\n"), std::string::npos) << shown;
}

TEST(EngineRetry, GivesUpWhenRetryAfterIsLongerThanWeEverWait) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model_failed_with("come back tomorrow", true, 429, 86'400'000));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Failed);
}

TEST(EngineRetry, AnErrorThatNoRepetitionCuresEndsTheRunAtOnce) {
  Driver driver;
  driver.go(say("hi"));
  EXPECT_EQ(driver.go(model_failed_with("bad key", false, 401)),
            "> llm_call_end 0\n"
            "> turn_end 0\n"
            "log 2!: errored 'bad key'\n"
            "> error provider_error 'bad key'\n"
            "> run_end failed\n"
            "END failed ''\n"
            "> status idle\n");
  driver.go(say("again"));
  EXPECT_EQ(driver.request(), "user 'hi'\nsystem 'was interrupted'\nuser 'again'\n");
}

TEST(EngineRetry, GivesUpAfterTheLastAttempt) {
  Driver driver;
  driver.go(say("hi"));
  for (int attempt = 1; attempt < 5; ++attempt) {
    driver.go(model_failed_with("busy", true, 503));
    ASSERT_TRUE(driver.timer_set()) << attempt;
    driver.go(TimerFired{});
  }
  driver.go(model_failed_with("busy", true, 503));
  EXPECT_FALSE(driver.timer_set());
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Failed);
}

TEST(EngineRetry, EachCallHasAllItsAttempts) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model_failed_with("busy"));
  driver.go(TimerFired{});
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}}), llm::StopReason::ToolUse));
  driver.go(tool_done(1, "text"));
  auto shown = driver.go(model_failed_with("busy"));
  EXPECT_NE(shown.find("failed 1 of 5 wait 250"), std::string::npos) << shown;
}

TEST(EngineRetry, AStreamThatEndsWithNothingIsAFailedAttempt) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model(llm::Started{"id", "m"}));
  EXPECT_EQ(driver.go(model_ended()),
            "> llm_retry call 0 failed 1 of 5 wait 250 elapsed 0 'the model's stream ended before anything came'\n"
            "timer 250\n");
}

TEST(EngineRetry, NothingOfAFailedAttemptReachesTheNext) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model(llm::ReasoningDone{{.text = "old"}}));
  driver.go(model(llm::BlockStart{0, llm::BlockType::Text, "", ""}));
  driver.go(model_failed_with("reset"));
  driver.go(TimerFired{});
  driver.go(finished(text_stream("ok")));
  EXPECT_EQ(print(driver.engine().history()), "user 'hi'\nassistant 'ok'\n");
}

TEST(EngineRetry, AFailureAfterTheAnswersEndDoesNotMatter) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("ok"));
  driver.go(model(llm::Completed{}));
  driver.go(model_failed_with("connection reset"));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Finished);
}

TEST(EngineRetry, AStaleTimerChangesNothing) {
  Driver driver;
  driver.go(say("look"));
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}}), llm::StopReason::ToolUse));
  EXPECT_EQ(driver.go(TimerFired{}), "");
}

// ---- Continuation

TEST(EngineContinuation, KeepsTheShownTextAndAsksForTheRest) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model(llm::Usage{.input_tokens = 10}));
  driver.go(model(llm::BlockDelta{0, "half "}));
  EXPECT_EQ(driver.in(model_failed_with("reset")),
            "> usage 10/-\n"
            "> llm_call_end 0\n"
            "log 2: usage 1 items 10/0 | assistant 'half ' | interrupt 'go on'\n");
  EXPECT_EQ(driver.engine().in_flight().text, "half ");
  EXPECT_EQ(driver.in(append_done(2)),
            "> llm_continuation call 1, 1 of 3 'reset'\n"
            "> system_item\n"
            "timer 250\n");
  EXPECT_EQ(driver.in(TimerFired{}), "> llm_call_start 1\ncall model\n");
  EXPECT_EQ(driver.request(), "user 'hi'\nassistant 'half '\nsystem 'go on'\n");
  EXPECT_EQ(driver.go(finished(text_stream("rest"))),
            "> text_delta 'rest'\n"
            "> text_done 'rest'\n"
            "> llm_call_end 1\n"
            "> turn_end 0\n"
            "log 3!: assistant 'rest' | turn_end 1 | completed finished\n"
            "> run_end finished\n"
            "END finished 'half rest'\n"
            "> status idle\n");
}

TEST(EngineContinuation, DropsTheCallsOfABrokenStream) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("I look"));
  driver.go(tool_stream({{"c1", "Bash", "{}"}}));
  driver.go(model_ended());
  EXPECT_TRUE(driver.running_tools().empty());
  EXPECT_EQ(driver.request(), "user 'hi'\nassistant 'I look'\nsystem 'go on'\n");
}

TEST(EngineContinuation, WithoutTextAsksTheSameAgain) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(tool_stream({{"c1", "Bash", "{}"}}));
  EXPECT_EQ(driver.go(model_ended()),
            "> llm_call_end 0\n"
            "> llm_continuation call 1, 1 of 3 'the stream ended before its end event'\n"
            "> llm_call_start 1\n"
            "call model\n");
  EXPECT_EQ(driver.request(), "user 'hi'\n");
  EXPECT_EQ(driver.engine().in_flight(), wire::InFlight{});
}

TEST(EngineContinuation, AnEarlierWaitIsNotWaitedAgain) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("a"));
  driver.go(model_failed_with("reset"));
  driver.go(TimerFired{});
  driver.go(text_stream("b"));
  driver.go(model_ended());
  EXPECT_FALSE(driver.timer_set());
  EXPECT_TRUE(driver.calling());
}

TEST(EngineContinuation, TheFourthBreakFailsTheRunButWhatWasShownStays) {
  Driver driver;
  driver.go(say("hi"));
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(driver.calling()) << i;
    driver.go(text_stream("part"));
    driver.go(model_ended());
  }
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Failed);
  EXPECT_EQ(driver.ends().back().message,
            "LLM stream interrupted too many times: the stream ended before its end event");
  EXPECT_EQ(driver.ends().back().last_answer, "partpartpartpart");
  driver.go(say("again"));
  EXPECT_EQ(driver.request(),
            "user 'hi'\n"
            "assistant 'part'\nsystem 'go on'\n"
            "assistant 'part'\nsystem 'go on'\n"
            "assistant 'part'\nsystem 'go on'\n"
            "assistant 'part'\nsystem 'was interrupted'\nuser 'again'\n");
}

TEST(EngineContinuation, ToolsInBetweenGiveNewOnes) {
  Driver driver;
  driver.go(say("hi"));
  for (int i = 0; i < 3; ++i) {
    driver.go(text_stream("part"));
    driver.go(model_ended());
  }
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}}), llm::StopReason::ToolUse));
  driver.go(tool_done(1, "text"));
  driver.go(text_stream("part"));
  driver.go(model_ended());
  EXPECT_TRUE(driver.calling());
}

TEST(EngineContinuation, AnErrorThatNoRepetitionCuresFailsMidStream) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("half"));
  driver.go(model_failed_with("invalid", false));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Failed);
}

TEST(EngineContinuation, HasAllRetriesOfItsOwn) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model_failed_with("busy"));
  driver.go(TimerFired{});
  driver.go(text_stream("half"));
  driver.go(model_ended());
  auto shown = driver.go(model_failed_with("busy"));
  EXPECT_NE(shown.find("call 1 failed 1 of 5"), std::string::npos) << shown;
}

}  // namespace
}  // namespace insomnia::agent
