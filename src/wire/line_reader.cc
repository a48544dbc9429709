#include "wire/line_reader.hh"

#include "base/text.hh"

namespace insomnia::wire {
namespace {

/// A drained buffer larger than this gives its memory back: one large line must not cost its size for ever.
constexpr size_t kKeptCapacity = 256 << 10;

}  // namespace

void LineReader::feed(std::string_view bytes) {
  if (failed_) return;
  if (start_ == buffer_.size()) {
    buffer_.clear();
    if (buffer_.capacity() > kKeptCapacity) buffer_.shrink_to_fit();
    start_ = scanned_ = 0;
  } else if (start_ > buffer_.size() / 2) {
    buffer_.erase(0, start_);
    scanned_ -= start_;
    start_ = 0;
  }
  buffer_ += bytes;
}

Result<std::optional<std::string>> LineReader::next() {
  while (!failed_) {
    size_t end = buffer_.find('\n', scanned_);
    size_t size = (end == std::string::npos ? buffer_.size() : end) - start_;
    if (size > max_line_bytes_) {
      failed_ = true;
      std::string().swap(buffer_);
      start_ = scanned_ = 0;
      break;
    }
    if (end == std::string::npos) {
      scanned_ = buffer_.size();
      return std::nullopt;
    }
    std::string_view line = text::trim(std::string_view(buffer_).substr(start_, size));
    std::optional<std::string> result;
    if (!line.empty()) result = std::string(line);
    start_ = scanned_ = end + 1;
    if (result) return result;
  }
  return fail(Code::LimitReached, "a line is longer than " + std::to_string(max_line_bytes_) + " bytes");
}

}  // namespace insomnia::wire
