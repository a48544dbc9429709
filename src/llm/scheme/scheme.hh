#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/sse.hh"
#include "llm/catalogue.hh"
#include "llm/http_status.hh"
#include "llm/provider.hh"
#include "llm/request.hh"
#include "llm/stream_event.hh"

namespace insomnia::llm {

/// Turns one response's server-sent events into StreamEvents. Entirely passive.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Appends what the event means. A failure ends the call; what was appended before it counts.
  virtual std::optional<CallFailure> decode(http::SseEvent const& event, std::vector<StreamEvent>& out) = 0;
  /// The response is over, in good order. For formats whose last event doesn't say that it is the last: appends Completed when all is there.
  virtual void end(std::vector<StreamEvent>& out) { (void)out; }
};

/// One vendor's wire format over HTTP: pure building and reading. HttpProvider drives it.
class Scheme {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;
  virtual ~Scheme() = default;
  virtual std::string default_base_url() const = 0;
  virtual std::string url(std::string_view base_url, ModelConfig const& model) const = 0;
  /// `key` is empty where the model needs none.
  virtual void add_headers(std::string_view key, Headers& headers) const = 0;
  virtual std::string body(Request const& request, ModelConfig const& model) const = 0;
  virtual std::unique_ptr<Decoder> decoder() const = 0;
  virtual ApiError parse_error(std::string_view body) const { return parse_api_error(body); }
};

/// `base` + `version` + `path`, where a base that already ends in the version (and slashes behind it) is as good as one without:
/// join_url("http://h/v1/", "/v1", "/messages") is "http://h/v1/messages".
std::string join_url(std::string_view base, std::string_view version, std::string_view path);

/// The same, for formats whose servers put the version in different places: any part of the base's path that looks like one (v1, v1beta, v4, …) stands for it,
/// so "https://h/openai/v1" and "https://h/openai" both work.
std::string join_versioned_url(std::string_view base, std::string_view version, std::string_view path);

/// About how long a request's body will be.
size_t estimated_body_size(Request const& request);

/// What reasoning of this model's answers has as its origin.
std::string origin_of(ModelConfig const& model);
/// Whether reasoning may be sent to this model: what another vendor has signed or encrypted is refused.
bool understands(ModelConfig const& model, wire::Reasoning const& reasoning);

/// The failure that a vendor's error inside a stream means. Numbers are HTTP statuses.
CallFailure stream_failure(ApiError const& error);

/// A name for a tool call that the server gave none: the same for the same response and number.
std::string made_up_call_id(std::string_view response_id, size_t number);
/// A call id in the characters and length that another vendor's service takes; its own ids stay as they are.
std::string portable_call_id(std::string_view id, size_t max_length);

/// System text as the user's side carries it where a format has no system role in the conversation: between tags, so that the
/// model can tell it from the user. Tags inside the text are made harmless.
std::string system_notice(std::string_view text);

}  // namespace insomnia::llm
