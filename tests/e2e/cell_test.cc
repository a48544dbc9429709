#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "e2e.hh"

namespace insomnia::e2e {
namespace {

/// `insomnia cell`: commands under a scope that the kernel holds. Each as the user of the tests and, when that is root, as an ordinary user too.
class Cell : public E2e, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    home.write("in/file", "inside\n");
    home.write("out/file", "outside\n");
    home.write("in/.git/hooks/sample", "");
    if (auto probe = home.run({"cell", "--", "true"}, home.file("in")); contains(probe.err, "make namespaces")) {
      GTEST_SKIP() << "this machine makes no user namespaces: " << probe.err;
    }
    if (!GetParam()) return;
    if (::geteuid() != 0) GTEST_SKIP() << "the other tests run as an ordinary user already";
    auto const* nobody = ::getpwnam("nobody");
    std::string setpriv = "/usr/bin/setpriv";
    if (nobody == nullptr || ::access(setpriv.c_str(), X_OK) != 0) GTEST_SKIP() << "needs setpriv and the user nobody";
    std::string copy = home.path() + "/insomnia";
    auto bytes = io::read_file(INSOMNIA_BINARY, 1u << 30);
    ASSERT_TRUE(bytes);
    ASSERT_TRUE(io::replace_file(copy, *bytes, 0755));
    for (auto const* path : {"", "/home", "/work", "/work/in", "/work/in/file", "/work/in/.git", "/work/in/.git/hooks", "/work/out", "/work/out/file"}) {
      ASSERT_EQ(::chown((home.path() + path).c_str(), nobody->pw_uid, nobody->pw_gid), 0);
    }
    home.binary = copy;
    home.launcher = {setpriv, "--reuid=nobody", "--regid=" + std::to_string(nobody->pw_gid), "--clear-groups"};
  }
  Finished in_cell(std::string const& script, std::vector<std::string> const& options = {}) {
    std::vector<std::string> command{"cell"};
    command.insert(command.end(), options.begin(), options.end());
    for (auto const* word : {"--", "sh", "-c"}) command.push_back(word);
    command.push_back(script);
    return home.run(command, home.file("in"));
  }
  /// The same without a cell.
  Finished outside(std::string const& script) {
    PodHome const& here = home;
    std::vector<std::string> words = here.launcher;
    words.insert(words.end(), {"/bin/sh", "-c", script});
    testing::Program program({.program = words.front(), .arguments = {words.begin() + 1, words.end()}, .environment = here.environment, .cwd = here.file("in"), .input = ""});
    auto code = program.wait();
    return {code, program.out(), program.err()};
  }
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

/// What succeeds outside and must not succeed inside. `PROBE` is printed by what got through.
TEST_P(Cell, WhatSucceedsOutsideFailsInside) {
  struct Attempt {
    std::string_view what, script;
  };
  std::string out = home.file("out/file");
  home.environment.set("SOME_API_KEY", "PROBE");
  for (auto const& [what, script] : std::initializer_list<Attempt>{
           {"an absolute path", "cat ../out/file && echo PROBE"},
           {"a path to write", "echo x > ../out/new && echo PROBE"},
           {"a link that points out", "ln -sf ../out/file way && cat way && echo PROBE"},
           {"a hard link", "ln ../out/file hard && echo PROBE"},
           {"a rename in", "mv ../out/file here && mv here ../out/file && echo PROBE"},
           {"a hook for later", "echo x > .git/hooks/pre-commit && rm .git/hooks/pre-commit && echo PROBE"},
           {"settings of other agents", "mkdir -p .claude && echo x > .claude/settings.json && rm -r .claude && echo PROBE"},
           {"the processes of the machine", "test $(ls /proc | grep -c '^[0-9]') -gt 8 && echo PROBE"},
           {"keys in the environment", "test \"$SOME_API_KEY\" = PROBE && echo PROBE"},
           {"the parent directory's list", "ls .. | grep -q out && echo PROBE"},
       }) {
    EXPECT_TRUE(has(outside(std::string(script)).out, "PROBE")) << what << ": it would do so outside";
    auto inside = in_cell(std::string(script));
    EXPECT_FALSE(contains(inside.out, "PROBE")) << what << "\n" << inside.out << inside.err;
  }
  EXPECT_EQ(home.read("out/file"), "outside\n");
  EXPECT_EQ(home.read("in/.git/hooks/pre-commit"), "<no file>");
}

TEST_P(Cell, TheMachineIsOutOfReach) {
  struct Attempt {
    std::string_view what, script;
  };
  for (auto const& [what, script] : std::initializer_list<Attempt>{
           {"capabilities", "grep -q 'CapEff:.*[1-9a-f]' /proc/self/status && echo PROBE"},
           {"new privileges", "grep -q 'NoNewPrivs:.*0' /proc/self/status && echo PROBE"},
           {"the root of the first process", "ls /proc/1/root/ > /dev/null && echo PROBE"},
           {"its environment", "cat /proc/1/environ > /dev/null && echo PROBE"},
           {"settings of the kernel", "echo x > /proc/sys/kernel/core_pattern && echo PROBE"},
           {"the system's directories", "touch /usr/probe && echo PROBE"},
           {"the view's own root", "touch /probe && echo PROBE"},
           {"password files", "test -s /etc/shadow && cat /etc/shadow && echo PROBE"},
           {"disks", "ls /dev/vda /dev/sda /dev/nvme0n1 2>/dev/null | grep -q dev && echo PROBE"},
           {"mounts", "mount -t tmpfs none /tmp && echo PROBE"},
           {"chroot", "chroot / true && echo PROBE"},
           {"device nodes", "mknod /tmp/null c 1 3 && echo x > /tmp/null && echo PROBE"},
           {"another namespace", "nsenter -t 1 -m true && echo PROBE"},
       }) {
    auto inside = in_cell(std::string(script));
    EXPECT_FALSE(contains(inside.out, "PROBE")) << what << "\n" << inside.out << inside.err;
  }
}

TEST_P(Cell, HomeAndTmpAreItsOwn) {
  auto ran = in_cell("echo x > /tmp/mine && echo y > ~/mine && cat /tmp/mine ~/mine && ls -a ~ | grep -c insomnia");
  EXPECT_TRUE(has(ran.out, "x\ny\n0\n")) << ran.err;
  EXPECT_FALSE(io::exists(home.path() + "/home/mine"));
}

TEST_P(Cell, ReadRulesAndDeniesHold) {
  home.write("in/secret/key", "k");
  auto ran = in_cell("cat ../out/file; echo x > ../out/file; cat secret/key; echo x > file; echo end",
                     {"--scope", "write:.", "--scope", "read:../out", "--scope", "deny-read:secret", "--scope", "deny-write:file"});
  EXPECT_EQ(ran.out, "outside\nend\n") << ran.err;
  EXPECT_EQ(home.read("out/file"), "outside\n");
  EXPECT_EQ(home.read("in/file"), "inside\n");
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
