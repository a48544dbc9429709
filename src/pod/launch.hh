#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/paths.hh"
#include "base/unique_fd.hh"
#include "loop/child.hh"
#include "loop/event_loop.hh"
#include "pod/hand_over.hh"

namespace insomnia::pod {

/// How Pod processes are started: `program` `prefix_args`… pod …. Production: this executable; tests: the fake child.
struct RuntimeCommand {
  std::string program;
  std::vector<std::string> prefix_args{"pod"};
  /// This executable (/proc/self/exe).
  static RuntimeCommand self();
};

/// A Pod process that reported ready.
struct LaunchedPod {
  loop::Child child;
  std::string pod_name;
  std::string pod_id;
  std::string instance_id;
  std::string socket_path;
  UniqueFd lifeline;  ///< of a Pod that dies with its parent: it ends when this is closed, by whatever
};

/// The last 4 KiB of what a process wrote to its stderr file after its first `from` bytes, trimmed; "" when there is none.
std::string stderr_tail(std::string const& path, int64_t from = 0);

/// Starts one Pod process and waits for its ready line on an inherited pipe, its end, or the deadline, whichever comes first (a Pod that may
/// wait for its scope has that time on top, and says for whom it waits). stderr goes
/// to <runtime_dir>/<name>/stderr.log. A failure kills the process group, reaps, and carries the last 4 KiB of stderr. Destroying the
/// Launch before it is done does the same.
class PodLaunch {
 public:
  PodLaunch(loop::EventLoop& loop, Paths const& paths, RuntimeCommand const& command, HandOver const& hand_over,
            int64_t deadline_ms, std::function<void(Result<LaunchedPod>)> done,
            std::function<void(std::string const&)> waiting = nullptr);
  ~PodLaunch();
  /// The process, 0 when it could not be started or the launch is over.
  pid_t pid() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace insomnia::pod
