#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/path_pattern.hh"

namespace insomnia::tools {

/// One line of a .gitignore file, or a filter of Grep.
class IgnoreRule {
 public:
  /// Nothing for blank lines, comments and lines that cannot be understood.
  static std::optional<IgnoreRule> parse(std::string_view line, PatternSyntax syntax = PatternSyntax::GitIgnore);

  /// `relative` is the path below the directory of the rule. A match of an exclusion, or of a line with "!" before it.
  bool matches(std::string_view relative, bool directory) const;
  bool negated() const { return negated_; }

 private:
  enum class Kind { Name, Suffix, NamePattern, PathPattern };
  IgnoreRule() = default;

  Kind kind_ = Kind::Name;
  bool negated_ = false;
  bool directories_only_ = false;
  std::string text_;                     ///< of Name and Suffix
  std::optional<class PathPattern> pattern_;
};

/// The rules of one ignore file; the last one that matches decides.
class IgnoreRules {
 public:
  static IgnoreRules parse(std::string_view content);

  /// true: ignored; false: not ignored, whatever files further up say; nothing: no rule matches.
  std::optional<bool> decide(std::string_view relative, bool directory) const;
  bool empty() const { return rules_.empty(); }

 private:
  std::vector<IgnoreRule> rules_;
};

}  // namespace insomnia::tools
