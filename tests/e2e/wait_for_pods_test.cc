#include <signal.h>

#include "e2e.hh"

namespace insomnia::e2e {
namespace {

/// A parent (its task says PARENT) whose model waits for its children inside its turn.
class WaitForPods : public E2e {
 protected:
  WaitForPods() {
    home.write("left/old.txt", "left\n");
    home.write("right/old.txt", "right\n");
  }
  std::vector<testing::ScriptedCall> spawn_both() const {
    return {{"s1", "SpawnPod", spawn_arguments("ann", "ANN", {"write:" + home.file("left")})},
            {"s2", "SpawnPod", spawn_arguments("bob", "BOB", {"write:" + home.file("right")})}};
  }
  /// An answer that comes when the gate is opened.
  static Reply late(std::string const& text, std::string const& gate) { return gated(text_reply(text), gate); }
  static size_t times_told(Conversation const& conversation, std::string_view fragment) {
    size_t count = 0;
    for (auto const& text : conversation.said) {
      for (size_t at = text.find(fragment); at != std::string::npos; at = text.find(fragment, at + 1)) ++count;
    }
    return count;
  }
  static Reply gated(Reply reply, std::string const& gate) {
    reply.head_gate = gate;
    return reply;
  }
  /// The model's calls of WaitForPods, and one that is answered at once: its result shows that the others have begun.
  static Reply waits(std::vector<testing::ScriptedCall> calls) {
    calls.push_back({"t1", "TaskList", "{}"});
    return gated(tool_reply(calls), "waits");
  }
  /// A client of the parent, which waits by then.
  std::unique_ptr<PodClient> client_of_waiting_boss() {
    if (!server.wait_for_gate("waits", kPatienceMs)) return nullptr;
    auto client = std::make_unique<PodClient>(home.paths().pod_socket("boss"));
    if (!client->wait_for_kind<wire::SnapshotEvent>()) return nullptr;
    server.open_gate("waits");
    auto listed = client->wait_for([](wire::Event const& event) {
      auto const* result = std::get_if<wire::ToolResultEvent>(&event.body);
      return result != nullptr && result->id == "t1";
    });
    return listed ? std::move(client) : nullptr;
  }
};

TEST_F(WaitForPods, AllAreWaitedForAndEachEndIsToldOnce) {
  answer_task(server, "PARENT", {tool_reply(spawn_both()), waits({{"w1", "WaitForPods", "{}"}}), text_reply("Both are done.")});
  answer_task(server, "ANN", {late("ann has it", "ann")});
  answer_task(server, "BOB", {late("bob has it", "bob")});
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  ASSERT_TRUE(server.wait_for_gate("ann", kPatienceMs)) << run->err();
  ASSERT_TRUE(server.wait_for_gate("bob", kPatienceMs)) << run->err();
  ASSERT_TRUE(client_of_waiting_boss());
  server.open_gate("ann");
  server.open_gate("bob");
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(has(run->out(), "Both are done."));
  auto parent = last_conversation(server, "PARENT");
  EXPECT_TRUE(has(parent.result("w1"), "2 of 2"));
  EXPECT_TRUE(has(parent.result("w1"), "`ann`: idle, work done. Its last answer:\nann has it"));
  EXPECT_TRUE(has(parent.result("w1"), "`bob`: idle, work done. Its last answer:\nbob has it"));
  EXPECT_EQ(times_told(parent, "pod `ann` finished a turn"), 1u);
  EXPECT_EQ(times_told(parent, "pod `bob` finished a turn"), 1u);
  EXPECT_EQ(conversations(server, "PARENT").size(), 3u) << "nothing else woke it";
}

TEST_F(WaitForPods, AnyComesBackWithTheFirst) {
  answer_task(server, "PARENT", {tool_reply(spawn_both()), waits({{"w1", "WaitForPods", R"({"mode":"any"})"}}),
                                 gated(tool_reply({{"w2", "WaitForPods", R"({"names":["ann"]})"}}), "bob is known"), text_reply("One after the other.")});
  answer_task(server, "ANN", {late("ann has it", "ann")});
  answer_task(server, "BOB", {late("bob has it", "bob")});
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  ASSERT_TRUE(server.wait_for_gate("ann", kPatienceMs)) << run->err();
  ASSERT_TRUE(server.wait_for_gate("bob", kPatienceMs)) << run->err();
  ASSERT_TRUE(client_of_waiting_boss());
  server.open_gate("bob");
  ASSERT_TRUE(server.wait_for_gate("bob is known", kPatienceMs)) << run->err();
  server.open_gate("ann");
  server.open_gate("bob is known");
  ASSERT_TRUE(ended_with(0, *run));
  auto parent = last_conversation(server, "PARENT");
  EXPECT_TRUE(has(parent.result("w1"), "`bob`: idle"));
  EXPECT_TRUE(has(parent.result("w1"), "still at work: `ann`"));
  EXPECT_TRUE(has(parent.result("w2"), "1 of 1"));
  EXPECT_TRUE(has(parent.result("w2"), "`ann`: idle"));
}

TEST_F(WaitForPods, ACrashEndsTheWait) {
  answer_task(server, "PARENT", {tool_reply({spawn_both()[0]}), waits({{"w1", "WaitForPods", "{}"}}), text_reply("It crashed.")});
  answer_task(server, "ANN", {late("never", "never")});
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  ASSERT_TRUE(server.wait_for_gate("never", kPatienceMs)) << run->err();
  ASSERT_TRUE(client_of_waiting_boss());
  ::kill(home.pid_of("ann"), SIGKILL);
  ASSERT_TRUE(ended_with(0, *run));
  auto parent = last_conversation(server, "PARENT");
  EXPECT_TRUE(has(parent.result("w1"), "`ann`: crashed, work not done"));
  EXPECT_EQ(times_told(parent, "pod `ann` crashed"), 1u);
}

TEST_F(WaitForPods, AMessageEndsTheWaitAndIsReadNext) {
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({spawn_both()[0]});
    if (conversation.calls.size() == 1) return waits({{"w1", "WaitForPods", "{}"}, {"w2", "WaitForPods", R"({"mode":"any"})"}});
    return text_reply(conversation.was_told("ann has it") ? "All done." : "I heard you.");
  });
  answer_task(server, "ANN", {late("ann has it", "ann")});
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  ASSERT_TRUE(server.wait_for_gate("ann", kPatienceMs)) << run->err();
  auto client = client_of_waiting_boss();
  ASSERT_TRUE(client);
  ASSERT_TRUE(ended_with(0, home.run({"send", "boss", "How far are you?"})));
  ASSERT_TRUE(client->wait_for_kind<wire::RunEndEvent>());
  auto parent = last_conversation(server, "PARENT");
  EXPECT_TRUE(has(parent.result("w1"), "a message to you has arrived; 0 of 1"));
  EXPECT_TRUE(has(parent.result("w2"), "still at work: `ann`"));
  EXPECT_TRUE(parent.was_told("How far are you?"));
  server.open_gate("ann");
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(has(run->out(), "All done."));
}

