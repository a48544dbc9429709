#include <csignal>

#include "e2e.hh"

namespace insomnia::e2e {
namespace {

/// Tool calls that the policy asks about.
class Permission : public E2e {
 protected:
  Permission() { policy(""); }

  void policy(std::string const& more) {
    home.write("asks.toml", "[permissions]\ndefault_action = \"allow\"\n" + more + "[[permissions.rule]]\ntool = \"Bash\"\npattern = \"touch *\"\naction = \"ask\"\n");
  }
  std::vector<std::string> command(std::string const& task, std::vector<std::string> more = {}) {
    // Another conversation is another Pod.
    std::string name = task == "Get ready" ? "worker" : "of-" + task;
    std::vector<std::string> words{"run", task, "--name", name, "--manifest", home.file("asks.toml"), "--model", "anthropic/claude-sonnet-4-6"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  /// The model calls one command after the other, and ends.
  void plays(std::string const& task, std::vector<std::string> commands) {
    answer_with(server, task, [commands](Conversation const& so_far) {
      size_t step = so_far.calls.size();
      if (step == commands.size()) return text_reply("Done.");
      return tool_reply({{"t" + std::to_string(step + 1), "Bash", arguments({{"command", commands[step]}})}});
    });
  }
  std::string socket(std::string const& pod = "worker") const { return home.paths().pod_socket(pod); }
  /// Waits for the next question; also one that was open before the client came.
  static std::optional<wire::PermissionRequest> question(PodClient& client) {
    std::optional<wire::PermissionRequest> result;
    client.wait_for([&](wire::Event const& event) {
      if (auto const* snapshot = std::get_if<wire::SnapshotEvent>(&event.body); snapshot != nullptr && !snapshot->permission_requests.empty())
        result = snapshot->permission_requests.front();
      if (auto const* request = std::get_if<wire::PermissionRequestEvent>(&event.body)) result = request->request;
      return result.has_value();
    });
    return result;
  }
  /// Starts a Pod that stays, and a client of it that answers questions. When it is told to go, its model makes these calls one after the other.
  std::unique_ptr<PodClient> attended_worker(std::vector<testing::ScriptedCall> calls) {
    answer_with(server, "Get ready", [calls](Conversation const& so_far) {
      if (!so_far.was_told("Go")) return text_reply("Ready.");
      size_t step = so_far.calls.size();
      if (step < calls.size()) return tool_reply({calls[step]});
      return so_far.was_told("Go on") && step == calls.size() ? tool_reply({bash("later", "touch later")}) : text_reply("Done.");
    });
    EXPECT_TRUE(ended_with(0, home.run(command("Get ready", {"--keep"}))));
    auto client = std::make_unique<PodClient>(socket());
    EXPECT_TRUE(client->wait_for_kind<wire::SnapshotEvent>());
    EXPECT_TRUE(client->send(wire::ClientOptionsMethod{.answers_permissions = true}));
    EXPECT_TRUE(client->send(wire::RunMethod{wire::text_segments("Go")}));
    return client;
  }
  void kill_pod(std::string const& pod) const {
    pid_t pid = home.pid_of(pod);
    ASSERT_GT(pid, 0);
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    ASSERT_TRUE(testing::wait_for_death(pid));
  }
  static testing::ScriptedCall bash(std::string const& id, std::string const& what) { return {id, "Bash", arguments({{"command", what}})}; }
};

TEST_F(Permission, ScriptsSayOnTheCommandLineWhoAnswers) {
  plays("ALLOWED", {"touch a"});
  EXPECT_TRUE(ended_with(0, home.run(command("ALLOWED", {"--yes"}))));
  EXPECT_NE(home.read("a"), "<no file>");
  plays("REFUSED", {"touch b"});
  auto refused = home.run(command("REFUSED"));
  EXPECT_TRUE(ended_with(0, refused));
  EXPECT_TRUE(has(refused.err, "--yes allows what the policy asks about"));
  EXPECT_TRUE(has(refused.out, "? Bash touch b waits for a permission (rule 1, pattern `touch *`, for `touch b`)"));
  EXPECT_EQ(home.read("b"), "<no file>");
  EXPECT_EQ(last_conversation(server, "REFUSED").result("t1"),
            "permission not given: tool `Bash` requires approval (rule 1, pattern `touch *`, for `touch b`), and the answer is no. Do it another way, or report that you could not.");
  plays("DENIED", {"touch c"});
  auto denied = home.run(command("DENIED", {"--deny-asks", "--json"}));
  EXPECT_TRUE(ended_with(0, denied));
  EXPECT_TRUE(has(denied.out, R"("event":"permission_request")"));
  EXPECT_FALSE(contains(denied.err, "--yes"));
  EXPECT_EQ(home.read("c"), "<no file>");
  EXPECT_TRUE(ended_with(2, home.run(command("BOTH", {"--yes", "--deny-asks"}))));
  EXPECT_TRUE(ended_with(2, home.run(command("BOTH", {"--yes", "--detach"}))));
}

TEST_F(Permission, WithoutAnybodyWhoCouldBeAskedItIsNo) {
  policy("ask_unattended_secs = 0\n");
  plays("ALONE", {"touch a; ls", "ls"});
  EXPECT_TRUE(ended_with(0, home.run(command("ALONE", {"--leave-asks"}))));
  EXPECT_TRUE(has(last_conversation(server, "ALONE").result("t1"), "and nobody is there who could be asked"));
  EXPECT_FALSE(contains(last_conversation(server, "ALONE").result("t2"), "permission"));
  EXPECT_EQ(home.read("a"), "<no file>");
}

TEST_F(Permission, WithoutAnAnswerInTimeItIsNo) {
  policy("ask_timeout_secs = 1\n");
  auto client = attended_worker({bash("t1", "touch a")});
  auto asked = question(*client);
  ASSERT_TRUE(asked);
  auto closed = client->wait_for_kind<wire::PermissionClosedEvent>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->closed, (wire::PermissionClosed{asked->ask, false, "deadline"}));
  ASSERT_TRUE(client->send(wire::AnswerPermissionMethod{{asked->ask, true, false}}, "7"));
  auto error = client->wait_for([](wire::Event const& event) { return std::holds_alternative<wire::ErrorEvent>(event.body); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->id, "7");
  EXPECT_EQ(std::get<wire::ErrorEvent>(error->body).code, "invalid_request");
  EXPECT_EQ(home.read("a"), "<no file>");
}

TEST_F(Permission, EveryClientSeesTheQuestionAndTheFirstAnswerCounts) {
  auto first = attended_worker({bash("t1", "touch a")});
  auto asked = question(*first);
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->pod_name, "worker");
  EXPECT_EQ(asked->tool, "Bash");
  EXPECT_EQ(asked->arguments, R"({"command":"touch a"})");
  PodClient second(socket());
  auto seen = question(second);
  ASSERT_TRUE(seen);
  EXPECT_EQ(*seen, *asked) << "it comes with the snapshot";
  ASSERT_TRUE(second.send(wire::AnswerPermissionMethod{{asked->ask, true, false}}));
  auto closed = first->wait_for_kind<wire::PermissionClosedEvent>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->closed, (wire::PermissionClosed{asked->ask, true, "client"}));
  ASSERT_TRUE(first->wait_for_kind<wire::RunEndEvent>());
  EXPECT_NE(home.read("a"), "<no file>");
}

TEST_F(Permission, ARememberedAnswerOutlivesTheProcess) {
  auto client = attended_worker({bash("t1", "touch a"), bash("t2", "touch b"), bash("t3", "touch c")});
  auto asked = question(*client);
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->remembered, std::vector<std::string>{"all calls of `Bash` like `touch *`"});
  ASSERT_TRUE(client->send(wire::AnswerPermissionMethod{{asked->ask, true, true}}));
  ASSERT_TRUE(client->wait_for_kind<wire::RunEndEvent>());
  EXPECT_NE(home.read("c"), "<no file>") << "not asked again";
  kill_pod("worker");
  auto again = home.run({"run", "Go on", "--name", "worker", "--leave-asks"});
  EXPECT_TRUE(ended_with(0, again));
  EXPECT_FALSE(contains(again.out, "waits for a permission"));
  EXPECT_NE(home.read("later"), "<no file>");
}

TEST_F(Permission, APodThatIsKilledWhileItAsksAsksAgain) {
  auto client = attended_worker({bash("t1", "touch a"), bash("t2", "touch a")});
  auto asked = question(*client);
  ASSERT_TRUE(asked);
  kill_pod("worker");
  ASSERT_TRUE(ended_with(0, home.run({"restore", "worker"})));
  PodClient later(socket());
  ASSERT_TRUE(later.send(wire::ClientOptionsMethod{.answers_permissions = true}));
  auto again = question(later);
  ASSERT_TRUE(again);
  EXPECT_NE(again->ask, asked->ask);
  ASSERT_TRUE(later.send(wire::AnswerPermissionMethod{{asked->ask, true, false}}));
  EXPECT_TRUE(later.wait_for_kind<wire::ErrorEvent>()) << "the old question is no more";
  ASSERT_TRUE(later.send(wire::AnswerPermissionMethod{{again->ask, true, false}}));
  ASSERT_TRUE(later.wait_for_kind<wire::RunEndEvent>());
  EXPECT_NE(home.read("a"), "<no file>");
}

TEST_F(Permission, ACancelEndsTheQuestion) {
  auto client = attended_worker({bash("t1", "touch a")});
  auto asked = question(*client);
  ASSERT_TRUE(asked);
  ASSERT_TRUE(client->send(wire::CancelMethod{}));
  auto closed = client->wait_for_kind<wire::PermissionClosedEvent>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->closed.by, "cancelled");
  auto end = client->wait_for_kind<wire::RunEndEvent>();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->result, "cancelled");
  EXPECT_EQ(home.read("a"), "<no file>");
}

