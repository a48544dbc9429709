#include <signal.h>

#include "e2e.hh"
#include "testing/fifo.hh"

namespace insomnia::e2e {
namespace {

using testing::Fifo;

/// Going on with a stored Pod.
class Continue : public E2e {};

TEST_F(Continue, NextRunCarriesTheConversationOfTheLast) {
  server.enqueue(text_reply("It is blue."));
  server.enqueue(text_reply("As I said, blue."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Which colour?", "--name", "yesterday"})));
  auto again = home.run({"run", "Say it again", "--name", "yesterday"});
  ASSERT_TRUE(ended_with(0, again));
  EXPECT_TRUE(has(again.err, "continuing yesterday"));
  auto requests = conversations(server, "Which colour?");
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[1].said, (std::vector<std::string>{"Which colour?", "Say it again"}));
  EXPECT_EQ(requests[1].answers, (std::vector<std::string>{"It is blue."}));
  EXPECT_EQ(requests[1].system, requests[0].system);
  auto read = home.run({"read", "yesterday", "--last", "2"});
  EXPECT_EQ(read.out, "It is blue.\n\nAs I said, blue.\n");
}

TEST_F(Continue, FilesThatWereReadStayKnown) {
  home.write("a.txt", "alpha\n");
  server.enqueue(tool_reply({{"r1", "Read", arguments({{"file_path", home.file("a.txt")}})}}));
  server.enqueue(text_reply("Read."));
  server.enqueue(tool_reply({{"e1", "Edit", arguments({{"file_path", home.file("a.txt")}, {"old_string", "alpha"}, {"new_string", "beta"}})}}));
  server.enqueue(text_reply("Changed."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Read it", "--name", "worker"})));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Change it", "--name", "worker"})));
  EXPECT_EQ(home.read("a.txt"), "beta\n") << last_conversation(server, "").result("e1");
}

TEST_F(Continue, CallThatWasOpenAtTheCrashIsAnsweredOnceAndNotRunAgain) {
  Fifo ready(home.file("ready"));
  server.enqueue(tool_reply({{"b1", "Bash", arguments({{"command", "echo once >> runs; echo $$ > ready; exec sleep 1000"}})},
                             {"r1", "Glob", arguments({{"pattern", "*"}})}}));
  auto run = home.start({"run", "Begin", "--name", "worker"});
  auto command = ready.read_line(kPatienceMs);
  ASSERT_TRUE(command) << run->err();
  pid_t pod = home.pid_of("worker");
  ASSERT_GT(pod, 0);
  pid_t held = home.pid_of_command("sleep 1000");
  ::kill(pod, SIGKILL);
  ASSERT_TRUE(ended_with(1, *run));
  EXPECT_TRUE(has(run->err(), "killed by signal 9"));
  EXPECT_TRUE(has(run->err(), "insomnia run --name worker"));
  EXPECT_TRUE(testing::wait_for_death(held)) << "the command outlived its Pod";

  server.enqueue(text_reply("I look first."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Go on", "--name", "worker"})));
  server.enqueue(text_reply("Still here."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "And on", "--name", "worker"})));
  EXPECT_EQ(home.read("runs"), "once\n");
  auto last = last_conversation(server, "Begin");
  EXPECT_EQ(last.calls, (std::vector<std::string>{"b1", "r1"}));
  EXPECT_EQ(last.count_results("b1"), 1u);
  EXPECT_EQ(last.count_results("r1"), 1u);
  EXPECT_TRUE(has(last.result("b1"), "may have had effects"));
  EXPECT_TRUE(last.was_told("And on"));
}

TEST_F(Continue, PodKilledInMidStreamKeepsTheTask) {
  Reply half = stream_reply(AnthropicStream().text("Half of it").without_end());
  half.pieces.push_back(Piece::gate("middle"));
  server.enqueue(half);
  auto run = home.start({"run", "Begin", "--name", "worker"});
  ASSERT_TRUE(server.wait_for_gate("middle", kPatienceMs)) << run->err();
  ::kill(home.pid_of("worker"), SIGKILL);
  ASSERT_TRUE(ended_with(1, *run));
  server.enqueue(text_reply("Done."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Go on", "--name", "worker"})));
  auto last = last_conversation(server, "Begin");
  EXPECT_EQ(last.said.front(), "Begin");
  EXPECT_EQ(last.said.back(), "Go on");
}

TEST_F(Continue, TornEndOfTheLogIsCutAndReported) {
  server.enqueue(text_reply("One."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Begin", "--name", "worker"})));
  std::string log;
  std::string sessions = home.paths().sessions_dir();
  for (auto const& session : io::list_directory(sessions).value_or(std::vector<std::string>{})) {
    for (auto const& name : io::list_directory(sessions + "/" + session).value_or(std::vector<std::string>{})) {
      if (name.ends_with(".jsonl") && !name.ends_with(".trace.jsonl")) log = sessions + "/" + session + "/" + name;
    }
  }
  ASSERT_FALSE(log.empty());
  ASSERT_TRUE(io::write_file_atomic(log, io::read_file(log).value_or("") + R"({"kind":"assistant_item","ts":5,"it)"));
  server.enqueue(text_reply("Two."));
  auto again = home.run({"run", "Go on", "--name", "worker", "--json"});
  ASSERT_TRUE(ended_with(0, again));
  EXPECT_TRUE(has(again.out, "unfinished record"));
  EXPECT_EQ(last_conversation(server, "Begin").answers, (std::vector<std::string>{"One."}));
}

TEST_F(Continue, OtherSettingsAreRefusedForAStoredName) {
  server.enqueue(text_reply("One."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Begin", "--name", "worker"})));
  auto again = home.run({"run", "Go on", "--name", "worker", "--scope", "read:."});
  EXPECT_TRUE(ended_with(1, again));
  EXPECT_TRUE(has(again.err, "stored with other settings"));
}

}  // namespace
}  // namespace insomnia::e2e
