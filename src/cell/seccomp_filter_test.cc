#include "cell/seccomp_filter.hh"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace insomnia::cell {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kHere = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kHere = AUDIT_ARCH_AARCH64;
#endif

/// What the kernel would answer: classic BPF as in seccomp(2), by the instructions that such programs have.
uint32_t evaluate(std::vector<sock_filter> const& program, seccomp_data const& data) {
  uint32_t a = 0, x = 0;
  std::array<uint32_t, 16> memory{};
  auto load = [&](uint32_t offset) {
    uint32_t value = 0;
    std::memcpy(&value, reinterpret_cast<char const*>(&data) + offset, sizeof value);
    return value;
  };
  for (size_t at = 0; at < program.size(); ++at) {
    sock_filter const& in = program[at];
    switch (in.code) {
      case BPF_LD | BPF_W | BPF_ABS: a = load(in.k); break;
      case BPF_LD | BPF_MEM: a = memory.at(in.k); break;
      case BPF_ST: memory.at(in.k) = a; break;
      case BPF_ALU | BPF_AND | BPF_K: a &= in.k; break;
      case BPF_MISC | BPF_TAX: x = a; break;
      case BPF_MISC | BPF_TXA: a = x; break;
      case BPF_JMP | BPF_JA: at += in.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: at += a == in.k ? in.jt : in.jf; break;
      case BPF_JMP | BPF_JGT | BPF_K: at += a > in.k ? in.jt : in.jf; break;
      case BPF_JMP | BPF_JGE | BPF_K: at += a >= in.k ? in.jt : in.jf; break;
      case BPF_JMP | BPF_JSET | BPF_K: at += (a & in.k) != 0 ? in.jt : in.jf; break;
      case BPF_RET | BPF_K: return in.k;
      default: ADD_FAILURE() << "an instruction that is not known here: " << in.code; return 0;
    }
  }
  ADD_FAILURE() << "the program has no end";
  return 0;
}

class Filter : public ::testing::Test {
 protected:
  Filter() {
    auto built = system_call_filter();
    EXPECT_TRUE(built) << built.error().message;
    if (built) filter_ = *std::move(built);
  }
  uint32_t answer(long number, std::array<uint64_t, 6> arguments = {}, uint32_t architecture = kHere) const {
    seccomp_data data{.nr = static_cast<int>(number), .arch = architecture, .instruction_pointer = 0, .args = {}};
    std::copy(arguments.begin(), arguments.end(), data.args);
    return evaluate(filter_, data);
  }
  static constexpr uint32_t refused(int error) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(error); }
  std::vector<sock_filter> filter_;
};

TEST_F(Filter, WhatProgramsNeedIsAllowed) {
  for (long number : {SYS_read, SYS_write, SYS_openat, SYS_execve, SYS_mmap, SYS_futex, SYS_wait4, SYS_kill, SYS_ptrace, SYS_prctl, SYS_getrandom, SYS_statx,
                      SYS_memfd_create, SYS_pidfd_open, SYS_landlock_create_ruleset, SYS_seccomp, SYS_personality, SYS_inotify_init1, SYS_epoll_create1}) {
    EXPECT_EQ(answer(number), SECCOMP_RET_ALLOW) << number;
  }
}

TEST_F(Filter, WaysOutAreRefused) {
  for (long number : {SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsmount, SYS_mount_setattr,
                      SYS_open_by_handle_at, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_init_module, SYS_finit_module,
                      SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_acct, SYS_syslog, SYS_pidfd_getfd, SYS_kcmp, SYS_fanotify_init, SYS_quotactl}) {
    EXPECT_EQ(answer(number), refused(EPERM)) << number;
  }
  for (long number : {SYS_clone3, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register}) EXPECT_EQ(answer(number), refused(ENOSYS)) << number;
}

