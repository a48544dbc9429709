#include <gtest/gtest.h>

#include "agent/engine_script_test.hh"

// Notices: whenever they come, they are in the next request or start a run of their own; when paused they wait.
namespace insomnia::agent {
namespace {

TEST(EngineNotice, StartsARunWhenIdle) {
  Driver driver;
  EXPECT_EQ(driver.go(notice("news")),
            "log 1!: invoke notify | notification 'news'\n"
            "> status running\n"
            "> invoke_start notify\n"
            "> system_item\n"
            "> turn_start 0\n"
            "> llm_call_start 0\n"
            "call model\n");
  EXPECT_EQ(driver.request(), "system 'news'\n");
}

TEST(EngineNotice, KeepsItsTriggerAndMail) {
  Driver driver;
  Notice event{.item = {.kind = "pod_event", .body = "pod `kid` finished a turn"},
               .mail = wire::MailRef{"kid", 7},
               .trigger = "pod_event"};
  EXPECT_EQ(driver.in(event), "log 1!: invoke pod_event | pod_event 'pod `kid` finished a turn' mail kid\n");
}

TEST(EngineNotice, DuringToolsItIsInTheNextRequestAfterTheResults) {
  Driver driver;
  driver.go(say("look"));
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}}), llm::StopReason::ToolUse));
  EXPECT_EQ(driver.go(notice("news")), "");
  EXPECT_EQ(driver.go(tool_done(1, "text")),
            "log 3!: result c1 'text'\n"
            "> tool_result c1 'text'\n"
            "log 4!: notification 'news'\n"
            "> system_item\n"
            "> turn_start 1\n"
            "> llm_call_start 1\n"
            "call model\n");
  EXPECT_EQ(driver.request(), "user 'look'\ncall Read c1 {}\nresult c1 'text'\nsystem 'news'\n");
}

TEST(EngineNotice, WhileTheStartIsWrittenItJoinsTheFirstRequest) {
  Driver driver;
  driver.in(say("hi"));
  EXPECT_EQ(driver.in(notice("news")), "");
  driver.in(append_done(1));
  EXPECT_FALSE(driver.calling()) << "not before it is on disk";
  driver.in(append_done(2));
  EXPECT_EQ(driver.request(), "user 'hi'\nsystem 'news'\n");
}

TEST(EngineNotice, WhileNoticesAreWrittenItWaitsForThemAndJoins) {
  Driver driver;
  driver.in(say("hi"));
  driver.in(notice("one"));
  driver.in(append_done(1));
  driver.in(notice("two"));
  EXPECT_EQ(driver.in(append_done(2)),
            "> system_item\n"
            "log 3!: notification 'two'\n");
  driver.in(append_done(3));
  EXPECT_EQ(driver.request(), "user 'hi'\nsystem 'one'\nsystem 'two'\n");
}

TEST(EngineNotice, AfterTheLastRequestItStartsTheNextRunAtOnce) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(notice("news"));
  EXPECT_EQ(driver.go(finished(text_stream("ok"))),
            "> text_delta 'ok'\n"
            "> text_done 'ok'\n"
            "> llm_call_end 0\n"
            "> turn_end 0\n"
            "log 2!: assistant 'ok' | turn_end 1 | completed finished\n"
            "> run_end finished\n"
            "END finished 'ok'\n"
            "> status idle\n"
            "log 3!: invoke notify | notification 'news'\n"
            "> status running\n"
            "> invoke_start notify\n"
            "> system_item\n"
            "> turn_start 1\n"
            "> llm_call_start 1\n"
            "call model\n");
}

TEST(EngineNotice, WhileTheEndIsWrittenItStartsTheNextRunAtOnce) {
  Driver driver;
  driver.go(say("hi"));
  for (auto const& input : finished(text_stream("ok"))) driver.in(input);
  EXPECT_EQ(driver.in(notice("news")), "");
  driver.in(append_done(2));
  EXPECT_TRUE(driver.in_run());
  driver.in(append_done(3));
  EXPECT_EQ(driver.request(), "user 'hi'\nassistant 'ok'\nsystem 'news'\n");
}

TEST(EngineNotice, DuringBackOffItIsNotLost) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(model_failed_with("busy", true, 529));
  driver.go(notice("news"));
  driver.go(TimerFired{});
  driver.go(finished(text_stream("ok")));
  EXPECT_EQ(driver.request(), "user 'hi'\nassistant 'ok'\nsystem 'news'\n");
}

