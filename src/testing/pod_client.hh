#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.hh"
#include "testing/program.hh"
#include "wire/event.hh"
#include "wire/line_reader.hh"
#include "wire/method.hh"

namespace insomnia::testing {

/// A client of a Pod's socket that a test drives step by step; blocks, with deadlines. Can misbehave on purpose.
class PodClient {
 public:
  /// Connects; `connected()` says whether that worked.
  explicit PodClient(std::string const& socket_path);

  bool connected() const { return static_cast<bool>(fd_); }
  /// Writes bytes as they are; false when the Pod closed the connection or did not take them in time.
  bool send_bytes(std::string_view bytes, int64_t deadline_ms = kPatienceMs);
  bool send(wire::MethodBody body, std::optional<std::string> id = std::nullopt);
  /// The next event; nothing when the connection ended or the deadline came.
  std::optional<wire::Event> next(int64_t deadline_ms = kPatienceMs);
  /// Skips events until one fits.
  std::optional<wire::Event> wait_for(std::function<bool(wire::Event const&)> const& fits, int64_t deadline_ms = kPatienceMs);
  /// Skips events until one of this kind.
  template <class Body>
  std::optional<Body> wait_for_kind(int64_t deadline_ms = kPatienceMs) {
    auto event = wait_for([](wire::Event const& candidate) { return std::holds_alternative<Body>(candidate.body); }, deadline_ms);
    if (!event) return std::nullopt;
    return std::get<Body>(std::move(event->body));
  }
  /// Reads and drops everything until the Pod closes the connection.
  bool wait_for_end(int64_t deadline_ms = kPatienceMs);
  bool ended() const { return ended_; }

 private:
  bool receive(int64_t deadline_ms);

  UniqueFd fd_;
  wire::LineReader reader_{wire::kMaxEventLine};
  bool ended_ = false;
};

}  // namespace insomnia::testing