TEST_F(Filter, NamespacesAreRefusedThreadsAndProcessesAreNot) {
  EXPECT_EQ(answer(SYS_clone, {SIGCHLD}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(answer(SYS_clone, {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(answer(SYS_clone, {CLONE_VM | CLONE_VFORK | SIGCHLD}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(answer(SYS_unshare, {CLONE_FILES | CLONE_FS}), SECCOMP_RET_ALLOW);
  for (uint64_t flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    EXPECT_EQ(answer(SYS_clone, {flag | SIGCHLD}), refused(EPERM)) << flag;
    EXPECT_EQ(answer(SYS_unshare, {flag}), refused(EPERM)) << flag;
    EXPECT_EQ(answer(SYS_unshare, {flag | CLONE_FS}), refused(EPERM)) << flag;
  }
}

TEST_F(Filter, TypingIntoATerminalIsRefusedHoweverItIsWritten) {
  EXPECT_EQ(answer(SYS_ioctl, {0, TCGETS}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(answer(SYS_ioctl, {0, TIOCGWINSZ}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(answer(SYS_ioctl, {0, TIOCSTI}), refused(EPERM));
  EXPECT_EQ(answer(SYS_ioctl, {0, TIOCSTI | 0x100000000}), refused(EPERM)) << "the kernel looks at the low half alone";
  EXPECT_EQ(answer(SYS_ioctl, {0, 0x541C}), refused(EPERM)) << "TIOCLINUX";
}

TEST_F(Filter, SocketsOfFourFamiliesAreAllowed) {
  for (uint64_t family = 0; family < 200; ++family) {
    bool fine = family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
    EXPECT_EQ(answer(SYS_socket, {family, SOCK_STREAM}), fine ? SECCOMP_RET_ALLOW : refused(EPERM)) << family;
  }
  EXPECT_EQ(answer(SYS_socket, {0x100000000 | AF_PACKET, SOCK_RAW}), refused(EPERM)) << "the kernel looks at the low half alone";
  EXPECT_EQ(answer(SYS_socketpair, {AF_UNIX, SOCK_STREAM}), SECCOMP_RET_ALLOW);
}

TEST_F(Filter, WhereThereIsNoViewSocketsThatLeadOutAreRefusedToo) {
  filter_ = *system_call_filter({.unix_sockets = false, .network = true});
  EXPECT_EQ(answer(SYS_socket, {AF_UNIX, SOCK_STREAM}), refused(EPERM));
  EXPECT_EQ(answer(SYS_socket, {AF_INET6, SOCK_STREAM}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(answer(SYS_socketpair, {AF_UNIX, SOCK_STREAM}), SECCOMP_RET_ALLOW);
  filter_ = *system_call_filter({.unix_sockets = false, .network = false});
  for (uint64_t family = 0; family < 200; ++family) EXPECT_EQ(answer(SYS_socket, {family, SOCK_STREAM}), refused(EPERM)) << family;
}

TEST_F(Filter, CallsOfAnotherArchitectureDoNotExist) {
  EXPECT_EQ(answer(SYS_read, {}, AUDIT_ARCH_I386), refused(ENOSYS));
#if defined(__x86_64__)
  EXPECT_NE(answer(SYS_read | 0x40000000), SECCOMP_RET_ALLOW) << "x32";
  EXPECT_NE(answer(SYS_mount | 0x40000000), SECCOMP_RET_ALLOW);
#endif
}

TEST_F(Filter, TheKernelTakesItAndAgrees) {
  pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!install_filter(filter_)) ::_exit(10);
    if (::unshare(CLONE_NEWUSER) == 0 || errno != EPERM) ::_exit(11);
    if (::syscall(SYS_mount, nullptr, nullptr, nullptr, 0, nullptr) == 0 || errno != EPERM) ::_exit(12);
    if (::socket(AF_PACKET, SOCK_RAW, 0) >= 0 || errno != EPERM) ::_exit(13);
    if (::syscall(SYS_io_uring_setup, 1, nullptr) >= 0 || errno != ENOSYS) ::_exit(14);
    if (::socket(AF_UNIX, SOCK_STREAM, 0) < 0) ::_exit(15);
    pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    int status = 0;
    ::_exit(::waitpid(child, &status, 0) == child && status == 0 ? 0 : 16);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace insomnia::cell
