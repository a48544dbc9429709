#pragma once

#include <poll.h>
#include <termios.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hh"
#include "base/unique_fd.hh"
#include "cli/output.hh"

namespace insomnia::cli {

/// Carries the caller's standard input, output and error to and from a command that gets none of these descriptors itself: pipes, or, when the caller
/// sits at a terminal, a terminal of its own, while the caller's is raw. The destructor puts that back.
class StdioRelay {
 public:
  static Result<StdioRelay> open();
  StdioRelay(StdioRelay&& other) noexcept
      : theirs_(std::move(other.theirs_)), input_(std::move(other.input_)), outputs_(std::move(other.outputs_)), saved_(std::exchange(other.saved_, std::nullopt)), terminal_(std::move(other.terminal_)) {}
  StdioRelay& operator=(StdioRelay&&) = delete;
  ~StdioRelay();

  bool is_terminal() const { return saved_.has_value(); }
  /// The command's side: standard input, output, error. Once.
  std::vector<UniqueFd> take_command_side() { return std::move(theirs_); }
  /// The caller's window has another size.
  void resize() const;

  void append_to(std::vector<pollfd>& polled) const;
  /// Carries what is there without waiting for more.
  void serve();
  /// Carries the output that is still there when the command has ended.
  void drain();

 private:
  struct Stream {
    UniqueFd from;
    Output to;
  };
  StdioRelay() = default;
  Result<void> open_terminal();
  Result<void> open_pipes(bool input_too);
  void serve_input();
  /// False: nothing is there now.
  bool serve_output(Stream& stream);

  std::vector<UniqueFd> theirs_;
  UniqueFd input_;  ///< where standard input goes
  bool input_over_ = false;
  std::string pending_;  ///< of standard input
  std::vector<Stream> outputs_;
  std::optional<termios> saved_;
  UniqueFd terminal_;  ///< our side of it
};

}  // namespace insomnia::cli