/// The questions of a child that nobody is attached to.
class PermissionBelow : public Permission {
 protected:
  void SetUp() override {
    policy("ask_unattended_secs = 1\n");
    home.write("sub/old", "");
    plays("CHILD", {"touch " + home.file("sub/a"), "touch " + home.file("sub/b")});
    std::string rule = "write:" + home.file("sub");
    client = attended_worker({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {rule})}, {"w1", "WaitForPods", "{}"}});
    asked = question(*client);
    ASSERT_TRUE(asked);
    EXPECT_EQ(asked->pod_name, "kid");
  }
  std::unique_ptr<PodClient> client;
  std::optional<wire::PermissionRequest> asked;
};

TEST_F(PermissionBelow, TheParentsClientAnswersForTheChild) {
  ASSERT_TRUE(client->send(wire::AnswerPermissionMethod{{asked->ask, true, true}}));
  auto closed = client->wait_for_kind<wire::PermissionClosedEvent>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->closed, (wire::PermissionClosed{asked->ask, true, "client"}));
  ASSERT_TRUE(client->wait_for_kind<wire::RunEndEvent>());
  EXPECT_NE(home.read("sub/a"), "<no file>");
  EXPECT_NE(home.read("sub/b"), "<no file>") << "remembered by the child";
}

TEST_F(PermissionBelow, AClientOfTheChildAnswersToo) {
  PodClient direct(socket("kid"));
  auto seen = question(direct);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->ask, asked->ask);
  ASSERT_TRUE(direct.send(wire::AnswerPermissionMethod{{seen->ask, false, true}}));
  auto closed = client->wait_for_kind<wire::PermissionClosedEvent>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->closed, (wire::PermissionClosed{asked->ask, false, "client"}));
  ASSERT_TRUE(client->wait_for_kind<wire::RunEndEvent>());
  EXPECT_EQ(home.read("sub/a"), "<no file>");
  EXPECT_TRUE(has(last_conversation(server, "CHILD").result("t2"), "the answer to such calls is no for the whole session"));
}

