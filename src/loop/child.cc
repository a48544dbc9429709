#include "loop/child.hh"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace insomnia::loop {
namespace {

std::vector<char*> pointers(std::vector<std::string>& lines) {
  std::vector<char*> result;
  for (auto& line : lines) result.push_back(line.data());
  result.push_back(nullptr);
  return result;
}

ExitStatus status_of(siginfo_t const& info) {
  return {.signalled = info.si_code != CLD_EXITED, .value = info.si_status};
}

}  // namespace

std::string ExitStatus::describe() const {
  if (!signalled) return "exit code " + std::to_string(value);
  return "killed by signal " + std::to_string(value) + " (" + ::strsignal(value) + ")";
}

Result<Child> Child::start(Launch const& launch) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);

  // Sources are first moved above all targets, so that no target overwrites a source that is still needed.
  int highest = 2;
  for (auto [source, target] : launch.descriptors) highest = std::max({highest, source, target});
  int parking = highest + 1;
  for (size_t i = 0; i < launch.descriptors.size(); ++i) {
    posix_spawn_file_actions_adddup2(&actions, launch.descriptors[i].first, parking + static_cast<int>(i));
  }
  for (int standard = 0; standard <= 2; ++standard) {
    posix_spawn_file_actions_addopen(&actions, standard, "/dev/null", O_RDWR, 0);
  }
  int first_closed = 3;
  for (size_t i = 0; i < launch.descriptors.size(); ++i) {
    int target = launch.descriptors[i].second;
    posix_spawn_file_actions_adddup2(&actions, parking + static_cast<int>(i), target);
    first_closed = std::max(first_closed, target + 1);
  }
  posix_spawn_file_actions_addclosefrom_np(&actions, first_closed);
  if (!launch.cwd.empty()) posix_spawn_file_actions_addchdir_np(&actions, launch.cwd.c_str());

  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);

  std::vector<std::string> argv = launch.argv;
  std::vector<std::string> environment = launch.environment.lines();
  pid_t pid = -1;
  int error = ::posix_spawn(&pid, launch.program.c_str(), &actions, &attributes, pointers(argv).data(),
                            pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return fail_errno("start " + launch.program + (launch.cwd.empty() ? "" : " in " + launch.cwd), error);
  }

  Child child;
  child.pid_ = pid;
  child.pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!child.pidfd_) {
    int open_error = errno;
    return fail_errno("watch the new process " + launch.program, open_error);
  }
  return child;
}

Child::Child(Child&& other) noexcept { *this = std::move(other); }

Child& Child::operator=(Child&& other) noexcept {
  if (this == &other) return *this;
  if (pid_ > 0 && !status_) kill_and_reap();
  if (other.watcher_) panic("a watched Child must not be moved");
  watcher_.reset();
  pid_ = std::exchange(other.pid_, -1);
  pidfd_ = std::move(other.pidfd_);
  status_ = std::exchange(other.status_, std::nullopt);
  return *this;
}

Child::~Child() {
  watcher_.reset();
  if (pid_ > 0 && !status_) kill_and_reap();
}

void Child::kill_and_reap() {
  signal(SIGKILL);
  wait(-1);
}

void Child::detach() {
  watcher_.reset();
  pid_ = -1;
  pidfd_.reset();
}

void Child::signal(int signal_number, bool whole_group) {
  // Not yet reaped, so neither the pid nor the group's id can belong to anybody else.
  if (pid_ <= 0 || status_) return;
  ::kill(whole_group ? -pid_ : pid_, signal_number);
}

std::optional<ExitStatus> Child::reap() {
  if (status_) return status_;
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) != 0) {
    if (errno != ECHILD) return std::nullopt;
    status_ = ExitStatus{.signalled = false, .value = 255};  // somebody else reaped it
    return status_;
  }
  if (info.si_pid == 0) return std::nullopt;
  status_ = status_of(info);
  return status_;
}

std::optional<ExitStatus> Child::wait(int64_t timeout_ms) {
  SystemClock clock;
  int64_t deadline = clock.steady_ms() + timeout_ms;
  for (;;) {
    if (auto status = reap()) return status;
    int64_t left = timeout_ms < 0 ? -1 : std::max<int64_t>(0, deadline - clock.steady_ms());
    pollfd entry{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    int count = ::poll(&entry, 1, static_cast<int>(left));
    if (count == 0) return reap();
    if (count < 0 && errno != EINTR) return std::nullopt;
  }
}

void Child::watch(EventLoop& loop, std::function<void(ExitStatus)> ended) {
  ended_ = std::move(ended);
  watcher_ = std::make_unique<FdWatcher>(loop, pidfd_.get(), FdWatcher::kRead, [this](uint32_t) {
    auto status = reap();
    if (!status) return;
    watcher_.reset();
    auto callback = std::move(ended_);
    callback(*status);
  });
}

}  // namespace insomnia::loop
