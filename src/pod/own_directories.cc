#include "pod/own_directories.hh"

#include <algorithm>

namespace insomnia::pod {

Result<scope::Scope> without_own_directories(scope::Scope scope, Paths const& paths) {
  scope::ScopeConfig rules = scope.rules();
  for (auto const& directory : {paths.config_dir, paths.data_dir, paths.runtime_dir}) {
    auto resolved = scope::resolve_path(directory);
    if (directory.empty() || !resolved) continue;
    scope::ScopeRule deny{*resolved, scope::Permission::Read, true};
    bool reached = false;
    for (auto const& rule : rules.allow) {
      if (scope::is_below(rule.target, *resolved)) {
        return fail(Code::PermissionDenied, scope::describe_rule(rule) + " lies in " + *resolved +
                                                ", where insomnia keeps its own files: no Pod may touch them; leave the rule out, or start in another directory");
      }
      reached = reached || scope::rules_overlap(rule, deny);
    }
    bool known = std::find(rules.deny.begin(), rules.deny.end(), deny) != rules.deny.end();
    if (reached && !known) rules.deny.push_back(std::move(deny));
  }
  return scope::Scope::from_resolved(std::move(rules));
}

}  // namespace insomnia::pod