TEST_F(PermissionBelow, OnlyTheParentPassesAnswersOn) {
  PodClient stranger(socket("kid"));
  ASSERT_TRUE(stranger.wait_for_kind<wire::SnapshotEvent>());
  ASSERT_TRUE(stranger.send(wire::PodEventMethod{wire::PermissionAnswered{"worker", {asked->ask, true, false}, "client"}}));
  ASSERT_TRUE(stranger.send(wire::AnswerPermissionMethod{{asked->ask, false, true}}));
  auto closed = client->wait_for_kind<wire::PermissionClosedEvent>();
  ASSERT_TRUE(closed);
  EXPECT_FALSE(closed->closed.allow) << "the first one was dropped";
  ASSERT_TRUE(client->wait_for_kind<wire::RunEndEvent>());
  EXPECT_EQ(home.read("sub/a"), "<no file>");
}

TEST_F(PermissionBelow, TheQuestionOfAKilledChildIsClosed) {
  kill_pod("kid");
  auto closed = client->wait_for_kind<wire::PermissionClosedEvent>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->closed, (wire::PermissionClosed{asked->ask, false, "gone"}));
}

TEST_F(PermissionBelow, WhoeverLeavesIsNotWaitedFor) {
  // Nobody is left: the parent tells the child so, after the time that the child's policy gives.
  PodClient watching(socket());
  ASSERT_TRUE(watching.wait_for_kind<wire::SnapshotEvent>());
  client.reset();
  auto closed = watching.wait_for_kind<wire::PermissionClosedEvent>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->closed, (wire::PermissionClosed{asked->ask, false, "unattended"}));
}

}  // namespace
}  // namespace insomnia::e2e
