#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hh"

namespace insomnia::wire {

/// Splits a byte stream into lines: feed bytes as they come, take lines until there are none. Entirely passive. Surrounding
/// white space is trimmed, blank lines are skipped. A line longer than the limit is an error and the reader stays failed:
/// the caller closes the connection.
class LineReader {
 public:
  explicit LineReader(size_t max_line_bytes) : max_line_bytes_(max_line_bytes) {}

  void feed(std::string_view bytes);
  /// The next whole line, nothing when more bytes are needed, or LimitReached.
  Result<std::optional<std::string>> next();
  /// Bytes that wait for their newline.
  size_t pending() const { return buffer_.size() - start_; }

 private:
  size_t max_line_bytes_;
  std::string buffer_;
  size_t start_ = 0;
  size_t scanned_ = 0;
  bool failed_ = false;
};

/// What a Pod accepts from a client in one line.
inline constexpr size_t kMaxMethodLine = 16u << 20;
/// What a client accepts from a Pod in one line.
inline constexpr size_t kMaxEventLine = 512u << 20;

}  // namespace insomnia::wire
