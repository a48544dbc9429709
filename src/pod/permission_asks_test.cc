#include "pod/permission_asks.hh"

#include <gtest/gtest.h>

#include "base/clock.hh"

namespace insomnia::pod {
namespace {

using manifest::PermissionQuestion;

/// One Pod's questions, with everything around it played: what it says is written down as lines.
class PermissionAsksTest : public testing::Test {
 protected:
  PermissionAsksTest() { make({}); }

  void make(RememberedAnswers remembered) {
    asks = std::make_unique<PermissionAsks>(loop, PermissionAsks::Self{"me", "me-id"}, std::move(remembered),
                                            PermissionAsks::Host{.broadcast = [this](wire::EventBody const& event) { broadcast(event); },
                                                                 .attended = [this] { return attended; },
                                                                 .tell_parent = [this](wire::PodEvent event) { return tell_parent(event); },
                                                                 .tell_child = [this](std::string const& child, wire::PermissionAnswered answered) {
                                                                   say("down " + child + " " + (answered.answer.allow ? "yes" : "no") + (answered.answer.remember ? " always " : " ") + answered.by);
                                                                 }});
  }

  void broadcast(wire::EventBody const& event) {
    if (auto const* asked = std::get_if<wire::PermissionRequestEvent>(&event)) {
      last = asked->request;
      say("asked " + asked->request.tool);
    }
    if (auto const* closed = std::get_if<wire::PermissionClosedEvent>(&event)) say(std::string("closed ") + (closed->closed.allow ? "yes " : "no ") + closed->closed.by);
  }
  bool tell_parent(wire::PodEvent const& event) {
    if (!parent) return false;
    if (std::holds_alternative<wire::PermissionAsked>(event)) say("up asked");
    if (auto const* settled = std::get_if<wire::PermissionSettled>(&event)) say("up closed " + settled->closed.by);
    return true;
  }
  void say(std::string line) { said += line + "\n"; }
  std::string heard() { return std::exchange(said, ""); }

  void ask(uint64_t call, std::vector<std::string> const& keys, manifest::AskLimits limits = {}) {
    std::vector<PermissionQuestion> questions;
    for (auto const& key : keys) questions.push_back({key, "because of " + key, "all like " + key});
    asks->ask({call, "c" + std::to_string(call), "Bash", R"({"command":"x"})"}, questions, limits, [this, call](PermissionAsks::Outcome outcome) {
      say("done " + std::to_string(call) + (outcome.allow ? " yes" : " no: " + outcome.why));
    });
  }
  void answer(bool allow, bool remember = false) {
    auto taken = asks->answer({last.ask, allow, remember});
    if (!taken) say("error " + taken.error().message);
  }
  void wait(int64_t ms) {
    clock.advance(ms);
    for (int i = 0; i < 3; ++i) loop.run_once(0);
  }
  wire::PermissionAsked of_child(std::string const& id) {
    wire::PermissionRequest request;
    request.ask = id;
    request.pod_name = "kid";
    request.tool = "Write";
    request.unattended_ms = 10'000;
    return {"kid", "i", request};
  }

