#include <gtest/gtest.h>

#include "agent/engine_script_test.hh"

// Runs without tools: their course, what they show, what the log gets; notices; turns that the provider cut short.
namespace insomnia::agent {
namespace {

TEST(EngineRun, AsksOnceItsStartIsOnDiskAndEndsWhenItsAnswerIs) {
  Driver driver;
  EXPECT_EQ(driver.in(say("hi")), "log 1!: invoke user_send | user_input 'hi'\n");
  EXPECT_EQ(driver.engine().status(), wire::PodStatus::Running);
  EXPECT_EQ(driver.in(append_done(1)),
            "> user_message 'hi'\n"
            "> status running\n"
            "> invoke_start user_send\n"
            "> turn_start 0\n"
            "> llm_call_start 0\n"
            "call model\n");
  EXPECT_EQ(driver.in(model(llm::BlockStart{0, llm::BlockType::Text, "", ""})), "");
  EXPECT_EQ(driver.in(model(llm::BlockDelta{0, "Hel"})), "> text_delta 'Hel'\n");
  EXPECT_EQ(driver.in(model(llm::BlockDelta{0, "lo"})), "> text_delta 'lo'\n");
  EXPECT_EQ(driver.engine().in_flight().text, "Hello");
  EXPECT_EQ(driver.in(model(llm::BlockStop{0})), "> text_done 'Hello'\n");
  EXPECT_EQ(driver.in(model(llm::Usage{.input_tokens = 900, .output_tokens = 40})), "");
  EXPECT_EQ(driver.in(model(llm::Completed{})), "");
  EXPECT_EQ(driver.in(model_ended()),
            "> usage 900/40\n"
            "> llm_call_end 0\n"
            "> turn_end 0\n"
            "log 2!: usage 1 items 900/40 | assistant 'Hello' | turn_end 1 | completed finished\n");
  EXPECT_EQ(driver.engine().in_flight().text, "Hello") << "a client that attaches before it is on disk";
  EXPECT_EQ(driver.in(append_done(2)),
            "> run_end finished\n"
            "END finished 'Hello'\n"
            "> status idle\n");
  EXPECT_EQ(driver.engine().in_flight(), wire::InFlight{});
  EXPECT_EQ(driver.engine().turn_count(), 1U);
  EXPECT_EQ(driver.engine().llm_calls(), 1U);
}

TEST(EngineRun, TheNextRunGoesOnWithTheSameHistory) {
  Driver driver;
  driver.go(say("one"));
  driver.go(finished(text_stream("first")));
  driver.go(say("two"));
  EXPECT_EQ(driver.request(), "user 'one'\nassistant 'first'\nuser 'two'\n");
  EXPECT_EQ(driver.engine().request().system_prompt, "prompt");
}

TEST(EngineRun, AttachmentsFollowTheUserMessage) {
  Driver driver;
  StartRun run{.input = wire::text_segments("see @a.md")};
  run.attachments.push_back({.kind = "file_attachment", .body = "[File: a.md]\ntext"});
  driver.go(run);
  EXPECT_EQ(driver.request(), "user 'see @a.md'\nsystem '[File: a.md]\ntext'\n");
}

TEST(EngineRun, RefusesASecondRunAndABlankOne) {
  Driver driver;
  EXPECT_EQ(driver.in(say(" \n")), "refused invalid_request\n");
  driver.in(say("hi"));
  EXPECT_EQ(driver.in(say("again")), "refused already_running\n");
  EXPECT_EQ(driver.in(Resume{}), "refused already_running\n");
}

TEST(EngineRun, RefusesWhatAnIdlePodCannotDo) {
  Driver driver;
  EXPECT_EQ(driver.in(Resume{}), "refused not_paused\n");
  EXPECT_EQ(driver.in(Cancel{}), "refused not_running\n");
  EXPECT_EQ(driver.in(Pause{}), "refused not_running\n");
}

TEST(EngineRun, ReasoningComesBeforeTheTextAndAThinkingStartIsAlwaysPaired) {
  Driver driver;
  driver.go(say("hi"));
  EXPECT_EQ(driver.go(model(llm::BlockStart{0, llm::BlockType::Thinking, "", ""})), "> thinking_start\n");
  EXPECT_EQ(driver.go(model(llm::BlockDelta{0, "hm"})), "> thinking_delta 'hm'\n");
  driver.go(model(llm::ReasoningDone{{.text = "hm"}}));
  driver.go(model(llm::BlockDelta{1, "yes"}));
  EXPECT_EQ(driver.go(finished({})),
            "> thinking_done 'hm'\n"
            "> llm_call_end 0\n"
            "> turn_end 0\n"
            "log 2!: reasoning 'hm' | assistant 'yes' | turn_end 1 | completed finished\n"
            "> run_end finished\n"
            "END finished 'yes'\n"
            "> status idle\n");
}

TEST(EngineRun, ThinkingAloneLeavesNothingThatVendorsWouldRefuse) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model(llm::ReasoningDone{{.text = "hm"}}));
  driver.go(finished({}));
  EXPECT_EQ(print(driver.engine().history()), "user 'hi'\n");
  EXPECT_EQ(driver.ends().back().last_answer, "");
}

