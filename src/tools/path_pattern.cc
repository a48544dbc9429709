#include "tools/path_pattern.hh"

#include <re2/re2.h>

#include "base/text.hh"

namespace insomnia::tools {
namespace {

constexpr size_t kMaxPattern = 4096;

/// Writes a pattern as a regular expression.
class Translator {
 public:
  Translator(std::string_view pattern, PatternSyntax syntax) : pattern_(pattern), syntax_(syntax) {}

  Result<std::string> translate() {
    while (at_ < pattern_.size()) TRY(step());
    if (depth_ > 0) return fail(Code::InvalidArgument, "a { is not closed");
    return out_;
  }

 private:
  Result<void> step() {
    char c = pattern_[at_];
    if (c == '*') return stars();
    if (c == '?') return emit("[^/]");
    if (c == '[') return character_class();
    if (c == '\\') return escaped();
    if (syntax_ == PatternSyntax::Glob) {
      if (c == '{') {
        ++depth_;
        return emit("(?:");
      }
      if (c == '}' && depth_ > 0) {
        --depth_;
        return emit(")");
      }
      if (c == ',' && depth_ > 0) return emit("|");
    }
    literal(c);
    return {};
  }

  Result<void> emit(std::string_view text) {
    out_ += text;
    ++at_;
    return {};
  }

  void literal(char c) {
    // Bytes of UTF-8 characters go through as they are; only ASCII punctuation means something to the expression.
    if (static_cast<unsigned char>(c) < 0x80 && std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '/') out_ += '\\';
    out_ += c;
    ++at_;
  }

  bool starts_component(size_t at) const {
    return at == 0 || pattern_[at - 1] == '/' || (depth_ > 0 && (pattern_[at - 1] == '{' || pattern_[at - 1] == ','));
  }

  Result<void> stars() {
    size_t start = at_;
    while (at_ < pattern_.size() && pattern_[at_] == '*') ++at_;
    bool component = at_ - start == 2 && starts_component(start);
    if (component && at_ == pattern_.size()) {
      out_ += ".+";
    } else if (component && pattern_[at_] == '/') {
      ++at_;
      out_ += "(?:[^/]+/)*";
    } else if (component && depth_ > 0 && (pattern_[at_] == ',' || pattern_[at_] == '}')) {
      out_ += ".+";
    } else {
      out_ += "[^/]*";
    }
    return {};
  }

  Result<void> character_class() {
    size_t at = at_ + 1;
    bool negated = at < pattern_.size() && (pattern_[at] == '!' || pattern_[at] == '^');
    if (negated) ++at;
    std::string set;
    for (bool first = true;; first = false) {
      if (at >= pattern_.size()) return fail(Code::InvalidArgument, "a [ is not closed");
      char c = pattern_[at++];
      if (c == ']' && !first) break;
      if (c == '\\' && at < pattern_.size()) c = pattern_[at++];
      bool range = c == '-' && !first && at < pattern_.size() && pattern_[at] != ']';
      if (!range && static_cast<unsigned char>(c) < 0x80 && std::isalnum(static_cast<unsigned char>(c)) == 0) set += '\\';
      set += c;
    }
    at_ = at;
    // A class never stands for a slash.
    out_ += negated ? "[^/" + set + "]" : "[" + set + "]";
    return {};
  }

  Result<void> escaped() {
    if (++at_ == pattern_.size()) return fail(Code::InvalidArgument, "it ends with a backslash");
    literal(pattern_[at_]);
    return {};
  }

  std::string_view pattern_;
  PatternSyntax syntax_;
  size_t at_ = 0;
  size_t depth_ = 0;
  std::string out_;
};

Error invalid(std::string_view pattern, std::string_view why) {
  return {Code::InvalidArgument, "invalid glob pattern: " + std::string(text::prefix(pattern, 200)) + ": " + std::string(why)};
}

}  // namespace

PathPattern::PathPattern(std::unique_ptr<re2::RE2> expression) : expression_(std::move(expression)) {}
PathPattern::PathPattern(PathPattern&&) noexcept = default;
PathPattern& PathPattern::operator=(PathPattern&&) noexcept = default;
PathPattern::~PathPattern() = default;

Result<PathPattern> PathPattern::compile(std::string_view pattern, PatternSyntax syntax) {
  if (pattern.empty()) return std::unexpected(invalid(pattern, "it is empty"));
  if (pattern.size() > kMaxPattern) return std::unexpected(invalid(pattern, "it is longer than 4096 bytes"));
  auto translated = Translator(pattern, syntax).translate();
  if (!translated) return std::unexpected(invalid(pattern, translated.error().message));
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_dot_nl(true);
  options.set_never_capture(true);
  options.set_max_mem(4 << 20);
  auto expression = std::make_unique<re2::RE2>(*translated, options);
  if (!expression->ok()) return std::unexpected(invalid(pattern, expression->error()));
  return PathPattern(std::move(expression));
}

bool PathPattern::matches(std::string_view relative_path) const {
  if (text::is_utf8(relative_path)) {
    return re2::RE2::FullMatch(re2::StringPiece(relative_path.data(), relative_path.size()), *expression_);
  }
  return re2::RE2::FullMatch(text::to_utf8(relative_path), *expression_);
}

bool has_wildcard(std::string_view text, PatternSyntax syntax) {
  return text.find_first_of(syntax == PatternSyntax::Glob ? "*?[{\\" : "*?[\\") != std::string_view::npos;
}

std::string literal_directory(std::string_view pattern) {
  size_t end = 0;
  size_t at = 0;
  for (;;) {
    size_t slash = pattern.find('/', at);
    if (slash == std::string_view::npos || has_wildcard(pattern.substr(at, slash - at), PatternSyntax::Glob)) break;
    end = slash;
    at = slash + 1;
  }
  return std::string(pattern.substr(0, end));
}

}  // namespace insomnia::tools
