#include "cli/run.hh"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <set>

#include "base/io.hh"
#include "cli/live_view.hh"
#include "cli/run_config.hh"
#include "cli/run_tracker.hh"
#include "pod/store.hh"
#include "wire/log_entry.hh"

namespace insomnia::cli {
namespace {

wire::Event mine(wire::EventBody body) {
  return {.body = std::move(body), .id = "me"};
}
wire::Event all(wire::EventBody body) {
  return {.body = std::move(body)};
}

struct Tracked {
  Tracked(std::initializer_list<wire::Event> events) {
    for (auto const& event : events) tracker.on_event(event);
  }
  RunTracker tracker{"me"};
};

wire::StatusEvent idle(bool settled) {
  return {wire::PodStatus::Idle, settled};
}
wire::StatusEvent running() {
  return {wire::PodStatus::Running, false};
}

TEST(RunTracker, ARunIsOverWhenThePodIsSettled) {
  RunTracker tracker("me");
  tracker.on_event(all(wire::SnapshotEvent{.settled = true}));
  EXPECT_FALSE(tracker.settled()) << "settled before the run was taken";
  tracker.on_event(mine(wire::UserMessageEvent{}));
  EXPECT_TRUE(tracker.accepted());
  EXPECT_FALSE(tracker.settled());
  tracker.on_event(all(running()));
  tracker.on_event(all(wire::InvokeStartEvent{"user_send"}));
  tracker.on_event(all(wire::RunEndEvent{"finished"}));
  tracker.on_event(all(idle(false)));
  EXPECT_FALSE(tracker.settled()) << "children are at work";
  tracker.on_event(all(running()));
  tracker.on_event(all(wire::InvokeStartEvent{"pod_event"}));
  EXPECT_FALSE(tracker.result());
  tracker.on_event(all(wire::RunEndEvent{"limit_reached"}));
  tracker.on_event(all(idle(true)));
  EXPECT_TRUE(tracker.settled());
  EXPECT_EQ(tracker.exit_code(), kLimitReached);
}

TEST(RunTracker, EachResultHasItsExitCode) {
  for (auto const& [result, code] : {std::pair{"finished", kFinished},
                                     {"limit_reached", kLimitReached},
                                     {"failed", kFailed},
                                     {"cancelled", kInterrupted},
                                     {"rolled_back", kInterrupted},
                                     {"paused", kInterrupted}}) {
    Tracked run{all(wire::SnapshotEvent{}), mine(wire::UserMessageEvent{}), all(wire::RunEndEvent{result}),
                all(idle(true))};
    EXPECT_EQ(run.tracker.exit_code(), code) << result;
  }
  EXPECT_EQ(RunTracker("me").exit_code(), kFailed);
}

TEST(RunTracker, AFailureWithoutRunEndCounts) {
  Tracked run{all(wire::SnapshotEvent{}), all(wire::UserMessageEvent{}), all(running()),
              all(wire::ErrorEvent{"provider_error", "x"}), all(idle(true))};
  EXPECT_TRUE(run.tracker.settled());
  EXPECT_EQ(run.tracker.exit_code(), kFailed);
}

TEST(RunTracker, ABudgetIsALimit) {
  RunTracker tracker("me");
  tracker.on_event(all(wire::SnapshotEvent{.settled = true}));
  tracker.on_event(mine(wire::UserMessageEvent{}));
  tracker.on_event(all(wire::ErrorEvent{"budget", "it is used up"}));
  tracker.on_event(all(wire::RunEndEvent{"failed"}));
  tracker.on_event(all(idle(true)));
  EXPECT_EQ(tracker.exit_code(), kLimitReached);
  tracker.on_event(all(wire::InvokeStartEvent{"user_send"}));
  tracker.on_event(all(wire::ErrorEvent{"provider_error", "no"}));
  tracker.on_event(all(wire::RunEndEvent{"failed"}));
  EXPECT_EQ(tracker.exit_code(), kFailed);
}

TEST(RunTracker, ARefusalIsKept) {
  Tracked run{all(wire::SnapshotEvent{}), mine(wire::ErrorEvent{"already_running", "busy"})};
  ASSERT_TRUE(run.tracker.rejection());
  EXPECT_EQ(run.tracker.rejection()->code, Code::Conflict);
  EXPECT_FALSE(run.tracker.accepted());
}

TEST(RunTracker, APauseIsSeen) {
  Tracked run{all(wire::SnapshotEvent{}), mine(wire::UserMessageEvent{}), all(running()),
              all(wire::RunEndEvent{"paused"}), all(wire::StatusEvent{wire::PodStatus::Paused, false})};
  EXPECT_TRUE(run.tracker.paused());
  EXPECT_FALSE(run.tracker.settled());
}

TEST(RunTracker, APausedPodThatTakesARunIsNotPausedAnyMore) {
  Tracked run{all(wire::SnapshotEvent{.status = wire::PodStatus::Paused}), mine(wire::UserMessageEvent{})};
  EXPECT_TRUE(run.tracker.accepted());
  EXPECT_FALSE(run.tracker.paused());
}

TEST(RunTracker, AfterAReconnectTheSnapshotTellsHowTheRunEnded) {
  wire::SnapshotEvent again{.status = wire::PodStatus::Idle, .settled = true};
  again.entries = {wire::encode_log_entry({1, wire::RunErrored{true, "x", {}}}),
                   wire::encode_log_entry({2, wire::Invoke{"user_send"}}),
                   wire::encode_log_entry({3, wire::RunCompleted{false, "finished", {}}}), "{damaged"};
  Tracked run{all(wire::SnapshotEvent{}), mine(wire::UserMessageEvent{}), all(running()), all(again)};
  EXPECT_TRUE(run.tracker.settled());
  EXPECT_EQ(run.tracker.exit_code(), kFinished);
}

TEST(FreeName, CountsFromTwoAndKeepsTheLengthLimit) {
  std::set<std::string> taken{"web", "web-2"};
  auto usable = [&](std::string const& name) { return !taken.contains(name); };
  EXPECT_EQ(free_name("api", usable), "api");
  EXPECT_EQ(free_name("web", usable), "web-3");
  std::string const longest(64, 'x');
  taken.insert(longest);
  EXPECT_EQ(free_name(longest, usable), std::string(62, 'x') + "-2");
}

TEST(RunOptions, ContradictionsAreUsageErrorsThatNameThem) {
  struct Case {
    RunOptions options;
    char const* named;
  };
  for (auto const& [options, named] :
       {Case{{.task = " "}, "empty"}, Case{{.task = "x", .name = "../x"}, "../x"},
        Case{{.task = "x", .manifest = "m", .profile = "p"}, "exclude"},
        Case{{.task = "x", .model = "sonnet"}, "provider/model"},
        Case{{.task = "x", .scope = {"wipe:/w"}}, "wipe"}}) {
    auto checked = check_run_options(options);
    ASSERT_FALSE(checked) << named;
    EXPECT_NE(checked.error().message.find(named), std::string::npos) << checked.error().message;
  }
  EXPECT_TRUE(check_run_options({.task = "-", .model = "a/b/c", .scope = {"read:x", "write:/y"}}));
}

TEST(LiveView, AChildsJsonLineHasItsPod) {
  EXPECT_EQ(with_pod_field(R"({"event":"shutdown"})", "kid"), R"({"pod":"kid","event":"shutdown"})");
  EXPECT_EQ(with_pod_field("{}", "k\"d"), R"({"pod":"k\"d"})");
}

/// A home of its own, and a key that nobody checks.
struct PrepareRunTest : testing::Test {
  PrepareRunTest() {
    char name[] = "/tmp/insomnia-run-XXXXXX";
    root = ::mkdtemp(name);
    root = *io::real_path(root);
    work = root + "/My Work";
    EXPECT_TRUE(io::make_directories(work));
    environment.set("INSOMNIA_HOME", root + "/home");
    environment.set("ANTHROPIC_API_KEY", "not-a-key");
    paths = Paths::resolve(environment);
  }
  ~PrepareRunTest() override { (void)io::remove_tree(root); }

