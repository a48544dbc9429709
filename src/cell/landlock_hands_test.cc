// Hands where the kernel refuses namespaces: every command under Landlock alone.
#include <signal.h>

#include "cell/hands_fixture_test.hh"
#include "cell/landlock.hh"

namespace insomnia::cell {
namespace {

class LandlockHands : public HandsTest {
 protected:
  void SetUp() override {
    if (landlock_version() < kLandlockFiles) GTEST_SKIP() << "this kernel has no Landlock that is strong enough";
    for (auto const* name : {"/data/home", "/data/tmp", "/work/lent/deep", "/work/other", "/outside"}) ASSERT_TRUE(io::make_directories(root_ + name, 0755));
    ASSERT_TRUE(io::replace_file(root_ + "/outside/file", "outside\n", 0644));
    ASSERT_TRUE(io::replace_file(path("lent/file"), "old\n", 0644));
    ASSERT_TRUE(io::make_directories(config_.start.spill_dir));
    config_.start.environment["HOME"] = root_ + "/data/home";
    config_.start.environment["TMPDIR"] = root_ + "/data/tmp";
    config_.start.own_directories = {{root_ + "/data/tmp", Permission::Write, true}};
    config_.cell = HandsCell{.start = {.isolation = Isolation::Landlock,
                                       .own_files = config_.start.spill_dir,
                                       .masked = {root_ + "/data"},
                                       .privates = {{"/tmp", root_ + "/data/tmp"}, {"/home/somebody", root_ + "/data/home"}}},
                             .locks = nullptr,
                             .kill_on_lend = false};
    config_.notice = [this](std::string text) { notices_.push_back(std::move(text)); };
  }
  std::string path(std::string_view name) const { return work() + "/" + std::string(name); }
  std::string read(std::string_view name) const { return io::read_file(path(name)).value_or("<no file>"); }
  std::string said(std::string const& command) { return bash(command).content.value_or(""); }
  scope::ScopeConfig lent() const {
    auto scope = config_.start.scope;
    scope.deny.push_back({path("lent"), Permission::Write, true});
    return scope;
  }

