#include "cell_fixture.hh"

namespace insomnia::e2e {
namespace {

/// `insomnia cell`: commands under a scope that the kernel holds. (Ways out of it: cell_escape_test.cc.)
class Cell : public CellFixture, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override { begin(GetParam()); }
};

TEST_P(Cell, ReadsAndWritesItsScopeAndReturnsTheStatus) {
  auto ran = in_cell("cat file && echo more >> file && exit 7");
  EXPECT_TRUE(ended_with(7, ran));
  EXPECT_EQ(ran.out, "inside\n");
  EXPECT_EQ(home.read("in/file"), "inside\nmore\n");
  EXPECT_TRUE(ended_with(143, in_cell("kill -TERM $$")));
  auto missing = home.run({"cell", "--", "no-such-program"}, home.file("in"));
  EXPECT_TRUE(ended_with(127, missing));
  EXPECT_TRUE(has(missing.err, "not found in the cell"));
}

TEST_P(Cell, HomeAndTmpAreItsOwn) {
  auto ran = in_cell("echo x > /tmp/mine && echo y > ~/mine && cat /tmp/mine ~/mine && ls -a ~ | grep -c insomnia");
  EXPECT_TRUE(has(ran.out, "x\ny\n0\n")) << ran.err;
  EXPECT_FALSE(io::exists(home.path() + "/user/mine"));
}

TEST_P(Cell, ReadRulesAndDeniesHold) {
  home.write("in/secret/key", "k");
  auto ran = in_cell("cat ../out/file; echo x > ../out/file; cat secret/key; echo x > file; echo end",
                     {"--scope", "write:.", "--scope", "read:../out", "--scope", "deny-read:secret", "--scope", "deny-write:file"});
  EXPECT_EQ(ran.out, "outside\nend\n") << ran.err;
  EXPECT_EQ(home.read("out/file"), "outside\n");
  EXPECT_EQ(home.read("in/file"), "inside\n");
}

TEST_P(Cell, TakesScopeAndSandboxFromAManifest) {
  home.write("in/cell.toml", "[scope]\nallow = [{target = \".\", permission = \"read\"}, {target = \"made\", permission = \"write\"}]\n[sandbox]\nnetwork = \"none\"\nmax_open_files = 64\n");
  std::filesystem::create_directories(home.file("in/made"));
  give_to_user();
  auto ran = in_cell("echo x > made/new && echo x > file; ulimit -Hn; tail -n +3 /proc/net/dev | grep -vc ' lo:'; true", {"--manifest", "cell.toml"});
  EXPECT_EQ(ran.out, "64\n0\n") << ran.err;
  EXPECT_EQ(home.read("in/file"), "inside\n");
  EXPECT_EQ(home.read("in/made/new"), "x\n");
  EXPECT_TRUE(ended_with(2, in_cell("true", {"--manifest", "missing.toml"})));
  EXPECT_TRUE(has(in_cell("true", {"--profile", "nobody:has-it"}).err, "profile not found"));
}

TEST_P(Cell, WithoutNetworkThereIsOnlyItsLoopback) {
  auto ran = in_cell("tail -n +3 /proc/net/dev | grep -vc ' lo:'; cat /proc/net/fib_trie | grep -c 127.0.0.1", {"--network", "none"});
  EXPECT_TRUE(ran.out.starts_with("0\n")) << ran.out << ran.err;
  EXPECT_FALSE(contains(ran.out, "\n0\n")) << "it is up";
}

TEST_P(Cell, WhatItLeavesBehindEndsWithIt) {
  auto ran = in_cell("setsid sh -c 'while :; do :; done' > /dev/null 2>&1 & echo started");
  EXPECT_TRUE(ended_with(0, ran));
  EXPECT_EQ(ran.out, "started\n");
  EXPECT_TRUE(home.processes().empty());
  for (auto const* name : {".claude", ".codex", ".vscode", ".insomnia"}) EXPECT_FALSE(io::exists(home.file("in/") + name)) << name;
}

TEST_P(Cell, ExplainsThePlanAndDoesNothing) {
  auto plan = home.run({"cell", "--scope", "write:.", "--scope", "deny-write:file", "--explain"}, home.file("in"));
  ASSERT_TRUE(ended_with(0, plan));
  EXPECT_TRUE(has(plan.out, "rw        " + home.file("in") + "\n"));
  EXPECT_TRUE(has(plan.out, "ro        " + home.file("in/file") + "\n"));
  auto refused = home.run({"cell", "--scope", "write:../out", "--", "true"}, home.file("in"));
  EXPECT_TRUE(ended_with(2, refused));
  EXPECT_TRUE(has(refused.err, "is not in the scope"));
  EXPECT_TRUE(ended_with(2, home.run({"cell"}, home.file("in"))));
}

INSTANTIATE_TEST_SUITE_P(AsRootAndNot, Cell, ::testing::Bool(), [](auto const& info) { return info.param ? "OrdinaryUser" : "SameUser"; });

}  // namespace
}  // namespace insomnia::e2e
