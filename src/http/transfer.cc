#include "http/transfer.hh"

#include <charconv>

#include "base/text.hh"

namespace insomnia::http {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string seconds(int64_t ms) {
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

Code code_of(CURLcode code) {
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_COULDNT_RESOLVE_PROXY: return Code::InvalidArgument;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR: return Code::PermissionDenied;
    case CURLE_BAD_CONTENT_ENCODING: return Code::Corrupt;
    case CURLE_OUT_OF_MEMORY: return Code::LimitReached;
    case CURLE_OPERATION_TIMEDOUT: return Code::Timeout;
    default: return Code::Unavailable;
  }
}

std::string_view hint(CURLcode code, bool through_proxy) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST: return "; check the network and the model's base_url";
    case CURLE_COULDNT_RESOLVE_PROXY: return "; check https_proxy, http_proxy and all_proxy";
    case CURLE_COULDNT_CONNECT:
      return through_proxy ? "; is the proxy right (https_proxy, http_proxy, all_proxy)?"
                           : "; is the server running, and base_url right?";
    case CURLE_PEER_FAILED_VERIFICATION:
      return "; if a proxy with its own certificate stands in between, name its certificate in SSL_CERT_FILE";
    default: return "";
  }
}

bool has_line_break(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) != text.npos; }

}  // namespace

TrustStore TrustStore::from(Environment const& environment) {
  auto file = environment.get("SSL_CERT_FILE");
  auto directory = environment.get("SSL_CERT_DIR");
  return {.directory = directory.value_or("/etc/ssl/certs"), .file = file.value_or("")};
}

std::optional<std::string> Response::header(std::string_view name) const {
  for (auto const& [key, value] : headers) {
    if (key == name) return value;
  }
  return std::nullopt;
}

ActiveTransfer::~ActiveTransfer() {
  // REQUIRES: removed from the multi handle.
  if (easy_ != nullptr) curl_->easy_cleanup(easy_);
  if (headers_ != nullptr) curl_->slist_free_all(headers_);
}

std::string ActiveTransfer::describe() const { return request_.method + " " + url_for_people(request_.url); }

Result<void> ActiveTransfer::check() const {
  if (!request_.url.starts_with("http://") && !request_.url.starts_with("https://")) {
    return fail(Code::InvalidArgument, describe() + ": the URL must begin with http:// or https://");
  }
  if (has_line_break(request_.url)) return fail(Code::InvalidArgument, describe() + ": the URL contains a line break");
  for (auto const& [name, value] : request_.headers) {
    // The value may be a key: never shown.
    if (has_line_break(name) || has_line_break(value)) {
      return fail(Code::InvalidArgument, describe() + ": header " + text::one_line(name, 100) + " contains a line break");
    }
  }
  return {};
}

Result<void> ActiveTransfer::set_method() {
  auto set = [&](CURLoption option, auto value) { curl_->easy_setopt(easy_, option, value); };
  if (request_.method == "GET") {
    set(CURLOPT_HTTPGET, 1L);
  } else if (request_.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
    set(CURLOPT_POSTFIELDS, request_.body.c_str());
    if (request_.method != "POST") set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }
  // Nothing waits for "100 Continue": the body follows at once.
  std::vector<std::string> lines{"Expect:"};
  for (auto const& [name, value] : request_.headers) {
    lines.push_back(value.empty() ? name + ";" : name + ": " + value);
  }
  for (std::string const& line : lines) {
    curl_slist* longer = curl_->slist_append(headers_, line.c_str());
    if (longer == nullptr) return fail(Code::LimitReached, describe() + ": out of memory");
    headers_ = longer;
  }
  set(CURLOPT_HTTPHEADER, headers_);
  return {};
}

Result<void> ActiveTransfer::prepare(CurlLibrary const& curl, ProxySettings const& proxies, TrustStore const& trust) {
  curl_ = &curl;
  easy_ = curl.easy_init();
  if (easy_ == nullptr) return fail(Code::LimitReached, describe() + ": libcurl has no memory for another request");
  // Options that an older libcurl lacks are refused by it and left out.
  auto set = [&](CURLoption option, auto value) { return curl_->easy_setopt(easy_, option, value); };
  if (set(CURLOPT_URL, request_.url.c_str()) != CURLE_OK) return fail(Code::InvalidArgument, describe() + ": bad URL");
  set(CURLOPT_PRIVATE, static_cast<void*>(this));
  set(CURLOPT_ERRORBUFFER, error_.data());
  set(CURLOPT_NOSIGNAL, 1L);
  // Removing a handle during a dead name look-up must not wait for the resolver's thread.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  // Half of it goes to the first of several addresses; the whole is also watched by our own timer.
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_.limits.connect_ms));
  // Decoded as it arrives: each flushed piece of a gzip stream comes out at once.
  set(CURLOPT_ACCEPT_ENCODING, "gzip");
  set(CURLOPT_USERAGENT, "insomnia");
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_WRITEFUNCTION, &ActiveTransfer::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_HEADERFUNCTION, &ActiveTransfer::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_PREREQFUNCTION, &ActiveTransfer::on_connected);
  set(CURLOPT_PREREQDATA, static_cast<void*>(this));

  // An empty value keeps libcurl from looking into the process environment by itself.
  proxy_ = proxies.for_url(request_.url);
  set(CURLOPT_PROXY, proxy_.c_str());
  set(CURLOPT_NOPROXY, proxies.no_proxy().c_str());

  char const* file = trust.file.empty() ? nullptr : trust.file.c_str();
  if (request_.url.starts_with("https:")) {
    set(CURLOPT_CAINFO, file);
    set(CURLOPT_CAPATH, trust.directory.c_str());
  }
  if (proxy_.starts_with("https:")) {
    set(CURLOPT_PROXY_CAINFO, file);
    set(CURLOPT_PROXY_CAPATH, trust.directory.c_str());
  }
  return set_method();
}

