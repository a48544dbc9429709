#include <signal.h>

#include <algorithm>

#include "e2e.hh"
#include "testing/fifo.hh"

namespace insomnia::e2e {
namespace {

/// Processes that die without a word, and what is still there afterwards.
class Crash : public E2e {
 protected:
  Crash() {
    home.write("left/old.txt", "left\n");
    Reply gated = text_reply("child is done");
    gated.head_gate = "child";
    answer_task(server, "CHILD", {gated});
  }
  /// Starts a parent that waits for its child, which waits for the gate "child"; then kills the parent.
  void kill_waiting_parent() {
    answer_with(server, "PARENT", [this](Conversation const& conversation) {
      if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"write:" + home.file("left")})}});
      if (conversation.said.size() == 1) return text_reply("I wait.");
      if (after_restart_ && conversation.calls.size() == 1) return *after_restart_;
      return text_reply(conversation.was_told("child is done") ? "Now I know." : "I wait again.");
    });
    auto run = home.start({"run", "PARENT", "--name", "boss"});
    ASSERT_TRUE(server.wait_for_gate("child", kPatienceMs)) << run->err();
    ASSERT_TRUE(run->wait_for_out("I wait.")) << run->err();
    ::kill(home.pid_of("boss"), SIGKILL);
    ASSERT_TRUE(ended_with(1, *run));
    ASSERT_EQ(home.living(), std::vector<std::string>{"kid"}) << "children outlive their parent";
  }
  void expect_told_once() {
    auto parent = last_conversation(server, "PARENT");
    EXPECT_EQ(std::ranges::count_if(parent.said, [](std::string const& text) { return contains(text, "child is done"); }), 1);
    EXPECT_EQ(parent.count_results("s1"), 1u);
    EXPECT_EQ(conversations(server, "CHILD").size(), 1u);
    EXPECT_TRUE(home.processes().empty());
  }
  std::optional<Reply> after_restart_;
};

TEST_F(Crash, EndOfAChildThatCameWhileTheParentWasDeadIsToldOnce) {
  kill_waiting_parent();
  PodClient kid(home.paths().pod_socket("kid"));
  ASSERT_TRUE(kid.wait_for_kind<wire::SnapshotEvent>());
  server.open_gate("child");
  ASSERT_TRUE(kid.wait_for([](wire::Event const& event) {
    auto const* status = std::get_if<wire::StatusEvent>(&event.body);
    return status != nullptr && status->settled;
  }));
  auto again = home.run({"run", "Go on", "--name", "boss"});
  ASSERT_TRUE(ended_with(0, again));
  EXPECT_TRUE(has(again.out, "Now I know."));
  expect_told_once();
}

TEST_F(Crash, ParentThatComesBackFindsItsChildAtWorkAndItsScopeLent) {
  kill_waiting_parent();
  after_restart_ = tool_reply({{"w1", "Write", arguments({{"file_path", home.file("left/parent.txt")}, {"content", "no"}})},
                               {"w2", "Write", arguments({{"file_path", home.file("parent.txt")}, {"content", "yes"}})}});
  auto again = home.start({"run", "Go on", "--name", "boss"});
  ASSERT_TRUE(again->wait_for_out("I wait again.")) << again->err();
  EXPECT_EQ(home.living(), (std::vector<std::string>{"boss", "kid"}));
  EXPECT_EQ(home.read("left/parent.txt"), "<no file>");
  EXPECT_EQ(home.read("parent.txt"), "yes");
  EXPECT_TRUE(has(last_conversation(server, "PARENT").result("w1"), "kid"));
  server.open_gate("child");
  ASSERT_TRUE(ended_with(0, *again));
  EXPECT_TRUE(has(again->out(), "Now I know."));
  expect_told_once();
}

TEST_F(Crash, ChildKilledWhileTheParentWasDeadIsNotWaitedFor) {
  kill_waiting_parent();
  pid_t kid = home.pid_of("kid");
  ::kill(kid, SIGKILL);
  ASSERT_TRUE(testing::wait_for_death(kid));
  after_restart_ = tool_reply({{"w1", "Write", arguments({{"file_path", home.file("left/parent.txt")}, {"content", "mine again"}})}});
  auto again = home.run({"run", "Go on", "--name", "boss"});
  ASSERT_TRUE(ended_with(0, again));
  EXPECT_EQ(home.read("left/parent.txt"), "mine again") << last_conversation(server, "PARENT").result("w1");
  EXPECT_TRUE(last_conversation(server, "PARENT").was_told("pod `kid`")) << "its end is told";
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Crash, ScopeOfAKilledPodIsFreeAtOnce) {
  Reply endless = stream_reply(AnthropicStream().text("I think").without_end());
  endless.pieces.push_back(Piece::gate("middle"));
  server.enqueue(endless);
  auto run = home.start({"run", "Begin", "--name", "first"});
  ASSERT_TRUE(server.wait_for_gate("middle", kPatienceMs)) << run->err();
  ::kill(home.pid_of("first"), SIGKILL);
  ASSERT_TRUE(ended_with(1, *run));
  server.enqueue(text_reply("Mine now."));
  EXPECT_TRUE(ended_with(0, home.run({"run", "Take over", "--name", "second"})));
}

TEST_F(Crash, KilledWatcherLeavesThePodToFinish) {
  Reply late = text_reply("Finished alone.");
  late.head_gate = "head";
  server.enqueue(late);
  auto run = home.start({"run", "Begin", "--name", "worker"});
  ASSERT_TRUE(server.wait_for_gate("head", kPatienceMs)) << run->err();
  pid_t pod = home.pid_of("worker");
  run->signal(SIGKILL);
  ASSERT_TRUE(ended_with(128 + SIGKILL, *run));
  EXPECT_EQ(home.pid_of("worker"), pod);
  server.open_gate("head");
  EXPECT_TRUE(testing::wait_for_death(pod));
  EXPECT_EQ(home.run({"read", "worker"}).out, "Finished alone.\n");
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Crash, KilledHandsAreReportedAndReplaced) {
  server.enqueue(tool_reply({{"b1", "Bash", arguments({{"command", "kill -9 $PPID; sleep 1000"}})}}));
  server.enqueue(tool_reply({{"b2", "Bash", arguments({{"command", "echo new hands"}})}}));
  server.enqueue(text_reply("Works."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Begin", "--name", "worker"})));
  auto last = last_conversation(server, "Begin");
  EXPECT_TRUE(has(last.result("b1"), "killed by signal 9"));
  EXPECT_TRUE(has(last.result("b2"), "new hands"));
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Crash, ManyRunsAtOnceDoNotDisturbEachOther) {
  server.answer_all([](testing::RecordedRequest const&) { return text_reply("One of many."); });
  std::vector<std::unique_ptr<Program>> runs;
  for (int i = 0; i < soak(6, 60); ++i) {
    std::string directory = "d" + std::to_string(i);
    home.write(directory + "/file", "");
    runs.push_back(home.start({"run", "Work in " + directory}, home.file(directory)));
  }
  for (auto& run : runs) EXPECT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(home.processes().empty());
}

}  // namespace
}  // namespace insomnia::e2e
