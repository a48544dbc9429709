#include "cell/namespaces.hh"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>

#include "base/io.hh"

namespace insomnia::cell {
namespace {


Result<void> write_map(pid_t pid, char const* name, std::string const& text) {
  std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) < 0) return fail_errno("write " + path, errno);
  return {};
}

/// All users that there are here, under their own numbers.
Result<std::string> identity_of_all(char const* map) {
  std::istringstream lines(TRY(io::read_file(std::string("/proc/self/") + map)));
  std::string result;
  for (std::string inside, outside, count; lines >> inside >> outside >> count;) result += inside + " " + inside + " " + count + "\n";
  return result;
}

Result<void> map_users(pid_t pid) {
  if (::geteuid() == 0) {
    TRY(write_map(pid, "uid_map", TRY(identity_of_all("uid_map"))));
    return write_map(pid, "gid_map", TRY(identity_of_all("gid_map")));
  }
  auto only = [](unsigned id) { return std::to_string(id) + " " + std::to_string(id) + " 1\n"; };
  TRY(write_map(pid, "setgroups", "deny"));
  TRY(write_map(pid, "uid_map", only(::geteuid())));
  return write_map(pid, "gid_map", only(::getegid()));
}

Result<void> raise_loopback() {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (!socket || ::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno("raise the loopback of the cell", errno);
  return {};
}

}  // namespace

Result<FirstProcess> start_in_namespaces(NamespaceRequest const& request, std::function<int()> body) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  UniqueFd go_read(ends[0]), go_write(ends[1]);
  unsigned long flags = SIGCHLD | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | (request.network ? 0u : unsigned{CLONE_NEWNET});
  std::fflush(nullptr);
  // A fork that begins in new namespaces; there is one thread, so nothing of libc is left in the middle of something.
  pid_t pid = static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr));
  if (pid < 0) return fail_errno("make namespaces", errno);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    go_write.reset();
    char go = 0;
    // The end of the pipe without a byte: the one that was to map our users is gone.
    if (::read(go_read.get(), &go, 1) != 1) ::_exit(127);
    if (!request.network) {
      if (auto raised = raise_loopback(); !raised) {
        std::fprintf(stderr, "insomnia: %s\n", raised.error().message.c_str());
        ::_exit(127);
      }
    }
    ::_exit(body());
  }
  FirstProcess first{pid, UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))};
  auto mapped = map_users(pid);
  if (mapped && request.group != nullptr) mapped = request.group->add(pid);
  if (!mapped || !first.pidfd || ::write(go_write.get(), "g", 1) != 1) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    if (!mapped) return std::unexpected(mapped.error());
    return fail(Code::Unavailable, "the first process of the cell could not be started");
  }
  return first;
}

int shell_status(int wait_status) { return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status); }

Result<void> drop_capabilities() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("set no_new_privs", errno);
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    // Outside of a namespace of our own; then no_new_privs alone keeps programs from getting any.
    if (errno == EPERM) break;
    return fail_errno("drop a capability", errno);
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2]{};
  if (::syscall(SYS_capset, &header, none) != 0) return fail_errno("drop all capabilities", errno);
  return {};
}

}  // namespace insomnia::cell
