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

/// System text as the user's side carries it where a format has no system role in the conversation: between tags, so that the
/// model can tell it from the user. Tags inside the text are made harmless.
std::string system_notice(std::string_view text);

}  // namespace insomnia::llm
