#include <gtest/gtest.h>

#include "agent/engine_script_test.hh"

// A Pod that is started again from its log.
namespace insomnia::agent {
namespace {

std::vector<Input> two_calls() {
  return finished(tool_stream({{"c1", "Read", "{}"}, {"c2", "Bash", "{}"}}), llm::StopReason::ToolUse);
}

TEST(EngineRestart, AFinishedSessionIsIdleAndGoesOn) {
  Driver first;
  first.go(say_delegated("work"));
  first.go(finished(text_stream("done")));
  Driver second(test_settings(), first.log());
  EXPECT_EQ(second.engine().status(), wire::PodStatus::Idle);
  EXPECT_EQ(second.engine().turn_count(), 1U);
  second.go(say_delegated("more"));
  EXPECT_EQ(second.request(), "user 'work'\nassistant 'done'\nuser 'more'\n");
  second.go(finished(text_stream("ok")));
  EXPECT_EQ(second.ends().back().report, 2U);
}

TEST(EngineRestart, AnInterruptedRunIsPausedAndItsCallsAreAnsweredNotRun) {
  Driver first;
  first.go(say_delegated("work"));
  first.go(two_calls());
  first.go(tool_done(2, "two"));
  Driver second(test_settings(), first.log());
  EXPECT_EQ(second.engine().status(), wire::PodStatus::Paused);
  EXPECT_EQ(second.go(notice("news")), "") << "waits";
  EXPECT_EQ(second.go(Resume{}),
            "log 1!: result c1 ERROR 'crashed' | invoke wakeup delegated\n"
            "> tool_result c1 ERROR 'crashed'\n"
            "> status running\n"
            "> invoke_start wakeup\n"
            "log 2!: notification 'news'\n"
            "> system_item\n"
            "> turn_start 1\n"
            "> llm_call_start 0\n"
            "call model\n");
  EXPECT_EQ(second.request(),
            "user 'work'\n"
            "call Read c1 {}\n"
            "call Bash c2 {}\n"
            "result c1 ERROR 'crashed'\n"
            "result c2 'two'\n"
            "system 'news'\n");
  second.go(finished(text_stream("done")));
  EXPECT_EQ(second.ends().back().report, 1U) << "still the parent's work";
}

TEST(EngineRestart, ANewMessageFollowsTheAnswersAndTheNote) {
  Driver first;
  first.go(say("look"));
  first.go(two_calls());
  Driver second(test_settings(), first.log());
  EXPECT_EQ(second.in(say("other")),
            "log 1!: result c1 ERROR 'crashed' | result c2 ERROR 'crashed' | invoke user_send | interrupt 'was "
            "interrupted' | "
            "user_input 'other'\n");
  second.in(append_done(1));
  EXPECT_EQ(second.request(),
            "user 'look'\n"
            "call Read c1 {}\n"
            "call Bash c2 {}\n"
            "result c1 ERROR 'crashed'\n"
            "result c2 ERROR 'crashed'\n"
            "system 'was interrupted'\n"
            "user 'other'\n");
}

TEST(EngineRestart, TheAnswersSurviveARollBackOfTheMessageThatCameAfterThem) {
  Driver first;
  first.go(say("look"));
  first.go(two_calls());
  Driver second(test_settings(), first.log());
  second.go(say("other"));
  second.go(Cancel{});
  EXPECT_EQ(second.ends().back().outcome, Outcome::RolledBack);
  EXPECT_EQ(print(second.engine().history()),
            "user 'look'\ncall Read c1 {}\ncall Bash c2 {}\nresult c1 ERROR 'crashed'\nresult c2 ERROR 'crashed'\n");
  auto shown = second.go(say("third"));
  EXPECT_EQ(shown.find("result c1"), std::string::npos) << "answered once: " << shown;
}

TEST(EngineRestart, ResultsThatWereLoggedOutOfOrderAreSentInOrder) {
  Driver first;
  first.go(say("look"));
  first.go(two_calls());
  first.go(tool_done(2, "two"));
  first.go(tool_done(1, "one"));
  std::vector<wire::LogRecord> log = first.log();
  Driver second(test_settings(), log);
  second.go(Resume{});
  EXPECT_EQ(second.request(), first.request());
}

TEST(EngineRestart, AResumedRequestDoesNotEndWithTheModelsOwnWords) {
  Driver first;
  first.go(say("hi"));
  for (int i = 0; i < 4; ++i) {
    first.go(text_stream("part"));
    first.go(model_ended());
  }
  Driver second(test_settings(), first.log());
  ASSERT_EQ(second.engine().status(), wire::PodStatus::Paused);
  EXPECT_EQ(second.in(Resume{}), "log 1!: invoke wakeup | interrupt 'was interrupted'\n");
}

TEST(EngineRestart, AStartOfWhichOnlyTheInvokeWasWrittenCanBeResumed) {
  Driver driver(test_settings(), {wire::Invoke{"user_send"}});
  driver.go(Resume{});
  EXPECT_EQ(driver.request(), "system 'was interrupted'\n");
}

TEST(EngineRestart, ARolledBackRunLeavesNothing) {
  Driver first;
  first.go(say("one"));
  first.go(finished(text_stream("first")));
  first.go(say("two"));
  first.go(Cancel{});
  Driver second(test_settings(), first.log());
  EXPECT_EQ(second.engine().status(), wire::PodStatus::Idle);
  EXPECT_EQ(print(second.engine().history()), "user 'one'\nassistant 'first'\n");
}

TEST(EngineRestart, ThePromptOfTheFirstRunIsSetLater) {
  Driver driver;
  driver.engine().set_system_prompt("rendered");
  driver.go(say("hi"));
  EXPECT_EQ(driver.engine().request().system_prompt, "rendered");
}

}  // namespace
}  // namespace insomnia::agent
