#include "pod/spawn.hh"

#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <future>

#include "pod/spawn_fixture_test.hh"
#include "pod/target_directories.hh"

namespace insomnia::pod {
namespace {

// Case 78.
TEST_F(SpawnTest, SuccessIsOneRowOneRecordLessScopeAndOneRun) {
  std::string sub = directory.directory("work/sub");
  auto output = spawn(arguments("kid", "dig a hole", sub));
  ASSERT_FALSE(output.is_error) << output.summary;
  EXPECT_HAS(output.summary, "`kid`");
  EXPECT_HAS(output.summary, "write:" + sub);

  auto table = rows();
  ASSERT_EQ(table.size(), 2u);
  EXPECT_EQ(table["kid"].delegated_from, "root-id");
  EXPECT_EQ(table["kid"].state, registry::AllocationState::Live);
  EXPECT_EQ(table["kid"].scope_allow, std::vector{write_rule(sub)});

  auto records = stored_children();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records, core->state.spawned_children);
  EXPECT_EQ(records[0].state, "live");
  EXPECT_EQ(records[0].callback_address, paths.pod_socket("root"));
  EXPECT_EQ(records[0].pod_id, table["kid"].pod_id);
  EXPECT_TRUE(records[0].work_open);

  EXPECT_EQ(core->authority.effective().permission_at(sub + "/f"), scope::Permission::Read);
  EXPECT_TRUE(core->authority.effective().is_writable(work + "/elsewhere"));
  ASSERT_FALSE(applied.empty());
  EXPECT_FALSE(applied[0].is_writable(sub + "/f")) << "the hands are demoted before the child starts";
  EXPECT_EQ(child_file("kid", "runs.log"), R"({"method":"run","params":{"input":[{"kind":"text","content":"dig a hole"}]}})" "\n");
}

// Case 85, 86: the spawner's own directory where the child can read it, else its own.
TEST_F(SpawnTest, AChildStartsWhereItMayRead) {
  std::string sub = directory.directory("work/sub");
  ASSERT_FALSE(spawn(arguments("kid", "t", sub)).is_error);
  EXPECT_EQ(child_file("kid", "cwd"), sub + "\n");
  EXPECT_EQ(rows()["kid"].workspace_root, work) << "wherever it starts";
  ASSERT_FALSE(spawn(R"({"name":"reader","task":"t","scope":[{"target":")" + work + R"(","permission":"read"}]})").is_error);
  EXPECT_EQ(child_file("reader", "cwd"), work + "\n");
}

// Case 84.
TEST_F(SpawnTest, AGivenDirectoryIsUsedInItsCanonicalForm) {
  std::string sub = directory.directory("work/sub");
  std::string link = directory.link("work/link", sub);
  ASSERT_FALSE(spawn(arguments("kid", "t", work, R"(,"cwd":")" + link + "\"")).is_error);
  EXPECT_EQ(child_file("kid", "cwd"), sub + "\n");
}

// R1: canonical in row, record and the child's own view, however it was written.
TEST_F(SpawnTest, TargetsAreCanonicalEverywhere) {
  std::string sub = directory.directory("work/sub");
  std::string link = directory.link("work/link", sub);
  ASSERT_FALSE(spawn(arguments("kid", "t", link)).is_error);
  EXPECT_EQ(rows()["kid"].scope_allow, std::vector{write_rule(sub)});
  EXPECT_EQ(core->state.spawned_children[0].scope_delegated, std::vector{write_rule(sub)});
}

// R2: what the spawner may not touch, the child may not either; the rest of its denies stays with the spawner.
TEST_F(SpawnTest, DeniesInsideTheRequestTravelToTheChild) {
  std::string sub = directory.directory("work/sub");
  std::vector denies{read_rule(sub + "/secret"), write_rule(sub + "/fixed")};
  manifest::Config config;
  config.scope.allow = {write_rule(work)};
  config.scope.deny = {denies[0], denies[1], write_rule(work + "/elsewhere")};
  restart("pod", config);
  ASSERT_FALSE(spawn(arguments("kid", "t", sub)).is_error);
  EXPECT_EQ(rows()["kid"].scope_deny, denies);
  EXPECT_EQ(stored_children().at(0).scope_deny, denies);
}

