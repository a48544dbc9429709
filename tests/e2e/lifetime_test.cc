#include <signal.h>

#include "e2e.hh"

namespace insomnia::e2e {
namespace {

/// How long children live, and who gets their scope then.
class Lifetime : public E2e {
 protected:
  Lifetime() {
    home.write("left/old.txt", "left\n");
    Reply late = text_reply("child is done");
    late.head_gate = "child";
    answer_task(server, "CHILD", {late});
  }
  /// SpawnPod of `kid` on left/ with more members.
  Reply spawn_kid(std::string const& more) {
    std::string spawn = spawn_arguments("kid", "CHILD", {"write:" + home.file("left")});
    spawn.pop_back();
    return tool_reply({{"s1", "SpawnPod", spawn + "," + more + "}"}});
  }
  std::unique_ptr<Program> start_parent(std::string const& more) {
    answer_with(server, "PARENT", [this, more](Conversation const& conversation) {
      return conversation.calls.empty() ? spawn_kid(more) : text_reply("I wait.");
    });
    auto run = home.start({"run", "PARENT", "--name", "boss"});
    EXPECT_TRUE(server.wait_for_gate("child", kPatienceMs)) << run->err();
    EXPECT_TRUE(run->wait_for_out("I wait.")) << run->err();
    return run;
  }
};

TEST_F(Lifetime, ChildThatDiesWithItsParentIsGoneWhenThatIsKilled) {
  auto run = start_parent(R"("die_with_parent":true)");
  pid_t kid = home.pid_of("kid");
  ASSERT_GT(kid, 0);
  ::kill(home.pid_of("boss"), SIGKILL);
  ASSERT_TRUE(ended_with(1, *run));
  EXPECT_TRUE(testing::wait_for_death(kid));
  EXPECT_TRUE(home.living().empty());
  EXPECT_TRUE(home.processes().empty());
  // Nobody holds the path any more.
  server.enqueue(text_reply("Mine now."));
  EXPECT_TRUE(ended_with(0, home.run({"run", "Take over", "--name", "second", "--scope", "write:left", "--cwd", "left"})));
}

TEST_F(Lifetime, ChildThatDiesWithItsParentGoesWithAStoppedOneToo) {
  auto run = start_parent(R"("die_with_parent":true)");
  pid_t kid = home.pid_of("kid");
  ::kill(home.pid_of("boss"), SIGTERM);
  run->wait();
  EXPECT_TRUE(testing::wait_for_death(kid));
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Lifetime, ChildThatEndsWhenDoneGivesItsScopeBackWithItsReport) {
  answer_with(server, "PARENT", [this](Conversation const& conversation) {
    if (conversation.calls.empty()) return spawn_kid(R"("end_when_done":true)");
    if (!conversation.was_told("child is done")) return text_reply("I wait.");
    if (conversation.calls.size() == 1) {
      return tool_reply({{"s2", "SpawnPod", [this] {
                            std::string spawn = spawn_arguments("next", "NEXT", {"write:" + home.file("left")});
                            spawn.pop_back();
                            return spawn + R"(,"wait_for_scope_ms":60000})";
                          }()}});
    }
    return text_reply(conversation.was_told("next is done") ? "All done." : "I wait for the next.");
  });
  answer_task(server, "NEXT", {text_reply("next is done")});
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  ASSERT_TRUE(server.wait_for_gate("child", kPatienceMs)) << run->err();
  server.open_gate("child");
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(has(run->out(), "All done."));
  auto parent = last_conversation(server, "PARENT");
  EXPECT_FALSE(parent.was_told("pod `kid` shut down")) << "its end was expected";
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Lifetime, SecondRunWaitsForTheScopeOfTheFirst) {
  Reply late = text_reply("First is done.");
  late.head_gate = "first";
  answer_task(server, "FIRST", {late});
  answer_task(server, "SECOND", {text_reply("Second is done.")});
  auto first = home.start({"run", "FIRST work", "--name", "first"});
  ASSERT_TRUE(server.wait_for_gate("first", kPatienceMs)) << first->err();
  auto refused = home.run({"run", "SECOND work", "--name", "second"});
  EXPECT_TRUE(ended_with(4, refused));
  EXPECT_TRUE(has(refused.err, "first"));
  auto second = home.start({"run", "SECOND work", "--name", "second", "--wait-for-scope", "60"});
  ASSERT_TRUE(second->wait_for_err("waiting for write:" + home.work())) << second->err();
  EXPECT_TRUE(has(second->err(), "Pod 'first' holds"));
  EXPECT_TRUE(has(second->err(), "FIRST work"));
  EXPECT_TRUE(conversations(server, "SECOND").empty());
  server.open_gate("first");
  EXPECT_TRUE(ended_with(0, *first));
  EXPECT_TRUE(ended_with(0, *second));
  EXPECT_TRUE(has(second->out(), "Second is done."));
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Lifetime, WaitingRunThatIsInterruptedOrOutOfTimeLeavesNothing) {
  Reply late = text_reply("First is done.");
  late.head_gate = "first";
  answer_task(server, "FIRST", {late});
  answer_task(server, "THIRD", {text_reply("Third is done.")});
  auto first = home.start({"run", "FIRST work", "--name", "first"});
  ASSERT_TRUE(server.wait_for_gate("first", kPatienceMs)) << first->err();
  auto late_one = home.run({"run", "SECOND work", "--name", "second", "--wait-for-scope", "1"});
  EXPECT_TRUE(ended_with(4, late_one));
  EXPECT_TRUE(has(late_one.err, "waited 1000 ms"));
  auto interrupted = home.start({"run", "SECOND work", "--name", "second", "--wait-for-scope", "60"});
  ASSERT_TRUE(interrupted->wait_for_err("waiting for")) << interrupted->err();
  interrupted->signal(SIGINT);
  EXPECT_TRUE(ended_with(130, *interrupted));
  server.open_gate("first");
  EXPECT_TRUE(ended_with(0, *first));
  EXPECT_TRUE(ended_with(0, home.run({"run", "THIRD work", "--name", "third"}))) << "nobody is before it";
  EXPECT_TRUE(home.processes().empty());
}

}  // namespace
}  // namespace insomnia::e2e
