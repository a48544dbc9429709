#include "pod/authority.hh"

#include "scope/protected.hh"

namespace insomnia::pod {
namespace {

std::string join_paths(std::vector<std::string> const& paths) {
  std::string result;
  for (auto const& path : paths) result += (result.empty() ? "" : ", ") + path;
  return result.empty() ? "nothing" : result;
}

}  // namespace

scope::Scope ScopeAuthority::effective() const {
  scope::ScopeConfig rules = own_.rules();
  for (auto const& [id, loan] : loans_) rules.deny.insert(rules.deny.end(), loan.rules.begin(), loan.rules.end());
  return scope::Scope::from_resolved(std::move(rules));
}

void ScopeAuthority::lend(std::string const& child_id, std::string const& child_name, std::vector<scope::ScopeRule> const& rules) {
  Loan loan{child_name, {}};
  for (auto const& rule : rules) {
    if (rule.permission == scope::Permission::Write) loan.rules.push_back(rule);
  }
  loans_[child_id] = std::move(loan);
}

std::string ScopeAuthority::refusal_by_rules(std::string const& path, scope::Permission wanted) const {
  return refusal(scope::Scope::from_resolved(own_.rules()), path, wanted);
}

std::string ScopeAuthority::refusal(scope::Scope const& scope, std::string const& path, scope::Permission wanted) const {
  auto resolved = scope::resolve_path(path);
  if (!resolved) return "the path " + path + " is not absolute or can't be resolved; give an absolute path without `..`";
  auto own = scope.decide_resolved(*resolved);
  if (!own.permission || *own.permission < wanted) {
    std::string what = wanted == scope::Permission::Write ? "write" : "read";
    std::string may = own.permission ? "you may only read it" : "it is outside this Pod's scope";
    std::string rule;
    if (wanted == scope::Permission::Write && !own.protected_place.empty()) rule = "; " + scope::describe_protection(own.protected_place);
    if (own.denied_by) rule += "; denied by the rule " + scope::describe_rules({*own.denied_by});
    auto paths = wanted == scope::Permission::Write ? own_.writable_paths() : own_.readable_paths();
    return "cannot " + what + " " + path + ": " + may + rule + ". " + (what == "write" ? "Writable" : "Readable") + " here: " +
           join_paths(paths) + ". Do not work around this: report it, or leave the change to the Pod that holds the path";
  }
  if (wanted == scope::Permission::Read) return "";
  for (auto const& [id, loan] : loans_) {
    for (auto const& rule : loan.rules) {
      if (!scope::matches(rule, *resolved)) continue;
      return "cannot write " + path + ": " + scope::describe_rules({rule}) + " is lent to Pod `" + loan.child_name +
             "` until it ends; ask it with SendToPod, or wait for its end";
    }
  }
  return "";
}

}  // namespace insomnia::pod
