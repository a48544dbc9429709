#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/environment.hh"
#include "base/paths.hh"
#include "testing/program.hh"
#include "testing/temp_dir.hh"

namespace insomnia::testing {

/// A home of its own for the Pods of one test: fresh INSOMNIA_HOME, HOME and working directory, and an environment with nothing else of the
/// machine's. The destructor kills whatever still runs with this home in its environment and reaps it. Programs that were started in it
/// must be gone by then, so declare the home first.
class PodHome {
 public:
  /// `binary`: the insomnia executable.
  explicit PodHome(std::string binary);
  ~PodHome();
  PodHome(PodHome const&) = delete;
  PodHome& operator=(PodHome const&) = delete;

  std::string const& path() const { return directory_.path(); }
  /// The directory that programs start in; canonical.
  std::string const& work() const { return work_; }
  std::string file(std::string_view name) const { return work_ + "/" + std::string(name); }
  Paths paths() const { return Paths::resolve(environment); }

  /// Starts `insomnia ARGUMENTS…`.
  std::unique_ptr<Program> start(std::vector<std::string> arguments, std::string cwd = "", std::string input = "") const;
  /// The same to its end.
  Finished run(std::vector<std::string> arguments, std::string cwd = "", std::string input = "") const;

  void write(std::string_view name, std::string_view content) const;
  /// The content, or "<no file>".
  std::string read(std::string_view name) const;

  /// The process that holds the Pod's lock, 0 when none does; waits for the end of what a killed one has left.
  pid_t pid_of(std::string const& pod) const;
  /// A process started below this home whose command line holds this text, 0 when none does. (What a command says of itself is its number in its cell.)
  pid_t pid_of_command(std::string_view fragment) const;
  /// Names of the Pods whose lock is held.
  std::vector<std::string> living() const;
  /// Processes of any kind that were started below this home.
  std::vector<pid_t> processes() const;
  /// What the Pods recorded, for the message of a test that failed: session logs, states and mail, long lines cut.
  std::string records() const;

  Environment environment;
  std::string binary;
  /// A program and its arguments by which `insomnia` is started (setpriv, a shell); empty: directly.
  std::vector<std::string> launcher;

 private:
  TempDir directory_;
  std::string work_;
};

/// Waits until the process stands still (SIGSTOP), as one does just after it has told of its fault point.
bool wait_for_stop(pid_t pid);

/// Waits until the process has ended (it may still be a zombie).
bool wait_for_death(pid_t pid, int64_t deadline_ms = kPatienceMs);

}  // namespace insomnia::testing
