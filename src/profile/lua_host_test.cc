#include "profile/lua_host.hh"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <thread>

#include "base/io.hh"
#include "base/unique_fd.hh"
#include "profile/lua_state.hh"

namespace insomnia::profile {
namespace {

struct SocketPair {
  SocketPair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) panic("no sockets");
    here.reset(ends[0]);
    there.reset(ends[1]);
  }
  UniqueFd here, there;
};

/// The wait status of a process that runs `body` and exits with its value.
int status_of(std::function<int()> body) {
  pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

TEST(LineChannel, GivesLinesAsTheyComeAndThenTheEnd) {
  SocketPair pair;
  std::thread writer([&] {
    for (std::string_view piece : {"on", "e\ntwo\n", "\nlast"})
      (void)::send(pair.there.get(), piece.data(), piece.size(), 0);
    pair.there.reset();
  });
  LineChannel channel(pair.here.get());
  EXPECT_EQ(**channel.next(), "one");
  EXPECT_EQ(**channel.next(), "two");
  EXPECT_EQ(**channel.next(), "");
  EXPECT_FALSE(channel.next()->has_value());
  writer.join();
}

TEST(LineChannel, ALineOverTheLimitIsAnError) {
  SocketPair pair;
  std::string big(100'000, 'x');
  std::thread writer([&] { (void)::send(pair.there.get(), big.data(), big.size(), MSG_NOSIGNAL); });
  LineChannel channel(pair.here.get(), 1000);
  auto line = channel.next();
  ASSERT_FALSE(line);
  EXPECT_EQ(line.error().code, Code::LimitReached);
  pair.here.reset();
  writer.join();
}

TEST(LineChannel, SendingToAClosedSocketIsAnErrorAndNoSignal) {
  SocketPair pair;
  pair.there.reset();
  EXPECT_FALSE(LineChannel(pair.here.get()).send("x"));
}

TEST(LineChannel, APauseEndsWhenTheOtherSideLeaves) {
  SocketPair pair;
  LineChannel channel(pair.here.get());
  EXPECT_TRUE(channel.pause(1));
  pair.there.reset();
  EXPECT_FALSE(channel.pause(3'600'000));
}

TEST(LuaHost, AScriptThatNeverEndsDiesOfItsCpuLimit) {
  int status = status_of([] {
    if (!enter_lua_host({.cpu_seconds = 1})) return 2;
    auto lua = LuaState::open();
    if (!lua || !lua->run("loop", "while true do end")) return 3;
    return 4;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL) << WTERMSIG(status);
}

TEST(LuaHost, LimitsStayWithinWhatTheProcessHas) {
  SocketPair pair;
  pid_t pid = ::fork();
  if (pid == 0) {
    pair.here.reset();
    rlimit few{.rlim_cur = 8, .rlim_max = 8};
    LineChannel channel(pair.there.get());
    if (::setrlimit(RLIMIT_NOFILE, &few) != 0 || !enter_lua_host() || !channel.send("in")) ::_exit(2);
    (void)channel.next();
    ::_exit(0);
  }
  pair.there.reset();
  EXPECT_EQ(LineChannel(pair.here.get()).next().value_or("dead"), "in");
  auto limits = io::read_file("/proc/" + std::to_string(pid) + "/limits");
  ASSERT_TRUE(limits);
  EXPECT_NE(limits->find("Max open files            8                    8 "), std::string::npos) << *limits;
  pair.here.reset();
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(LuaHost, ItOpensStartsAndReachesNothing) {
  int status = status_of([] {
    if (!enter_lua_host()) return 2;
    if (::open("/etc/passwd", O_RDONLY) >= 0 || errno != EPERM) return 3;
    if (::socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM) return 4;
    if (::fork() >= 0 || errno != EPERM) return 5;
    if (::kill(::getpid(), 0) == 0 || errno != EPERM) return 6;
    return 0;
  });
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(WIFEXITED(status));
}

}  // namespace
}  // namespace insomnia::profile
