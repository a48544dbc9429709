#include "llm/http_status.hh"

#include <ctime>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <cstdio>

#include "base/json.hh"
#include "base/text.hh"

namespace insomnia::llm {

namespace {

constexpr size_t kMaxMessage = 2000;

std::string string_member(boost::json::object const& object, std::string_view key) {
  auto const* value = object.if_contains(key);
  if (value == nullptr) return "";
  if (auto const* text = value->if_string()) return std::string(*text);
  if (value->is_int64()) return std::to_string(value->get_int64());
  return "";
}

/// The three date forms of RFC 9110.
std::optional<int64_t> parse_http_date(std::string const& text) {
  for (char const* format : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"}) {
    std::tm time{};
    char const* end = ::strptime(text.c_str(), format, &time);
    if (end != nullptr && *end == '\0') return static_cast<int64_t>(::timegm(&time)) * 1000;
  }
  return std::nullopt;
}

std::string_view advice(int status) {
  switch (status) {
    case 401: return "; check the key";
    case 403: return "; the key may not use this model or endpoint";
    case 404: return "; check the model's id and base_url";
    case 413: return "; the request is too large";
    default: return "";
  }
}

}  // namespace

bool is_retryable_status(int status) {
  constexpr std::array kRetryable{408, 425, 429, 500, 502, 503, 504, 529};
  return std::find(kRetryable.begin(), kRetryable.end(), status) != kRetryable.end();
}

Code code_of_status(int status) {
  switch (status) {
    case 401:
    case 403: return Code::PermissionDenied;
    case 404: return Code::NotFound;
    case 408:
    case 504: return Code::Timeout;
    case 429: return Code::LimitReached;
    default: return status >= 500 ? Code::Unavailable : Code::InvalidArgument;
  }
}

std::optional<int64_t> parse_retry_after(std::string_view value, int64_t now_wall_ms) {
  value = text::trim(value);
  double seconds = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds, std::chars_format::fixed);
  if (!value.empty() && error == std::errc() && end == value.data() + value.size()) {
    return static_cast<int64_t>(std::clamp(seconds, 0.0, 1e9) * 1000);
  }
  auto date = parse_http_date(std::string(value));
  if (!date) return std::nullopt;
  return std::max<int64_t>(0, *date - now_wall_ms);
}

namespace {

/// "2026-10-10T12:00:00Z", with a fraction or an offset of hours.
std::optional<int64_t> parse_rfc3339(std::string const& text) {
  std::tm time{};
  char const* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time);
  if (end == nullptr) return std::nullopt;
  int64_t milliseconds = static_cast<int64_t>(::timegm(&time)) * 1000;
  if (*end == '.') {
    for (++end; *end >= '0' && *end <= '9'; ++end) {}
  }
  if (*end == 'Z' && end[1] == '\0') return milliseconds;
  int hours = 0, minutes = 0;
  char sign = *end;
  if ((sign != '+' && sign != '-') || std::sscanf(end + 1, "%2d:%2d", &hours, &minutes) != 2) return std::nullopt;
  int64_t offset = (hours * 60 + minutes) * 60'000LL;
  return sign == '+' ? milliseconds - offset : milliseconds + offset;
}

}  // namespace

std::optional<int64_t> parse_reset(std::string_view value, int64_t now_wall_ms) {
  value = text::trim(value);
  if (value.empty()) return std::nullopt;
  if (auto time = parse_rfc3339(std::string(value))) return std::max<int64_t>(0, *time - now_wall_ms);
  double total_ms = 0;
  for (std::string_view rest = value; !rest.empty();) {
    double number = 0;
    auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    if (error != std::errc() || number < 0) return std::nullopt;
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    auto unit = [&](std::string_view name, double factor) {
      if (!rest.starts_with(name)) return false;
      rest.remove_prefix(name.size());
      total_ms += number * factor;
      return true;
    };
    if (rest.empty()) {
      // A number that large is a time since 1970.
      if (number > 1e9) return std::max<int64_t>(0, static_cast<int64_t>(std::min(number, 1e12) * 1000) - now_wall_ms);
      total_ms += number * 1000;
    } else if (!unit("ms", 1) && !unit("us", 0.001) && !unit("µs", 0.001) && !unit("s", 1000) && !unit("m", 60'000) && !unit("h", 3'600'000) && !unit("d", 86'400'000)) {
      return std::nullopt;
    }
  }
  return static_cast<int64_t>(std::min(total_ms, 1e12));
}

ApiError parse_api_error(std::string_view body) {
  auto parsed = json::parse_object(body);
  if (!parsed) return {.message = text::one_line(text::to_utf8(body), 500)};
  boost::json::object const* object = &*parsed;
  auto const* inner = object->if_contains("error");
  ApiError error;
  if (inner != nullptr && inner->is_string()) {
    error.message = std::string(inner->get_string());
  } else if (inner != nullptr && inner->is_object()) {
    object = &inner->get_object();
  }
  error.code = string_member(*object, "code");
  if (error.code.empty()) error.code = string_member(*object, "type");
  if (error.message.empty()) error.message = string_member(*object, "message");
  if (error.message.empty()) error.message = text::one_line(text::to_utf8(body), 500);
  error.message = std::string(text::prefix(error.message, kMaxMessage));
  return error;
}

std::string api_error_text(std::optional<int> status, ApiError const& error) {
  std::string out = "API error";
  if (status) out += " (status: " + std::to_string(*status) + ")";
  if (!error.code.empty()) out += " [" + error.code + "]";
  if (!error.message.empty()) out += ": " + error.message;
  return out;
}

CallFailure status_failure(http::Response const& response, ApiError const& error, std::string_view service,
                           int64_t now_wall_ms) {
  CallFailure failure;
  failure.status = response.status;
  failure.api_code = error.code;
  failure.retryable = is_retryable_status(response.status);
  // Some vendors know better than the status does.
  if (auto hint = response.header("x-should-retry"); hint == "true" || hint == "false") failure.retryable = hint == "true";
  if (auto after = response.header("retry-after")) failure.retry_after_ms = parse_retry_after(*after, now_wall_ms);
  std::string message = std::string(service) + ": ";
  if (response.status >= 300 && response.status < 400) {
    auto target = response.header("location").value_or("elsewhere");
    message += "answered with status " + std::to_string(response.status) + ", a redirect to " +
               text::one_line(text::to_utf8(target.substr(0, target.find('?'))), 200) +
               "; redirects are not followed, correct base_url";
    failure.error = {Code::InvalidArgument, message};
  } else {
    message += api_error_text(response.status, error) + std::string(advice(response.status));
    failure.error = {code_of_status(response.status), message};
  }
  return failure;
}

}  // namespace insomnia::llm
