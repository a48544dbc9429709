#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.hh"

namespace re2 {
class RE2;
}

namespace insomnia::tools {

/// Which signs of a pattern have a meaning. Everywhere: `*` and `?` within one path component, `**` as a whole component for any
/// number of them, `[a-z]` and `[!a-z]`, a backslash before a literal character.
enum class PatternSyntax {
  Glob,       ///< and {a,b}, which may nest
  GitIgnore,  ///< braces are literal
};

/// A compiled file name pattern. Matching takes time linear in the path.
class PathPattern {
 public:
  /// Errors: "invalid glob pattern: …" with the reason.
  static Result<PathPattern> compile(std::string_view pattern, PatternSyntax syntax);
  PathPattern(PathPattern&&) noexcept;
  PathPattern& operator=(PathPattern&&) noexcept;
  ~PathPattern();

  bool matches(std::string_view relative_path) const;

 private:
  explicit PathPattern(std::unique_ptr<re2::RE2> expression);
  std::unique_ptr<re2::RE2> expression_;
};

/// Whether the text has a sign that makes it more than a literal path. Pure.
bool has_wildcard(std::string_view text, PatternSyntax syntax);

/// The leading components without wildcards, the last component never among them: "src/a" of "src/a/*.cc", "" of "*.cc". Pure.
std::string literal_directory(std::string_view pattern);

}  // namespace insomnia::tools
