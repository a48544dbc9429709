#include "profile/lua_host.hh"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <vector>

#include "base/clock.hh"

namespace insomnia::profile {
namespace {

Result<void> limit(__rlimit_resource resource, rlim_t soft, rlim_t hard, char const* what) {
  rlimit now{};
  if (::getrlimit(resource, &now) != 0) return fail_errno(std::string("read the limit of ") + what, errno);
  rlimit wanted{.rlim_cur = std::min(soft, now.rlim_max), .rlim_max = std::min(hard, now.rlim_max)};
  if (::setrlimit(resource, &wanted) != 0) return fail_errno(std::string("limit ") + what, errno);
  return {};
}

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "no system call filter for this architecture"
#endif

/// What an interpreter and its socket need, and no more: it opens nothing, starts nothing, reaches nobody.
constexpr uint32_t kAllowed[] = {
    SYS_read,        SYS_write,      SYS_recvfrom,        SYS_sendto,          SYS_ppoll,
    SYS_brk,         SYS_mmap,       SYS_munmap,          SYS_mremap,          SYS_mprotect,
    SYS_madvise,     SYS_futex,      SYS_clock_gettime,   SYS_clock_nanosleep, SYS_nanosleep,
    SYS_close,       SYS_fstat,      SYS_rt_sigreturn,    SYS_rt_sigaction,    SYS_rt_sigprocmask,
    SYS_sigaltstack, SYS_getpid,     SYS_gettid,          SYS_tgkill,          SYS_getrandom,
    SYS_exit,        SYS_exit_group, SYS_restart_syscall,
#ifdef SYS_poll
    SYS_poll,
#endif
};

/// Every other system call fails with EPERM, for good.
Result<void> filter_system_calls() {
  std::vector<sock_filter> program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  for (uint32_t number : kAllowed) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
  sock_fprog filter{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0) return fail_errno("filter the system calls", errno);
  return {};
}

}  // namespace

Result<void> enter_lua_host(LuaLimits const& limits) {
  TRY(limit(RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1, "CPU time"));
  TRY(limit(RLIMIT_NOFILE, limits.open_files, limits.open_files, "open files"));
  TRY(limit(RLIMIT_CORE, 0, 0, "core files"));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("set no_new_privs", errno);
  // A starter that is gone already shows as the end of the socket.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return fail_errno("set the parent-death signal", errno);
  return filter_system_calls();
}

Result<std::optional<std::string>> LineChannel::next() {
  size_t scanned = 0;
  for (;;) {
    size_t newline = buffer_.find('\n', scanned);
    if (newline != std::string::npos) {
      std::string line = buffer_.substr(0, newline);
      buffer_.erase(0, newline + 1);
      return line;
    }
    scanned = buffer_.size();
    if (scanned > limit_) {
      return fail(Code::LimitReached, "a line on the host's socket is longer than " + std::to_string(limit_) + " bytes");
    }
    char chunk[64 << 10];
    ssize_t count = ::recv(fd_, chunk, sizeof chunk, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("read from the host's socket", errno);
    if (count == 0) return std::optional<std::string>();
    buffer_.append(chunk, static_cast<size_t>(count));
  }
}

Result<void> LineChannel::send(std::string_view line) {
  std::string bytes = std::string(line) + "\n";
  for (size_t sent = 0; sent < bytes.size();) {
    ssize_t count = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("write to the host's socket", errno);
    sent += static_cast<size_t>(count);
  }
  return {};
}

bool LineChannel::pause(int64_t delay_ms) {
  SystemClock clock;
  int64_t deadline = clock.steady_ms() + delay_ms;
  for (;;) {
    int64_t left = std::clamp<int64_t>(deadline - clock.steady_ms(), 0, INT_MAX);
    pollfd entry{.fd = fd_, .events = POLLRDHUP, .revents = 0};
    int count = ::poll(&entry, 1, static_cast<int>(left));
    if (count > 0) return false;
    if (count == 0) return true;
    if (errno != EINTR) return false;
  }
}

}  // namespace insomnia::profile
