#include "scope/scope.hh"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/io.hh"
#include "base/text.hh"
#include "scope/geometry.hh"
#include "scope/protected.hh"

namespace insomnia::scope {
namespace {

constexpr size_t kShownPath = 4096;

Result<ScopeRule> resolved_rule(ScopeRule rule) {
  if (!rule.target.starts_with('/')) {
    return fail(Code::InvalidArgument, "scope target must be absolute: " + rule.target);
  }
  auto target = canonical_path(rule.target);
  if (!target)
    return std::unexpected(std::move(target.error()).with_context("failed to resolve scope target"));
  if (!text::is_utf8(*target)) return std::unexpected(not_utf8(*target));
  rule.target = *std::move(target);
  return rule;
}

Result<std::vector<ScopeRule>> resolved_rules(std::vector<ScopeRule> const& rules) {
  std::vector<ScopeRule> result;
  result.reserve(rules.size());
  for (auto const& rule : rules) result.push_back(TRY(resolved_rule(rule)));
  return result;
}

std::string summary_line(ScopeRule const& rule) {
  // One line per rule whatever the path holds: this text goes into prompts.
  return "\n  - " + text::one_line(rule.target, kShownPath) + (rule.recursive ? "" : " [non-recursive]");
}

}  // namespace

Result<Scope> Scope::create(ScopeConfig const& config) {
  if (config.allow.empty()) {
    return fail(Code::InvalidArgument, "scope must declare at least one [[scope.allow]] rule");
  }
  Scope scope;
  scope.rules_.allow = TRY(resolved_rules(config.allow));
  scope.rules_.deny = TRY(resolved_rules(config.deny));
  return scope;
}

Result<Scope> Scope::writable(std::string const& root) {
  std::string target = TRY(io::real_path(root));
  struct stat info{};
  if (::stat(target.c_str(), &info) != 0) return fail_errno("stat " + target, errno);
  if (!S_ISDIR(info.st_mode))
    return fail(Code::InvalidArgument, "scope root " + target + " is not a directory");
  return from_resolved({{{target, Permission::Write, true}}, {}});
}

Scope Scope::from_resolved(ScopeConfig rules) {
  Scope scope;
  scope.rules_ = std::move(rules);
  return scope;
}

Decision Scope::decide(std::string const& path) const {
  auto resolved = resolve_path(path);
  if (!resolved) return {};
  return decide_resolved(*resolved);
}

Decision Scope::decide_resolved(std::string_view resolved_path) const {
  std::optional<Permission> granted;
  if (!own_files_.empty() && is_below(resolved_path, own_files_)) return {Permission::Read, std::nullopt, ""};
  std::string_view place = protected_place(resolved_path);
  std::string closed;
  for (auto const& rule : rules_.allow) {
    if (!matches(rule, resolved_path)) continue;
    bool shut = rule.permission == Permission::Write && !place.empty() && !is_below(rule.target, place);
    if (shut) closed = place;
    auto permission = shut ? Permission::Read : rule.permission;
    if (!granted || *granted < permission) granted = permission;
  }
  if (!granted) {
    bool denied = std::any_of(rules_.deny.begin(), rules_.deny.end(), [&](ScopeRule const& rule) { return matches(rule, resolved_path); });
    ScopeRule const* nearest = nullptr;
    for (auto const& own : own_directories_) {
      if (is_below(resolved_path, own.target) && (nearest == nullptr || own.target.size() > nearest->target.size())) nearest = &own;
    }
    if (nearest != nullptr && !denied) return {nearest->permission, std::nullopt, ""};
    return {};
  }
  if (granted == Permission::Write) closed.clear();

  // The strictest deny decides; of equally strict ones the most specific is named.
  ScopeRule const* cap = nullptr;
  for (auto const& rule : rules_.deny) {
    if (rule.permission > *granted || !matches(rule, resolved_path)) continue;
    bool stricter = !cap || rule.permission < cap->permission ||
                    (rule.permission == cap->permission && rule.target.size() > cap->target.size());
    if (stricter) cap = &rule;
  }
  if (!cap) return {granted, std::nullopt, std::move(closed)};
  if (cap->permission == Permission::Read) return {std::nullopt, *cap, std::move(closed)};
  return {Permission::Read, *cap, std::move(closed)};
}

std::vector<std::string> Scope::readable_paths() const {
  std::vector<std::string> result;
  for (auto const& rule : rules_.allow) result.push_back(rule.target);
  return result;
}

std::vector<std::string> Scope::writable_paths() const {
  std::vector<std::string> result;
  for (auto const& rule : rules_.allow) {
    if (rule.permission == Permission::Write) result.push_back(rule.target);
  }
  return result;
}

Result<Scope> Scope::with_added_allow_rules(std::vector<ScopeRule> const& extra) const {
  auto resolved = TRY(resolved_rules(extra));
  Scope result = *this;
  result.rules_.allow.insert(result.rules_.allow.end(), resolved.begin(), resolved.end());
  return result;
}

Result<Scope> Scope::with_added_deny_rules(std::vector<ScopeRule> const& extra) const {
  auto resolved = TRY(resolved_rules(extra));
  Scope result = *this;
  result.rules_.deny.insert(result.rules_.deny.end(), resolved.begin(), resolved.end());
  return result;
}

Scope Scope::with_own_files(std::string directory) const {
  Scope result = *this;
  result.own_files_ = std::move(directory);
  return result;
}

Scope Scope::with_own_directories(std::vector<ScopeRule> directories) const {
  Scope result = *this;
  result.own_directories_ = std::move(directories);
  return result;
}

Scope Scope::with_removed_deny_rules(std::vector<ScopeRule> const& rules) const {
  Scope result = *this;
  auto& deny = result.rules_.deny;
  for (auto const& rule : rules) {
    auto resolved = resolved_rule(rule);
    if (!resolved) continue;
    if (auto found = std::find(deny.begin(), deny.end(), *resolved); found != deny.end()) deny.erase(found);
  }
  return result;
}

std::string Scope::summary() const {
  std::string readable = "Readable:";
  std::string writable;
  for (auto const& rule : rules_.allow) {
    readable += summary_line(rule);
    if (rule.permission == Permission::Write) writable += summary_line(rule);
  }
  return writable.empty() ? readable : readable + "\nWritable:" + writable;
}

SharedScope::SharedScope(Scope scope) : current_(std::make_shared<Scope const>(std::move(scope))) {}

std::shared_ptr<Scope const> SharedScope::load() const {
  std::lock_guard lock(mutex_);
  return current_;
}

void SharedScope::store(Scope scope) {
  auto next = std::make_shared<Scope const>(std::move(scope));
  std::lock_guard lock(mutex_);
  current_.swap(next);
}

}  // namespace insomnia::scope
