#include <algorithm>

#include "base/io.hh"
#include "base/text.hh"
#include "scope/geometry.hh"
#include "scope/scope.hh"

namespace insomnia::scope {
namespace {

bool has_parent_component(std::string_view path) {
  auto parts = text::split(path, '/');
  return std::find(parts.begin(), parts.end(), "..") != parts.end();
}

Result<ScopeRule> canonical_rule(ScopeRule rule) {
  if (!rule.target.starts_with('/')) {
    return fail(Code::InvalidArgument,
                "scope target must be absolute: '" + rule.target + "'; write the whole path");
  }
  if (has_parent_component(rule.target)) {
    return fail(Code::InvalidArgument,
                "scope target must not contain '..': '" + rule.target + "'; name the directory itself");
  }
  auto target = canonical_path(rule.target);
  if (!target) return std::unexpected(std::move(target.error()).with_context("scope target"));
  if (!text::is_utf8(*target)) return std::unexpected(not_utf8(*target));
  rule.target = *std::move(target);
  return rule;
}

// Write implies read, so of two rules on one target the stronger says it all.
void merge_into(std::vector<ScopeRule>& rules, ScopeRule rule) {
  for (auto& known : rules) {
    if (known.target != rule.target || known.recursive != rule.recursive) continue;
    known.permission = std::max(known.permission, rule.permission);
    return;
  }
  rules.push_back(std::move(rule));
}

}  // namespace

Result<std::vector<ScopeRule>> canonical_request(std::vector<ScopeRule> const& requested) {
  if (requested.empty()) {
    return fail(
        Code::InvalidArgument,
        "scope must not be empty: name at least one directory or file that the Pod may read or write");
  }
  std::vector<ScopeRule> result;
  for (auto const& rule : requested) merge_into(result, TRY(canonical_rule(rule)));
  return result;
}

std::vector<ScopeRule> travelling_denies(std::vector<ScopeRule> const& spawner_denies,
                                         std::vector<ScopeRule> const& requested) {
  std::vector<ScopeRule> result;
  for (auto const& deny : spawner_denies) {
    bool touches = std::any_of(requested.begin(), requested.end(),
                               [&](ScopeRule const& rule) { return rules_overlap(deny, rule); });
    if (touches) result.push_back(deny);
  }
  return result;
}

std::string describe_rule(ScopeRule const& rule) {
  std::string result = rule.permission == Permission::Write ? "write:" : "read:";
  result += rule.target;
  if (!rule.recursive) result += " [non-recursive]";
  return result;
}

std::string describe_rules(std::vector<ScopeRule> const& rules) {
  if (rules.empty()) return "(none)";
  std::vector<std::string> parts;
  for (auto const& rule : rules) parts.push_back(describe_rule(rule));
  return text::join(parts, ", ");
}

Result<ScopeRule> parse_rule(std::string_view text, std::string const& base) {
  auto refuse = [&](std::string_view why) {
    return fail(Code::InvalidArgument, "scope rule '" + text::one_line(text, 200) + "': " + std::string(why) +
                                           "; write read:PATH or write:PATH");
  };
  auto colon = text.find(':');
  if (colon == std::string_view::npos) return refuse("it has no ':'");
  std::string_view permission = text.substr(0, colon);
  std::string_view path = text.substr(colon + 1);
  if (permission != "read" && permission != "write")
    return refuse("the permission is neither 'read' nor 'write'");
  if (path.empty()) return refuse("it has no path");
  if (path.find('\0') != std::string_view::npos) return refuse("the path has a NUL byte");
  if (path == "~" || path.starts_with("~/")) return refuse("the shell does not expand '~' here, use $HOME");
  return ScopeRule{io::absolute(path, base), permission == "write" ? Permission::Write : Permission::Read,
                   true};
}

}  // namespace insomnia::scope
