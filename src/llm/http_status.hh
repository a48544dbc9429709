#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/client.hh"
#include "llm/provider.hh"

/// What HTTP says about a failed call, the same for every wire format. All pure.
namespace insomnia::llm {

/// Whether the same request may succeed later: 408 425 429 500 502 503 504 529.
bool is_retryable_status(int status);

/// The kind of an Error for a status.
Code code_of_status(int status);

/// The wait that a Retry-After header asks for: seconds, or an HTTP date measured against `now_wall_ms`. Never negative.
std::optional<int64_t> parse_retry_after(std::string_view value, int64_t now_wall_ms);

/// The wait that a rate-limit header gives as its reset: seconds ("12", "0.5"), units ("1m30s", "850ms", "2h"), a time (RFC 3339), or seconds since 1970.
std::optional<int64_t> parse_reset(std::string_view value, int64_t now_wall_ms);

/// What the vendor says in an error body; both may be empty.
struct ApiError {
  std::string code;
  std::string message;
  friend bool operator==(ApiError const&, ApiError const&) = default;
};

/// Reads `{"error": {"type" | "code", "message"}}` and its usual variants; a body that is no JSON is the message itself, cut.
ApiError parse_api_error(std::string_view body);

/// The failure for a response that is no success. `service` names the endpoint for people.
CallFailure status_failure(http::Response const& response, ApiError const& error, std::string_view service,
                           int64_t now_wall_ms);

/// "API error (status: 529) [overloaded_error]: Overloaded"; absent parts are left out.
std::string api_error_text(std::optional<int> status, ApiError const& error);

}  // namespace insomnia::llm
