#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/environment.hh"
#include "base/error.hh"
#include "loop/event_loop.hh"

namespace insomnia::http {

/// Which step a failure belongs to.
enum class Phase { Setup, Connect, Send, FirstByte, Body };

struct Failure {
  Error error;
  Phase phase = Phase::Connect;
  bool timeout = false;
};

struct TimeLimits {
  int64_t connect_ms = 20'000;     ///< name look-up, TCP and TLS
  int64_t first_byte_ms = 600'000; ///< until the response headers
  int64_t idle_ms = 300'000;       ///< between two pieces of the body
};

struct Request {
  std::string method = "POST";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  TimeLimits limits;
};

struct Response {
  int status = 0;
  std::string content_type;
  /// Lower-case names.
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<std::string> header(std::string_view name) const;
};

class Handler {
 public:
  virtual ~Handler() = default;
  virtual void on_response(Response const& response) = 0;
  virtual void on_body(std::string_view bytes) = 0;
  /// Last call. No failure: the body is complete.
  virtual void on_done(std::optional<Failure> failure) = 0;
};

/// A request under way; destroying it cancels at once, in every phase, and silences the handler.
class Transfer {
 public:
  virtual ~Transfer() = default;
};

/// HTTP over libcurl's multi interface on the loop: HTTP/2 where the server has it, connection re-use, proxies from the environment
/// (https_proxy, http_proxy, no_proxy, all_proxy), redirects never followed. libcurl.so.4 is loaded on a worker thread by preload() or the
/// first request; requests wait for it without blocking the loop. Missing libcurl is an error that names the package.
class Client {
 public:
  Client(loop::EventLoop& loop, Environment const& environment);
  ~Client();
  void preload();
  std::unique_ptr<Transfer> start(Request request, Handler& handler);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace insomnia::http
