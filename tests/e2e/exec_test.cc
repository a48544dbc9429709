// `insomnia exec`: a person's commands in the cell of a living Pod.
#include <signal.h>
#include <unistd.h>

#include "base/io.hh"
#include "e2e.hh"

namespace insomnia::e2e {
namespace {

class Exec : public E2e {
 protected:
  void SetUp() override {
    if (auto probe = home.run({"cell", "--", "true"}); probe.code != 0) GTEST_SKIP() << "no cell can be made here: " << probe.err;
    home.write("in/file", "inside\n");
    home.write("in/left/old.txt", "left\n");
    home.write("out/file", "outside\n");
  }
  void TearDown() override {
    if (!IsSkipped() && !home.living().empty()) home.run({"stop", "site"});
  }
  /// A Pod that has nothing to do, and no cell yet.
  void start_pod(std::vector<std::string> const& options = {}) {
    answer_task(server, "STAY", {text_reply("Here.")});
    std::vector<std::string> words{"run", "STAY", "--name", "site", "--keep"};
    words.insert(words.end(), options.begin(), options.end());
    ASSERT_TRUE(ended_with(0, home.run(words, home.file("in"))));
  }
  static std::vector<std::string> exec(std::vector<std::string> const& command, std::vector<std::string> const& options = {}) {
    std::vector<std::string> words{"exec"};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {"site", "--"});
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }
  Finished sh(std::string const& script, std::string const& input = "") { return home.run(exec({"sh", "-c", script}), "", input); }
};

TEST_F(Exec, ACommandSeesWhatThePodSeesAndItsEndIsTold) {
  start_pod();
  auto seen = sh("pwd; cat file; cat " + home.file("out/file") + "; echo complaint >&2; exit 7");
  EXPECT_TRUE(ended_with(7, seen));
  EXPECT_EQ(seen.out, home.file("in") + "\ninside\n");
  EXPECT_TRUE(has(seen.err, "No such file"));
  EXPECT_TRUE(has(seen.err, "complaint\n"));
  EXPECT_TRUE(ended_with(0, sh("echo x > made && test \"$INSOMNIA_POD\" = site && test -z \"$ANTHROPIC_API_KEY\"")));
  EXPECT_EQ(home.read("in/made"), "x\n");
  EXPECT_TRUE(ended_with(128 + SIGTERM, sh("kill -TERM $$")));
  EXPECT_EQ(home.run(exec({"pwd"}, {"--cwd", home.file("in/left")})).out, home.file("in/left") + "\n");
  home.environment.set("EXTRA", "more");
  EXPECT_EQ(home.run(exec({"printenv", "EXTRA"}, {"--env", "EXTRA"})).out, "more\n");
}

TEST_F(Exec, StandardInputAndMuchOutputAreCarried) {
  start_pod();
  std::string much(3'000'000, 'a');
  EXPECT_EQ(sh("tr a b | wc -c", much).out, "3000000\n");
  EXPECT_EQ(sh("cat", much).out, much);
  EXPECT_TRUE(ended_with(0, sh("exec true", much))) << "who does not read it is not waited for";
}

TEST_F(Exec, NothingOfTheCallersComesIntoTheCell) {
  start_pod();
  std::string script = "exec 7< " + home.file("out/file") + "; exec " + home.binary + " exec site -- ls -l /proc/self/fd > " + home.file("out/list");
  Program shell({.program = "/bin/sh", .arguments = {"-c", script}, .environment = home.environment, .cwd = home.work(), .input = ""});
  ASSERT_TRUE(ended_with(0, shell));
  EXPECT_TRUE(has(home.read("out/list"), "pipe:"));
  EXPECT_FALSE(contains(home.read("out/list"), home.file("out")));
}

TEST_F(Exec, SignalsGoToTheCommandAndSoDoesTheEndOfItsCaller) {
  start_pod();
  auto trapped = home.start(exec({"sh", "-c", "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.05; done"}));
  ASSERT_TRUE(trapped->wait_for_out("ready"));
  trapped->signal(SIGINT);
  EXPECT_TRUE(ended_with(3, *trapped));
  EXPECT_EQ(trapped->out(), "ready\ncaught\n");
  auto killed = home.start(exec({"sh", "-c", "echo ready; while :; do echo x > ticks; sleep 0.01; done"}));
  ASSERT_TRUE(killed->wait_for_out("ready"));
  killed->signal(SIGKILL);
  killed->wait();
  EXPECT_TRUE(ended_with(0, sh("while pgrep -f 'echo read[y]' > /dev/null; do sleep 0.01; done")));
}

TEST_F(Exec, ATerminalBecomesOneOfTheCommandsOwn) {
  start_pod();
  // Not an interactive shell: what bash makes of an interrupt just before it waits for a command is a race of its own.
  home.write("in/script",
             "trap 'caught=yes' INT\n"
             "test -t 0 && test -t 1 && test -t 2 && echo terminal\n"
             "echo going; until test \"$caught\"; do sleep 0.01; done; echo caught\n"
             "read line; echo \"read $line\"; stty size; exit 5\n");
  home.write("terminal.py",
             "import fcntl, os, pty, struct, sys, termios\n"
             "pid, fd = pty.fork()\n"
             "if pid == 0:\n"
             "  fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 17, 91, 0, 0))\n"
             "  os.execv(sys.argv[1], ['insomnia', 'exec', 'site', '--', 'sh', 'script'])\n"
             "seen = b''\n"
             "def until(text):\n"
             "  global seen\n"
             "  while text not in seen:\n"
             "    try: piece = os.read(fd, 4096)\n"
             "    except OSError: piece = b''\n"
             "    if not piece: sys.exit('no ' + repr(text) + ' in ' + repr(seen))\n"
             "    seen += piece\n"
             "  seen = seen.split(text, 1)[1]\n"
             "until(b'terminal\\r\\ngoing\\r\\n')\n"
             "os.write(fd, b'\\x03'); until(b'caught\\r\\n')\n"
             "os.write(fd, b'a line\\r'); until(b'read a line\\r\\n17 91\\r\\n')\n"
             "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n");
  Program terminal({.program = "/usr/bin/env", .arguments = {"python3", home.file("terminal.py"), home.binary}, .environment = home.environment, .cwd = home.work(), .input = ""});
  ASSERT_TRUE(ended_with(0, terminal));
  EXPECT_EQ(terminal.out(), "5\n");
}

TEST_F(Exec, WhatItHoldsIsNotLentAndItIsNamed) {
  answer_task(server, "CHILD", {text_reply("child is done")});
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (!conversation.was_told("Now")) return text_reply("Ready.");
    if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"write:" + home.file("in/left")})}});
    return text_reply("Done.");
  });
  ASSERT_TRUE(ended_with(0, home.run({"run", "PARENT", "--name", "site", "--keep"}, home.file("in"))));
  auto holder = home.start(exec({"sh", "-c", "exec 5> new.txt; echo ready; exec sleep 1000"}, {"--cwd", home.file("in/left")}));
  ASSERT_TRUE(holder->wait_for_out("ready"));
  ASSERT_TRUE(ended_with(0, home.run({"send", "site", "Now"})));
  auto following = home.start({"logs", "-f", "site"});
  ASSERT_TRUE(following->wait_for_out("Done."));
  auto result = last_conversation(server, "PARENT").result("s1");
  EXPECT_TRUE(has(result, "scope_busy"));
  EXPECT_TRUE(has(result, "sleep 1000"));
  ASSERT_TRUE(ended_with(0, home.run({"stop", "site"})));
  EXPECT_TRUE(ended_with(1, *holder));
  EXPECT_TRUE(has(holder->err(), "has ended, and the command with it"));
}

