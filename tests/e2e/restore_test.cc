#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <map>

#include "base/io.hh"
#include "e2e.hh"
#include "pod/store.hh"
#include "testing/fifo.hh"

namespace insomnia::e2e {
namespace {

/// Trees that come back after everything was killed, as after a reboot.
class Restore : public E2e {
 protected:
  Restore() {
    home.write("left/old.txt", "left\n");
    home.write("left/deep/old.txt", "deep\n");
  }
  /// boss (PARENT) spawns kid (CHILD) on left/, which spawns grandkid (SMALL) on left/deep/; the small one waits for the gate "small".
  void start_family(bool keep = false) {
    answer_with(server, "PARENT", [this](Conversation const& conversation) {
      if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"write:" + home.file("left")})}});
      return text_reply(conversation.was_told("child is done") ? "Family is done." : "I wait.");
    });
    answer_with(server, "CHILD", [this](Conversation const& conversation) {
      if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("grandkid", "SMALL", {"write:" + home.file("left/deep")})}});
      return text_reply(conversation.was_told("small one is done") ? "child is done" : "I wait for the small one.");
    });
    answer_with(server, "SMALL", [this](Conversation const& conversation) {
      if (conversation.calls.empty()) {
        return tool_reply({{"w1", "Write", arguments({{"file_path", home.file("left/deep/first.txt")}, {"content", "1"}})}});
      }
      if (!asked_.exchange(true)) {
        Reply hanging = text_reply("never seen");
        hanging.head_gate = "small";
        return hanging;
      }
      if (conversation.calls.size() == 1) {
        return tool_reply({{"w2", "Write", arguments({{"file_path", home.file("left/deep/second.txt")}, {"content", "2"}})},
                           {"w3", "Write", arguments({{"file_path", home.file("left/outside.txt")}, {"content", "no"}})}});
      }
      return text_reply("small one is done");
    });
    std::vector<std::string> command{"run", "PARENT", "--name", "boss"};
    if (keep) command.push_back("--keep");
    run_ = home.start(command);
    ASSERT_TRUE(server.wait_for_gate("small", kPatienceMs)) << run_->err();
    ASSERT_TRUE(run_->wait_for_out("I wait.")) << run_->err();
  }
  void kill_all(int signal) {
    std::vector<pid_t> pids;
    for (auto const& name : home.living()) pids.push_back(home.pid_of(name));
    for (pid_t pid : pids) ::kill(pid, signal);
    for (pid_t pid : pids) ASSERT_TRUE(testing::wait_for_death(pid));
    run_->wait();
    ASSERT_TRUE(home.living().empty());
  }
  void expect_family_goes_on(std::vector<std::string> const& command) {
    auto restored = home.run(command);
    ASSERT_TRUE(ended_with(0, restored));
    EXPECT_TRUE(has(restored.out, "boss  restored"));
    EXPECT_TRUE(has(restored.out, "  kid  restored"));
    EXPECT_TRUE(has(restored.out, "    grandkid  restored"));
    // The Pods of a `run` end when their work is done.
    for (auto const& name : {"boss", "kid", "grandkid"}) {
      pid_t pid = home.pid_of(name);
      if (pid <= 0) continue;
      EXPECT_TRUE(testing::wait_for_death(pid)) << name;
    }
    EXPECT_EQ(home.read("left/deep/second.txt"), "2");
    EXPECT_EQ(home.read("left/outside.txt"), "<no file>") << "no more scope than before";
    EXPECT_EQ(home.run({"read", "boss"}).out, "Family is done.\n");
    EXPECT_EQ(last_conversation(server, "SMALL").count_results("w1"), 1u) << "nothing is done twice";
    auto parent = last_conversation(server, "PARENT");
    EXPECT_EQ(std::ranges::count_if(parent.said, [](auto const& text) { return contains(text, "child is done"); }), 1);
    EXPECT_TRUE(home.processes().empty());
  }
  std::atomic<bool> asked_{false};
  std::unique_ptr<Program> run_;
};

TEST_F(Restore, WholeTreeComesBackAfterEverythingWasKilled) {
  start_family();
  kill_all(SIGKILL);
  expect_family_goes_on({"restore", "--all"});
}

TEST_F(Restore, WholeTreeComesBackAfterTheMachineWentDownInGoodOrder) {
  start_family();
  kill_all(SIGTERM);
  expect_family_goes_on({"restore", "--all"});
}

TEST_F(Restore, NamingTheGrandchildBringsTheFamilyBack) {
  start_family();
  kill_all(SIGKILL);
  expect_family_goes_on({"restore", "grandkid"});
}

