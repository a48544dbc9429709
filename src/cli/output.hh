#pragma once

#include <string>
#include <string_view>

#include "base/environment.hh"
#include "base/error.hh"

namespace insomnia::cli {

/// What a descriptor shows to: decides about colours and width.
struct Terminal {
  bool is_terminal = false;
  bool colour = false;  ///< a terminal, and neither NO_COLOR nor TERM=dumb says otherwise
  size_t width = 0;     ///< columns; 0: not a terminal, no limit
};
Terminal terminal_of(int fd, Environment const& environment);

/// Text for a descriptor, written at once. When the reader has gone (`| head`) it takes everything and writes
/// nothing.
class Output {
 public:
  explicit Output(int fd) : fd_(fd) {}
  /// False once the reader has gone.
  bool write(std::string_view text);
  bool closed() const { return closed_; }

 private:
  int fd_;
  bool closed_ = false;
};

/// Text to stdout. Returns the exit code for a command that is done with it: also a closed pipe is fine.
int print(std::string_view text);
/// "insomnia: <message>" on stderr; control characters are made visible.
void print_error(std::string_view message);
/// A hint on stderr, without any prefix.
void print_note(std::string_view message);
/// Prints the error; the exit code that fits it.
int fail_with(Error const& error);

/// One line of at most `limit` characters (0: no limit), safe for a terminal.
std::string safe_line(std::string_view text, size_t limit);
/// One line of a text, whole and as it is: what is not seen or misleads comes as an escape, as in safe_path(). For what somebody has to judge. Pure.
std::string exact_line(std::string_view text);
/// An absolute path, whole and safe for a terminal. One with characters that are not seen or mislead
/// (controls, line ends, blanks at its ends, bytes that are no UTF-8, marks that turn the direction of
/// writing) comes in quotes with escapes, like "/w/a\nb\xff\u{202e}". Pure.
std::string safe_path(std::string_view path);
/// At most `limit` characters (0: no limit) of a text that is safe already, with "…" in place of its middle.
/// Pure.
std::string cut_middle(std::string_view text, size_t limit);

}  // namespace insomnia::cli
