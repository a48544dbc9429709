#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>

#include "base/io.hh"
#include "loop/child.hh"
#include "loop/event_loop.hh"
#include "loop/signals.hh"
#include "loop/worker.hh"

namespace insomnia::loop {
namespace {

Launch shell(std::string command) {
  return {.program = "/bin/sh", .argv = {"sh", "-c", std::move(command)}, .environment = Environment::of_process()};
}

TEST(EventLoop, TimersFireInOrderOfTheirTime) {
  FakeClock clock;
  EventLoop loop(clock);
  std::string order;
  Timer late(loop, [&] { order += "late"; });
  Timer early(loop, [&] { order += "early "; });
  late.start(2);
  early.start(1);
  loop.run_once(0);
  EXPECT_EQ(order, "");
  clock.advance(1);
  loop.run_once(0);
  EXPECT_EQ(order, "early ");
  clock.advance(1);
  loop.run_once(0);
  EXPECT_EQ(order, "early late");
}

TEST(EventLoop, AClockThatIsSetDoesNotMoveTimers) {
  FakeClock clock;
  EventLoop loop(clock);
  std::string order;
  Timer late(loop, [&] { order += "late"; });
  Timer early(loop, [&] { order += "early "; });
  late.start(2);
  clock.set_wall(0);
  early.start(1);
  clock.set_wall(4'000'000'000'000);
  loop.run_once(0);
  EXPECT_EQ(order, "");
  clock.advance(2);
  clock.set_wall(0);
  loop.run_once(0);
  EXPECT_EQ(order, "early late");
}

TEST(EventLoop, ACancelledTimerDoesNotFire) {
  SystemClock clock;
  EventLoop loop(clock);
  Timer cancelled(loop, [] { FAIL(); });
  Timer stop(loop, [&] { loop.stop(); });
  cancelled.start(0);
  stop.start(2);
  cancelled.cancel();
  loop.run();
}

TEST(EventLoop, ACallbackMayDestroyItsOwnAndOtherWatchers) {
  SystemClock clock;
  EventLoop loop(clock);
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  UniqueFd a(pair[0]), b(pair[1]);
  ASSERT_EQ(::write(a.get(), "x", 1), 1);
  ASSERT_EQ(::write(b.get(), "x", 1), 1);
  std::unique_ptr<FdWatcher> first, second;
  int calls = 0;
  auto both_go = [&](uint32_t) {
    ++calls;
    first.reset();
    second.reset();
    loop.stop();
  };
  first = std::make_unique<FdWatcher>(loop, a.get(), FdWatcher::kRead, both_go);
  second = std::make_unique<FdWatcher>(loop, b.get(), FdWatcher::kRead, both_go);
  loop.run();
  EXPECT_EQ(calls, 1);
}

TEST(EventLoop, PeerCloseIsReadable) {
  SystemClock clock;
  EventLoop loop(clock);
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  UniqueFd a(pair[0]), b(pair[1]);
  FdWatcher watcher(loop, a.get(), FdWatcher::kRead, [&](uint32_t ready) {
    EXPECT_EQ(ready, uint32_t{FdWatcher::kRead});
    loop.stop();
  });
  b.reset();
  loop.run();
}

TEST(Worker, RunsJobsInOrderAndReportsOnTheLoop) {
  SystemClock clock;
  EventLoop loop(clock);
  Worker worker(loop, "test");
  std::vector<int> done;
  for (int i = 0; i < 100; ++i) {
    worker.run<int>([i] { return i; }, [&](int value) {
      done.push_back(value);
      if (value == 99) loop.stop();
    });
  }
  loop.run();
  ASSERT_EQ(done.size(), 100u);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
}

TEST(Worker, DestructorFinishesJobsAndDropsCallbacks) {
  SystemClock clock;
  EventLoop loop(clock);
  int ran = 0;
  {
    Worker worker(loop, "test");
    for (int i = 0; i < 10; ++i) worker.run([&] { ++ran; }, [] { FAIL(); });
  }
  EXPECT_EQ(ran, 10);
  loop.run_once(0);
}

TEST(Child, ReportsExitCodeAndSignal) {
  SystemClock clock;
  EventLoop loop(clock);
  auto exits = Child::start(shell("exit 7"));
  ASSERT_TRUE(exits) << exits.error().message;
  exits->watch(loop, [&](ExitStatus status) {
    EXPECT_EQ(status.describe(), "exit code 7");
    loop.stop();
  });
  loop.run();
  auto killed = Child::start(shell("kill -9 $$"));
  ASSERT_TRUE(killed);
  auto status = killed->wait(10'000);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->describe(), "killed by signal 9 (Killed)");
}

TEST(Child, DestructorKillsTheWholeGroup) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  UniqueFd read_end(pipe_ends[0]), write_end(pipe_ends[1]);
  {
    Launch launch = shell("sleep 1000 & echo started; wait");
    launch.descriptors = {{write_end.get(), 1}};
    auto child = Child::start(launch);
    ASSERT_TRUE(child);
    write_end.reset();
    char byte;
    ASSERT_EQ(::read(read_end.get(), &byte, 1), 1);
  }
  // End of file comes only when the grandchild, which holds the other end, is gone too.
  EXPECT_TRUE(io::read_all(read_end.get(), "pipe"));
}

TEST(Child, InheritsOnlyTheListedDescriptors) {
  UniqueFd leaked(::open("/dev/null", O_RDONLY));  // not close-on-exec on purpose
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  UniqueFd read_end(pipe_ends[0]), write_end(pipe_ends[1]);
  Launch launch = shell("for n in 0 1 2 3 4 5 6 7 8 9; do [ -e /dev/fd/$n ] && printf '%s ' $n; done; true");
  launch.descriptors = {{write_end.get(), 1}, {write_end.get(), 3}};
  auto child = Child::start(launch);
  ASSERT_TRUE(child);
  write_end.reset();
  EXPECT_EQ(*io::read_all(read_end.get(), "pipe"), "0 1 2 3 ");
  EXPECT_TRUE(child->wait(10'000)->ok());
}

TEST(Child, MissingProgramAndDirectoryAreErrorsThatNameThem) {
  Launch launch = shell("true");
  launch.program = "/does/not/exist";
  auto child = Child::start(launch);
  ASSERT_FALSE(child);
  EXPECT_NE(child.error().message.find("/does/not/exist"), std::string::npos);
  launch = shell("true");
  launch.cwd = "/no/such/dir";
  child = Child::start(launch);
  ASSERT_FALSE(child);
  EXPECT_NE(child.error().message.find("/no/such/dir"), std::string::npos);
}

TEST(Signals, ArriveOnTheLoop) {
  SystemClock clock;
  EventLoop loop(clock);
  int seen = 0;
  SignalWatcher watcher(loop, {SIGUSR1}, [&](int signal) {
    seen = signal;
    loop.stop();
  });
  ASSERT_EQ(::raise(SIGUSR1), 0);
  loop.run();
  EXPECT_EQ(seen, SIGUSR1);
}

}  // namespace
}  // namespace insomnia::loop