TEST_F(Exec, SaysWhyNot) {
  auto unknown = sh("true");
  EXPECT_TRUE(ended_with(1, unknown));
  EXPECT_TRUE(has(unknown.err, "no Pod `site` is running"));
  start_pod();
  EXPECT_TRUE(ended_with(127, home.run(exec({"no-such-program"}))));
  auto nowhere = home.run(exec({"true"}, {"--cwd", "/nowhere"}));
  EXPECT_TRUE(ended_with(125, nowhere));
  EXPECT_TRUE(has(nowhere.err, "/nowhere"));
  EXPECT_TRUE(ended_with(2, home.run({"exec", "site"})));
  EXPECT_TRUE(has(home.run(exec({"true"}, {"--env", "NOT_THERE"})).err, "NOT_THERE"));
}

TEST_F(Exec, WorksUnderLandlockAndNotWithoutAnything) {
  std::string name = "INSOMNIA_HOME=" + *home.environment.get("INSOMNIA_HOME");
  home.write("open.toml", "[sandbox]\nrequired = false\n");
  auto script = [&](std::string const& pod, std::string const& options) {
    return "insomnia run STAY --name " + pod + " --keep " + options + " > /dev/null && insomnia exec " + pod + " -- sh -c 'cat file; cat " + home.file("out/file") + "'; echo status $?; insomnia stop " + pod;
  };
  answer_with(server, "STAY", [](Conversation const&) { return text_reply("Here."); });
  // In a cell there are no further namespaces.
  home.launcher = {"/usr/bin/env", "-u", "INSOMNIA_HOME", home.binary, "cell", "--scope", "write:" + home.path(), "--scope", "read:" + io::parent_path(home.binary), "--env", "ANTHROPIC_BASE_URL", "--env",
                   "ANTHROPIC_API_KEY", "--", "/usr/bin/env", name, "PATH=" + io::parent_path(home.binary) + ":/usr/bin:/bin", "sh", "-c"};
  home.binary = script("held", "");
  auto held = home.run({}, home.file("in"));
  EXPECT_TRUE(has(held.out, "inside\n"));
  EXPECT_TRUE(has(held.err, "Permission denied"));
  home.binary = script("open", "--manifest " + home.file("open.toml"));
  auto open = home.run({}, home.file("in"));
  EXPECT_TRUE(has(open.out, "status 1"));
  EXPECT_TRUE(has(open.err, "runs without a cell")) << open.out;
}

}  // namespace
}  // namespace insomnia::e2e