TEST_F(Restore, ChildrenAreChildrenAgainWithExactlyTheirScope) {
  start_family();
  auto before = home.run({"ps", "--json"});
  kill_all(SIGKILL);
  asked_ = false;  // the small one hangs again, so that the tree can be looked at
  auto restored = home.run({"restore", "boss", "--json"});
  ASSERT_TRUE(ended_with(0, restored));
  auto after = home.run({"ps", "--json"});
  auto shape = [](std::string const& text) {
    std::map<std::string, std::string> result;
    auto rows = json::parse(text);
    for (auto const& row : rows->as_array()) {
      json::Reader reader(row.as_object());
      std::string scope = json::dump(*reader.object("scope"));
      result[reader.string("pod_name")] = reader.string("pod_id") + " below " + reader.string_or("parent", "") + " " + scope;
    }
    return result;
  };
  EXPECT_EQ(shape(before.out), shape(after.out));
  auto again = home.run({"restore", "kid"});
  EXPECT_TRUE(ended_with(0, again));
  EXPECT_TRUE(has(again.out, "already live"));
  EXPECT_TRUE(ended_with(0, home.run({"stop", "boss", "--tree"})));
  auto nothing = home.run({"restore", "--all"});
  EXPECT_TRUE(ended_with(0, nothing)) << "what was stopped stays so";
  EXPECT_TRUE(has(nothing.err, "nothing to restore"));
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Restore, AChildThatNeverGotItsTaskEndsLikeOneThatIsDone) {
  testing::Fifo fifo(home.file("fault"));
  home.environment.set("INSOMNIA_FAULT", "kid:start.ready");  // before it takes its task
  home.environment.set("INSOMNIA_FAULT_FIFO", fifo.path());
  answer_with(server, "PARENT", [this](Conversation const& conversation) {
    if (!conversation.calls.empty()) return text_reply("I wait.");
    std::string spawn = spawn_arguments("kid", "CHILD", {"write:" + home.file("left")});
    spawn.insert(spawn.size() - 1, R"(,"end_when_done":true)");
    return tool_reply({{"s1", "SpawnPod", spawn}});
  });
  run_ = home.start({"run", "PARENT", "--name", "boss"});
  ASSERT_TRUE(fifo.read_line(kPatienceMs));
  auto is_recorded = [&] {
    auto state = pod::read_pod_state(home.paths(), "boss");
    return state && *state && !(*state)->spawned_children.empty() && (*state)->spawned_children.front().state == "live";
  };
  for (int64_t ms = 0; !is_recorded() && ms < kPatienceMs; ++ms) ::poll(nullptr, 0, 1);
  ASSERT_TRUE(is_recorded());
  ::kill(home.pid_of("kid"), SIGKILL);
  kill_all(SIGKILL);
  home.environment.unset("INSOMNIA_FAULT");
  EXPECT_TRUE(has(home.run({"restore", "--all"}).out, "boss  restored"));
  for (auto left = home.processes(); !left.empty(); left = home.processes()) ASSERT_TRUE(testing::wait_for_death(left.front())) << "it waits for ever";
}

TEST_F(Restore, ChildOfALivingParentIsRestoredByIt) {
  start_family(true);
  pid_t kid = home.pid_of("kid");
  pid_t grandkid = home.pid_of("grandkid");
  ::kill(grandkid, SIGKILL);
  ASSERT_TRUE(testing::wait_for_death(grandkid));
  auto restored = home.run({"restore", "grandkid"});
  ASSERT_TRUE(ended_with(0, restored));
  EXPECT_TRUE(has(restored.out, "grandkid  restored"));
  EXPECT_EQ(home.pid_of("kid"), kid) << "its parent is the same process";
  std::string said;
  for (int i = 0; i < 2000 && said != "Family is done.\n"; ++i) said = home.run({"read", "boss"}).out;
  EXPECT_EQ(said, "Family is done.\n");
  EXPECT_EQ(home.read("left/deep/second.txt"), "2");
  EXPECT_TRUE(ended_with(0, home.run({"stop", "boss", "--tree"})));
  run_->wait();
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Restore, WithoutItsKeyItSaysWhatIsMissingAndLosesNothing) {
  start_family();
  kill_all(SIGKILL);
  auto environment = home.environment;
  home.environment.unset("ANTHROPIC_API_KEY");
  auto refused = home.run({"restore", "--all"});
  EXPECT_TRUE(ended_with(1, refused));
  EXPECT_TRUE(has(refused.out, "needs key"));
  EXPECT_TRUE(has(refused.out, "ANTHROPIC_API_KEY"));
  EXPECT_TRUE(home.living().empty());
  home.environment = environment;
  expect_family_goes_on({"restore", "--all"});
}

TEST_F(Restore, TwoAtOnceBringBackOneTree) {
  start_family();
  kill_all(SIGKILL);
  std::vector<std::unique_ptr<Program>> both;
  for (int i = 0; i < 2; ++i) both.push_back(home.start({"restore", "--all"}));
  for (auto& one : both) {
    EXPECT_TRUE(ended_with(0, *one));
    EXPECT_FALSE(contains(one->out(), "not restored")) << one->out();
  }
  for (auto const& name : {"boss", "kid", "grandkid"}) {
    if (pid_t pid = home.pid_of(name); pid > 0) {
      EXPECT_TRUE(testing::wait_for_death(pid)) << name;
    }
  }
  EXPECT_EQ(home.run({"read", "boss"}).out, "Family is done.\n");
  EXPECT_EQ(last_conversation(server, "SMALL").count_results("w1"), 1u);
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Restore, DamagedSessionIsGoneAndSaidSo) {
  server.enqueue(text_reply("One."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Begin", "--name", "worker"})));
  auto finished = home.run({"restore", "--all"});
  EXPECT_TRUE(ended_with(0, finished)) << "what is done is not brought back";
  auto unknown = home.run({"restore", "nobody"});
  EXPECT_TRUE(ended_with(1, unknown));
  EXPECT_TRUE(has(unknown.err, "nobody"));
  EXPECT_TRUE(ended_with(2, home.run({"restore"})));
  ASSERT_TRUE(io::replace_file(home.paths().pod_dir("worker") + "/metadata.json", "{ torn", 0600));
  auto gone = home.run({"restore", "worker"});
  EXPECT_TRUE(ended_with(1, gone));
  EXPECT_TRUE(has(gone.out + gone.err, "gone"));
  auto all = home.run({"restore", "--all"});
  EXPECT_TRUE(ended_with(1, all)) << "nobody knows whether it was done";
  EXPECT_TRUE(has(all.out, "worker  gone"));
  EXPECT_TRUE(has(all.out, "metadata.json"));
}

}  // namespace
}  // namespace insomnia::e2e
