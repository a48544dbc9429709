#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"

namespace insomnia::http {

struct SseEvent {
  std::string event;  ///< "message" when the stream names none
  std::string data;   ///< lines joined by '\n'
  friend bool operator==(SseEvent const&, SseEvent const&) = default;
};

/// Parser for text/event-stream (WHATWG HTML, "Server-sent events"). Entirely passive: feed bytes in any pieces, get whole events.
/// Line ends are \n, \r\n or \r; comments, id and retry are skipped; a leading byte order mark is skipped. An event larger than
/// the limit is an error.
class SseParser {
 public:
  explicit SseParser(size_t max_event_bytes = 64u << 20) : max_event_bytes_(max_event_bytes) {}
  Result<void> feed(std::string_view bytes, std::vector<SseEvent>& out);

 private:
  void end_line(std::vector<SseEvent>& out);

  size_t max_event_bytes_;
  std::string line_;
  std::string event_;
  std::string data_;
  bool has_data_ = false;
  bool skip_newline_ = false;
  bool at_start_ = true;
};

}  // namespace insomnia::http
