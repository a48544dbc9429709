#include "base/text.hh"

#include <cstdint>

namespace insomnia::text {
namespace {

/// Length of the well-formed UTF-8 sequence at `at`, or 0 when there is none.
size_t sequence_length(std::string_view s, size_t at) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(s[at + i]); };
  uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || at + size > s.size()) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if (lead == 0xE0 && byte(1) < 0xA0) return 0;
  if (lead == 0xED && byte(1) > 0x9F) return 0;
  if (lead == 0xF0 && byte(1) < 0x90) return 0;
  if (lead == 0xF4 && byte(1) > 0x8F) return 0;
  return size;
}

bool is_continuation(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

}  // namespace

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\v\f";
  auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> result;
  size_t start = 0;
  for (;;) {
    auto end = text.find(separator, start);
    if (end == std::string_view::npos) break;
    result.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  result.push_back(text.substr(start));
  return result;
}

std::string join(std::vector<std::string> const& parts, std::string_view separator) {
  std::string result;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) result += separator;
    result += parts[i];
  }
  return result;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  size_t start = 0;
  for (;;) {
    auto at = from.empty() ? std::string_view::npos : text.find(from, start);
    if (at == std::string_view::npos) break;
    result += text.substr(start, at - start);
    result += to;
    start = at + from.size();
  }
  result += text.substr(start);
  return result;
}

bool is_utf8(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    size_t size = sequence_length(bytes, at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

std::string to_utf8(std::string_view bytes) {
  std::string result;
  result.reserve(bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    size_t size = sequence_length(bytes, at);
    if (size == 0) {
      result += "\xEF\xBF\xBD";
      ++at;
    } else {
      result += bytes.substr(at, size);
      at += size;
    }
  }
  return result;
}

std::string_view prefix(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && is_continuation(text[limit])) --limit;
  return text.substr(0, limit);
}

std::string_view suffix(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text;
  size_t start = text.size() - limit;
  while (start < text.size() && is_continuation(text[start])) ++start;
  return text.substr(start);
}

std::string one_line(std::string_view text, size_t limit) {
  std::string result;
  size_t characters = 0;
  text = trim(text);
  for (size_t at = 0; at < text.size();) {
    if (characters == limit) {
      while (!result.empty() && is_continuation(result.back())) result.pop_back();
      if (!result.empty()) result.pop_back();
      return result + "…";
    }
    size_t size = sequence_length(text, at);
    auto byte = static_cast<uint8_t>(text[at]);
    if (size == 0) result += "\xEF\xBF\xBD";
    else if (byte < 0x20 || byte == 0x7F) result += ' ';
    else result += text.substr(at, size);
    at += size == 0 ? 1 : size;
    ++characters;
  }
  return result;
}

size_t length(std::string_view text) {
  size_t result = 0;
  for (char c : text) result += is_continuation(c) ? 0 : 1;
  return result;
}

std::string for_terminal(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    size_t size = sequence_length(text, at);
    auto byte = static_cast<uint8_t>(text[at]);
    // C1 controls (U+0080..U+009F) start escape sequences on some terminals, like ESC does.
    bool c1 = size == 2 && byte == 0xC2 && static_cast<uint8_t>(text[at + 1]) < 0xA0;
    if (size == 0 || c1) {
      result += "\xEF\xBF\xBD";
    } else if (byte == '\r' && at + 1 < text.size() && text[at + 1] == '\n') {
      // A DOS line end is a line end.
    } else if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F) {
      result += '^';
      result += byte == 0x7F ? '?' : static_cast<char>(byte + 0x40);
    } else {
      result += text.substr(at, size);
    }
    at += size == 0 ? 1 : size;
  }
  return result;
}

}  // namespace insomnia::text
