#pragma once

// Private to http/.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "http/client.hh"
#include "http/curl_library.hh"
#include "http/proxy.hh"
#include "loop/event_loop.hh"

namespace insomnia::http {

/// Where certificates are looked up: directories by hash cost nothing at start, a bundle file costs 37 ms.
struct TrustStore {
  std::string directory;
  std::string file;  ///< empty: none
  static TrustStore from(Environment const& environment);
};

/// One request with its easy handle. libcurl's callbacks only fill the outbox below, because nothing of libcurl may be called
/// from inside them; the Client delivers it afterwards.
class ActiveTransfer {
 public:
  ActiveTransfer(uint64_t id, Request request, Handler& handler) : id_(id), request_(std::move(request)), handler_(handler) {}
  ~ActiveTransfer();
  ActiveTransfer(ActiveTransfer const&) = delete;
  ActiveTransfer& operator=(ActiveTransfer const&) = delete;

  /// Checks what can be checked without libcurl.
  Result<void> check() const;
  /// Makes the easy handle. Callbacks report to `this`.
  Result<void> prepare(CurlLibrary const& curl, ProxySettings const& proxies, TrustStore const& trust);

  /// The failure that a result of libcurl means; nothing for success.
  std::optional<Failure> result(CURLcode code) const;
  /// The failure when the limit of the present phase has passed.
  Failure timed_out() const;
  Phase phase() const;
  /// The limit of the present phase.
  int64_t limit_ms() const;

  uint64_t id() const { return id_; }
  CURL* easy() const { return easy_; }
  Handler& handler() const { return handler_; }

  struct Outbox {
    std::optional<Response> response;
    std::string body;
    bool done = false;
    std::optional<Failure> failure;
    bool progress = false;  ///< the phase's limit starts anew
    bool empty() const { return !response && body.empty() && !done; }
  };
  Outbox& outbox() { return outbox_; }

  bool added = false;  ///< to the multi handle
  std::unique_ptr<loop::Timer> limit;

 private:
  static size_t on_body(char* bytes, size_t size, size_t count, void* self);
  static size_t on_header(char* bytes, size_t size, size_t count, void* self);
  static int on_connected(void* self, char*, char*, int, int);
  void header_line(std::string_view line);
  bool fully_sent() const;
  Result<void> set_method();
  std::string describe() const;

  uint64_t id_;
  Request request_;
  Handler& handler_;
  CurlLibrary const* curl_ = nullptr;
  CURL* easy_ = nullptr;
  curl_slist* headers_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::string proxy_;
  bool connected_ = false;
  bool responded_ = false;
  Response response_;
  Outbox outbox_;
};

}  // namespace insomnia::http
