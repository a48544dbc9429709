#pragma once

#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/error.hh"
#include "loop/child.hh"
#include "tools/process_list.hh"

namespace insomnia::tools {

/// A command that was started: its shell, and what its descendants are known by.
struct Command {
  loop::Child shell;
  std::string tag;    ///< their environment entry "INSOMNIA_CALL=…"
  pid_t session = 0;  ///< the shell leads it
};

/// Starts commands and finds all that they left behind, also what moved to another process group or session: this process is
/// made the reaper of its descendants (PR_SET_CHILD_SUBREAPER), so they stay below it; session, environment entry and
/// ancestors tell whose they are. Reaps orphans. Any thread.
class ProcessTable {
 public:
  explicit ProcessTable(std::string marker);
  /// Kills and reaps everything below this process.
  ~ProcessTable();
  ProcessTable(ProcessTable const&) = delete;
  ProcessTable& operator=(ProcessTable const&) = delete;

  /// Adds the environment entry and starts the command.
  Result<Command> start(loop::Launch launch);
  /// Reaps a shell that has ended, waiting at most a second for that.
  loop::ExitStatus reap(Command& command);
  /// What still runs of a command whose shell has ended.
  std::vector<ProcessInfo> survivors(Command const& command);
  /// Returns when nothing of it runs any more, at the latest at `deadline_ms` (steady clock).
  void wait_for_survivors(Command const& command, int64_t deadline_ms);
  /// Kills what still runs of a command, the shell too, until nothing is left (bounded to about a second).
  void kill(Command& command);
  /// Reaps orphans that have ended. Call it on SIGCHLD.
  void reap_orphans();
  void kill_all();

 private:
  void reap_orphans_locked();
  std::vector<ProcessInfo> members(Command const& command);

  std::string marker_;
  std::mutex mutex_;
  uint64_t next_ = 1;
  std::set<pid_t> shells_;  ///< started and not yet reaped; their own calls reap them
};

}  // namespace insomnia::tools
