#include "tools/process_table.hh"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "base/clock.hh"
#include "base/unique_fd.hh"

namespace insomnia::tools {
namespace {

void pause_ms(long ms) {
  timespec pause{.tv_sec = 0, .tv_nsec = ms * 1'000'000};
  ::nanosleep(&pause, nullptr);
}

/// Stops all, so that none forks away, then kills them; again until `list` gives none.
void kill_until_none(std::function<std::vector<ProcessInfo>()> const& list, std::function<void()> const& reap) {
  for (int pass = 0; pass < 200; ++pass) {
    auto found = list();
    if (found.empty()) return;
    for (auto const& process : found) ::kill(process.pid, pass < 5 ? SIGSTOP : SIGKILL);
    if (pass < 5 && list().size() == found.size()) {
      for (auto const& process : found) ::kill(process.pid, SIGKILL);
    }
    reap();
    pause_ms(pass < 10 ? 1 : 5);
  }
}

}  // namespace

ProcessTable::ProcessTable(std::string marker) : marker_(std::move(marker)) {
  if (marker_.empty()) marker_ = "hands-" + std::to_string(::getpid());
  // Refused only by kernels older than any we run on; then processes that leave their session are not found.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

ProcessTable::~ProcessTable() { kill_all(); }

Result<Command> ProcessTable::start(loop::Launch launch) {
  std::lock_guard lock(mutex_);  // so that reap_orphans() never sees a shell that is not in the set
  std::string value = marker_ + "." + std::to_string(next_++);
  launch.environment.set("INSOMNIA_CALL", value);
  loop::Child shell = TRY(loop::Child::start(launch));
  pid_t pid = shell.pid();
  shells_.insert(pid);
  return Command{std::move(shell), "INSOMNIA_CALL=" + value, pid};
}

loop::ExitStatus ProcessTable::reap(Command& command) {
  auto status = command.shell.wait(1000);
  std::lock_guard lock(mutex_);
  if (status) shells_.erase(command.session);
  reap_orphans_locked();
  return status.value_or(loop::ExitStatus{.signalled = true, .value = SIGKILL});
}

std::vector<ProcessInfo> ProcessTable::members(Command const& command) {
  std::vector<ProcessInfo> result;
  std::set<pid_t> known;
  auto all = descendants(::getpid());
  for (auto const& process : all) {
    // Parents come first, so a child of a member is seen after it.
    bool ours = process.session == command.session || known.contains(process.parent) || has_environment(process.pid, command.tag);
    if (!ours) continue;
    known.insert(process.pid);
    result.push_back(process);
  }
  return result;
}

std::vector<ProcessInfo> ProcessTable::survivors(Command const& command) { return members(command); }

void ProcessTable::wait_for_survivors(Command const& command, int64_t deadline_ms) {
  SystemClock clock;
  for (;;) {
    auto running = members(command);
    int64_t left = deadline_ms - clock.steady_ms();
    if (running.empty() || left <= 0) return;
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, running.front().pid, 0)));
    if (!pidfd) continue;  // it has ended since
    pollfd polled{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&polled, 1, static_cast<int>(left)) < 0 && errno != EINTR) return;
  }
}

void ProcessTable::kill(Command& command) {
  command.shell.signal(SIGKILL);
  kill_until_none([&] { return members(command); }, [&] { reap_orphans(); });
}

void ProcessTable::reap_orphans() {
  std::lock_guard lock(mutex_);
  reap_orphans_locked();
}

void ProcessTable::reap_orphans_locked() {
  for (;;) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    if (shells_.contains(info.si_pid)) return;  // its call reaps it and then comes here
    ::waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
  }
}

void ProcessTable::kill_all() {
  kill_until_none([] { return descendants(::getpid()); }, [&] { reap_orphans(); });
  reap_orphans();
}

}  // namespace insomnia::tools