  FakeClock clock;
  loop::EventLoop loop{clock};
  bool attended = true;
  bool parent = false;
  std::string said;
  wire::PermissionRequest last;
  std::unique_ptr<PermissionAsks> asks;
};

TEST_F(PermissionAsksTest, TheFirstAnswerCounts) {
  ask(1, {"a", "b"});
  EXPECT_EQ(heard(), "asked Bash\n");
  EXPECT_EQ(last.pod_name, "me");
  EXPECT_EQ(last.call_id, "c1");
  EXPECT_EQ(last.reasons, (std::vector<std::string>{"because of a", "because of b"}));
  EXPECT_EQ(last.remembered, (std::vector<std::string>{"all like a", "all like b"}));
  EXPECT_EQ(last.deadline_ms, clock.wall_ms() + 300'000);
  EXPECT_EQ(asks->open().size(), 1u);
  answer(true);
  EXPECT_EQ(heard(), "closed yes client\ndone 1 yes\n");
  answer(false);
  EXPECT_TRUE(heard().starts_with("error no question `"));
  EXPECT_TRUE(asks->open().empty());
  EXPECT_FALSE(asks->take_unlogged()) << "nothing was to be remembered";
  ask(2, {"a"});
  EXPECT_EQ(heard(), "asked Bash\n");
  answer(false);
  EXPECT_EQ(heard(), "closed no client\ndone 2 no: the answer is no\n");
}

TEST_F(PermissionAsksTest, WithoutAnAnswerInTimeItIsNo) {
  ask(1, {"a"}, {20, 10});
  wait(19'999);
  EXPECT_EQ(heard(), "asked Bash\n");
  wait(1);
  EXPECT_EQ(heard(), "closed no deadline\ndone 1 no: nobody answered within 20 s\n");
}

TEST_F(PermissionAsksTest, WithoutAnybodyWhoCouldAnswerItIsSoonNo) {
  attended = false;
  ask(1, {"a"});
  wait(9'000);
  attended = true;
  asks->attendance_changed();
  wait(9'000);
  EXPECT_EQ(heard(), "asked Bash\n") << "somebody came in time";
  attended = false;
  asks->attendance_changed();
  wait(9'999);
  EXPECT_EQ(heard(), "");
  wait(1);
  EXPECT_EQ(heard(), "closed no unattended\ndone 1 no: nobody is there who could be asked\n");
  ask(2, {"a"}, {300, 0});
  wait(0);
  EXPECT_EQ(heard(), "asked Bash\nclosed no unattended\ndone 2 no: nobody is there who could be asked\n");
}

TEST_F(PermissionAsksTest, ARememberedAnswerHoldsForTheSession) {
  ask(1, {"a"});
  ask(2, {"a", "b"});
  ask(3, {"a"});
  heard();
  asks->answer({asks->open().front().ask, true, true}).value();
  EXPECT_EQ(heard(), "closed yes client\ndone 1 yes\nclosed yes remembered\ndone 3 yes\n") << "the second asks for more";
  answer(true);
  EXPECT_TRUE(heard().starts_with("error "));
  asks->answer({asks->open().front().ask, false, false}).value();
  heard();
  ask(4, {"a"});
  EXPECT_EQ(heard(), "done 4 yes\n");
  auto record = asks->take_unlogged();
  ASSERT_TRUE(record);
  EXPECT_FALSE(asks->take_unlogged());
  auto const& extension = std::get<wire::Extension>(*record);
  EXPECT_EQ(extension.payload, R"({"answers":[{"key":"a","decision":"allow"}]})");
  make(replay_remembered({extension, {"permission.remembered", R"({"answers":[{"key":"n","decision":"deny"},{"key":"odd","decision":"perhaps"},7]})"}, {"other", "{}"}}));
  ask(5, {"a"});
  ask(6, {"n", "a"});
  ask(7, {"odd"});
  EXPECT_EQ(heard(), "done 5 yes\ndone 6 no: the answer to such calls is no for the whole session\ndone 7 no: the answer to such calls is no for the whole session\n");
}

TEST_F(PermissionAsksTest, ACancelledCallGetsItsOneOutcome) {
  ask(1, {"a"});
  ask(2, {"a"});
  ask(3, {"a"});
  heard();
  EXPECT_FALSE(asks->cancel(9));
  EXPECT_TRUE(asks->cancel(2));
  EXPECT_EQ(heard(), "closed no cancelled\ndone 2 no: the run was stopped before anybody answered\n");
  EXPECT_FALSE(asks->cancel(2));
  asks->child_asked("kid-id", of_child("x"));
  heard();
  asks->cancel_all();
  EXPECT_EQ(heard(),
            "closed no cancelled\ndone 1 no: the run was stopped before anybody answered\nclosed no cancelled\ndone 3 no: the run was stopped before anybody answered\n");
  EXPECT_EQ(asks->open().size(), 1u) << "the child's stays";
}

TEST_F(PermissionAsksTest, LongArgumentsAreCutAndManyReasonsCounted) {
  std::vector<PermissionQuestion> many;
  for (int i = 0; i < 20; ++i) many.push_back({std::to_string(i), std::string(1000, 'r'), "c"});
  asks->ask({1, "c", "Bash", std::string(40'000, '"')}, many, {}, [](auto const&) {});
  EXPECT_EQ(last.arguments.size(), wire::kMaxAskedArguments);
  EXPECT_EQ(last.arguments_size, 40'000u);
  EXPECT_EQ(last.reasons.size(), 9u);
  EXPECT_TRUE(last.reasons.back().starts_with("and 12 more ("));
  EXPECT_LT(last.reasons.front().size(), 410u);
}

TEST_F(PermissionAsksTest, WithoutClientsTheParentIsTold) {
  attended = false;
  parent = true;
  ask(1, {"a"});
  EXPECT_EQ(heard(), "asked Bash\nup asked\n");
  wait(PermissionAsks::kTellAgainMs);
  EXPECT_EQ(heard(), "up asked\n") << "the parent may have been restarted";
  asks->parent_answered({"boss", {last.ask, true, true}, "client"});
  EXPECT_EQ(heard(), "closed yes client\nup closed client\ndone 1 yes\n");
  ask(2, {"a"});
  EXPECT_EQ(heard(), "done 2 yes\n") << "it was to be remembered";
  asks->parent_answered({"boss", {"unknown", true, true}, "client"});
  EXPECT_EQ(heard(), "");
}

TEST_F(PermissionAsksTest, NobodyAboveIsOfNoConcernWhenSomebodyCameHere) {
  attended = false;
  parent = true;
  ask(1, {"a"});
  attended = true;
  asks->attendance_changed();
  asks->parent_answered({"boss", {last.ask, false, false}, "unattended"});
  wait(60'000);
  EXPECT_EQ(heard(), "asked Bash\nup asked\n");
  attended = false;
  asks->attendance_changed();
  asks->parent_answered({"boss", {last.ask, false, false}, "unattended"});
  EXPECT_EQ(heard(), "up asked\nclosed no unattended\nup closed unattended\ndone 1 no: nobody is there who could be asked\n");
}

TEST_F(PermissionAsksTest, AParentThatDiesLeavesTheTimeToRun) {
  attended = false;
  parent = true;
  ask(1, {"a"});
  parent = false;
  wait(PermissionAsks::kTellAgainMs);
  wait(9'999);
  EXPECT_EQ(heard(), "asked Bash\nup asked\n");
  wait(1);
  EXPECT_EQ(heard(), "closed no unattended\ndone 1 no: nobody is there who could be asked\n");
}

TEST_F(PermissionAsksTest, AChildsQuestionIsAnsweredByTheClientsHere) {
  asks->child_asked("kid-id", of_child("x"));
  EXPECT_EQ(heard(), "asked Write\n");
  EXPECT_EQ(asks->open().size(), 1u);
  asks->child_asked("other-id", of_child("x"));
  asks->child_asked("kid-id", of_child("x"));
  EXPECT_EQ(heard(), "") << "told again";
  answer(true, true);
  EXPECT_EQ(heard(), "down kid-id yes always client\n");
  EXPECT_TRUE(asks->open().empty());
  answer(false);
  EXPECT_EQ(heard(), "error somebody has answered this question already\n");
  asks->child_asked("kid-id", of_child("x"));
  EXPECT_EQ(heard(), "down kid-id yes always client\n") << "the answer was lost";
  asks->child_settled("other-id", {"other", "i", {"x", true, "client"}});
  EXPECT_EQ(heard(), "") << "not its question";
  asks->child_settled("kid-id", {"kid", "i", {"x", true, "client"}});
  EXPECT_EQ(heard(), "closed yes client\n");
  EXPECT_FALSE(asks->take_unlogged()) << "what the child is to remember is the child's";
}

TEST_F(PermissionAsksTest, AQuestionGoesAllTheWayUpAndItsAnswerDown) {
  attended = false;
  parent = true;
  asks->child_asked("kid-id", of_child("x"));
  EXPECT_EQ(heard(), "asked Write\nup asked\n");
  asks->child_asked("kid-id", of_child("x"));
  EXPECT_EQ(heard(), "up asked\n") << "told again from below";
  asks->parent_answered({"boss", {"x", false, false}, "client"});
  EXPECT_EQ(heard(), "down kid-id no client\n");
  asks->child_settled("kid-id", {"kid", "i", {"x", false, "client"}});
  EXPECT_EQ(heard(), "closed no client\nup closed client\n");
}

TEST_F(PermissionAsksTest, WithoutAnybodyAboveTheChildIsTold) {
  attended = false;
  asks->child_asked("kid-id", of_child("x"));
  wait(10'000);
  EXPECT_EQ(heard(), "asked Write\ndown kid-id no unattended\n");
  attended = true;
  asks->attendance_changed();
  asks->child_asked("kid-id", of_child("x"));
  EXPECT_EQ(heard(), "") << "it has somebody of its own, and here is somebody now";
  EXPECT_EQ(asks->open().size(), 1u);
}

TEST_F(PermissionAsksTest, AChildThatEndsOrSaysNothingMoreIsGivenUp) {
  asks->child_asked("kid-id", of_child("x"));
  asks->child_asked("kid-id", of_child("y"));
  asks->child_asked("other-id", of_child("z"));
  heard();
  asks->child_ended("kid-id");
  EXPECT_EQ(heard(), "closed no gone\nclosed no gone\n");
  wait(PermissionAsks::kGoneMs - 1);
  EXPECT_EQ(heard(), "");
  wait(1);
  EXPECT_EQ(heard(), "closed no gone\n");
}

TEST_F(PermissionAsksTest, QuestionsOfOthersAreBounded) {
  for (size_t i = 0; i < PermissionAsks::kMaxForwarded + 5; ++i) asks->child_asked("kid-id", of_child("x" + std::to_string(i)));
  EXPECT_EQ(asks->open().size(), PermissionAsks::kMaxForwarded);
  heard();
  ask(1, {"a"});
  EXPECT_EQ(heard(), "asked Bash\n") << "its own is asked all the same";
}

}  // namespace
}  // namespace insomnia::pod
