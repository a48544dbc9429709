#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "tools/context.hh"

namespace insomnia::tools {

struct ReadInput {
  std::string file_path;
  uint64_t offset = 0;  ///< first line, from 0
  uint64_t limit = 2000;
  friend bool operator==(ReadInput const&, ReadInput const&) = default;
};
Result<ReadInput> parse_read_input(std::string_view json);

/// Shows numbered lines of a text file in bounded memory and records what was seen.
Result<Output> run_read(Call& call, ReadInput const& input);

/// "     1\t<line>\n": how a line is shown, `number` counted from 1. Pure.
std::string numbered_line(uint64_t number, std::string_view line);

/// Collects a window of lines out of a file that arrives in blocks. Pure.
class LineWindow {
 public:
  /// `limit` lines from line `offset` on; the text stays within `max_bytes`, only a first line longer than that is cut.
  LineWindow(uint64_t offset, uint64_t limit, size_t max_bytes) : offset_(offset), limit_(limit), max_bytes_(max_bytes) {}

  void feed(std::string_view bytes);
  /// The file has ended.
  void finish();

  /// Nothing that follows can change `text()`.
  bool full() const { return full_; }
  std::string const& text() const { return text_; }
  uint64_t lines_seen() const { return line_; }    ///< lines that have ended so far
  uint64_t shown() const { return shown_; }        ///< lines in the text
  uint64_t cut_bytes() const { return cut_bytes_; }  ///< left out of the first line
  bool stopped_by_size() const { return stopped_by_size_; }
  bool malformed() const { return malformed_; }    ///< the text shows U+FFFD for bytes that are no UTF-8

 private:
  void end_line();

  uint64_t offset_;
  uint64_t limit_;
  size_t max_bytes_;
  std::string text_;
  std::string current_;
  uint64_t current_bytes_ = 0;
  uint64_t line_ = 0;
  uint64_t shown_ = 0;
  uint64_t cut_bytes_ = 0;
  bool full_ = false;
  bool stopped_by_size_ = false;
  bool malformed_ = false;
};

}  // namespace insomnia::tools
