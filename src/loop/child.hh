#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/environment.hh"
#include "loop/event_loop.hh"

namespace insomnia::loop {

/// How a process ended.
struct ExitStatus {
  bool signalled = false;
  int value = 0;  ///< exit code, or the signal's number
  /// "exit code 3" or "killed by signal 9 (Killed)".
  std::string describe() const;
  bool ok() const { return !signalled && value == 0; }
  friend bool operator==(ExitStatus const&, ExitStatus const&) = default;
};

/// What to start. Nothing is inherited but what is listed: descriptors are closed from the highest listed one on,
/// the signal mask is empty, all signals are default, the child leads a new session (and so its own process group).
struct Launch {
  std::string program;             ///< absolute path
  std::vector<std::string> argv;   ///< argv[0] included
  Environment environment;
  std::string cwd;                 ///< empty: stay
  /// {descriptor here, descriptor there}; 0, 1 and 2 go to /dev/null unless listed. Targets must be small and dense.
  std::vector<std::pair<int, int>> descriptors;
};

/// A started process: owned, watched through a pidfd, reaped. The destructor of a living one kills its whole process group
/// with SIGKILL and reaps it; `detach` lets it live.
class Child {
 public:
  static Result<Child> start(Launch const& launch);
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  /// Calls back once, on the loop, when the process has ended and is reaped. The callback may destroy this Child.
  void watch(EventLoop& loop, std::function<void(ExitStatus)> ended);
  /// Sends to the process group (false: to the process alone). Fails silently when it has ended.
  void signal(int signal_number, bool whole_group = true);
  /// Blocks until it ended, at most `timeout_ms` (-1: no limit); reaps it.
  std::optional<ExitStatus> wait(int64_t timeout_ms);
  /// The status, once ended.
  std::optional<ExitStatus> const& status() const { return status_; }
  /// Lets the process outlive this object. It is reaped by whoever adopts orphans.
  void detach();

 private:
  Child() = default;
  std::optional<ExitStatus> reap();
  void kill_and_reap();

  pid_t pid_ = -1;
  UniqueFd pidfd_;
  std::optional<ExitStatus> status_;
  std::unique_ptr<FdWatcher> watcher_;
  std::function<void(ExitStatus)> ended_;
};

}  // namespace insomnia::loop
