#include <signal.h>

#include "e2e.hh"
#include "testing/fifo.hh"

namespace insomnia::e2e {
namespace {

using testing::Fifo;

/// How a parent learns of the ends of its children.
class ChildEnd : public E2e {
 protected:
  ChildEnd() {
    home.write("left/old.txt", "left\n");
    answer_with(server, "PARENT", [this](Conversation const& conversation) {
      if (conversation.calls.empty()) {
        return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"write:" + home.file("left")})}});
      }
      if (!conversation.was_told("pod `kid`")) return text_reply("I wait.");
      if (conversation.calls.size() == 1 && write_afterwards_) {
        return tool_reply({{"w1", "Write", arguments({{"file_path", home.file("left/parent.txt")}, {"content", "mine again"}})}});
      }
      return text_reply("I know.");
    });
  }
  bool write_afterwards_ = false;
};

TEST_F(ChildEnd, FailureOfTheModelIsReportedAsErrored) {
  answer_with(server, "CHILD", [](Conversation const&) { return error_reply(400, "invalid_request_error", "this child is unwanted"); });
  auto run = home.run({"run", "PARENT"});
  ASSERT_TRUE(ended_with(0, run));
  EXPECT_TRUE(has(run.out, "I know."));
  auto parent = last_conversation(server, "PARENT");
  EXPECT_TRUE(parent.was_told("pod `kid` errored")) << parent.said.back();
  EXPECT_TRUE(parent.was_told("this child is unwanted")) << parent.said.back();
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(ChildEnd, KilledChildIsReportedWithItsSignalAndItsScopeIsBack) {
  write_afterwards_ = true;
  Reply endless = stream_reply(AnthropicStream().text("I think").without_end());
  endless.pieces.push_back(Piece::gate("never"));
  answer_task(server, "CHILD", {endless});
  auto run = home.start({"run", "PARENT"});
  ASSERT_TRUE(server.wait_for_gate("never", kPatienceMs)) << run->err();
  pid_t kid = home.pid_of("kid");
  ASSERT_GT(kid, 0);
  ::kill(kid, SIGKILL);
  ASSERT_TRUE(ended_with(0, *run));
  auto parent = last_conversation(server, "PARENT");
  EXPECT_TRUE(parent.was_told("pod `kid` crashed: killed by signal 9")) << parent.said.back();
  EXPECT_EQ(home.read("left/parent.txt"), "mine again") << parent.result("w1");
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(ChildEnd, KilledChildTakesItsCommandsWithIt) {
  write_afterwards_ = true;
  Fifo ready(home.file("left/ready"));
  answer_task(server, "CHILD", {tool_reply({{"b1", "Bash", arguments({{"command", "sleep 1000 & echo $$ > ready; exec sleep 1000"}})}})});
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  auto pid = ready.read_line(kPatienceMs);
  ASSERT_TRUE(pid) << run->out() << run->err();
  pid_t held = home.pid_of_command("sleep 1000");
  ::kill(home.pid_of("kid"), SIGKILL);
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(testing::wait_for_death(held, 0)) << "the command outlived its Pod";
  EXPECT_TRUE(home.processes().empty());
}

// The end of a grandchild that came while the child gave its last answer was dealt with in a run that nobody heard of.
TEST_F(ChildEnd, WhatTheChildSaysToTheEndOfItsOwnChildIsReportedWheneverThatComes) {
  home.write("left/deep/old.txt", "deep\n");
  answer_with(server, "BOSS", [this](Conversation const& conversation) {
    if (conversation.calls.empty()) {
      return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"write:" + home.file("left")})}});
    }
    return text_reply(conversation.was_told("child knows") ? "I know." : "I wait.");
  });
  Reply waiting = text_reply("child waits");
  waiting.head_gate = "child waits";
  answer_with(server, "CHILD", [&, waiting](Conversation const& conversation) {
    if (conversation.calls.empty()) {
      return tool_reply({{"s1", "SpawnPod", spawn_arguments("grandkid", "SMALL", {"write:" + home.file("left/deep")})}});
    }
    return conversation.was_told("small is done") ? text_reply("child knows") : waiting;
  });
  Reply small = text_reply("small is done");
  small.head_gate = "small";
  answer_task(server, "SMALL", {small});
  auto run = home.start({"run", "BOSS"});
  ASSERT_TRUE(server.wait_for_gate("child waits", kPatienceMs)) << run->err();
  ASSERT_TRUE(server.wait_for_gate("small", kPatienceMs)) << run->err();
  PodClient kid(home.paths().pod_socket("kid"));
  ASSERT_TRUE(kid.wait_for_kind<wire::SnapshotEvent>());
  server.open_gate("small");
  auto idle = [](wire::Event const& event) {
    auto const* child = std::get_if<wire::ChildEvent>(&event.body);
    return child != nullptr && child->child.pod_name == "grandkid" && child->child.state == "idle";
  };
  ASSERT_TRUE(kid.wait_for(idle));
  server.open_gate("child waits");
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(has(run->out(), "I know."));
  EXPECT_TRUE(last_conversation(server, "BOSS").was_told("another report follows"));
}