TEST_F(SpawnTest, TheOwnParentIsToldOfTheGrandchild) {
  ASSERT_FALSE(spawn(arguments("kid", "t", work)).is_error);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0], (wire::ScopeSubDelegated{"root", "kid", paths.pod_socket("kid"), {write_rule(work)}}));
}

// R9, R10.
TEST_F(SpawnTest, OfTwoWithOneScopeExactlyOneStarts) {
  ASSERT_FALSE(spawn(arguments("one", "t", work)).is_error);
  auto second = spawn(arguments("two", "t", directory.directory("work/sub")));
  ASSERT_TRUE(second.is_error);
  EXPECT_HAS(second.summary, "'one'");
  auto same = spawn(arguments("one", "t", work));
  ASSERT_TRUE(same.is_error);
  EXPECT_HAS(same.summary, "`one`");
  EXPECT_EQ(rows().size(), 2u);
  EXPECT_EQ(stored_children().size(), 1u);
  EXPECT_FALSE(core->authority.effective().is_writable(work)) << "the refused one gave nothing back";
}

// Case 80, R7.
TEST_F(SpawnTest, AChildThatNeverGetsReadyIsUndone) {
  for (auto* role : {"exit", "malformed", "leave-holder"}) {
    restart(role);
    auto output = spawn(arguments("kid", "t", work));
    EXPECT_TRUE(output.is_error) << role;
    expect_untouched();
    EXPECT_EQ(applied.back(), core->authority.own()) << "the hands have their scope back";
  }
}

// Ids are compared, not names.
TEST_F(SpawnTest, AStrangerThatGetsReadyIsKilledAndUndone) {
  restart("wrong-id");
  auto output = spawn(arguments("kid", "t", work));
  ASSERT_TRUE(output.is_error);
  EXPECT_HAS(output.summary, "not the one that was started");
  expect_untouched();
  // Its death is proven: the name can be taken at once.
  restart("pod");
  EXPECT_FALSE(spawn(arguments("kid", "t", work)).is_error);
}

TEST_F(SpawnTest, HandsThatCannotBeDemotedStopTheSpawn) {
  apply_result = fail(Code::Conflict, "a write is under way in " + work);
  auto output = spawn(arguments("kid", "t", work));
  ASSERT_TRUE(output.is_error);
  EXPECT_HAS(output.summary, "a write is under way");
  expect_untouched();
  EXPECT_EQ(child_file("kid", "pid"), "<none>") << "no process was started";
}

// Case 78: a failure of delivery keeps the child and says which kind it was.
TEST_F(SpawnTest, AFailureOfDeliveryKeepsTheChildAndSaysSo) {
  for (auto [role, says] : {std::pair{"busy", "already running"}, std::pair{"rejecting", "not this"}}) {
    restart(role);
    auto output = spawn(arguments("kid", "t", work));
    ASSERT_TRUE(output.is_error) << role;
    EXPECT_HAS(output.summary, "remains registered");
    EXPECT_HAS(output.summary, says);
    EXPECT_EQ(rows().size(), 2u);
    ASSERT_EQ(stored_children().size(), 1u);
    EXPECT_FALSE(core->state.spawned_children[0].work_open) << "nothing is awaited of it";
    EXPECT_FALSE(children->any_working());
    stop_children();
  }
}

// A Pod that dies with its task in hand is told of as a crash, once, and its scope comes back.
TEST_F(SpawnTest, AChildThatDiesWithItsTaskIsACrash) {
  restart("dying");
  auto output = spawn(arguments("kid", "t", work));
  EXPECT_TRUE(output.is_error);
  run_until([&] { return !ends.empty(); });
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(std::get<wire::Crashed>(ends[0]).exit_status, "exit code 5");
  expect_untouched();
}

TEST_F(SpawnTest, CancelledBeforeItIsReadyNothingIsLeft) {
  restart("silent");
  begin(arguments("kid", "t", work));
  run_until([&] { return io::exists(paths.pod_runtime_dir("kid") + "/stderr.log"); });
  EXPECT_EQ(rows().size(), 2u);
  transaction->cancel();
  run_until([&] { return answer.has_value(); });
  EXPECT_TRUE(answer->is_error);
  EXPECT_HAS(answer->summary, "cancelled");
  expect_untouched();
}

