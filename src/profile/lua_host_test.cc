#include "profile/lua_host.hh"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <csignal>
#include <functional>
#include <thread>

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
  int status = status_of([] {
    rlimit few{.rlim_cur = 8, .rlim_max = 8};
    if (::setrlimit(RLIMIT_NOFILE, &few) != 0 || !enter_lua_host()) return 2;
    rlimit now{};
    ::getrlimit(RLIMIT_NOFILE, &now);
    return now.rlim_max == 8 ? 0 : 3;
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace insomnia::profile
