#include "wire/json_text.hh"

#include <algorithm>
#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>

#include "base/json.hh"
#include "base/text.hh"

namespace insomnia::wire {
namespace bj = boost::json;

namespace {

constexpr size_t kMaxDepth = 128;

/// Takes all that a parser finds and keeps nothing.
struct NullHandler {
  static constexpr size_t max_object_size = static_cast<size_t>(-1);
  static constexpr size_t max_array_size = static_cast<size_t>(-1);
  static constexpr size_t max_key_size = static_cast<size_t>(-1);
  static constexpr size_t max_string_size = static_cast<size_t>(-1);
  using View = bj::string_view;
  using Code = bj::error_code;

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) { return true; }
  bool on_object_end(size_t, Code&) { return true; }
  bool on_array_begin(Code&) { return true; }
  bool on_array_end(size_t, Code&) { return true; }
  bool on_key_part(View, size_t, Code&) { return true; }
  bool on_key(View, size_t, Code&) { return true; }
  bool on_string_part(View, size_t, Code&) { return true; }
  bool on_string(View, size_t, Code&) { return true; }
  bool on_number_part(View, Code&) { return true; }
  bool on_int64(int64_t, View, Code&) { return true; }
  bool on_uint64(uint64_t, View, Code&) { return true; }
  bool on_double(double, View, Code&) { return true; }
  bool on_bool(bool, Code&) { return true; }
  bool on_null(Code&) { return true; }
  bool on_comment_part(View, Code&) { return true; }
  bool on_comment(View, Code&) { return true; }
};

std::unexpected<Error> malformed(size_t at, std::string_view why) {
  return fail(Code::InvalidArgument, "invalid JSON at byte " + std::to_string(at) + ": " + std::string(why));
}

/// Finds where tokens end. Never reads past the text; what it accepts too much of (`[}`, `tru`) the check of the piece refuses.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  size_t at() const { return at_; }
  bool take(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool at_end() {
    skip_blanks();
    return at_ == text_.size();
  }
  /// The next value, empty when there is none.
  std::string_view value() {
    skip_blanks();
    size_t start = at_;
    size_t depth = 0;
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (c == '"') {
        if (!skip_string()) return {};
        if (depth == 0) break;
        continue;
      }
      if (depth == 0 && (c == ',' || c == ']' || c == '}' || c == ':' || is_blank(c))) break;
      ++at_;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && --depth == 0) break;
    }
    return depth == 0 ? text_.substr(start, at_ - start) : std::string_view();
  }

 private:
  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  }
  bool skip_string() {
    for (++at_;;) {
      at_ = text_.find_first_of("\"\\", at_);
      if (at_ == std::string_view::npos) {
        at_ = text_.size();
        return false;
      }
      if (text_[at_] == '"') {
        ++at_;
        return true;
      }
      at_ += 2;
      if (at_ > text_.size()) at_ = text_.size();
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

Result<std::string> key_of(std::string_view token, size_t at) {
  if (token.size() < 2 || token.front() != '"') return malformed(at, "a key is wanted");
  bj::value key = TRY(json::parse(token));
  if (!key.is_string()) return malformed(at, "a key is wanted");
  return std::string(key.as_string());
}

}  // namespace

Result<void> check_json(std::string_view json) {
  bj::parse_options options;
  options.max_depth = kMaxDepth;
  bj::basic_parser<NullHandler> parser(options);
  bj::error_code error;
  size_t used = parser.write_some(false, json.data(), json.size(), error);
  if (!error && used < json.size()) error = bj::error::extra_data;
  if (error) return malformed(used, error.message());
  return {};
}

Result<std::vector<std::string>> split_list(std::string_view json) {
  Scanner scanner(json);
  std::vector<std::string> result;
  if (!scanner.take('[')) return malformed(scanner.at(), "a list is wanted");
  if (!scanner.take(']')) {
    do {
      size_t at = scanner.at();
      std::string_view element = scanner.value();
      if (element.empty()) return malformed(at, "an element is wanted");
      result.emplace_back(element);
    } while (scanner.take(','));
    if (!scanner.take(']')) return malformed(scanner.at(), "the list does not end");
  }
  if (!scanner.at_end()) return malformed(scanner.at(), "something follows the list");
  return result;
}

Result<void> for_each_member(std::string_view json, MemberFunction const& member) {
  Scanner scanner(json);
  if (!scanner.take('{')) return malformed(scanner.at(), "an object is wanted");
  if (!scanner.take('}')) {
    do {
      size_t at = scanner.at();
      std::string key = TRY(key_of(scanner.value(), at));
      if (!scanner.take(':')) return malformed(scanner.at(), "a colon is wanted");
      std::string_view value = scanner.value();
      if (value.empty()) return malformed(scanner.at(), "a value is wanted");
      TRY(member(key, value));
    } while (scanner.take(','));
    if (!scanner.take('}')) return malformed(scanner.at(), "the object does not end");
  }
  if (!scanner.at_end()) return malformed(scanner.at(), "something follows the object");
  return {};
}

Result<MemberTexts> split_object(std::string_view json, std::vector<std::string_view> const& as_text, bj::object& fields) {
  MemberTexts texts;
  TRY(for_each_member(json, [&](std::string const& key, std::string_view value) -> Result<void> {
    if (std::find(as_text.begin(), as_text.end(), key) == as_text.end()) {
      bj::value parsed = TRY(json::parse(value));
      fields[key] = std::move(parsed);
      return {};
    }
    texts.erase(key);
    if (value == "null") return {};
    TRY(check_json(value));
    texts[key] = value;
    return {};
  }));
  return texts;
}

}  // namespace insomnia::wire
