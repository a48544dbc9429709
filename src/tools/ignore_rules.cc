#include "tools/ignore_rules.hh"

#include "base/io.hh"
#include "base/text.hh"

namespace insomnia::tools {
namespace {

/// More than any real file has; the rest is not read.
constexpr size_t kMaxRules = 5000;

/// Without the white space at the end, unless a backslash protects it.
std::string_view without_trailing_space(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  while (line.ends_with(' ') && !line.ends_with("\\ ")) line.remove_suffix(1);
  return line;
}

}  // namespace

std::optional<IgnoreRule> IgnoreRule::parse(std::string_view line, PatternSyntax syntax) {
  line = without_trailing_space(line);
  if (line.empty() || line.starts_with('#')) return std::nullopt;
  IgnoreRule rule;
  if (line.starts_with('!')) {
    rule.negated_ = true;
    line.remove_prefix(1);
  }
  if (line.ends_with('/')) {
    rule.directories_only_ = true;
    line.remove_suffix(1);
  }
  bool anchored = line.find('/') != std::string_view::npos;
  if (line.starts_with('/')) line.remove_prefix(1);
  if (line.empty()) return std::nullopt;
  bool plain = !has_wildcard(line, syntax);
  if (!anchored && plain) {
    rule.kind_ = Kind::Name;
    rule.text_ = line;
    return rule;
  }
  if (!anchored && line.starts_with('*') && !has_wildcard(line.substr(1), syntax)) {
    rule.kind_ = Kind::Suffix;
    rule.text_ = line.substr(1);
    return rule;
  }
  auto pattern = PathPattern::compile(line, syntax);
  if (!pattern) return std::nullopt;
  rule.kind_ = anchored ? Kind::PathPattern : Kind::NamePattern;
  rule.pattern_.emplace(*std::move(pattern));
  return rule;
}

bool IgnoreRule::matches(std::string_view relative, bool directory) const {
  if (directories_only_ && !directory) return false;
  switch (kind_) {
    case Kind::Name:
      return io::base_name(relative) == text_;
    case Kind::Suffix:
      return io::base_name(relative).ends_with(text_);
    case Kind::NamePattern:
      return pattern_->matches(io::base_name(relative));
    case Kind::PathPattern:
      return pattern_->matches(relative);
  }
  return false;
}

IgnoreRules IgnoreRules::parse(std::string_view content) {
  IgnoreRules result;
  if (content.starts_with("\xef\xbb\xbf")) content.remove_prefix(3);
  for (auto line : text::split(content, '\n')) {
    if (result.rules_.size() >= kMaxRules) break;
    if (auto rule = IgnoreRule::parse(line)) result.rules_.push_back(*std::move(rule));
  }
  return result;
}

std::optional<bool> IgnoreRules::decide(std::string_view relative, bool directory) const {
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    if (rule->matches(relative, directory)) return !rule->negated();
  }
  return std::nullopt;
}

}  // namespace insomnia::tools
