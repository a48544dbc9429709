#include <csignal>

#include "client/connection.hh"
#include "pod/children_fixture_test.hh"
#include "pod/mailbox.hh"

// Cases of doc/conformance.md about children that their parent finds again, cannot reach, or that end by themselves.
namespace insomnia::pod {
namespace {

class ChildrenConformance : public ChildrenTest {
 protected:
  std::string list() {
    std::optional<tools::Output> answer;
    tools->list([&](tools::Output output) { answer = std::move(output); });
    run_until([&] { return answer.has_value(); });
    return answer->summary + "\n" + answer->content.value_or("");
  }
  /// Everything that was begun has come to its end.
  void settle() {
    for (int i = 0; i < 3; ++i) {
      core->registry_worker.drain();
      core->log_worker.drain();
      bool ran = false;
      loop.post([&ran] { ran = true; });
      run_until([&] { return ran; });
    }
  }
};

// Case 110: what is stored of a child is enough for all that can be done with it.
TEST_F(ChildrenConformance, AfterARestartAChildIsSentToReadAndStopped) {
  start("kid", "pod", work);
  restart_children();
  EXPECT_FALSE(call(&ChildTools::send, R"({"name":"kid","message":"more"})").is_error);
  EXPECT_EQ(scan_inbox(paths, "kid", "kid-id")->size(), 1u);
  EXPECT_EQ(call(&ChildTools::read_output, R"({"name":"kid"})").content, "first words\n\nlast words");
  auto stopped = call(&ChildTools::stop, R"({"name":"kid"})");
  EXPECT_FALSE(stopped.is_error) << stopped.summary;
  EXPECT_TRUE(stored().spawned_children.empty());
  ASSERT_EQ(stored().reclaimed_children.size(), 1u);
  EXPECT_EQ(stored().reclaimed_children[0].pod_name, "kid");
  EXPECT_EQ(core->authority.effective(), core->authority.own());
}

// Case 115, 119.
TEST_F(ChildrenConformance, AnEndInGoodOrderThatNobodyAskedForIsToldOnce) {
  start("kid", "pod", work);
  client::OneShot stranger(loop, paths.pod_socket("kid"), wire::Method{wire::ShutdownMethod{}, std::nullopt}, 60'000,
                           [](Result<wire::SnapshotEvent> const&) {});
  run_until([&] { return !ends.empty(); });
  settle();
  EXPECT_EQ(ends, (std::vector<wire::PodEvent>{wire::ShutDown{"kid", std::nullopt}}));
  EXPECT_EQ(told.size(), 1u);
  EXPECT_EQ(rows().size(), 1u);
  EXPECT_EQ(core->authority.effective(), core->authority.own());
  EXPECT_TRUE(stored().spawned_children.empty());
  EXPECT_FALSE(call(&ChildTools::stop, R"({"name":"kid"})").is_error);
  settle();
  EXPECT_EQ(ends.size(), 1u);
  EXPECT_EQ(stored().reclaimed_children.size(), 1u);
}

// What another Pod that has the name by now leaves behind says nothing of this one.
TEST_F(ChildrenConformance, AnEndThatWasMissedIsNotJudgedByThePodThatHasTheNameNow) {
  pid_t pid = start("kid", "pod", work);
  core->log_worker.drain();
  tools.reset();
  waits.reset();
  children.reset();
  bool taken = false;
  client::OneShot stranger(loop, paths.pod_socket("kid"), wire::Method{wire::ShutdownMethod{}, std::nullopt}, 60'000,
                           [&](Result<wire::SnapshotEvent> const&) { taken = true; });
  run_until([&] { return taken; });
  ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  PodState next;
  next.pod_name = "kid";
  next.pod_id = "next-id";
  ASSERT_TRUE(write_pod_state(paths, next));
  ASSERT_TRUE(io::replace_file(paths.pod_runtime_dir("kid") + "/status.json", "{}"));
  ASSERT_TRUE(io::replace_file(paths.pod_runtime_dir("kid") + "/stderr.log", "of the next one"));
  core->authority.take_back("kid-id");
  make_children();
  children->recover();
  run_until([&] { return !ends.empty(); });
  EXPECT_EQ(ends, (std::vector<wire::PodEvent>{wire::ShutDown{"kid", std::nullopt}}));
}

// Case 118: a child that has finished or failed a run is still there, with all that it holds.
TEST_F(ChildrenConformance, TheEndOfARunIsNotTheEndOfTheChild) {
  start("kid", "pod", work);
  children->set_work_open("kid-id", true);
  children->set_shown_state("kid-id", "running");
  auto before = rows();
  children->set_shown_state("kid-id", "idle");
  children->set_work_open("kid-id", false);
  EXPECT_EQ(rows(), before);
  EXPECT_TRUE(children->is_living("kid-id"));
  EXPECT_EQ(stored().spawned_children.size(), 1u);
  EXPECT_FALSE(core->authority.effective().is_writable(work + "/f"));
}

// R11: nobody is taken for dead because it does not answer.
TEST_F(ChildrenConformance, AStoppedProcessIsKeptWithItsScope) {
  pid_t pid = start("kid", "pod", work);
  ::kill(pid, SIGSTOP);
  restart_children();
  settle();
  EXPECT_TRUE(children->is_living("kid-id"));
  EXPECT_EQ(stored().spawned_children.size(), 1u);
  EXPECT_TRUE(stored().reclaimed_children.empty());
  EXPECT_FALSE(core->authority.effective().is_writable(work + "/f"));
  EXPECT_EQ(rows().size(), 2u);
  std::string listed = list();
  EXPECT_HAS(listed, "\"kid\"");
  EXPECT_HAS(listed, "\"reachable\": false");
  EXPECT_TRUE(ends.empty());
  ::kill(pid, SIGCONT);
}

// Case 134, 137: only the Pod itself and its children, whoever else lives on the machine.
TEST_F(ChildrenConformance, NobodyElseIsListedOrCanBeAddressed) {
  registry::Allocation other;
  other.pod_name = "stranger";
  other.pod_id = "stranger-id";
  other.instance_id = "stranger-instance";
  other.scope_allow = {read_rule(work)};
  auto lives = registry::InstanceLock::acquire(paths.pod_lock("stranger"), "stranger-instance");
  ASSERT_TRUE(lives);
  ASSERT_TRUE(core->registry->register_pod(other));
  ASSERT_EQ(rows().size(), 2u);
  std::string listed = list();
  EXPECT_HAS(listed, "1 visible");
  EXPECT_FALSE(contains(listed, "stranger"));
  EXPECT_HAS(call(&ChildTools::stop, R"({"name":"stranger"})").summary, "no spawned pod");
}

}  // namespace
}  // namespace insomnia::pod
