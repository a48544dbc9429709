#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/error.hh"
#include "llm/request.hh"
#include "llm/stream_event.hh"

namespace insomnia::llm {

/// Why a call failed. `retryable`: the same request may succeed later (408 425 429 500 502 503 504 529, time-outs, connection
/// failures); never for 400 401 403 404 and the like.
struct CallFailure {
  Error error;
  std::optional<int> status;             ///< HTTP status, if there was one
  std::string api_code;                  ///< the vendor's code or type, may be empty
  std::optional<int64_t> retry_after_ms; ///< from Retry-After
  bool retryable = false;
  bool mid_stream = false;  ///< events had already been delivered
  friend bool operator==(CallFailure const&, CallFailure const&) = default;
};

/// Receives one call's events on the loop's thread. After on_end nothing follows. Either may destroy the Call.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  virtual void on_event(StreamEvent const& event) = 0;
  /// No failure: the stream ended, with or without its Completed event.
  virtual void on_end(std::optional<CallFailure> failure) = 0;
};

/// A call under way; destroying it cancels at once and silences the handler.
class Call {
 public:
  virtual ~Call() = default;
};

/// A model behind some wire format. One attempt per call(): retries belong to the turn engine.
class Provider {
 public:
  virtual ~Provider() = default;
  /// Never calls the handler before it returns; `handler` must outlive the Call.
  virtual std::unique_ptr<Call> call(Request const& request, CallHandler& handler) = 0;
};

}  // namespace insomnia::llm
