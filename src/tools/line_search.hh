#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "tools/call_control.hh"

namespace re2 {
class RE2;
}

namespace insomnia::tools {

/// A compiled search. Any thread.
class LinePattern {
 public:
  /// Errors: "invalid regular expression: …".
  static Result<LinePattern> compile(std::string_view pattern, bool ignore_case, bool multiline);
  LinePattern(LinePattern&&) noexcept;
  ~LinePattern();

  struct Range {
    size_t begin = std::string_view::npos;
    size_t end = std::string_view::npos;
  };
  /// The next lines with a match at or after `from`, which starts a line: from the start of the first to the end of the last, its
  /// newline not counted. `begin` is npos when there are none.
  Range next(std::string_view text, size_t from) const;
  bool multiline() const { return block_ != nullptr && !line_; }

 private:
  LinePattern() = default;
  std::unique_ptr<re2::RE2> line_;   ///< for one line; none in multiline mode
  std::unique_ptr<re2::RE2> block_;  ///< for many lines at once; none when the pattern forbids that
};

/// One line of a searched file. `text` has no newline and lives until the callback returns.
struct SearchedLine {
  uint64_t number = 0;  ///< from 1
  std::string_view text;
  bool matches = false;
};

/// What became of a searched file.
struct SearchEnd {
  bool binary = false;      ///< a NUL in its first 8 KiB: not searched
  bool line_by_line = false;  ///< too large for a multiline search
};

/// Searches a file from its start in bounded memory and calls `line` for every line, in order, until it gives false. A NUL ends
/// the file. Of a line only the first MiB is searched.
Result<SearchEnd> search_lines(int fd, std::string const& what, LinePattern const& pattern, LinePattern const* line_pattern,
                               CallControl const& control, std::function<bool(SearchedLine const&)> const& line);

}  // namespace insomnia::tools
