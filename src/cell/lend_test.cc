// Scope that is taken from processes that run, and given back: against the kernel.
#include <cstdio>
#include <utility>

#include "cell/cell_fixture_test.hh"

namespace insomnia::cell {
namespace {

class Lend : public CellHands {
 protected:
  Result<void> lend(std::string_view name) {
    auto scope = config_.start.scope;
    scope.deny.push_back({path(name), Permission::Write, true});
    return set_scope(scope);
  }
  Result<void> give_back() { return set_scope(config_.start.scope); }
  /// Starts something in the background that says when it is where it wants to be, by a file.
  void start_holder(std::string const& text) {
    auto output = script("(" + text + "\n) > /dev/null 2> " + path("other/errors") + " &\nwhile ! test -e " + path("other/there") + "; do sleep 0.01; done");
    EXPECT_FALSE(output.is_error) << output.summary << output.content.value_or("") << read("other/errors");
  }
  static constexpr char kPython[] = "/usr/bin/python3";
  void start_python(std::string const& text) {
    write("other/holder.py", "import os, sys, mmap, socket, array, time, threading\nos.chdir('/')\n" + text + "\nopen('" + path("other/there") + "', 'w').close()\ntime.sleep(1000)\n");
    start_holder("exec " + std::string(kPython) + " " + path("other/holder.py"));
  }
  void expect_busy(std::string_view what, std::string_view where) {
    auto lent = lend("lent");
    ASSERT_FALSE(lent) << "it would go on writing";
    EXPECT_EQ(lent.error().code, Code::Conflict);
    EXPECT_HAS(lent.error().message, "scope_busy");
    EXPECT_HAS(lent.error().message, what);
    EXPECT_HAS(lent.error().message, where);
    EXPECT_FALSE(script("echo changed > " + path("lent/file")).is_error) << "nothing is taken when it is refused";
    EXPECT_FALSE(run("Write", R"({"file_path":")" + path("lent/by-tool") + R"(","content":"x"})").is_error);
  }
};

TEST_F(Lend, CommandsAndFileToolsLoseALentDirectoryAndGetItBack) {
  EXPECT_FALSE(script("echo first > " + path("lent/file")).is_error);
  ASSERT_TRUE(lend("lent"));
  auto refused = script("cd /\necho second > " + path("lent/file") + "\ntouch " + path("lent/new") + " || echo 'no new one'\ncat " + path("lent/file"));
  EXPECT_HAS(refused.content.value_or(""), "Read-only file system");
  EXPECT_HAS(refused.content.value_or(""), "no new one\nfirst\n");
  EXPECT_TRUE(run("Write", R"({"file_path":")" + path("lent/by-tool") + R"(","content":"x"})").is_error);
  EXPECT_FALSE(script("echo mine > " + path("other/file")).is_error) << "what is not lent goes on";
  ASSERT_TRUE(give_back());
  EXPECT_FALSE(script("echo third > " + path("lent/file")).is_error);
  EXPECT_EQ(read("lent/file"), "third\n");
}

TEST_F(Lend, WhatIsGivenWhileTheCellIsMadeIsNotLost) {
  auto whole = config_.start.scope;
  config_.start.scope.deny.push_back({path("lent"), Permission::Write, true});
  auto call = start("Bash", R"({"command":"true"})");
  ASSERT_TRUE(set_scope(whole));
  EXPECT_FALSE(finish(call).output.is_error) << "the cell was not killed for its silence";
  EXPECT_FALSE(script("echo mine > " + path("lent/file")).is_error);
}

TEST_F(Lend, ALentFileIsTakenAloneAndGivenBack) {
  script("true");
  ASSERT_TRUE(lend("lent/file"));
  EXPECT_TRUE(script("echo x > " + path("lent/file")).is_error);
  EXPECT_TRUE(script("rm " + path("lent/file")).is_error);
  EXPECT_TRUE(script("mv " + path("other/script-1") + " " + path("lent/file")).is_error);
  EXPECT_FALSE(script("echo x > " + path("lent/beside")).is_error);
  ASSERT_TRUE(give_back());
  EXPECT_FALSE(script("rm " + path("lent/file")).is_error);
}

TEST_F(Lend, AProcessThatRunsLosesItsPath) {
  start_holder("cd /\ntouch " + path("other/there") + "\nwhile :; do\n if echo $RANDOM > " + path("lent/file") + "; then echo y; else echo n; fi > " + path("other/answer.tmp") + "\n mv " +
               path("other/answer.tmp") + " " + path("other/answer") + "\n sleep 0.005\ndone");
  auto answers = [&](std::string_view wanted) { return until([&] { return read("other/answer") == wanted; }); };
  EXPECT_TRUE(answers("y\n"));
  // A redirection that is under way at that very moment is a holder.
  EXPECT_TRUE(until([&] { return lend("lent").has_value(); }));
  EXPECT_TRUE(answers("n\n"));
  std::string content = read("lent/file");
  EXPECT_TRUE(script("sleep 0.05; test \"$(cat " + path("lent/file") + ")\" = \"" + std::string(text::trim(content)) + "\"").is_error == false);
  ASSERT_TRUE(give_back());
  EXPECT_TRUE(answers("y\n"));
}

TEST_F(Lend, AWorkingDirectoryInItIsNamed) {
  start_holder("cd " + path("lent/deep") + "\ntouch " + path("other/there") + "\nexec sleep 1000");
  expect_busy("sleep 1000", path("lent/deep") + " (its working directory)");
}

TEST_F(Lend, AnOldDirectoryDescriptorIsNamed) {
  start_python("fd = os.open('" + path("lent") + "', os.O_RDONLY | os.O_DIRECTORY)");
  expect_busy("holder.py", path("lent") + " (descriptor ");
}

TEST_F(Lend, ADescriptorThatIsOnlyAPathIsNamedToo) {
  start_python("fd = os.open('" + path("lent/deep") + "', os.O_PATH)");
  expect_busy("holder.py", path("lent/deep"));
}

TEST_F(Lend, AnOldFileDescriptorIsNamed) {
  start_python("fd = os.open('" + path("lent/file") + "', os.O_WRONLY)");
  expect_busy("holder.py", path("lent/file") + " (descriptor ");
}

TEST_F(Lend, AFileThatIsOpenForReadingCouldBeOpenedAgainForWriting) {
  start_python("fd = os.open('" + path("lent/file") + "', os.O_RDONLY)");
  expect_busy("holder.py", path("lent/file") + " (descriptor ");
}

TEST_F(Lend, ARemovedFileIsStillOneOfThem) {
  start_python("fd = os.open('" + path("lent/file") + "', os.O_WRONLY)\nos.unlink('" + path("lent/file") + "')");
  expect_busy("holder.py", "(deleted)");
}

TEST_F(Lend, ASharedMappingIsNamed) {
  start_python("fd = os.open('" + path("lent/file") + "', os.O_RDWR)\nm = mmap.mmap(fd, 4)\nos.close(fd)\n" +
               "for n in os.listdir('/proc/self/fd'):\n  try:\n    if os.readlink('/proc/self/fd/' + n).startswith('" + path("lent") + "'): os.close(int(n))\n  except OSError: pass");
  expect_busy("holder.py", path("lent/file") + " (a shared mapping)");
}

TEST_F(Lend, ADescriptorThatIsParkedInASocketIsFound) {
  start_python("a, b = socket.socketpair()\nfd = os.open('" + path("lent") + "', os.O_RDONLY | os.O_DIRECTORY)\nsocket.send_fds(a, [b'x'], [fd])\nos.close(fd)");
  expect_busy("holder.py", "descriptors on their way");
}

TEST_F(Lend, AThreadWithFilesOfItsOwnIsLookedAt) {
  start_python("def hold():\n  import ctypes\n  ctypes.CDLL(None).unshare(0x400 | 0x200)\n  os.chdir('" + path("lent") + "')\n  ready.set()\n  time.sleep(1000)\nready = threading.Event()\nthreading.Thread(target=hold, daemon=True).start()\nready.wait()");
  expect_busy("holder.py", path("lent") + " (its working directory)");
}

TEST_F(Lend, WhoOnlyExecutesFromItHoldsNothing) {
  ASSERT_FALSE(script("cp /bin/sleep " + path("lent/sleep")).is_error);
  start_holder("cd /\ntouch " + path("other/there") + "\nexec " + path("lent/sleep") + " 1000");
  EXPECT_TRUE(until([&] { return lend("lent").has_value(); })) << "bash may still be there for a moment";
}

TEST_F(Lend, HoldersAreKilledWhenTheManifestSaysSo) {
  config_.cell->kill_on_lend = true;
  start_holder("cd " + path("lent/deep") + "\ntouch " + path("other/there") + "\nexec sleep 1000");
  ASSERT_TRUE(lend("lent"));
  ASSERT_EQ(notices_.size(), 1u);
  EXPECT_HAS(notices_[0], "sleep 1000");
  EXPECT_HAS(notices_[0], path("lent/deep"));
  EXPECT_TRUE(script("pgrep -x sleep").is_error);
}

TEST_F(Lend, ItsAncestorsCannotBeMovedAway) {
  // Also for one who stands above it: relative paths are looked at by the same rules.
  start_holder("cd " + path("a") + "\ntouch " + path("other/there") + "\nwhile ! test -e " + path("other/go") + "; do sleep 0.01; done\nmv b z; mkdir -p b/c; echo stolen > b/c/file\ncd " + work() +
               "\nmv a z; mkdir -p a/b/c; echo stolen > a/b/c/file\ntouch " + path("other/tried") + "\nexec sleep 1000");
  ASSERT_TRUE(lend("a/b/c"));
  write("other/go", "");
  EXPECT_TRUE(until([&] { return read("other/tried") != "<no file>"; }));
  EXPECT_EQ(read("a/b/c/file"), "old\n");
  EXPECT_TRUE(script("mv " + path("a/b/c") + " " + path("a/b/z")).is_error);
  EXPECT_TRUE(script("rm -rf " + path("a")).is_error);
  EXPECT_EQ(read("a/b/c/file"), "old\n");
  EXPECT_FALSE(script("echo mine > " + path("a/b/mine")).is_error) << "beside it all goes on";
}

TEST_F(Lend, FiftyForkingProcessesAreStoppedAllAtOnce) {
  start_python("import subprocess\nfor i in range(50):\n  if os.fork() == 0:\n    while True:\n      pid = os.fork()\n      if pid == 0:\n        try:\n          if os.getpid() % 4 == 0:\n            with open('" + path("lent/file") +
               "', 'a') as f: f.write('x')\n        except OSError: pass\n        os._exit(0)\n      os.waitpid(pid, 0)");
  size_t before = 0;
  bool taken = false;
  EXPECT_TRUE(until([&] {
    // Each attempt stops them all: they need time to let go.
    size_t now = read("lent/file").size();
    if (!taken && now != std::exchange(before, now)) taken = lend("lent").has_value();
    return taken;
  })) << "sooner or later none of them has the file open";
  std::string size = std::to_string(read("lent/file").size());
  auto later = script("sleep 0.1; stat -c %s " + path("lent/file"));
  EXPECT_EQ(later.content.value_or(""), size + "\n");
  EXPECT_FALSE(script("test $(pgrep -c python3) -ge 50").is_error) << "they live on";
}

TEST_F(Lend, WhatSomebodyOutsidePutsInItsPlaceIsTakenToo) {
  script("true");
  ASSERT_TRUE(lend("lent"));
  // Removed and made anew: the kernel drops what was mounted there.
  ASSERT_EQ(std::system(("rm -r " + path("lent") + " && mkdir -p " + path("lent") + " && echo new > " + path("lent/file")).c_str()), 0);
  EXPECT_TRUE(until([&] { return !notices_.empty(); }));
  EXPECT_TRUE(script("echo x > " + path("lent/file")).is_error);
  EXPECT_EQ(read("lent/file"), "new\n");
  ASSERT_TRUE(give_back());
  EXPECT_FALSE(script("echo x > " + path("lent/file")).is_error);
}

TEST_F(Lend, WhatSomebodyOutsideMovesAwayIsNoLongerItAndWhatComesInItsPlaceIs) {
  script("true");
  ASSERT_TRUE(lend("lent"));
  ASSERT_EQ(::rename(path("lent").c_str(), path("moved").c_str()), 0);
  EXPECT_TRUE(until([&] { return !notices_.empty(); }));
  ASSERT_EQ(std::system(("mkdir -p " + path("lent") + " && echo new > " + path("lent/file")).c_str()), 0);
  EXPECT_TRUE(script("echo x > " + path("lent/file")).is_error);
  EXPECT_FALSE(script("echo x > " + path("moved/file")).is_error);
  EXPECT_EQ(read("lent/file"), "new\n");
  ASSERT_TRUE(give_back());
  EXPECT_FALSE(script("echo x > " + path("lent/file")).is_error);
}

TEST_F(Lend, AnAncestorThatIsMovedOutsideIsNoticed) {
  script("true");
  ASSERT_TRUE(lend("a/b/c"));
  ASSERT_EQ(::rename(path("a").c_str(), path("z").c_str()), 0);
  EXPECT_TRUE(until([&] { return !notices_.empty(); }));
  EXPECT_TRUE(script("mkdir -p " + path("a/b/c") + "; echo x > " + path("a/b/c/file")).is_error);
}

TEST_F(Lend, ARefusedLoanLeavesNoHoleWhereSomethingWasReplacedOutside) {
  start_holder("cd " + path("a/b/c") + "\ntouch " + path("other/there") + "\nexec sleep 1000");
  ASSERT_TRUE(lend("lent"));
  auto both = config_.start.scope;
  both.deny = {{path("lent"), Permission::Write, true}, {path("a/b/c"), Permission::Write, true}};
  ASSERT_EQ(std::system(("rm -r " + path("lent") + " && mkdir -p " + path("lent")).c_str()), 0);
  EXPECT_FALSE(set_scope(both));
  EXPECT_TRUE(script("echo x > " + path("lent/file")).is_error);
}

TEST_F(Lend, SeveralLoansAreTakenBackInAnyOrder) {
  script("true");
  auto scope = config_.start.scope;
  scope.deny = {{path("lent"), Permission::Write, true}, {path("a/b"), Permission::Write, true}};
  ASSERT_TRUE(lend("lent"));
  ASSERT_TRUE(set_scope(scope));
  EXPECT_TRUE(script("touch " + path("a/b/c/x")).is_error);
  scope.deny.erase(scope.deny.begin());
  ASSERT_TRUE(set_scope(scope));
  EXPECT_FALSE(script("touch " + path("lent/x")).is_error);
  EXPECT_TRUE(script("touch " + path("a/b/c/x")).is_error);
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(give_back());
    ASSERT_TRUE(set_scope(scope));
  }
  auto mounts = script("grep -c " + path("a/b") + " /proc/self/mountinfo");
  EXPECT_EQ(mounts.content.value_or(""), "1\n") << "they don't pile up";
}

TEST_F(Lend, ThePathsOfTheWholeScopeCanBeLent) {
  ASSERT_TRUE(io::make_directories(path(".git/hooks"), 0755));
  script("true");
  ASSERT_TRUE(set_scope({{{work(), Permission::Write, true}}, {{work(), Permission::Write, true}}}));
  auto refused = bash("cd /; touch " + path("x") + "; touch " + path("lent/x") + "; echo end");
  EXPECT_HAS(refused.content.value_or(""), "end\n");
  EXPECT_EQ(read("x"), "<no file>");
  EXPECT_EQ(read("lent/x"), "<no file>");
  ASSERT_TRUE(give_back());
  EXPECT_FALSE(script("touch " + path("x")).is_error);
  EXPECT_TRUE(script("touch " + path(".git/hooks/x")).is_error);
}

TEST_F(Lend, WithoutARunningCellTheNextOneBeginsWithTheScope) {
  ASSERT_TRUE(lend("lent"));
  EXPECT_FALSE(hands().running());
  EXPECT_TRUE(bash("touch " + path("lent/x")).is_error);
}

TEST_F(Lend, AProcessThatWasStoppedStaysStopped) {
  start_holder("cd /\ntouch " + path("other/there") + "\nexec sleep 1000");
  ASSERT_FALSE(script("pkill -STOP -x sleep").is_error);
  ASSERT_TRUE(lend("lent"));
  EXPECT_EQ(script("ps -o state= -C sleep").content.value_or(""), "T\n");
}

TEST_F(Lend, AProcessThatStandsBeforeItsTracerGoesOnWithIt) {
  // Its tracer passes on every signal, as strace does.
  start_python(R"(import ctypes, signal
os.chdir(')" + path("other") + R"(')
ptrace = ctypes.CDLL(None).ptrace
def trace():
  given, kept = os.pipe()
  pid = os.fork()
  if pid == 0:
    os.read(given, 1)
    os.kill(os.getpid(), signal.SIGUSR1)
    open('went-on', 'w').close()
    os._exit(0)
  assert ptrace(0x4206, pid, None, None) == 0
  os.write(kept, b'x')
  os.waitpid(pid, 0)
  ready.set()
  while not os.path.exists('go'): time.sleep(0.001)
  ptrace(7, pid, None, None)
  while os.WIFSTOPPED(status := os.waitpid(pid, 0)[1]):
    event, number = status >> 16, os.WSTOPSIG(status)
    if event and number == signal.SIGSTOP: ptrace(0x4208, pid, None, None)
    else: ptrace(7, pid, None, ctypes.c_void_p(0 if event else number))
ready = threading.Event()
threading.Thread(target=trace, daemon=True).start()
ready.wait())");
  ASSERT_TRUE(lend("lent"));
  write("other/go", "");
  EXPECT_TRUE(until([&] { return io::exists(path("other/went-on")); }));
}

TEST_F(Lend, OneDirectoryWithoutThoseBelowIsWrittenByToolsAlone) {
  config_.start.scope = {{{work(), Permission::Write, false}, {path("other"), Permission::Write, true}}, {}};
  EXPECT_TRUE(script("touch " + path("x")).is_error);
  EXPECT_FALSE(run("Write", R"({"file_path":")" + path("x") + R"(","content":"by tool"})").is_error);
  EXPECT_FALSE(run("Edit", R"({"file_path":")" + path("x") + R"(","old_string":"tool","new_string":"hand"})").is_error);
  EXPECT_EQ(read("x"), "by hand");
  EXPECT_TRUE(run("Write", R"({"file_path":")" + path("lent/x") + R"(","content":"x"})").is_error);
  EXPECT_TRUE(script("ls " + path("lent/file")).is_error) << "it ends at the directories below";
}

TEST_F(Lend, LongOutputsAreKeptWhereTheModelCanReadThem) {
  auto output = bash("seq 100000");
  auto at = output.content.value_or("").find(config_.start.spill_dir);
  ASSERT_NE(at, std::string::npos) << output.content.value_or("");
  std::string kept = output.content->substr(at, output.content->find(']', at) - at);
  EXPECT_EQ(bash("tail -n 1 " + kept).content.value_or(""), "100000\n");
  EXPECT_TRUE(bash("echo x >> " + kept).is_error);
  EXPECT_HAS(run("Read", R"({"file_path":")" + kept + R"("})").summary, "Read");
}

}  // namespace
}  // namespace insomnia::cell