TEST_F(SpawnTest, CancelledWhileItIsUndoneItAnswersOnce) {
  restart("exit-silently");
  begin(arguments("kid", "t", work));
  run_until([&] { return !applied.empty(); });
  std::promise<void> go;
  core->registry_worker.run([wait = go.get_future().share()] { wait.wait(); });
  run_until([&] { return children->find("kid") == nullptr; });  // it is being undone, the release waits
  transaction->cancel();
  go.set_value();
  run_until([&] { return answer.has_value(); });
  EXPECT_TRUE(answer->is_error);
  core->registry_worker.drain();
  loop.run_once(0);
  expect_untouched();
}

TEST_F(SpawnTest, CancelledAtOnceNothingIsStarted) {
  begin(arguments("kid", "t", work));
  transaction->cancel();
  transaction->cancel();
  run_until([&] { return answer.has_value(); });
  EXPECT_TRUE(answer->is_error);
  expect_untouched();
  EXPECT_EQ(child_file("kid", "pid"), "<none>");
}

TEST_F(SpawnTest, CancelledWhenItIsReadyItGoesOn) {
  begin(arguments("kid", "t", work));
  run_until([&] { return children->find("kid") != nullptr && children->find("kid")->state == "live"; });
  transaction->cancel();
  run_until([&] { return answer.has_value(); });
  EXPECT_FALSE(answer->is_error) << answer->summary;
}

TEST_F(SpawnTest, DestroyedInTheMiddleItAnswersNobody) {
  restart("silent");
  begin(arguments("kid", "t", work));
  run_until([&] { return io::exists(paths.pod_runtime_dir("kid") + "/stderr.log"); });
  transaction.reset();
  core->registry_worker.drain();
  loop.run_once(0);
  EXPECT_FALSE(answer);
}

// ---- Scopes that are busy.

class SpawnWait : public SpawnTest {
 protected:
  SpawnWait() { sub = directory.directory("work/sub"); }
  /// A child holds `sub`, and a second one is asked for that may wait so long for it.
  void begin_second(int64_t wait_ms) {
    ASSERT_FALSE(spawn(arguments("first", "t", sub)).is_error);
    transaction.reset();
    begin(arguments("second", "t", sub, R"(,"wait_for_scope_ms":)" + std::to_string(wait_ms)));
  }
  void until_it_waits() {
    run_until([&] {
      auto infos = children->infos();
      return std::any_of(infos.begin(), infos.end(), [](auto const& info) { return info.pod_name == "second" && info.state == "waiting"; });
    });
  }
  bool bell_is_there() {
    auto names = io::list_directory(paths.pod_runtime_dir("root"));
    return names && std::any_of(names->begin(), names->end(), [](auto const& name) { return name.starts_with("bell"); });
  }
  std::string sub;
};

TEST_F(SpawnWait, WithoutAWaitWhatIsBusyIsRefusedAtOnce) {
  begin_second(0);
  run_until([&] { return answer.has_value(); });
  EXPECT_TRUE(answer->is_error);
  EXPECT_HAS(answer->summary, "first");
}