TEST(EngineRun, TheLastAnswerIsOfThisRunOnly) {
  Driver driver;
  driver.go(say("one"));
  driver.go(finished(text_stream("first")));
  driver.go(say("two"));
  driver.go(finished({}));
  EXPECT_EQ(driver.ends().back().last_answer, "");
}

// Case 121 to 125.
TEST(EngineRun, TheEndOfTheParentsWorkIsNumberedInTheLog) {
  Driver driver;
  EXPECT_EQ(driver.in(say_delegated("work")), "log 1!: invoke user_send delegated | user_input 'work' mail parent\n");
  driver.in(append_done(1));
  driver.go(finished(text_stream("did it")));
  EXPECT_EQ(driver.ends().back().report, 1U);
  driver.go(say("and a human's"));
  driver.go(finished(text_stream("ok")));
  EXPECT_EQ(driver.ends().back().report, std::nullopt);
  driver.go(say_delegated("more work"));
  driver.go(model_failed_with("bad key", false, 401));
  EXPECT_EQ(driver.ends().back().report, 2U);
  EXPECT_EQ(print(driver.log().back()), "errored 'bad key' report 2");
  driver.go(say("a human's again"));
  driver.go(model_failed_with("bad key", false, 401));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Failed);
  EXPECT_EQ(driver.ends().back().report, std::nullopt);
}

// ---- Cut short by the provider

TEST(EngineRun, TheOutputLimitIsAContinuationAndTheAnswerIsWhole) {
  Driver driver;
  driver.go(say("write"));
  EXPECT_EQ(driver.go(finished(text_stream("first half, "), llm::StopReason::MaxTokens)),
            "> text_delta 'first half, '\n"
            "> text_done 'first half, '\n"
            "> llm_call_end 0\n"
            "log 2: assistant 'first half, ' | interrupt 'go on'\n"
            "> llm_continuation call 1, 1 of 3 'the output limit was reached'\n"
            "> system_item\n"
            "> llm_call_start 1\n"
            "call model\n");
  EXPECT_EQ(driver.request(), "user 'write'\nassistant 'first half, '\nsystem 'go on'\n");
  driver.go(finished(text_stream("second half")));
  EXPECT_EQ(driver.ends().back().last_answer, "first half, second half");
  EXPECT_EQ(driver.engine().turn_count(), 1U);
}

TEST(EngineRun, AnAnswerThatNeverFitsFailsAfterTheLastContinuation) {
  auto settings = test_settings();
  settings.max_continuations = 1;
  Driver driver(settings);
  driver.go(say("write"));
  driver.go(finished(text_stream("a"), llm::StopReason::MaxTokens));
  driver.go(finished(text_stream("b"), llm::StopReason::MaxTokens));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Failed);
  EXPECT_NE(driver.ends().back().message.find("max_tokens"), std::string::npos);
}

TEST(EngineRun, AllTokensThoughtAwayFailsAtOnce) {
  Driver driver;
  driver.go(say("think"));
  driver.go(model(llm::ReasoningDone{{.text = "hm"}}));
  driver.go(finished({}, llm::StopReason::MaxTokens));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Failed);
  EXPECT_EQ(print(driver.engine().history()), "user 'think'\n");
}

TEST(EngineRun, APausedTurnGoesOn) {
  Driver driver;
  driver.go(say("search"));
  driver.go(finished({}, llm::StopReason::PauseTurn));
  EXPECT_TRUE(driver.calling());
  EXPECT_EQ(driver.request(), "user 'search'\n");
  driver.go(finished(text_stream("found"), llm::StopReason::PauseTurn));
  EXPECT_EQ(driver.request(), "user 'search'\nassistant 'found'\nsystem 'go on'\n");
}

TEST(EngineRun, ARefusalFailsTheRunAndItsCallsAreNotRun) {
  Driver driver;
  driver.go(say("bad"));
  driver.go(model(llm::BlockDelta{7, "I cannot"}));
  driver.go(finished(tool_stream({{"c1", "Bash", "{}"}}), llm::StopReason::Refusal));
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Failed);
  EXPECT_EQ(print(driver.engine().history()), "user 'bad'\nassistant 'I cannot'\n");
}

TEST(EngineRun, UsageWithoutAPromptLengthIsShownButMeasuresNothing) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model(llm::Usage{.output_tokens = 3}));
  EXPECT_EQ(driver.go(finished({})),
            "> usage -/3\n"
            "> llm_call_end 0\n"
            "> turn_end 0\n"
            "log 2!: turn_end 1 | completed finished\n"
            "> run_end finished\n"
            "END finished ''\n"
            "> status idle\n");
}

}  // namespace
}  // namespace insomnia::agent
