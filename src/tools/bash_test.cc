#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "base/text.hh"
#include "tools/bash.hh"
#include "tools/process_list.hh"
#include "tools/test_bench.hh"

namespace insomnia::tools {
namespace {

/// Ends when the process has ended; false after ten seconds.
bool wait_for_end(pid_t pid) {
  for (int i = 0; i < 10'000; ++i) {
    auto process = read_process(pid);
    if (!process || process->state == 'Z') return true;
    ::poll(nullptr, 0, 1);
  }
  return false;
}

/// The number that the text has after `before`.
pid_t number_after(std::string_view text, std::string_view before) {
  size_t at = text.find(before);
  return at == std::string_view::npos ? -1 : std::atoi(std::string(text.substr(at + before.size(), 10)).c_str());
}

std::string path_after(std::string_view text, std::string_view before) {
  size_t at = text.find(before);
  if (at == std::string_view::npos) return "";
  text.remove_prefix(at + before.size());
  return std::string(text.substr(0, text.find_first_of("];,\n")));
}

TEST(Bash, RunsInTheWorkingDirectory) {
  Bench bench;
  EXPECT_EQ(bench.bash("pwd"), (Output{"$ pwd", bench.work() + "\n", false}));
}

TEST(Bash, OutputAndErrorsAreInterleaved) {
  Bench bench;
  EXPECT_EQ(bench.bash("echo a; echo b >&2; echo c").content, "a\nb\nc\n");
}

TEST(Bash, NoOutputNoContentNoFile) {
  Bench bench;
  EXPECT_EQ(bench.bash("true"), (Output{"$ true", std::nullopt, false}));
  EXPECT_FALSE(io::exists(bench.start().spill_dir));
}

TEST(Bash, ExitStatusIsAnErrorResult) {
  Bench bench;
  Output output = bench.bash("echo x; exit 7");
  EXPECT_EQ(output, (Output{"$ echo x; exit 7 (exit 7)", "x\n", true}));
}

TEST(Bash, SignalIsTold) {
  Bench bench;
  Output output = bench.bash("kill -9 $$");
  EXPECT_HAS(output.summary, "(terminated by signal 9, Killed)");
  EXPECT_TRUE(output.is_error);
}

TEST(Bash, OnlyTheGivenEnvironment) {
  ::setenv("INSOMNIA_TEST_SECRET", "leaked", 1);
  Bench bench;
  EXPECT_EQ(bench.bash("echo $GREETING[$INSOMNIA_TEST_SECRET]").content, "hello[]\n");
  ::unsetenv("INSOMNIA_TEST_SECRET");
}

TEST(Bash, NothingIsInheritedButTheThreeStreams) {
  Bench bench;
  UniqueFd leak(::dup(0));
  Output output = bench.bash("ls /proc/self/fd | tr '\\\\n' ' '; read line || echo no input");
  // 3 is the directory that ls itself reads.
  EXPECT_EQ(output.content, "0 1 2 3 no input\n");
}

TEST(Bash, StateIsNotKept) {
  Bench bench;
  bench.bash("cd /; export KEPT=1");
  EXPECT_EQ(bench.bash("pwd; echo [$KEPT]").content, bench.work() + "\n[]\n");
}

TEST(Bash, BracesAndExitHaveNoSpecialMeaning) {
  Bench bench;
  EXPECT_TRUE(bench.bash("}").is_error);
  EXPECT_EQ(bench.bash("exit 0").summary, "$ exit 0");
  EXPECT_EQ(bench.bash("echo a\\n# comment").content, "a\n");
}

TEST(Bash, TitleIsTheFirstLineCut) {
  EXPECT_EQ(bash_title("ls\nrm x"), "$ ls");
  EXPECT_EQ(bash_title(std::string(80, 'a')), "$ " + std::string(80, 'a'));
  EXPECT_EQ(bash_title(std::string(81, 'a')), "$ " + std::string(77, 'a') + "...");
  EXPECT_EQ(bash_title(text::join(std::vector<std::string>(90, "é"), "")), "$ " + text::join(std::vector<std::string>(77, "é"), "") + "...");
}

TEST(Bash, MalformedOutputBecomesUtf8) {
  Bench bench;
  EXPECT_EQ(bench.bash("printf 'a\\\\351b\\\\0c'").content, "a\uFFFDb\uFFFDc");
}

TEST(Bash, LongOutputIsSpilledAndItsEndShown) {
  Bench bench;
  Output output = bench.bash("seq 200");
  ASSERT_TRUE(output.content);
  EXPECT_TRUE(output.content->starts_with("[showing last 80 of 200 lines — full output (692 bytes) at " + bench.start().spill_dir + "/bash-"));
  EXPECT_TRUE(output.content->ends_with("]\n" + [] {
    std::string tail;
    for (int i = 121; i <= 200; ++i) tail += std::to_string(i) + "\n";
    return tail;
  }()));
  std::string path = path_after(*output.content, " at ");
  std::string kept = bench.content(path);
  EXPECT_EQ(text::split(kept, '\n').size(), 201u);
  EXPECT_FALSE(bench.read(path).is_error);
  bench.restart();
  EXPECT_FALSE(io::exists(path)) << "kept outputs go with the tools";
}

TEST(Bash, ExactlyEightyLinesAreShownWhole) {
  Bench bench;
  EXPECT_TRUE(bench.bash("seq 80").content->starts_with("1\n2\n"));
  EXPECT_TRUE(bench.bash("seq 81").content->starts_with("[showing last 80 of 81 lines"));
}

TEST(Bash, OneLongLineIsSpilled) {
  Bench bench;
  Output output = bench.bash("head -c 20480 /dev/zero | tr '\\\\0' x");
  EXPECT_TRUE(output.content->starts_with("[showing last 1 of 1 lines — full output (20480 bytes) at "));
  EXPECT_TRUE(output.content->ends_with(std::string(20480, 'x')));
}

TEST(Bash, HugeOutputShowsItsTailAndBoundsTheFile) {
  Bench bench;
  Output output = bench.bash("head -c 70000000 /dev/zero | tr '\\\\0' '\\\\n'; echo the end");
  ASSERT_TRUE(output.content);
  EXPECT_TRUE(output.content->starts_with("[showing last 80 lines (tail of 70000008-byte output) — full at "));
  EXPECT_HAS(*output.content, ", which keeps the first 64 MiB]");
  EXPECT_TRUE(output.content->ends_with("the end\n"));
  struct stat info{};
  ASSERT_EQ(::stat(path_after(*output.content, "full at ").c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 64 << 20);
}

TEST(Bash, OutputWithoutASpillDirectoryIsStillShown) {
  Bench bench;
  ASSERT_TRUE(io::replace_file(bench.start().spill_dir, "a file is in the way"));
  Output output = bench.bash("seq 100");
  EXPECT_HAS(*output.content, ", not kept: ");
  EXPECT_TRUE(output.content->ends_with("99\n100\n"));
}

TEST(Bash, TimeoutKillsTheWholeTree) {
  Bench bench;
  Output output = bench.bash("sleep 1000 & echo one $!; setsid sleep 1000 & echo two $!; echo three $$; wait", R"(,"timeout":1)");
  EXPECT_HAS(output.summary, "(timed out after 1s)");
  EXPECT_TRUE(output.is_error);
  EXPECT_TRUE(output.content->starts_with("[partial output before timeout — full at "));
  for (auto const* name : {"one ", "two ", "three "}) {
    pid_t pid = number_after(*output.content, name);
    ASSERT_GT(pid, 0) << name;
    EXPECT_TRUE(wait_for_end(pid)) << name;
  }
}

TEST(Bash, TimeoutKillsWhatIgnoresTheFirstSignal) {
  Bench bench;
  Output output = bench.bash("trap '' TERM; echo me $$; while true; do sleep 1000; done", R"(,"timeout":1)");
  EXPECT_HAS(output.summary, "(timed out after 1s)");
  EXPECT_TRUE(wait_for_end(number_after(*output.content, "me ")));
}

TEST(Bash, TimeoutFindsADaemonThatDroppedItsEnvironment) {
  Bench bench;
  Output output = bench.bash("(env -i setsid bash -c 'echo daemon $$; exec sleep 1000' &) ; sleep 1000", R"(,"timeout":1)");
  EXPECT_TRUE(output.is_error);
  // Without its session, environment and parents it belongs to nobody, but it stays below this process.
  pid_t pid = number_after(*output.content, "daemon ");
  ASSERT_GT(pid, 0);
  bench.context().processes.kill_all();
  EXPECT_TRUE(wait_for_end(pid));
}

TEST(Bash, TimeoutIsClamped) {
  EXPECT_EQ(parse_bash_input(R"({"command":"x"})")->timeout, 120u);
  EXPECT_EQ(parse_bash_input(R"({"command":"x","timeout":0})")->timeout, 1u);
  EXPECT_EQ(parse_bash_input(R"({"command":"x","timeout":100000})")->timeout, 600u);
  EXPECT_EQ(parse_bash_input(R"({"command":" "})").error().message, "invalid Bash input: command: must not be empty");
}

TEST(Bash, BackgroundJobDoesNotHangTheCall) {
  Bench bench;
  Output output = bench.bash("sleep 1000 & echo started");
  EXPECT_FALSE(output.is_error);
  EXPECT_TRUE(output.content->starts_with("started\n[still running: pid "));
  EXPECT_HAS(*output.content, "(sleep 1000)");
  pid_t pid = number_after(*output.content, "pid ");
  EXPECT_EQ(::kill(pid, 0), 0) << "it goes on";
  bench.restart();
  EXPECT_TRUE(wait_for_end(pid)) << "and ends with the tools";
}

TEST(Bash, BackgroundJobGoesOnWritingToTheFile) {
  Bench bench;
  ASSERT_EQ(::mkfifo(bench.path("gate").c_str(), 0600), 0);
  Output output = bench.bash("(read line < gate; echo late output; echo done > gate) & echo early");
  EXPECT_TRUE(output.content->starts_with("early\n[still running: pid "));
  std::string log = path_after(*output.content, "output goes on to ");
  EXPECT_EQ(bench.bash("echo go > gate; read line < gate; echo $line").content, "done\n");
  for (int i = 0; i < 10'000 && !contains(bench.content(log), "late output"); ++i) ::poll(nullptr, 0, 1);
  EXPECT_EQ(bench.content(log), "early\nlate output\n");
}

TEST(Bash, JobWithItsOwnOutputIsToldToo) {
  Bench bench;
  Output output = bench.bash("sleep 1000 > /dev/null 2>&1 &");
  ASSERT_TRUE(output.content);
  EXPECT_TRUE(output.content->starts_with("[still running: pid "));
}

TEST(Bash, OutputOfProcessSubstitutionIsWaitedFor) {
  Bench bench;
  bench.context().late_output_ms = 60'000;
  EXPECT_EQ(bench.bash("echo through > >(cat)").content, "through\n");
}

TEST(Bash, AProcessThatClosedItsOutputAndIsEndingIsNoSurvivor) {
  Bench bench;
  bench.context().late_output_ms = 60'000;
  ASSERT_EQ(::mkfifo(bench.path("gate").c_str(), 0600), 0);
  std::thread opener([&] {
    UniqueFd gate(::open(bench.path("gate").c_str(), O_WRONLY | O_CLOEXEC));  // waits for the reader, then lets it end
  });
  EXPECT_EQ(bench.bash("(exec >&- 2>&-; read line < gate) & echo said").content, "said\n");
  opener.join();
}

TEST(Bash, CancelKillsTheCommandAndAnswers) {
  Bench bench;
  CallControl control;
  ASSERT_EQ(::mkfifo(bench.path("started").c_str(), 0600), 0);
  Output output;
  std::thread call([&] {
    output = bench.run("Bash", R"({"command":"echo me $$; echo > started; sleep 1000"})", control);
  });
  UniqueFd started(::open(bench.path("started").c_str(), O_RDONLY | O_CLOEXEC));  // waits for the writer
  control.cancel();
  call.join();
  EXPECT_TRUE(output.is_error);
  EXPECT_HAS(output.summary, "(cancelled)");
  EXPECT_TRUE(wait_for_end(number_after(*output.content, "me ")));
}

TEST(Bash, MissingWorkingDirectoryIsNamed) {
  Bench bench;
  bench.context().cwd = bench.path("gone");
  Output output = bench.bash("true");
  EXPECT_TRUE(output.is_error);
  EXPECT_HAS(output.summary, bench.path("gone"));
}

TEST(Bash, ManyCallsAtOnce) {
  Bench bench;
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      CallControl control;
      Call call{bench.context(), control, {}};
      std::string number = std::to_string(i);
      if (run_tool(call, "Bash", R"({"command":"echo )" + number + R"("})").content == number + "\n") ++good;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 16);
}

TEST(KillMarked, FindsProcessesByTheirEnvironmentAlone) {
  loop::Launch launch;
  launch.program = "/bin/sleep";
  launch.argv = {"sleep", "1000"};
  launch.environment.set("INSOMNIA_CALL", "marker-of-this-test.7");
  auto child = loop::Child::start(launch);
  ASSERT_TRUE(child);
  kill_marked("marker-of-this");
  EXPECT_FALSE(child->wait(0));
  kill_marked("marker-of-this-test");
  auto status = child->wait(10'000);
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, (loop::ExitStatus{.signalled = true, .value = SIGKILL}));
}

}  // namespace
}  // namespace insomnia::tools
