#include <signal.h>

#include <boost/json.hpp>

#include "base/text.hh"
#include "e2e.hh"

namespace insomnia::e2e {
namespace {

/// The commands about Pods that run or are stored.
class Commands : public E2e {
 protected:
  /// An idle Pod that stays.
  void start_worker() {
    server.enqueue(text_reply("Ready."));
    ASSERT_TRUE(ended_with(0, home.run({"run", "Get ready", "--name", "worker", "--keep"})));
    ASSERT_EQ(home.living(), std::vector<std::string>{"worker"});
  }
};

TEST_F(Commands, JsonOutputParses) {
  start_worker();
  for (std::vector<std::string> const& command : std::vector<std::vector<std::string>>{
           {"ps", "--json"}, {"ps", "--tree", "--json"}, {"read", "worker", "--json"}, {"version", "--json"}, {"doctor", "--json"}, {"models", "--json"}, {"profile", "list", "--json"}}) {
    auto finished = home.run(command);
    EXPECT_TRUE(ended_with(0, finished)) << command.front();
    EXPECT_TRUE(json::parse(finished.out)) << command.front() << ": " << finished.out;
  }
  auto logs = home.run({"logs", "worker", "--json"});
  ASSERT_TRUE(ended_with(0, logs));
  for (auto line : text::split(text::trim(logs.out), '\n')) EXPECT_TRUE(json::parse_object(line)) << line;
  EXPECT_TRUE(has(home.run({"logs", "worker"}).out, "Ready."));
  EXPECT_TRUE(has(home.run({"ps"}).out, "worker"));
}

TEST_F(Commands, ModelsSayWhoseKeyIsThereAndWhichIsTaken) {
  auto models = home.run({"models"});
  ASSERT_TRUE(ended_with(0, models));
  EXPECT_TRUE(has(models.out, "anthropic/claude-sonnet-4-6"));
  EXPECT_TRUE(has(models.out, "3 / 15"));
  EXPECT_TRUE(has(models.out, "none needed"));
  EXPECT_TRUE(has(models.err, "US dollars for a million tokens on "));
  auto list = json::parse(home.run({"models", "--json"}).out);
  ASSERT_TRUE(list);
  int defaults = 0;
  for (auto const& model : list->as_array()) {
    defaults += model.at("default").as_bool() ? 1 : 0;
    if (model.at("provider") == "anthropic") {
      EXPECT_EQ(model.at("key"), "found");
    }
    if (model.at("provider") == "openrouter") {
      EXPECT_EQ(model.at("key"), "missing");
    }
  }
  EXPECT_EQ(defaults, 1);
}

TEST_F(Commands, SendGivesAnIdlePodWorkAndReadShowsTheAnswer) {
  start_worker();
  server.enqueue(text_reply("Second answer."));
  PodClient client(home.paths().pod_socket("worker"));
  ASSERT_TRUE(client.wait_for_kind<wire::SnapshotEvent>());
  ASSERT_TRUE(ended_with(0, home.run({"send", "worker", "Once more"})));
  ASSERT_TRUE(client.wait_for_kind<wire::RunEndEvent>());
  auto read = home.run({"read", "worker"});
  EXPECT_TRUE(ended_with(0, read));
  EXPECT_EQ(read.out, "Second answer.\n");
}

TEST_F(Commands, MessageToAPodAtWorkSurvivesItsDeathAndIsReadOnce) {
  Reply hanging = text_reply("never seen");
  hanging.head_gate = "model";
  server.enqueue(hanging);
  server.enqueue(text_reply("I heard you."));
  auto run = home.start({"run", "Work", "--name", "worker"});
  ASSERT_TRUE(server.wait_for_gate("model", kPatienceMs)) << run->err();
  auto sent = home.run({"send", "worker", "Leave the docs alone"});
  ASSERT_TRUE(ended_with(0, sent));
  EXPECT_TRUE(has(sent.out, "sees the message before its next model call"));
  pid_t pid = home.pid_of("worker");
  ::kill(pid, SIGKILL);
  ASSERT_TRUE(testing::wait_for_death(pid));
  run->wait();
  ASSERT_TRUE(ended_with(0, home.run({"restore", "worker"})));
  if (pid = home.pid_of("worker"); pid > 0) {
    EXPECT_TRUE(testing::wait_for_death(pid));
  }
  auto conversation = last_conversation(server, "Work");
  EXPECT_EQ(std::ranges::count_if(conversation.said, [](auto const& text) { return contains(text, "Leave the docs alone"); }), 1);
  EXPECT_TRUE(io::list_directory(home.paths().pod_dir("worker") + "/inbox")->empty());
  EXPECT_EQ(home.run({"read", "worker"}).out, "I heard you.\n");
}

TEST_F(Commands, StopEndsThePodAndKeepsItsSession) {
  start_worker();
  pid_t pod = home.pid_of("worker");
  auto stop = home.run({"stop", "worker"});
  EXPECT_TRUE(ended_with(0, stop));
  EXPECT_TRUE(has(stop.out, "worker stopped"));
  EXPECT_TRUE(testing::wait_for_death(pod, 0));
  EXPECT_EQ(home.run({"read", "worker"}).out, "Ready.\n");
  auto again = home.run({"stop", "worker"});
  EXPECT_TRUE(ended_with(1, again));
  EXPECT_TRUE(has(again.err, "no Pod `worker` is running"));
}

TEST_F(Commands, StopTreeEndsTheChildrenToo) {
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"read:" + home.work()})}});
    return text_reply("I wait.");
  });
  Reply endless = stream_reply(AnthropicStream().text("I think").without_end());
  endless.pieces.push_back(Piece::gate("never"));
  answer_task(server, "CHILD", {endless});
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  ASSERT_TRUE(server.wait_for_gate("never", kPatienceMs));
  EXPECT_TRUE(ended_with(0, home.run({"stop", "boss", "--tree"})));
  EXPECT_TRUE(ended_with(130, *run));
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Commands, TerminationSignalEndsAPodInGoodOrder) {
  start_worker();
  pid_t pod = home.pid_of("worker");
  std::string socket = home.paths().pod_socket("worker");
  PodClient client(socket);
  ASSERT_TRUE(client.wait_for_kind<wire::SnapshotEvent>());
  ::kill(pod, SIGTERM);
  EXPECT_TRUE(client.wait_for_kind<wire::ShutdownEvent>());
  EXPECT_TRUE(client.wait_for_end());
  EXPECT_TRUE(testing::wait_for_death(pod));
  EXPECT_FALSE(io::exists(socket));
  EXPECT_TRUE(home.living().empty());
  EXPECT_EQ(text::trim(home.run({"ps", "--json"}).out), "[]");
}