TEST_F(SpawnWait, IsGrantedWhenTheHolderIsStopped) {
  begin_second(60'000);
  until_it_waits();
  EXPECT_FALSE(answer);
  children->stop(children->find("first")->pod_id, false, [](auto const&) {});
  run_until([&] { return answer.has_value(); });
  EXPECT_FALSE(answer->is_error) << answer->summary;
  EXPECT_EQ(rows()["second"].state, registry::AllocationState::Live);
  EXPECT_FALSE(bell_is_there());
}

TEST_F(SpawnWait, IsGrantedWhenTheHolderIsKilled) {
  begin_second(60'000);
  until_it_waits();
  ::kill(rows()["first"].pid, SIGKILL);
  run_until([&] { return answer.has_value(); });
  EXPECT_FALSE(answer->is_error) << answer->summary;
}

TEST_F(SpawnWait, EndsWhenTheTimeIsUpAndLeavesNothing) {
  begin_second(1);
  run_until([&] { return answer.has_value(); });
  EXPECT_TRUE(answer->is_error);
  EXPECT_HAS(answer->summary, "first");
  EXPECT_HAS(answer->summary, "waited 1 ms");
  EXPECT_HAS(answer->summary, "Invalid argument");
  EXPECT_EQ(children->find("second"), nullptr);
  EXPECT_FALSE(bell_is_there());
  transaction.reset();
  children->stop(children->find("first")->pod_id, false, [](auto const&) {});
  run_until([&] { return children->find("first") == nullptr; });
  EXPECT_FALSE(spawn(arguments("third", "t", sub)).is_error) << "its place in the queue is gone";
}

TEST_F(SpawnWait, CanBeCancelled) {
  begin_second(60'000);
  until_it_waits();
  transaction->cancel();
  run_until([&] { return answer.has_value(); });
  EXPECT_HAS(answer->summary, "cancelled");
  EXPECT_EQ(rows().size(), 2u);
  EXPECT_FALSE(bell_is_there());
}

TEST_F(SpawnWait, DestroyedWhileItWaitsItLeavesTheQueue) {
  begin_second(60'000);
  until_it_waits();
  transaction.reset();
  children->discard(children->find("second")->pod_id);
  children->stop(children->find("first")->pod_id, false, [](auto const&) {});
  run_until([&] { return children->find("first") == nullptr; });
  EXPECT_FALSE(spawn(arguments("third", "t", sub)).is_error);
}

// ---- Write targets that do not exist yet.

TEST_F(SpawnTest, AMissingWriteTargetIsMadeAndTheChildStartsThere) {
  std::string target = work + "/new/deep";
  auto output = spawn(R"({"name":"kid","task":"t","scope":[{"target":")" + target + R"(","permission":"write"}]})");
  EXPECT_FALSE(output.is_error) << output.summary;
  EXPECT_TRUE(io::exists(target));
  EXPECT_EQ(child_file("kid", "cwd"), target + "\n");
  ASSERT_EQ(stored_children().size(), 1u);
  EXPECT_TRUE(stored_children()[0].made_directories.empty()) << "they are the child's now";
}

TEST_F(SpawnTest, AMissingReadTargetIsNotMade) {
  auto output = spawn(R"({"name":"kid","task":"t","scope":[{"target":")" + work + R"(","permission":"write"},{"target":")" + work +
                      R"(/absent","permission":"read"}]})");
  EXPECT_FALSE(output.is_error) << output.summary;
  EXPECT_FALSE(io::exists(work + "/absent"));
}

TEST_F(SpawnTest, WhatWasMadeForAFailedSpawnGoesAgain) {
  restart("exit-silently");
  auto output = spawn(arguments("kid", "t", work + "/new/deep"));
  EXPECT_TRUE(output.is_error);
  expect_untouched();
  core->log_worker.drain();
  EXPECT_FALSE(io::exists(work + "/new"));
}

TEST_F(SpawnTest, WhatSomebodyPutThereMeanwhileStays) {
  restart("silent");
  begin(arguments("kid", "t", work + "/new/deep"));
  run_until([&] { return io::exists(paths.pod_runtime_dir("kid") + "/stderr.log"); });
  ASSERT_TRUE(io::replace_file(work + "/new/kept.txt", "kept", 0644));
  transaction->cancel();
  run_until([&] { return answer.has_value(); });
  core->log_worker.drain();
  EXPECT_FALSE(io::exists(work + "/new/deep"));
  EXPECT_TRUE(io::exists(work + "/new/kept.txt"));
}

TEST_F(SpawnTest, ASpawnerThatDiedInTheMiddleTakesBackWhatItMade) {
  restart("silent");
  begin(arguments("kid", "t", work + "/new"));
  run_until([&] { return io::exists(paths.pod_runtime_dir("kid") + "/stderr.log"); });
  transaction.reset();  // kills the child; the record and the directory stay, as after a crash
  core->log_worker.drain();
  ASSERT_TRUE(io::exists(work + "/new"));
  PodState stored = **read_pod_state(paths, "root");
  ASSERT_EQ(stored.spawned_children.size(), 1u);
  children.reset();
  core->state.spawned_children = stored.spawned_children;
  make_children();
  children->recover();
  run_until([&] { return core->state.spawned_children.empty(); });
  core->log_worker.drain();
  EXPECT_FALSE(io::exists(work + "/new"));
}

TEST_F(SpawnTest, NobodyCanLeadTheMakingElsewhere) {
  std::string outside = directory.directory("outside");
  auto missing = missing_directories({write_rule(work + "/a/b")});
  EXPECT_EQ(missing, (std::vector<std::string>{work + "/a", work + "/a/b"}));
  directory.link("work/a", outside);
  auto made = make_target_directories(missing);
  ASSERT_FALSE(made);
  EXPECT_HAS(made.error().message, work + "/a/b");
  EXPECT_FALSE(io::exists(outside + "/b"));
}

// ---- Refusals: nothing changes.

