#pragma once

#include <optional>
#include <string>

#include "base/error.hh"
#include "wire/event.hh"

namespace insomnia::client {

/// Decides from the events of one connection whether a `run` request was accepted. Pure: the caller feeds
/// every event, from the prelude on.
class RunConfirmation {
 public:
  /// `request_id`: the id that was sent with the request.
  explicit RunConfirmation(std::string request_id) : request_id_(std::move(request_id)) {}

  /// Nothing while it is open; then, once, the outcome. Errors: Conflict (already running), InvalidArgument
  /// (rejected; code and message of the Pod).
  std::optional<Result<void>> on_event(wire::Event const& event);

 private:
  bool proves_acceptance(wire::Event const& event) const;

  std::string request_id_;
  bool have_snapshot_ = false;
  bool was_running_ = false;
  bool decided_ = false;
};

}  // namespace insomnia::client