  Result<PreparedRun> prepare(RunOptions options) {
    if (options.cwd.empty()) options.cwd = work;
    if (options.task.empty()) options.task = "Fix\nit";
    return prepare_run(options, environment, paths,
                       [this](std::string const& name) { return live.contains(name); });
  }

  std::string root, work;
  Environment environment;
  Paths paths;
  std::set<std::string> live;
};

// P97.
TEST_F(PrepareRunTest, PartsOfAWindowAreTokensOfTheModel) {
  ASSERT_TRUE(io::replace_file(root + "/parts.toml",
                               "model = { ref = \"codex-oauth/gpt-5.5\", auth = { kind = \"none\" } }\n"
                               "compaction = { kind = \"ratio\", threshold = 0.5, request = 0.75, worker = 0.25 }\n"));
  auto run = prepare({.profile = root + "/parts.toml"});
  ASSERT_TRUE(run.has_value()) << run.error().message;
  EXPECT_EQ(run->hand_over.config.compaction,
            (manifest::Compaction{.threshold = 136'000, .request_threshold = 204'000, .worker_context_max_tokens = 68'000}));
}

TEST_F(PrepareRunTest, TheDirectoryGivesNameScopeAndWorkspace) {
  auto run = prepare({});
  ASSERT_TRUE(run.has_value()) << run.error().message;
  auto const& hand_over = run->hand_over;
  EXPECT_EQ(hand_over.config.pod_name, "My-Work");
  EXPECT_EQ(hand_over.config.scope.allow,
            (std::vector<scope::ScopeRule>{{work, scope::Permission::Write, true}}));
  EXPECT_EQ(hand_over.cwd, work);
  EXPECT_EQ(hand_over.workspace_root, work);
  EXPECT_EQ(hand_over.task, "Fix it");
  EXPECT_EQ(hand_over.profile, "builtin:default");
  EXPECT_TRUE(hand_over.exit_when_settled);
  EXPECT_FALSE(run->continuing);
  EXPECT_FALSE(hand_over.config.model.empty());
}

TEST_F(PrepareRunTest, FlagsStandAboveTheManifestFile) {
  ASSERT_TRUE(io::replace_file(root + "/m.toml",
                               "[pod]\nname = \"from-file\"\n[model]\nref = \"anthropic/from-file\"\n"
                               "[[scope.allow]]\ntarget = \"lib\"\npermission = \"read\"\n"));
  auto plain = prepare({.manifest = root + "/m.toml"});
  ASSERT_TRUE(plain.has_value()) << plain.error().message;
  EXPECT_EQ(plain->hand_over.config.pod_name, "from-file");
  EXPECT_EQ(plain->hand_over.config.model.ref, "anthropic/from-file");
  EXPECT_EQ(plain->hand_over.config.scope.allow,
            (std::vector<scope::ScopeRule>{{root + "/lib", scope::Permission::Read, true}}));

  auto run = prepare({.name = "mine",
                      .manifest = root + "/m.toml",
                      .model = "anthropic/flag",
                      .scope = {"write:/srv"},
                      .keep = true,
                      .max_turns = 3});
  ASSERT_TRUE(run.has_value()) << run.error().message;
  EXPECT_EQ(run->hand_over.config.pod_name, "mine");
  EXPECT_EQ(run->hand_over.config.model.ref, "anthropic/flag");
  EXPECT_EQ(run->hand_over.config.scope.allow,
            (std::vector<scope::ScopeRule>{{"/srv", scope::Permission::Write, true}}));
  EXPECT_EQ(run->hand_over.config.worker.max_turns, 3u);
  EXPECT_FALSE(run->hand_over.exit_when_settled);
}

TEST_F(PrepareRunTest, ALiveNameIsAvoidedUnlessItWasAskedFor) {
  live = {"My-Work"};
  EXPECT_EQ(prepare({})->hand_over.config.pod_name, "My-Work-2");
  auto asked_for = prepare({.name = "My-Work"});
  ASSERT_FALSE(asked_for.has_value());
  EXPECT_EQ(asked_for.error().code, Code::AlreadyExists);
  EXPECT_NE(asked_for.error().message.find("insomnia send My-Work"), std::string::npos);
}

TEST_F(PrepareRunTest, TheSameDirectoryContinuesItsPodAndAnotherOneDoesNot) {
  pod::PodState state{.pod_name = "My-Work", .pod_id = "id", .cwd = work};
  state.config.model.ref = "anthropic/stored";
  state.config.scope.allow = {{work, scope::Permission::Read, true}};
  ASSERT_TRUE(pod::write_pod_state(paths, state));
  auto run = prepare({});
  ASSERT_TRUE(run.has_value()) << run.error().message;
  EXPECT_TRUE(run->continuing);
  EXPECT_EQ(run->hand_over.config.pod_name, "My-Work");
  EXPECT_EQ(run->hand_over.config.model.ref, "anthropic/stored");
  EXPECT_EQ(run->hand_over.config.scope.allow, state.config.scope.allow);

  std::string elsewhere = root + "/other/My Work";
  ASSERT_TRUE(io::make_directories(elsewhere));
  auto other = prepare({.cwd = elsewhere});
  ASSERT_TRUE(other.has_value()) << other.error().message;
  EXPECT_EQ(other->hand_over.config.pod_name, "My-Work-2");
  EXPECT_FALSE(other->continuing);
}

TEST_F(PrepareRunTest, AStoredPodIsContinuedOnlyWithTheSettingsItHas) {
  RunOptions const read_only{.name = "x", .scope = {"read:" + work}};
  auto first = prepare(read_only);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  pod::PodState state{.pod_name = "x", .pod_id = "id", .cwd = work, .config = first->hand_over.config};
  ASSERT_TRUE(pod::write_pod_state(paths, state));

  auto same = prepare(read_only);
  ASSERT_TRUE(same.has_value()) << same.error().message;
  EXPECT_TRUE(same->continuing);
  auto wider = prepare({.name = "x", .scope = {"write:" + work}});
  ASSERT_FALSE(wider.has_value()) << "the stored scope would stand, not the one that was asked for";
  EXPECT_NE(wider.error().message.find("--scope"), std::string::npos);

  state.pod_name = "My-Work";
  ASSERT_TRUE(pod::write_pod_state(paths, state));
  EXPECT_EQ(prepare({.scope = {"write:" + work}})->hand_over.config.pod_name, "My-Work-2");
  EXPECT_EQ(prepare({.scope = {"read:" + work}})->hand_over.config.pod_name, "My-Work");
}

TEST(LaunchFailure, IsToldApartByWhatThePodSaid) {
  auto of = [](std::string message) {
    return launch_failure({Code::Unavailable, "Pod `x` ended before it was ready\n" + message}).code;
  };
  EXPECT_EQ(of("error: write:/w is refused: Pod 'y' writes there; ask for a part"), Code::Conflict);
  EXPECT_EQ(of("error: the working directory /w is outside the Pod's scope; add"), Code::PermissionDenied);
  EXPECT_EQ(
      of("error: /run/x/lock is held by instance 1, process 2; stop that one first or use another name"),
      Code::AlreadyExists);
  EXPECT_EQ(of("error: out of luck"), Code::Unavailable);
  EXPECT_EQ(launch_failure({Code::Timeout, "late"}).code, Code::Timeout);
}

TEST(LaunchFailure, ThePodsOwnWordsComeFirst) {
  Error const error = launch_failure({Code::Unavailable,
                                      "Pod `x` ended before it was ready (exit code 1)\n--- child stderr "
                                      "(/run/x) ---\nnoise\nerror: no room"});
  EXPECT_EQ(error.message, "no room (Pod `x` ended before it was ready (exit code 1))");
  Error const other{Code::Unavailable,
                    "Pod `x` ended before it was ready (killed by signal 11)\n--- child stderr ---\nboom"};
  EXPECT_EQ(launch_failure(other), other);
}

TEST_F(PrepareRunTest, WithoutAModelNothingStarts) {
  environment.unset("ANTHROPIC_API_KEY");
  auto run = prepare({});
  ASSERT_FALSE(run.has_value());
  EXPECT_NE(run.error().message.find("ANTHROPIC_API_KEY"), std::string::npos) << run.error().message;
  EXPECT_FALSE(io::exists(paths.runtime_dir));
}

TEST_F(PrepareRunTest, WrongInputNamesTheThing) {
  struct Case {
    RunOptions options;
    std::string named;
  };
  for (auto const& [options, named] :
       std::vector<Case>{{{.manifest = root + "/missing.toml"}, "missing.toml"},
                         {{.profile = "nobody"}, "nobody"},
                         {{.model = "nobody/x"}, "nobody"},
                         {{.cwd = root + "/missing"}, "missing"}}) {
    auto run = prepare(options);
    ASSERT_FALSE(run.has_value()) << named;
    EXPECT_NE(run.error().message.find(named), std::string::npos) << run.error().message;
  }
}

}  // namespace
}  // namespace insomnia::cli
