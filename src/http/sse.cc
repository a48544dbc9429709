#include "http/sse.hh"

#include <algorithm>
#include <utility>

namespace insomnia::http {

namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

/// Where the line ends; almost always at \n, so that is looked for first.
size_t end_of_line(std::string_view bytes) {
  size_t newline = bytes.find('\n');
  return std::min(newline, bytes.substr(0, newline).find('\r'));
}

}  // namespace

Result<void> SseParser::feed(std::string_view bytes, std::vector<SseEvent>& out) {
  while (!bytes.empty()) {
    if (std::exchange(skip_newline_, false) && bytes.front() == '\n') {
      bytes.remove_prefix(1);
      continue;
    }
    size_t end = end_of_line(bytes);
    std::string_view piece = bytes.substr(0, end);
    if (line_.size() + data_.size() + piece.size() > max_event_bytes_) {
      return fail(Code::LimitReached,
                  "an event of the stream is larger than " + std::to_string(max_event_bytes_) + " bytes");
    }
    line_.append(piece);
    if (end == std::string_view::npos) return {};
    skip_newline_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    end_line(out);
  }
  return {};
}

void SseParser::end_line(std::vector<SseEvent>& out) {
  std::string_view line = line_;
  if (std::exchange(at_start_, false) && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  if (line.empty()) {
    if (has_data_) out.push_back({event_.empty() ? "message" : std::move(event_), std::move(data_)});
    event_.clear();
    data_.clear();
    has_data_ = false;
  } else {
    size_t colon = line.find(':');
    std::string_view field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "data") {
      if (has_data_) data_ += '\n';
      data_ += value;
      has_data_ = true;
    } else if (field == "event") {
      event_ = value;
    }
  }
  line_.clear();
}

}  // namespace insomnia::http
