// The parser of toml++ asserts things that a malformed document can break ("[#" is one), and has a proper
// error right behind them. An assertion must neither abort a Pod nor become an assumption of the optimiser.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) static_assert(true)
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "base/text.hh"
#include "manifest/decode.hh"
#include "manifest/toml_document.hh"

namespace insomnia::manifest {
namespace bj = boost::json;

namespace {

constexpr size_t kMaxText = 1 << 20;
constexpr size_t kMaxKeyParts = 16;

bool is_bare_key(std::string_view key) {
  if (key.empty()) return false;
  for (char c : key) {
    bool fine =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!fine) return false;
  }
  return true;
}

/// Where the string that starts at `at` ends (the position behind its last quote, or of the newline that
/// breaks it off).
size_t skip_string(std::string_view text, size_t at) {
  char quote = text[at];
  bool multi_line = text.substr(at, 3) == std::string(3, quote);
  size_t i = at + (multi_line ? 3 : 1);
  while (i < text.size()) {
    if (text[i] == '\\' && quote == '"') {
      i += 2;
    } else if (multi_line && text.substr(i, 3) == std::string(3, quote)) {
      i += 3;
      for (int extra = 0; extra < 2 && i < text.size() && text[i] == quote; ++extra) ++i;
      return i;
    } else if (!multi_line && text[i] == quote) {
      return i + 1;
    } else if (!multi_line && text[i] == '\n') {
      return i;
    } else {
      ++i;
    }
  }
  return text.size();
}

/// The line of a dotted key with more than kMaxKeyParts parts, 0 when there is none. The parser would build
/// such a key as that many nested tables and destroy them recursively: a file of dots could exhaust the
/// stack.
size_t find_deep_key(std::string_view text) {
  size_t line = 1, dots = 0, i = 0;
  while (i < text.size()) {
    char c = text[i];
    if (c == '"' || c == '\'') {
      size_t end = std::min(skip_string(text, i), text.size());
      line += static_cast<size_t>(std::count(text.begin() + static_cast<ptrdiff_t>(i),
                                             text.begin() + static_cast<ptrdiff_t>(end), '\n'));
      i = end;
      continue;
    }
    if (c == '#') {
      while (i < text.size() && text[i] != '\n') ++i;
      continue;
    }
    if (c == '\n' || c == '=' || c == ',' || c == '[' || c == '{') dots = 0;
    if (c == '\n') ++line;
    if (c == '.' && ++dots >= kMaxKeyParts) return line;
    ++i;
  }
  return 0;
}

/// Where the first control character is that TOML forbids everywhere, line 0 when there is none. The parser
/// asserts that it never meets a NUL in some places.
Position find_control_character(std::string_view text) {
  Position at{1, 1};
  for (unsigned char c : text) {
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F) return at;
    at = c == '\n' ? Position{at.line + 1, 1} : Position{at.line, at.column + 1};
  }
  return {};
}

class Converter {
 public:
  Converter(std::string const& file, Positions& positions) : file_(file), positions_(positions) {}

  Result<bj::object> table(toml::table const& table, std::string const& path) {
    bj::object out;
    for (auto const& [key, node] : table) {
      std::string inner = key_path(path, key.str());
      place(inner, key.source().begin);
      out.emplace(key.str(), TRY(value(node, inner)));
    }
    return out;
  }

 private:
  void place(std::string const& path, toml::source_position at) { positions_[path] = {at.line, at.column}; }

  Result<bj::value> value(toml::node const& node, std::string const& path) {
    if (auto const* inner = node.as_table()) return bj::value(TRY(table(*inner, path)));
    if (auto const* list = node.as_array()) {
      bj::array out;
      for (auto const& member : *list) {
        std::string inner = index_path(path, out.size());
        place(inner, member.source().begin);
        out.push_back(TRY(value(member, inner)));
      }
      return bj::value(std::move(out));
    }
    if (auto const* text = node.as_string()) return bj::value(bj::string(text->get()));
    if (auto const* number = node.as_integer()) return bj::value(number->get());
    if (auto const* flag = node.as_boolean()) return bj::value(flag->get());
    auto const* number = node.as_floating_point();
    if (number != nullptr && std::isfinite(number->get())) return bj::value(number->get());
    auto at = node.source().begin;
    return fail(Code::InvalidArgument,
                file_ + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": " + path +
                    (number != nullptr ? ": must be a finite number" : ": dates and times are not allowed"));
  }

  std::string const& file_;
  Positions& positions_;
};

}  // namespace

std::string key_path(std::string_view parent, std::string_view key) {
  std::string path(parent);
  if (!path.empty()) path += '.';
  if (is_bare_key(key)) return path.append(key);
  return path + '"' + text::one_line(key, 100) + '"';
}

std::string index_path(std::string_view parent, size_t index) {
  return std::string(parent) + "[" + std::to_string(index) + "]";
}

Result<bj::object> parse_toml_document(std::string_view text, std::string const& file_name,
                                       Positions& positions) {
  if (text.size() > kMaxText) {
    return fail(Code::InvalidArgument,
                file_name + ": has " + std::to_string(text.size()) + " bytes, more than 1 MiB");
  }
  if (Position at = find_control_character(text); at.line > 0) {
    return fail(Code::InvalidArgument,
                file_name + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) +
                    ": control characters are not allowed; write them as \\u00XX in a string");
  }
  if (size_t line = find_deep_key(text); line > 0) {
    return fail(Code::InvalidArgument,
                file_name + ":" + std::to_string(line) + ":1: a key has more than 16 parts");
  }
  toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    auto const& error = parsed.error();
    auto at = error.source().begin;
    return fail(Code::InvalidArgument, file_name + ":" + std::to_string(at.line) + ":" +
                                           std::to_string(at.column) + ": " +
                                           text::one_line(text::to_utf8(error.description()), 300));
  }
  return Converter(file_name, positions).table(parsed.table(), "");
}

Result<Config> parse_toml(std::string_view text, std::string const& file_name) {
  Positions positions;
  bj::object object = TRY(parse_toml_document(text, file_name, positions));
  return decode_config(object, DecodeContext(file_name, positions));
}

}  // namespace insomnia::manifest
