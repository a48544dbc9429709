#include "pod/launch.hh"

#include <sys/wait.h>

#include "pod/fixture_test.hh"

namespace insomnia::pod {
namespace {

class LaunchTest : public SpawnerTest {
 protected:
  HandOver hand_over() {
    HandOver result;
    result.config.pod_name = "kid";
    result.config.scope.allow = {write_rule(work)};
    result.pod_id = "kid-id";
    result.instance_id = "kid-instance";
    result.parent = ParentLink{"root-id", "root-instance", "root", paths.pod_socket("root")};
    result.cwd = work;
    return result;
  }
  void reserve() {
    registry::Allocation row;
    row.pod_name = "kid";
    row.pod_id = "kid-id";
    row.instance_id = "kid-instance";
    row.state = registry::AllocationState::Reserved;
    row.spawner_instance = "root-instance";
    row.delegated_from = "root-id";
    row.scope_allow = {write_rule(work)};
    auto reserved = core->registry->delegate(row, std::nullopt, {});
    ASSERT_TRUE(reserved) << reserved.error().message;
  }
  Result<LaunchedPod> launch(std::string role, int64_t deadline_ms = 60'000) {
    std::optional<Result<LaunchedPod>> outcome;
    PodLaunch running(loop, paths, fake_child(std::move(role)), hand_over(), deadline_ms, [&](Result<LaunchedPod> result) { outcome = std::move(result); });
    EXPECT_FALSE(outcome) << "nothing happens before the constructor returns";
    run_until([&] { return outcome.has_value(); });
    return *std::move(outcome);
  }
  std::string failure(std::string role, int64_t deadline_ms = 60'000) {
    auto result = launch(std::move(role), deadline_ms);
    EXPECT_FALSE(result);
    code = result ? Code::Internal : result.error().code;
    return result ? "" : result.error().message;
  }
  std::string stderr_path() { return paths.pod_runtime_dir("kid") + "/stderr.log"; }

  Code code = Code::Internal;
};

// Case 150: whatever the executable is called, it is told to be a Pod.
TEST_F(LaunchTest, TheRuntimeIsThisExecutableAsPod) {
  RuntimeCommand self = RuntimeCommand::self();
  EXPECT_EQ(self.program, *io::real_path("/proc/self/exe"));
  EXPECT_EQ(self.prefix_args, std::vector<std::string>{"pod"});
}

TEST_F(LaunchTest, AReadyPodIsHandedOverAliveWithItsIds) {
  reserve();
  auto result = launch("pod");
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->pod_name, "kid");
  EXPECT_EQ(result->pod_id, "kid-id");
  EXPECT_EQ(result->instance_id, "kid-instance");
  EXPECT_EQ(result->socket_path, paths.pod_socket("kid"));
  EXPECT_FALSE(result->child.status());
  EXPECT_EQ(child_file("kid", "pid"), std::to_string(result->child.pid()) + "\n");
  EXPECT_EQ(::getpgid(result->child.pid()), result->child.pid()) << "its own process group";
}

// Case 85.
TEST_F(LaunchTest, ItStartsInTheGivenDirectory) {
  reserve();
  ASSERT_TRUE(launch("pod"));
  EXPECT_EQ(child_file("kid", "cwd"), work + "\n");
}

TEST_F(LaunchTest, AReadyLineMayComeInPieces) {
  auto result = launch("in-pieces");
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->socket_path, "/some/sock");
  EXPECT_EQ(result->instance_id, "the-instance");
}

// R6.
TEST_F(LaunchTest, AnEarlyExitFailsAtOnceWithStatusAndStderr) {
  std::string text = failure("exit");
  EXPECT_EQ(code, Code::Unavailable);
  EXPECT_HAS(text, "`kid` ended before it was ready");
  EXPECT_HAS(text, "exit code 3");
  EXPECT_HAS(text, "--- child stderr (" + stderr_path() + ") ---");
  EXPECT_HAS(text, "error: no key for the model");
}

