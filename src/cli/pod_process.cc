#include "cli/pod_process.hh"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.hh"
#include "pod/census.hh"

namespace insomnia::cli {

Result<std::optional<PodProcess>> PodProcess::find(Paths const& paths, registry::Allocation const& row) {
  auto holder = TRY(pod::pod_holder(paths, row.pod_name, row.instance_id));
  if (!holder || holder->pid <= 1) return std::optional<PodProcess>();
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, holder->pid, 0)));
  if (!pidfd) {
    if (errno == ESRCH) return std::optional<PodProcess>();
    return fail_errno("watch process " + std::to_string(holder->pid) + " of Pod `" + row.pod_name + "`",
                      errno);
  }
  // It may have ended, and its pid been given away, between the two steps: it still holds its lock, or it was
  // not this one.
  auto again = TRY(pod::pod_holder(paths, row.pod_name, row.instance_id));
  if (!again || again->pid != holder->pid) return std::optional<PodProcess>();
  return std::optional<PodProcess>(PodProcess(row.pod_name, holder->pid, std::move(pidfd)));
}

bool PodProcess::wait(int64_t timeout_ms) const {
  SystemClock clock;
  int64_t deadline = clock.steady_ms() + std::max<int64_t>(0, timeout_ms);
  for (;;) {
    int64_t left = std::max<int64_t>(0, deadline - clock.steady_ms());
    pollfd entry{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    int count = ::poll(&entry, 1, static_cast<int>(std::min<int64_t>(left, 1'000'000)));
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) return false;
    if (left == 0) return false;
  }
}

void PodProcess::signal(int signal_number) const {
  [[maybe_unused]] long result = ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal_number, nullptr, 0);
}

void PodProcess::kill_group() const {
  if (wait(0)) return;
  // A Pod leads its process group. The group's number is its pid, which stays taken while the Pod or any
  // member lives.
  if (::getpgid(pid_) == pid_) ::kill(-pid_, SIGKILL);
  signal(SIGKILL);
}

}  // namespace insomnia::cli