TEST_F(ChildEnd, StoppedFromTheCommandLineIsReported) {
  Reply endless = stream_reply(AnthropicStream().text("I think").without_end());
  endless.pieces.push_back(Piece::gate("never"));
  answer_task(server, "CHILD", {endless});
  auto run = home.start({"run", "PARENT"});
  ASSERT_TRUE(server.wait_for_gate("never", kPatienceMs)) << run->err();
  EXPECT_TRUE(ended_with(0, home.run({"stop", "kid"})));
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(last_conversation(server, "PARENT").was_told("pod `kid`"));
}

TEST_F(ChildEnd, ReportThatCannotBePostedIsPostedWhenItCan) {
  Reply gated = text_reply("child is done");
  gated.head_gate = "child";
  answer_task(server, "CHILD", {gated});
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  ASSERT_TRUE(server.wait_for_gate("child", kPatienceMs)) << run->err();
  ASSERT_TRUE(run->wait_for_out("I wait.")) << run->err();
  PodClient kid(home.paths().pod_socket("kid"));
  ASSERT_TRUE(kid.wait_for_kind<wire::SnapshotEvent>());
  std::string inbox = home.paths().pod_dir("boss") + "/inbox";
  ASSERT_TRUE(io::remove_tree(inbox));
  ASSERT_TRUE(io::replace_file(inbox, "in the way"));
  server.open_gate("child");
  ASSERT_TRUE(kid.wait_for_kind<wire::AlertEvent>()) << "people are told";
  EXPECT_NE(home.pid_of("boss"), 0) << "it waits";
  ASSERT_EQ(::unlink(inbox.c_str()), 0);
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(has(run->out(), "I know."));
}

/// boss spawns kid, kid spawns grandkid; then a person stops kid alone.
TEST_F(ChildEnd, WorkBelowAPodThatWasStoppedIsReportedToTheNextOneAbove) {
  home.write("left/deep/old.txt", "");
  answer_with(server, "TOP", [this](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"write:" + home.file("left")})}});
    return text_reply(conversation.was_told("small one is done") ? "I heard it." : "I wait.");
  });
  answer_with(server, "CHILD", [this](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("grandkid", "SMALL", {"write:" + home.file("left/deep")})}});
    return text_reply("I wait for the small one.");
  });
  Reply small = text_reply("small one is done");
  small.head_gate = "small";
  answer_task(server, "SMALL", {small});
  auto run = home.start({"run", "TOP", "--name", "boss"});
  ASSERT_TRUE(server.wait_for_gate("small", kPatienceMs)) << run->err();
  ASSERT_TRUE(run->wait_for_out("I wait.")) << run->err();
  ASSERT_TRUE(ended_with(0, home.run({"stop", "kid"})));
  ASSERT_TRUE(run->wait_for_out("shut down")) << run->out() << run->err();
  EXPECT_NE(home.pid_of("grandkid"), 0);
  server.open_gate("small");
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(has(home.run({"read", "boss"}).out, "I heard it."));
  EXPECT_TRUE(home.processes().empty());
}

}  // namespace
}  // namespace insomnia::e2e