class SpawnRefusal : public SpawnTest {
 protected:
  std::string refused(std::string const& text) {
    auto output = spawn(text);
    EXPECT_TRUE(output.is_error) << text;
    expect_untouched();
    EXPECT_FALSE(io::exists(paths.pod_runtime_dir("kid"))) << "no process was started";
    return output.summary;
  }
};

TEST_F(SpawnRefusal, OfInputThatIsNoInput) {
  EXPECT_HAS(refused("{"), "invalid SpawnPod input");
  EXPECT_HAS(refused("{}"), "name");
  EXPECT_HAS(refused(R"({"name":"kid","task":"t"})"), "scope");
  EXPECT_HAS(refused(R"({"name":"kid","task":"t","scope":[]})"), "must not be empty");
  EXPECT_HAS(refused(R"({"name":"kid","task":"t","scope":[{"target":"rel","permission":"read"}]})"), "must be absolute");
  EXPECT_HAS(refused(R"({"name":"kid","task":"t","scope":[{"target":"/","permission":"own"}]})"), "permission");
  EXPECT_HAS(refused(arguments("kid", "  ", work)), "task must not be empty");
}

// R8.
TEST_F(SpawnRefusal, OfNamesThatAreNoNames) {
  for (auto* name : {"../x", "/abs", "", ".hidden", "registry.db", "a b"}) EXPECT_NE(refused(arguments(name, "t", work)), "") << name;
  EXPECT_HAS(refused(arguments("root", "t", work)), "cannot spawn itself");
  EXPECT_NE(refused(arguments(std::string(65, 'x'), "t", work)), "");
}

// Case 79.
TEST_F(SpawnRefusal, OfScopeOutsideTheOwn) {
  std::string text = refused(arguments("kid", "t", "/usr"));
  EXPECT_HAS(text, "not within");
  EXPECT_HAS(text, "Invalid argument");
  directory.link("work/out", "/usr");
  EXPECT_HAS(refused(arguments("kid", "t", work + "/out")), "not within");
  EXPECT_NE(refused(arguments("kid", "t", work + "/../../etc")), "");
}

// Case 81, 82.
TEST_F(SpawnRefusal, ByTheDelegationScope) {
  manifest::Config config;
  config.delegation_scope = scope::ScopeConfig{};
  restart("pod", config);
  std::string text = refused(arguments("kid", "t", work));
  EXPECT_HAS(text, "no delegation scope grant");
  EXPECT_HAS(text, "direct filesystem scope");

  std::string sub = directory.directory("work/sub");
  config.delegation_scope = scope::ScopeConfig{{write_rule(sub, false)}, {}};
  restart("pod", config);
  EXPECT_HAS(refused(arguments("kid", "t", work)), "outside this Pod's delegation scope grant");
  EXPECT_NE(refused(arguments("kid", "t", sub)), "") << "recursive below a grant that is not";
}

// Case 84.
TEST_F(SpawnRefusal, OfDirectoriesToStartIn) {
  auto with_cwd = [&](std::string const& cwd) { return arguments("kid", "t", work, R"(,"cwd":")" + cwd + "\""); };
  EXPECT_HAS(refused(with_cwd("relative")), "must be absolute");
  EXPECT_HAS(refused(with_cwd(work + "/missing")), "does not exist");
  EXPECT_HAS(refused(with_cwd(directory.file("work/file"))), "must be a directory");
  EXPECT_HAS(refused(with_cwd("/usr")), "outside the child's delegated readable scope");
}

// Case 95, 96.
TEST_F(SpawnRefusal, OfProfilesWithTheSelectorsThatWork) {
  for (auto* profile : {"path:x.lua", "/abs/x", "./x", "../x", "dir/x", "x.lua", "nobody"}) {
    std::string text = refused(arguments("kid", "t", work, std::string(R"(,"profile":")") + profile + "\""));
    EXPECT_HAS(text, "`inherit`");
  }
}

TEST_F(SpawnRefusal, ByTheLimits) {
  manifest::Config config;
  config.limits = manifest::Limits{.max_depth = std::nullopt, .max_children = 0, .max_live_pods = std::nullopt};
  restart("pod", config);
  std::string text = refused(arguments("kid", "t", work));
  EXPECT_HAS(text, "max_children");
  EXPECT_HAS(text, "Invalid argument");
}

}  // namespace
}  // namespace insomnia::pod
