#include "pod/children.hh"

#include <sys/wait.h>

#include <csignal>

#include "pod/child_tools.hh"
#include "pod/fixture_test.hh"
#include "pod/mailbox.hh"

namespace insomnia::pod {
namespace {

/// Children of `root` that are processes of the fake child, started as a spawn does.
class ChildrenTest : public SpawnerTest {
 protected:
  ChildrenTest() { make_children(); }
  void TearDown() override {
    bool stopped = false;
    children->stop_all([&] { stopped = true; });
    run_until([&] { return stopped; });
    tools.reset();
    children.reset();
    // Those that an "earlier instance" started are nobody else's to reap.
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
  void make_children() {
    children = std::make_unique<Children>(*core, Children::Host{.broadcast = [](wire::EventBody const&) {},
                                                                .scan_mail = [this](std::function<void()> done) { ++scans; done(); },
                                                                .synthesised_end =
                                                                    [this](wire::PodEvent event, std::string) {
                                                                      EXPECT_FALSE(core->state.spawned_children.empty()) << "told while the record is there";
                                                                      ends.push_back(event);
                                                                    },
                                                                .scope_changed = [] {},
                                                                .changed = [] {}});
    tools = std::make_unique<ChildTools>(*core, *children);
  }
  /// A live child; returns its process id.
  pid_t start(std::string const& name, std::string const& role, std::string const& target) {
    HandOver hand_over;
    hand_over.config.pod_name = name;
    hand_over.config.scope.allow = {write_rule(target)};
    hand_over.pod_id = name + "-id";
    hand_over.instance_id = name + "-instance";
    hand_over.parent = ParentLink{"root-id", "root-instance", "root", paths.pod_socket("root")};
    hand_over.cwd = work;
    registry::Allocation row;
    row.pod_name = name;
    row.pod_id = hand_over.pod_id;
    row.instance_id = hand_over.instance_id;
    row.spawner_instance = "root-instance";
    row.delegated_from = "root-id";
    row.socket = paths.pod_socket(name);
    row.scope_allow = hand_over.config.scope.allow;
    EXPECT_TRUE(core->registry->delegate(row, std::nullopt, {}));
    ChildRecord record;
    record.pod_name = name;
    record.pod_id = hand_over.pod_id;
    record.instance_id = hand_over.instance_id;
    record.socket_path = paths.pod_socket(name);
    record.scope_delegated = hand_over.config.scope.allow;
    children->add(record);
    core->authority.lend(record.pod_id, name, record.scope_delegated);
    std::optional<Result<LaunchedPod>> launched;
    PodLaunch launch(loop, paths, fake_child(role), hand_over, 60'000, [&](Result<LaunchedPod> result) { launched = std::move(result); });
    run_until([&] { return launched.has_value(); });
    if (!*launched) {
      ADD_FAILURE() << launched->error().message;
      return 0;
    }
    pid_t pid = (*launched)->child.pid();
    children->started(hand_over.pod_id, std::move((*launched)->child));
    core->persist();
    return pid;
  }
  tools::Output call(void (ChildTools::*tool)(std::string_view, ChildTools::Done), std::string const& arguments) {
    std::optional<tools::Output> answer;
    (tools.get()->*tool)(arguments, [&](tools::Output output) { answer = std::move(output); });
    run_until([&] { return answer.has_value(); });
    return *answer;
  }

  std::unique_ptr<Children> children;
  std::unique_ptr<ChildTools> tools;
  std::vector<wire::PodEvent> ends;
  int scans = 0;
};

// Case 108.
TEST_F(ChildrenTest, StopGivesTheScopeBackAfterProvenDeath) {
  pid_t pid = start("kid", "pod", work);
  auto output = call(&ChildTools::stop, R"({"name":"kid"})");
  EXPECT_FALSE(output.is_error) << output.summary;
  EXPECT_HAS(output.summary, "stopped `kid`");
  EXPECT_HAS(output.summary, "write:" + work);
  EXPECT_EQ(::kill(pid, 0), -1) << "dead and reaped";
  EXPECT_EQ(child_file("kid", "shutdowns.log"), R"({"method":"shutdown","params":{"tree":true}})" "\n");
  EXPECT_EQ(rows().size(), 1u);
  EXPECT_EQ(core->authority.effective(), core->authority.own());
  EXPECT_TRUE(stored().spawned_children.empty());
  ASSERT_EQ(stored().reclaimed_children.size(), 1u);
  EXPECT_EQ(stored().reclaimed_children[0].scope_delegated, std::vector{write_rule(work)});
  EXPECT_TRUE(ends.empty()) << "an expected end wakes nobody (W29)";
  EXPECT_FALSE(call(&ChildTools::stop, R"({"name":"kid"})").is_error) << "stopping again is fine";
}

// Case 109: who cannot be reached is stopped all the same.
TEST_F(ChildrenTest, AChildWhoseSocketIsGoneIsStoppedBySignals) {
  start("kid", "pod", work);
  ASSERT_EQ(::unlink(paths.pod_socket("kid").c_str()), 0);
  EXPECT_FALSE(call(&ChildTools::stop, R"({"name":"kid"})").is_error);
  EXPECT_EQ(rows().size(), 1u);
}

// W13: a crash is told of with status and the scope comes back.
TEST_F(ChildrenTest, AKilledChildIsACrashAndItsScopeComesBack) {
  pid_t pid = start("kid", "pod", work);
  ::kill(pid, SIGKILL);
  run_until([&] { return !ends.empty(); });
  EXPECT_EQ(std::get<wire::Crashed>(ends.at(0)).exit_status, "killed by signal 9 (Killed)");
  EXPECT_EQ(scans, 1) << "its last letters come first";
  EXPECT_EQ(rows().size(), 1u);
  EXPECT_EQ(core->authority.effective(), core->authority.own());
}

TEST_F(ChildrenTest, LettersOfAChildThatHasGoneAreStillTaken) {
  ::kill(start("kid", "pod", work), SIGKILL);
  run_until([&] { return !children->any_living(); });
  EXPECT_TRUE(children->may_report("kid-id", "kid"));
  EXPECT_TRUE(children->may_report("kid-instance", "kid"));
  EXPECT_FALSE(children->may_report("kid-id", "another"));
  EXPECT_FALSE(children->may_report("", "kid"));
}

// W6: a grandchild that outlives the Pod between keeps what it holds.
TEST_F(ChildrenTest, AGrandchildThatIsLeftIsAChildAndKeepsItsScope) {
  std::string sub = directory.directory("work/sub");
  pid_t middle = start("middle", "pod", work);
  registry::Allocation row;
  row.pod_name = "leaf";
  row.pod_id = "leaf-id";
  row.instance_id = "leaf-instance";
  row.spawner_instance = "middle-instance";
  row.delegated_from = "middle-id";
  row.socket = paths.pod_socket("leaf");
  row.scope_allow = {write_rule(sub)};
  ASSERT_TRUE(core->registry->delegate(row, std::nullopt, {}));
  HandOver hand_over;
  hand_over.config.pod_name = "leaf";
  hand_over.pod_id = "leaf-id";
  hand_over.instance_id = "leaf-instance";
  hand_over.parent = ParentLink{"middle-id", "middle-instance", "middle", paths.pod_socket("middle")};
  hand_over.cwd = work;
  std::optional<Result<LaunchedPod>> leaf;
  PodLaunch launch(loop, paths, fake_child("pod"), hand_over, 60'000, [&](Result<LaunchedPod> result) { leaf = std::move(result); });
  run_until([&] { return leaf.has_value(); });
  ASSERT_TRUE(*leaf) << leaf->error().message;

  ::kill(middle, SIGKILL);
  run_until([&] { return !ends.empty(); });
  EXPECT_FALSE(core->authority.effective().is_writable(sub + "/f"));
  EXPECT_TRUE(core->authority.effective().is_writable(work + "/f"));
  ASSERT_NE(children->find("leaf"), nullptr);
  EXPECT_TRUE(children->is_living("leaf-id"));
  ::kill((*leaf)->child.pid(), SIGKILL);
  run_until([&] { return !children->is_living("leaf-id"); });
  EXPECT_EQ(core->authority.effective(), core->authority.own());
}

// Case 111, 112: after a restart the living stay and the gone are taken in.
TEST_F(ChildrenTest, RecoverKeepsTheLivingAndTakesInTheGone) {
  std::string one = directory.directory("work/one");
  std::string two = directory.directory("work/two");
  start("alive", "pod", one);
  pid_t gone = start("gone", "pod", two);
  core->log_worker.drain();
  // As after a crash of this Pod: nobody watches, nothing is in memory.
  tools.reset();
  children.reset();
  core->authority.take_back("alive-id");
  core->authority.take_back("gone-id");
  ::kill(gone, SIGKILL);
  (void)::waitpid(gone, nullptr, 0);
  make_children();
  children->recover();
  run_until([&] { return core->state.spawned_children.size() == 1; });
  EXPECT_TRUE(children->is_living("alive-id"));
  EXPECT_FALSE(core->authority.effective().is_writable(one + "/f"));
  EXPECT_TRUE(core->authority.effective().is_writable(two + "/f"));
  EXPECT_EQ(stored().reclaimed_children.size(), 1u);
}

// A spawn that its Pod did not live to see is no end that anybody waits for.
TEST_F(ChildrenTest, ARecordThatNeverGotReadyGoesSilently) {
  ChildRecord record;
  record.pod_name = "never";
  record.pod_id = "never-id";
  record.instance_id = "never-instance";
  core->state.spawned_children.push_back(record);
  children->recover();
  run_until([&] { return core->state.spawned_children.empty(); });
  EXPECT_TRUE(ends.empty());
}

TEST_F(ChildrenTest, AStartingChildCannotBeStopped) {
  ChildRecord record;
  record.pod_name = "kid";
  record.pod_id = "kid-id";
  children->add(record);
  EXPECT_HAS(call(&ChildTools::stop, R"({"name":"kid"})").summary, "still starting");
  children->discard("kid-id");
}

// Case 103: a message is a durable letter, then a poke.
TEST_F(ChildrenTest, SendPutsALetterIntoTheInboxAndPokes) {
  start("kid", "pod", work);
  auto output = call(&ChildTools::send, R"({"name":"kid","message":"more"})");
  ASSERT_FALSE(output.is_error) << output.summary;
  auto letters = scan_inbox(paths, "kid", "kid-id");
  ASSERT_EQ(letters->size(), 1u);
  EXPECT_EQ(letters->at(0).text, "more");
  EXPECT_EQ(letters->at(0).seq, 1u);
  EXPECT_TRUE(children->any_working());
  run_until([&] { return child_file("kid", "pokes.log") == "poke\n"; });
  EXPECT_EQ(stored().spawned_children[0].mail_seq, 1u);
}

TEST_F(ChildrenTest, ALetterThatCannotBePostedIsNotWaitedFor) {
  start("kid", "pod", work);
  ASSERT_TRUE(io::make_directories(paths.pod_dir("kid")));
  ASSERT_TRUE(io::replace_file(paths.pod_dir("kid") + "/inbox", "in the way"));
  EXPECT_TRUE(call(&ChildTools::send, R"({"name":"kid","message":"more"})").is_error);
  EXPECT_FALSE(children->any_working());
}

// Case 104.
TEST_F(ChildrenTest, OnlyOwnChildrenCanBeAddressed) {
  for (auto tool : {&ChildTools::read_output, &ChildTools::stop}) EXPECT_HAS(call(tool, R"({"name":"nobody"})").summary, "no spawned pod");
  EXPECT_HAS(call(&ChildTools::send, R"({"name":"nobody","message":"x"})").summary, "no spawned pod");
}

// Case 106.
TEST_F(ChildrenTest, ReadPodOutputGivesNewTextOnce) {
  start("kid", "pod", work);
  auto first = call(&ChildTools::read_output, R"({"name":"kid"})");
  ASSERT_TRUE(first.content);
  EXPECT_EQ(*first.content, "first words\n\nlast words");
  auto second = call(&ChildTools::read_output, R"({"name":"kid"})");
  EXPECT_FALSE(second.content);
  EXPECT_HAS(second.summary, "no new assistant text");
}

// Case 107.
TEST_F(ChildrenTest, ReadPodOutputOfAnEndedChildSaysSo) {
  start("kid", "pod", work);
  (void)call(&ChildTools::stop, R"({"name":"kid"})");
  EXPECT_HAS(call(&ChildTools::read_output, R"({"name":"kid"})").summary, "stopped");
}

// Case 116, 117.
TEST_F(ChildrenTest, AGrandchildIsKnownOnce) {
  start("kid", "pod", work);
  wire::ScopeSubDelegated event{"kid", "leaf", "/run/leaf/sock", {write_rule(work + "/x")}};
  EXPECT_TRUE(children->add_grandchild(event));
  EXPECT_FALSE(children->add_grandchild(event));
  EXPECT_EQ(children->find("leaf")->callback_address, paths.pod_socket("kid"));
  EXPECT_EQ(children->infos().size(), 1u);
}

// Case 134, 135.
TEST_F(ChildrenTest, ListShowsTheOwnPodAndItsChildrenByName) {
  start("kid", "pod", directory.directory("work/a"));
  start("aunt", "pod", directory.directory("work/b"));
  ASSERT_EQ(::unlink(paths.pod_socket("kid").c_str()), 0);
  std::optional<tools::Output> answer;
  tools->list([&](tools::Output output) { answer = std::move(output); });
  run_until([&] { return answer.has_value(); });
  EXPECT_HAS(answer->summary, "3 visible");
  std::string const& text = *answer->content;
  EXPECT_LT(text.find("\"aunt\""), text.find("\"kid\""));
  EXPECT_HAS(text, "\"reachable\": true");
  EXPECT_HAS(text, "\"reachable\": false");
}

}  // namespace
}  // namespace insomnia::pod
