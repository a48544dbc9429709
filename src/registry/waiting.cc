#include "registry/waiting.hh"

#include <algorithm>
#include <set>

#include "scope/geometry.hh"
#include "scope/scope.hh"

namespace insomnia::registry {
namespace {

using scope::Permission;
using scope::ScopeRule;
using Row = AllocationTable::Row;
using Waiter = AllocationTable::Waiter;

bool covered(std::vector<ScopeRule> const& rules, scope::PathSet const& paths) {
  return std::any_of(rules.begin(), rules.end(), [&](ScopeRule const& rule) { return contains(paths_of(rule), paths); });
}

bool writes(std::vector<ScopeRule> const& rules, scope::PathSet const& paths) {
  return std::any_of(rules.begin(), rules.end(), [&](ScopeRule const& rule) {
    return rule.permission == Permission::Write && contains(paths_of(rule), paths);
  });
}

/// Whether both would write a path that no ancestor of the claim, other than those that the waiter hangs below itself, holds already.
bool competes(Waiter const& waiter, Allocation const& claim, std::vector<Row> const& ancestors) {
  for (auto const& wanted : waiter.pod.scope_allow) {
    if (wanted.permission != Permission::Write) continue;
    for (auto const& claimed : claim.scope_allow) {
      if (claimed.permission != Permission::Write) continue;
      auto shared = shared_paths(paths_of(wanted), paths_of(claimed));
      if (!shared || covered(waiter.pod.scope_deny, *shared) || covered(claim.scope_deny, *shared)) continue;
      bool held = std::any_of(ancestors.begin(), ancestors.end(), [&](Row const& row) {
        return row.pod.pod_id != waiter.pod.delegated_from && writes(row.pod.scope_allow, *shared);
      });
      if (!held || waiter.pod.delegated_from == claim.delegated_from) return true;
    }
  }
  return false;
}

/// The Pod that does nothing else while the request waits: the spawner, or the Pod itself that cannot start.
std::string const& waiting_pod(Allocation const& request) {
  return request.state == AllocationState::Reserved ? request.delegated_from : request.pod_id;
}

Result<bool> is_at_or_below(AllocationTable& table, std::string pod_id, std::string const& above) {
  while (!pod_id.empty()) {
    if (pod_id == above) return true;
    auto row = TRY(table.by_pod_id(pod_id));
    pod_id = row ? row->pod.delegated_from : "";
  }
  return false;
}

}  // namespace

Result<std::optional<Waiter>> find_waiter_ahead(AllocationTable& table, Allocation const& claim, std::vector<Row> const& ancestors,
                                                Liveness const& liveness, int64_t before) {
  auto waiting = TRY(table.waiters());
  for (auto& waiter : waiting) {
    if (before != 0 && waiter.id >= before) break;
    if (waiter.pod.pod_id == claim.pod_id || !competes(waiter, claim, ancestors)) continue;
    if (liveness(waiter.pod)) return std::optional(std::move(waiter));
    TRY(table.remove_waiter(waiter));
  }
  return std::optional<Waiter>();
}

Result<std::string> find_circle(AllocationTable& table, Allocation const& request, Blocker const& blocker,
                                std::function<Result<std::optional<Blocker>>(Waiter const&)> const& next) {
  struct Step {
    Blocker blocker;
    std::string path;
  };
  std::string const& self = waiting_pod(request);
  auto waiting = TRY(table.waiters());
  std::vector<Step> open{{blocker, blocker.pod_name}};
  std::set<std::string> seen;
  while (!open.empty()) {
    Step step = std::move(open.back());
    open.pop_back();
    if (!seen.insert(step.blocker.pod_id).second) continue;
    // A Pod ends when those below it are done: what they wait for, it waits for.
    if (!step.blocker.queued && TRY(is_at_or_below(table, self, step.blocker.pod_id))) return step.path;
    for (auto const& waiter : waiting) {
      if (waiter.pod.pod_id == request.pod_id) continue;
      bool stuck = step.blocker.queued ? waiter.pod.pod_id == step.blocker.pod_id
                                       : TRY(is_at_or_below(table, waiting_pod(waiter.pod), step.blocker.pod_id));
      if (!stuck) continue;
      auto further = TRY(next(waiter));
      if (further) open.push_back({*further, step.path + " → " + further->pod_name});
    }
  }
  return std::string();
}

}  // namespace insomnia::registry
