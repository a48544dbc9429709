#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/environment.hh"
#include "base/unique_fd.hh"
#include "loop/child.hh"

namespace insomnia::testing {

/// How long a test waits for something that must come. Generous: machines that run tests are slow.
inline constexpr int64_t kPatienceMs = 60'000;

struct ProgramStart {
  std::string program;
  std::vector<std::string> arguments;  ///< without argv[0]
  Environment environment;
  std::string cwd;
  std::string input;  ///< standard input
};

/// A process under test. A thread of its own reads what it prints, so that it never blocks on a full pipe. The destructor kills its process
/// group and reaps it.
class Program {
 public:
  explicit Program(ProgramStart const& start);
  ~Program();
  Program(Program const&) = delete;
  Program& operator=(Program const&) = delete;

  pid_t pid() const { return child_->pid(); }
  /// To the process alone.
  void signal(int number) { child_->signal(number, false); }
  /// Closes our end of its stdout, as a reader that has seen enough does.
  void close_stdout();

  std::string out() const;
  std::string err() const;
  bool wait_for_out(std::string_view fragment, int64_t deadline_ms = kPatienceMs) const { return wait_for(out_, fragment, deadline_ms); }
  bool wait_for_err(std::string_view fragment, int64_t deadline_ms = kPatienceMs) const { return wait_for(err_, fragment, deadline_ms); }

  /// Waits for its end and for the rest of its output. The exit code; 128 + number when a signal ended it; nothing when it did not end.
  std::optional<int> wait(int64_t deadline_ms = kPatienceMs);

 private:
  void read_output();
  bool wait_for(std::string const& text, std::string_view fragment, int64_t deadline_ms) const;

  std::optional<loop::Child> child_;
  UniqueFd stdout_, stderr_, wake_;
  std::thread reader_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::string out_, err_;
  bool close_stdout_ = false;
  bool stop_ = false;
  bool ended_ = false;  ///< both pipes are at their end
};

/// What a process that has ended left.
struct Finished {
  std::optional<int> code;
  std::string out;
  std::string err;
};

}  // namespace insomnia::testing