size_t ActiveTransfer::on_body(char* bytes, size_t size, size_t count, void* self) {
  Outbox& outbox = static_cast<ActiveTransfer*>(self)->outbox_;
  outbox.body.append(bytes, size * count);
  outbox.progress = true;
  return size * count;
}

size_t ActiveTransfer::on_header(char* bytes, size_t size, size_t count, void* self) {
  static_cast<ActiveTransfer*>(self)->header_line(std::string_view(bytes, size * count));
  return size * count;
}

int ActiveTransfer::on_connected(void* self, char*, char*, int, int) {
  auto& transfer = *static_cast<ActiveTransfer*>(self);
  // Comes again when a kept connection turned out dead and the request goes out on a new one.
  transfer.connected_ = true;
  transfer.outbox_.progress = true;
  return CURL_PREREQFUNC_OK;
}

void ActiveTransfer::header_line(std::string_view line) {
  if (responded_) return;  // trailers
  line = text::trim(line);
  if (line.starts_with("HTTP/")) {
    response_ = {};
    size_t space = std::min(line.find(' '), line.size());
    std::string_view digits = text::trim(line.substr(space));
    std::from_chars(digits.data(), digits.data() + digits.size(), response_.status);
  } else if (line.empty()) {
    if (response_.status < 200) return;  // 1xx: the answer is still to come
    responded_ = true;
    response_.content_type = response_.header("content-type").value_or("");
    outbox_.response = response_;
    outbox_.progress = true;
  } else if (size_t colon = line.find(':'); colon != std::string_view::npos) {
    response_.headers.emplace_back(lower(text::trim(line.substr(0, colon))), text::trim(line.substr(colon + 1)));
  }
}

bool ActiveTransfer::fully_sent() const {
  curl_off_t sent = 0;
  if (easy_ == nullptr || curl_->easy_getinfo(easy_, CURLINFO_SIZE_UPLOAD_T, &sent) != CURLE_OK) return true;
  return static_cast<size_t>(sent) >= request_.body.size();
}

Phase ActiveTransfer::phase() const {
  if (responded_) return Phase::Body;
  if (!connected_) return Phase::Connect;
  return fully_sent() ? Phase::FirstByte : Phase::Send;
}

int64_t ActiveTransfer::limit_ms() const {
  if (responded_) return request_.limits.idle_ms;
  return connected_ ? request_.limits.first_byte_ms : request_.limits.connect_ms;
}

Failure ActiveTransfer::timed_out() const {
  Phase where = phase();
  std::string_view what = where == Phase::Connect     ? "no connection within "
                          : where == Phase::Send      ? "the request was not sent within "
                          : where == Phase::FirstByte ? "no answer within "
                                                      : "the answer stood still for ";
  return {.error = {Code::Timeout, describe() + ": " + std::string(what) + seconds(limit_ms())},
          .phase = where,
          .timeout = true};
}

std::optional<Failure> ActiveTransfer::result(CURLcode code) const {
  if (code == CURLE_OK) {
    if (responded_) return std::nullopt;
    return Failure{.error = {Code::Unavailable, describe() + ": the server closed the connection without an answer"},
                   .phase = Phase::FirstByte};
  }
  if (code == CURLE_OPERATION_TIMEDOUT) return timed_out();
  std::string why = error_[0] != '\0' ? std::string(error_.data()) : curl_->easy_strerror(code);
  if (!proxy_.empty()) why = text::replace_all(why, proxy_, "(the proxy)");  // may hold a password
  why = text::one_line(text::to_utf8(why), 400);
  return Failure{.error = {code_of(code), describe() + ": " + why + std::string(hint(code, !proxy_.empty()))}, .phase = phase()};
}

}  // namespace insomnia::http