TEST_F(Commands, TerminationSignalInMidStreamKeepsTheRunForLater) {
  Reply half = stream_reply(AnthropicStream().text("Half of it").without_end());
  half.pieces.push_back(Piece::gate("middle"));
  server.enqueue(half);
  auto run = home.start({"run", "Begin", "--name", "worker"});
  ASSERT_TRUE(server.wait_for_gate("middle", kPatienceMs));
  ::kill(home.pid_of("worker"), SIGTERM);
  EXPECT_TRUE(ended_with(130, *run));
  server.enqueue(text_reply("Done."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Go on", "--name", "worker"})));
  EXPECT_EQ(last_conversation(server, "Begin").said.front(), "Begin");
}

TEST_F(Commands, DetachedRunPrintsItsNameAndGoesOn) {
  Reply late = text_reply("Done alone.");
  late.head_gate = "head";
  server.enqueue(late);
  auto run = home.run({"run", "Work alone", "--name", "loner", "--detach"});
  ASSERT_TRUE(ended_with(0, run));
  EXPECT_EQ(run.out, "loner\n");
  PodClient client(home.paths().pod_socket("loner"));
  ASSERT_TRUE(client.wait_for_kind<wire::SnapshotEvent>());
  server.open_gate("head");
  ASSERT_TRUE(client.wait_for_kind<wire::RunEndEvent>());
  EXPECT_EQ(home.run({"read", "loner"}).out, "Done alone.\n");
  EXPECT_TRUE(ended_with(0, home.run({"stop", "loner"})));
}

TEST_F(Commands, UnknownPodIsAnErrorThatListsTheLivingOnes) {
  start_worker();
  for (auto* command : {"attach", "stop", "logs"}) {
    auto finished = home.run({command, "nobody"});
    EXPECT_TRUE(ended_with(1, finished)) << command;
    EXPECT_TRUE(has(finished.err, "nobody")) << command;
  }
  auto send = home.run({"send", "nobody", "Hello"});
  EXPECT_TRUE(ended_with(1, send));
  EXPECT_TRUE(has(send.err, "running: worker"));
}

}  // namespace
}  // namespace insomnia::e2e