TEST_F(WaitForPods, PauseEndsTheWaitAtOnceAndResumeGoesOn) {
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({spawn_both()[0]});
    if (conversation.calls.size() == 1) return waits({{"w1", "WaitForPods", "{}"}});
    return text_reply(conversation.was_told("ann has it") ? "All done." : "I go on.");
  });
  answer_task(server, "ANN", {late("ann has it", "ann")});
  auto run = home.start({"run", "PARENT", "--name", "boss", "--keep"});
  ASSERT_TRUE(server.wait_for_gate("ann", kPatienceMs)) << run->err();
  auto client = client_of_waiting_boss();
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->send(wire::PauseMethod{}));
  auto end = client->wait_for_kind<wire::RunEndEvent>();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->result, "paused");
  ASSERT_TRUE(client->send(wire::ResumeMethod{}));
  ASSERT_TRUE(client->wait_for_kind<wire::RunEndEvent>());
  EXPECT_TRUE(has(last_conversation(server, "PARENT").result("w1"), "the run was paused"));
  EXPECT_EQ(last_conversation(server, "PARENT").count_results("w1"), 1u);
  server.open_gate("ann");
  run->wait();
  ASSERT_TRUE(ended_with(0, home.run({"stop", "boss", "--tree"})));
}

TEST_F(WaitForPods, CancelEndsTheWait) {
  answer_task(server, "PARENT", {tool_reply({spawn_both()[0]}), waits({{"w1", "WaitForPods", "{}"}})});
  answer_task(server, "ANN", {late("ann has it", "ann")});
  auto run = home.start({"run", "PARENT", "--name", "boss", "--keep"});
  ASSERT_TRUE(server.wait_for_gate("ann", kPatienceMs)) << run->err();
  auto client = client_of_waiting_boss();
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->send(wire::CancelMethod{}));
  auto result = client->wait_for([](wire::Event const& event) { return std::holds_alternative<wire::ToolResultEvent>(event.body); });
  ASSERT_TRUE(result);
  EXPECT_TRUE(has(std::get<wire::ToolResultEvent>(result->body).summary, "WaitForPods was cancelled"));
  auto end = client->wait_for_kind<wire::RunEndEvent>();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->result, "cancelled");
  ASSERT_TRUE(ended_with(0, home.run({"stop", "boss", "--tree"})));
  run->wait();
}

TEST_F(WaitForPods, TheDeadlineAndUnknownNamesAreSaid) {
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({spawn_both()[0]});
    if (conversation.calls.size() == 1) {
      return tool_reply({{"w1", "WaitForPods", R"({"timeout_ms":1})"}, {"w2", "WaitForPods", R"({"names":["nobody-here"]})"}});
    }
    if (conversation.calls.size() == 3) server.open_gate("ann");
    return text_reply(conversation.was_told("ann has it") ? "All done." : "I wait.");
  });
  answer_task(server, "ANN", {late("ann has it", "ann")});
  ASSERT_TRUE(ended_with(0, home.run({"run", "PARENT"})));
  auto parent = last_conversation(server, "PARENT");
  EXPECT_TRUE(has(parent.result("w1"), "the time is up; 0 of 1"));
  EXPECT_FALSE(parent.results[1].is_error);
  EXPECT_TRUE(has(parent.result("w2"), "no spawned pod named `nobody-here`"));
}

}  // namespace
}  // namespace insomnia::e2e
