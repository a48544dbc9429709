#include "wire/json_writer.hh"

#include <array>
#include <charconv>
#include <cmath>

#include "base/text.hh"
#include "wire/json_text.hh"

namespace insomnia::wire {
namespace {

void append_escape(std::string& out, char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  auto byte = static_cast<uint8_t>(c);
  out += "\\u00";
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

void append_escaped(std::string& out, std::string_view text) {
  size_t done = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    auto byte = static_cast<uint8_t>(text[at]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out += text.substr(done, at - done);
    append_escape(out, text[at]);
    done = at + 1;
  }
  out += text.substr(done);
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  if (text::is_utf8(text)) append_escaped(out, text);
  else append_escaped(out, text::to_utf8(text));
  out += '"';
}

void append_json_text(std::string& out, std::string_view json) {
  json = text::trim(json);
  if (json.empty()) {
    out += "null";
    return;
  }
  // Line ends can only stand between tokens: inside a JSON string they are escaped.
  for (size_t done = 0; done < json.size();) {
    size_t end = json.find_first_of("\r\n", done);
    if (end == std::string_view::npos) end = json.size();
    out += json.substr(done, end - done);
    done = end + 1;
  }
}

void append_checked_json(std::string& out, std::string_view json) {
  if (check_json(json)) append_json_text(out, json);
  else append_json_string(out, json);
}

void append_json_number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  std::array<char, 40> buffer;
  auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  std::string_view digits(buffer.data(), static_cast<size_t>(end - buffer.data()));
  out += digits;
  if (digits.find_first_of(".e") == std::string_view::npos) out += ".0";
}

}  // namespace insomnia::wire