  std::vector<std::string> notices_;
};

TEST_F(LandlockHands, CommandsReadAndWriteTheirScopeAndNothingElse) {
  EXPECT_EQ(said("echo new > lent/file && cat lent/file"), "new\n");
  EXPECT_HAS(said("cat " + root_ + "/outside/file"), "Permission denied");
  EXPECT_HAS(said("echo x > " + root_ + "/outside/new"), "Permission denied");
  EXPECT_HAS(said("ls " + root_), "Permission denied");
  EXPECT_HAS(said("cat " + root_ + "/data/../outside/file"), "Permission denied");
  EXPECT_FALSE(io::exists(root_ + "/outside/new"));
}

TEST_F(LandlockHands, HomeAndTmpAreThePodsOwn) {
  EXPECT_EQ(said("cd && echo kept > file && cat <<< here && mktemp -p \\\"$TMPDIR\\\" > /dev/null && cat ~/file"), "here\nkept\n");
  EXPECT_EQ(io::read_file(root_ + "/data/home/file").value_or(""), "kept\n");
}

TEST_F(LandlockHands, WhatACommandCannotMakeWriteCanAndTheNextCommandUsesIt) {
  EXPECT_HAS(said("mkdir build"), "Permission denied");
  EXPECT_FALSE(run("Write", R"({"file_path":")" + path("build/notes") + R"(","content":"x"})").is_error);
  EXPECT_EQ(said("echo y > build/made && mkdir build/deep && mv build/notes build/deep && cat build/made"), "y\n");
  EXPECT_HAS(said("mkdir .claude"), "Permission denied") << "which nobody may make";
}

TEST_F(LandlockHands, NoSocketLeadsOut) {
  EXPECT_HAS(said("python3 -c 'import socket; socket.socketpair(); print(1, flush=True); socket.socket(socket.AF_UNIX)' 2>&1"), "1\nTraceback");
  EXPECT_EQ(said("python3 -c 'import socket; socket.socket(socket.AF_INET)'"), "");
}

TEST_F(LandlockHands, WithoutANetworkThereAreNoSocketsOfTheInternet) {
  config_.cell->start.network = false;
  EXPECT_HAS(said("python3 -c 'import socket; socket.socket(socket.AF_INET)' 2>&1"), "Operation not permitted");
  EXPECT_HAS(said("python3 -c 'import socket; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)' 2>&1"), "Operation not permitted");
}

TEST_F(LandlockHands, ScopeIsLentWhenNoCommandRunsAndComesBack) {
  auto whole = config_.start.scope;
  EXPECT_EQ(said("echo first > lent/file"), "");
  ASSERT_TRUE(set_scope(lent()));
  EXPECT_HAS(said("echo second > lent/file"), "Permission denied");
  EXPECT_HAS(said("touch lent/deep/new"), "Permission denied");
  EXPECT_HAS(said("mv lent gone"), "Permission denied");
  EXPECT_EQ(said("cat lent/file"), "first\n");
  EXPECT_TRUE(run("Write", R"({"file_path":")" + path("lent/new") + R"(","content":"x"})").is_error);
  EXPECT_EQ(said("echo mine > other/file"), "");
  ASSERT_TRUE(set_scope(whole));
  EXPECT_EQ(said("echo third > lent/file"), "");
  EXPECT_EQ(read("lent/file"), "third\n");
}

TEST_F(LandlockHands, WhatRunsAlreadyKeepsItsScopeSoTheLoanIsRefused) {
  EXPECT_FALSE(bash("setsid sleep 1000 > /dev/null 2>&1 &").is_error);
  auto refused = set_scope(lent());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Conflict);
  EXPECT_HAS(refused.error().message, "scope_busy");
  EXPECT_HAS(refused.error().message, "sleep 1000");
  EXPECT_HAS(refused.error().message, path("lent"));
  EXPECT_EQ(said("echo still > lent/file"), "") << "the old scope is in force";
  auto narrower = config_.start.scope;
  narrower.allow.push_back({root_ + "/outside", Permission::Read, true});
  EXPECT_TRUE(set_scope(narrower)) << "nothing is taken by it";
  EXPECT_EQ(said("cat " + root_ + "/outside/file"), "outside\n");
}

TEST_F(LandlockHands, WithKillOnLendWhatRunsIsKilled) {
  config_.cell->kill_on_lend = true;
  EXPECT_FALSE(bash("(while :; do (exec sleep 0.01) & wait; done) > /dev/null 2>&1 &").is_error);
  ASSERT_TRUE(set_scope(lent()));
  ASSERT_EQ(notices_.size(), 1u);
  EXPECT_HAS(notices_[0], "killed because what they held was lent");
  EXPECT_HAS(said("echo x > lent/file"), "Permission denied");
}

TEST_F(LandlockHands, EverythingEndsWithTheHands) {
  bash("(setsid sh -c 'sleep 1000 & echo $! > other/pid; wait' > /dev/null 2>&1 &); while ! test -s other/pid; do sleep 0.01; done");
  pid_t pid = std::atoi(read("other/pid").c_str());
  ASSERT_GT(pid, 0);
  ASSERT_EQ(::kill(pid, 0), 0);
  hands_.reset();
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST_F(LandlockHands, ItsProcessesAreCounted) {
  config_.cell->start.limits.processes = 60;
  auto bombed = run("Bash", R"({"command":"bomb() { bomb | bomb & }; bomb; sleep 1000","timeout":3})");
  EXPECT_TRUE(bombed.is_error);
  EXPECT_TRUE(until([&] { return !bash("true").is_error; })) << "commands can be started again";
}

}  // namespace
}  // namespace insomnia::cell