TEST_F(LaunchTest, BlankStderrAddsNothing) { EXPECT_EQ(failure("exit-silently").find("---"), std::string::npos); }

TEST_F(LaunchTest, OnlyTheTailOfStderrIsTold) {
  std::string text = failure("exit-loudly");
  EXPECT_HAS(text, "line 1999");
  EXPECT_EQ(text.find("line 0\n"), std::string::npos);
  EXPECT_LT(text.size(), 5000u);
}

// The end of the process counts, not the end of the pipe that somebody else may hold.
TEST_F(LaunchTest, AnEarlyExitIsSeenWhileAnotherHoldsThePipe) {
  std::string text = failure("leave-holder");
  EXPECT_HAS(text, "exit code 7");
  EXPECT_HAS(text, "gone");
}

// Case 80, R7.
TEST_F(LaunchTest, WhoIsNotReadyInTimeIsKilled) {
  std::string text = failure("silent", 50);
  EXPECT_EQ(code, Code::Timeout);
  EXPECT_HAS(text, "socket did not appear");
  EXPECT_HAS(text, "50 ms");
  siginfo_t info{};
  EXPECT_EQ(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1) << "dead and reaped";
}

TEST_F(LaunchTest, WhoClosesThePipeAndStaysIsKilled) {
  std::string text = failure("close-and-hang", 100);
  EXPECT_EQ(code, Code::Unavailable);
  EXPECT_HAS(text, "closed its ready pipe");
}

TEST_F(LaunchTest, OtherOutputIsNoReadyLine) {
  EXPECT_HAS(failure("malformed"), "malformed ready line");
  EXPECT_HAS(failure("wrong-name"), "malformed ready line");
  EXPECT_HAS(failure("endless-line"), "no ready line");
}

TEST_F(LaunchTest, AProgramThatIsNotThereFailsByItsName) {
  std::optional<Result<LaunchedPod>> outcome;
  PodLaunch running(loop, paths, {.program = "/no/such/program"}, hand_over(), 1000, [&](Result<LaunchedPod> result) { outcome = std::move(result); });
  EXPECT_FALSE(outcome);
  run_until([&] { return outcome.has_value(); });
  ASSERT_FALSE(*outcome);
  EXPECT_HAS(outcome->error().message, "/no/such/program");
}

TEST_F(LaunchTest, ADirectoryThatIsGoneFailsByItsName) {
  HandOver lost = hand_over();
  lost.cwd = directory / "gone";
  std::optional<Result<LaunchedPod>> outcome;
  PodLaunch running(loop, paths, fake_child("pod"), lost, 1000, [&](Result<LaunchedPod> result) { outcome = std::move(result); });
  run_until([&] { return outcome.has_value(); });
  ASSERT_FALSE(*outcome);
  EXPECT_HAS(outcome->error().message, lost.cwd);
}

// R8: a name never becomes a path outside the runtime directory.
TEST_F(LaunchTest, BadNamesAreRefused) {
  for (auto* name : {"../x", "/abs", "", ".", "a b"}) {
    HandOver bad = hand_over();
    bad.config.pod_name = name;
    std::optional<Result<LaunchedPod>> outcome;
    PodLaunch running(loop, paths, fake_child("pod"), bad, 1000, [&](Result<LaunchedPod> result) { outcome = std::move(result); });
    run_until([&] { return outcome.has_value(); });
    EXPECT_FALSE(*outcome) << name;
  }
}

TEST_F(LaunchTest, DestroyedBeforeItIsDoneItKillsAndSaysNothing) {
  {
    PodLaunch running(loop, paths, fake_child("silent"), hand_over(), 60'000, [](Result<LaunchedPod> const&) { FAIL(); });
    loop.run_once(0);
    // The destructor waits for the death of its child, so this process has none left then.
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), 0) << "there is a child";
  }
  siginfo_t info{};
  EXPECT_EQ(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1) << "no child is left";
}

}  // namespace
}  // namespace insomnia::pod