TEST(EngineNotice, DuringTheBackOffOfABrokenStreamItIsInTheContinuation) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("half"));
  driver.go(model_failed_with("reset"));
  ASSERT_TRUE(driver.timer_set());
  driver.go(notice("news"));
  driver.go(TimerFired{});
  EXPECT_EQ(driver.request(), "user 'hi'\nassistant 'half'\nsystem 'go on'\nsystem 'news'\n");
}

TEST(EngineNotice, WaitsWhilePausedAndIsInTheResumedRequest) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("half"));
  driver.go(Pause{});
  EXPECT_EQ(driver.go(notice("one")), "");
  EXPECT_EQ(driver.go(notice("two")), "");
  EXPECT_TRUE(driver.engine().has_pending_notices());
  driver.go(Resume{});
  EXPECT_EQ(driver.request(), "user 'hi'\nsystem 'one'\nsystem 'two'\n");
}

TEST(EngineNotice, WaitsWhilePausedAndFollowsTheNextMessage) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(text_stream("half"));
  driver.go(Pause{});
  driver.go(notice("news"));
  driver.go(say("stop that, do this"));
  EXPECT_EQ(driver.request(), "user 'hi'\nsystem 'was interrupted'\nuser 'stop that, do this'\nsystem 'news'\n");
}

TEST(EngineNotice, OfTheParentMakesAHumansRunTheParentsToo) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(finished(tool_stream({{"c1", "Read", "{}"}}), llm::StopReason::ToolUse));
  driver.go(notice_delegated("also do this"));
  EXPECT_EQ(driver.go(tool_done(1, "text")),
            "log 3!: result c1 'text'\n"
            "> tool_result c1 'text'\n"
            "log 4!: invoke notify delegated | notification 'also do this' mail parent\n"
            "> invoke_start notify\n"
            "> system_item\n"
            "> turn_start 1\n"
            "> llm_call_start 1\n"
            "call model\n");
  driver.go(finished(text_stream("both done")));
  EXPECT_EQ(driver.ends().size(), 1U);
  EXPECT_EQ(driver.ends().back().report, 1U);
}

TEST(EngineNotice, OfTheParentThatWaitedMakesTheWholeRunItsOwn) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(notice("news"));
  driver.go(notice_delegated("do this"));
  driver.go(finished(text_stream("ok")));
  EXPECT_EQ(driver.ends().back().report, std::nullopt);
  driver.go(finished(text_stream("done")));
  EXPECT_EQ(driver.ends().back().report, 1U);
}

// Case 131.
TEST(EngineNotice, OnlySoManyWaitButWhatCameByMailAlwaysDoes) {
  auto settings = test_settings();
  EXPECT_EQ(EngineSettings{}.max_notices, 128u);
  settings.max_notices = 2;
  Driver driver(settings);
  driver.go(say("hi"));
  EXPECT_EQ(driver.go(notice("one")), "");
  EXPECT_EQ(driver.go(notice("two")), "");
  EXPECT_EQ(driver.go(notice("three")), "refused invalid_request\n");
  EXPECT_EQ(driver.go(notice_delegated("mail")), "");
  driver.go(finished(text_stream("ok")));
  EXPECT_EQ(driver.request(), "user 'hi'\nassistant 'ok'\nsystem 'one'\nsystem 'two'\nsystem 'mail'\n");
}

TEST(EngineNotice, StartsNothingInAPodThatIsEnding) {
  Driver driver;
  driver.go(say("hi"));
  driver.go(notice("one"));
  driver.close();
  driver.go(Cancel{});
  EXPECT_FALSE(driver.in_run());
  EXPECT_EQ(driver.go(notice("two")), "");
  EXPECT_TRUE(driver.engine().has_pending_notices());
}

TEST(EngineNotice, TakenInByANewMessageItIsNotRolledBack) {
  Driver driver;
  driver.in(say("hi"));
  driver.in(notice("news"));
  driver.in(append_done(1));
  driver.go(Cancel{});
  EXPECT_EQ(driver.ends().back().outcome, Outcome::Cancelled);
  EXPECT_EQ(print(driver.engine().history()), "user 'hi'\nsystem 'news'\n");
}

}  // namespace
}  // namespace insomnia::agent
