#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/paths.hh"

/// Light processes that take write scopes from each other as brains do: with both locks, the notes beside them, the machine's registry, and a
/// place in its queue. Only what a Pod does with its scope is left out.
namespace insomnia::testing {

struct ContenderTask {
  Paths paths;
  int number = 0;      ///< it is Pod "c<number>"
  unsigned seed = 0;   ///< of what it asks for and when it crashes
  std::string root;    ///< it asks for this path or parts of it, up to two levels below
  std::string marks;   ///< a directory: one file for each path at the end
  std::string stop;    ///< when this file exists it makes no further request
  int report_fd = -1;  ///< where it writes a ContenderEvent at a time
  bool waits = true;   ///< for what is busy; else it asks for something else
  bool alone = false;  ///< nobody else asks for a part of `root`: being told to wait is wrong
  int crashes = 0;     ///< it kills itself about once in so many grants, while it holds; 0: never
  int go_fd = -1;      ///< when given it asks for all of `root`, and what it is granted it holds until there is a byte here
};

struct ContenderEvent {
  enum class Kind : int32_t {
    Granted,     ///< it holds what it asked for and has proved it
    Waits,       ///< it was told to wait
    Crashes,     ///< it kills itself now, still holding
    StandsInside,  ///< it stops itself now (SIGSTOP), inside a transaction of the registry
  };
  int32_t number;
  int32_t pid;
  Kind kind;
};

/// How a contender ends.
enum class ContenderEnd : int {
  Done = 0,
  NotTheOnlyHolder = 3,  ///< another process held a part of what it was granted
  ToldToWait = 4,        ///< although nobody else wants its path
  Refused = 5,           ///< by another error, or after a minute of waiting; said on stderr
};

/// A forked contender: killed and reaped at the latest by the destructor. REQUIRES: no other thread in the process that forks.
class Contender {
 public:
  /// Asks for scopes until it is told to stop.
  static Contender start(ContenderTask const& task);
  /// Has one scope, and stops in the middle of a change of the registry. Once continued it ends.
  static Contender start_that_stops_inside_a_transaction(ContenderTask const& task);

  Contender(Contender&& other) noexcept;
  Contender& operator=(Contender&&) = delete;
  ~Contender();

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  /// Reaps it: its ContenderEnd, or minus the signal's number.
  int wait();

 private:
  explicit Contender(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

}  // namespace insomnia::testing
