#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.hh"

/// Stopping the processes of a cell and finding out what they hold: by the first process of its pid namespace, with capabilities over all others.
namespace insomnia::cell {

/// Who holds something that is to be taken from the cell.
struct Holder {
  pid_t pid = 0;
  std::string command;
  std::string what;  ///< "its working directory", "descriptor 5", "a shared mapping"
  std::string path;
  friend bool operator==(Holder const&, Holder const&) = default;
};

/// "process 12 (node server.js) has /w/src/app open (its working directory)"; several joined by "; ".
std::string describe(std::vector<Holder> const& holders);

/// While it exists, every process of the cell stands still, but for the caller. One thread.
class Freeze {
 public:
  /// Waits until all stand still; at most `limit_ms`, then they go on and the error names one that does not.
  /// `proc`: a /proc of the caller's pid namespace.
  static Result<Freeze> begin(int proc, long limit_ms);
  Freeze(Freeze&& other) noexcept;
  Freeze& operator=(Freeze&&) = delete;
  /// All go on, but for those that had been stopped before by somebody else.
  ~Freeze();

  std::vector<pid_t> const& processes() const { return processes_; }

 private:
  Freeze() = default;
  /// Notes whether it had been stopped before.
  bool stands_still(int proc, pid_t pid);

  bool active_ = true;
  std::vector<pid_t> processes_;
  std::vector<pid_t> stopped_before_;
};

/// Those among the processes that have something open at or below one of these paths by which they could still write there: a directory or a file that
/// was opened through a part of the view that is writable, a shared mapping that may be written, and descriptors that are on their way
/// through a socket, whatever they stand for. `hands`: sees the view, and is not looked at: it has
/// let go of what it held.
/// REQUIRES: none of them runs.
Result<std::vector<Holder>> find_holders(int proc, std::vector<pid_t> const& processes, pid_t hands, std::vector<std::string> const& paths);

}  // namespace insomnia::cell
