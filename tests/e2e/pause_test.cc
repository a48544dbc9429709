#include <signal.h>

#include <boost/json.hpp>

#include "e2e.hh"
#include "testing/fifo.hh"

namespace insomnia::e2e {
namespace {

using testing::Fifo;
using testing::wait_for_death;

/// Interrupting a run in the middle and going on with it.
class Interrupt : public E2e {
 protected:
  /// Begins to answer and waits in the middle.
  Reply half_an_answer(std::string const& gate) const {
    Reply reply = stream_reply(AnthropicStream().text("Half of it").without_end());
    reply.pieces.push_back(Piece::gate(gate));
    return reply;
  }
  std::string state_of(std::string const& pod) const {
    auto rows = json::parse(home.run({"ps", "--json"}).out);
    if (!rows || !rows->is_array()) return "<no list>";
    for (auto const& row : rows->as_array()) {
      json::Reader reader(row.as_object());
      if (reader.string("pod_name") == pod) return reader.string("state");
    }
    return "<not there>";
  }
};

TEST_F(Interrupt, OneCtrlCPausesAndResumeGoesOn) {
  answer_task(server, "LONG", {half_an_answer("middle"), text_reply("All of it.")});
  auto run = home.start({"run", "LONG work", "--name", "worker"});
  ASSERT_TRUE(server.wait_for_gate("middle", kPatienceMs)) << run->err();
  ASSERT_TRUE(run->wait_for_out("Half of it"));
  run->signal(SIGINT);
  ASSERT_TRUE(ended_with(130, *run));
  EXPECT_TRUE(has(run->err(), "worker is paused; nothing is lost"));
  EXPECT_TRUE(has(run->err(), "insomnia attach worker"));
  EXPECT_TRUE(has(run->err(), "insomnia send worker"));
  pid_t pod = home.pid_of("worker");
  ASSERT_GT(pod, 0);
  EXPECT_EQ(state_of("worker"), "paused");

  auto attach = home.run({"attach", "worker"}, "", "/resume\n");
  EXPECT_TRUE(ended_with(0, attach));
  EXPECT_TRUE(has(attach.out, "All of it."));
  EXPECT_TRUE(wait_for_death(pod)) << "it was started without --keep";
  auto last = last_conversation(server, "LONG");
  EXPECT_EQ(last.task, "LONG work");
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Interrupt, PausedPodTakesAMessageInstead) {
  answer_task(server, "LONG", {half_an_answer("middle"), text_reply("Something else.")});
  auto run = home.start({"run", "LONG work", "--name", "worker", "--keep"});
  ASSERT_TRUE(server.wait_for_gate("middle", kPatienceMs)) << run->err();
  ASSERT_TRUE(run->wait_for_out("Half of it"));
  run->signal(SIGINT);
  ASSERT_TRUE(ended_with(130, *run));
  PodClient client(home.paths().pod_socket("worker"));
  ASSERT_TRUE(client.wait_for_kind<wire::SnapshotEvent>());
  ASSERT_TRUE(ended_with(0, home.run({"send", "worker", "Do something else"})));
  auto end = client.wait_for_kind<wire::RunEndEvent>();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->result, "finished");
  EXPECT_TRUE(last_conversation(server, "LONG").was_told("Do something else"));
  EXPECT_TRUE(ended_with(0, home.run({"stop", "worker"})));
  EXPECT_TRUE(home.living().empty());
}

TEST_F(Interrupt, BeforeAnythingCameTheInputIsTakenBack) {
  Reply late = text_reply("Too late.");
  late.head_gate = "head";
  answer_task(server, "LONG", {late});
  auto run = home.start({"run", "LONG work", "--name", "worker"});
  ASSERT_TRUE(server.wait_for_gate("head", kPatienceMs)) << run->err();
  run->signal(SIGINT);
  ASSERT_TRUE(ended_with(130, *run));
  EXPECT_TRUE(has(run->err(), "insomnia run --name worker"));
  EXPECT_TRUE(home.living().empty());
  // Nothing of it is told to the model later.
  answer_task(server, "NEXT", {text_reply("Fine.")});
  EXPECT_TRUE(ended_with(0, home.run({"run", "NEXT work", "--name", "worker"})));
  EXPECT_EQ(last_conversation(server, "NEXT").said, (std::vector<std::string>{"NEXT work"}));
}

TEST_F(Interrupt, TwoCtrlCEndThePodAndItsCommands) {
  Fifo ready(home.file("ready"));
  answer_task(server, "LONG", {tool_reply({{"b1", "Bash", arguments({{"command", "echo $$ > ready; exec sleep 1000"}})}})});
  auto run = home.start({"run", "LONG work", "--name", "worker"});
  auto command = ready.read_line(kPatienceMs);
  ASSERT_TRUE(command) << run->err();
  pid_t held = home.pid_of_command("sleep 1000");
  run->signal(SIGINT);
  ASSERT_TRUE(run->wait_for_err("pausing worker"));
  run->signal(SIGINT);
  ASSERT_TRUE(ended_with(130, *run));
  EXPECT_TRUE(home.living().empty());
  EXPECT_TRUE(wait_for_death(held));
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Interrupt, PauseInMidToolAnswersTheCallOnce) {
  Fifo ready(home.file("ready"));
  answer_task(server, "LONG", {tool_reply({{"b1", "Bash", arguments({{"command", "echo once >> runs; echo $$ > ready; exec sleep 1000"}})}}),
                               text_reply("I saw the interruption.")});
  auto run = home.start({"run", "LONG work", "--name", "worker"});
  ASSERT_TRUE(ready.read_line(kPatienceMs)) << run->err();
  run->signal(SIGINT);
  ASSERT_TRUE(ended_with(130, *run));
  EXPECT_EQ(state_of("worker"), "paused");
  auto attach = home.run({"attach", "worker"}, "", "/resume\n");
  EXPECT_TRUE(ended_with(0, attach));
  auto last = last_conversation(server, "LONG");
  EXPECT_EQ(last.count_results("b1"), 1u);
  EXPECT_TRUE(has(last.result("b1"), "cancelled"));
  EXPECT_EQ(home.read("runs"), "once\n");
}

TEST_F(Interrupt, TerminatedWatcherLeavesThePodAtWork) {
  answer_task(server, "LONG", {half_an_answer("middle")});
  auto run = home.start({"run", "LONG work", "--name", "worker"});
  ASSERT_TRUE(server.wait_for_gate("middle", kPatienceMs)) << run->err();
  run->signal(SIGTERM);
  ASSERT_TRUE(ended_with(130, *run));
  EXPECT_EQ(state_of("worker"), "running");
  EXPECT_TRUE(ended_with(0, home.run({"stop", "worker"})));
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Interrupt, ReaderThatGoesAwayLeavesThePodAtWork) {
  Reply reply = stream_reply(AnthropicStream().text("Half of it").without_end());
  reply.pieces.push_back(Piece::gate("middle"));
  std::string rest = AnthropicStream().text("Half of it").text("and the rest\n").whole();
  reply.pieces.push_back(Piece::bytes(rest.substr(AnthropicStream().text("Half of it").without_end().size())));
  answer_task(server, "LONG", {reply});
  auto run = home.start({"run", "LONG work", "--name", "worker"});
  ASSERT_TRUE(run->wait_for_out("Half of it"));
  pid_t pod = home.pid_of("worker");
  run->close_stdout();
  server.open_gate("middle");
  EXPECT_TRUE(run->wait());
  EXPECT_TRUE(wait_for_death(pod)) << "done, and started without --keep";
  auto read = home.run({"read", "worker"});
  EXPECT_TRUE(ended_with(0, read));
  EXPECT_TRUE(has(read.out, "and the rest"));
}

}  // namespace
}  // namespace insomnia::e2e
