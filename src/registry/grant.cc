#include "registry/grant.hh"

#include <algorithm>

#include "base/text.hh"
#include "registry/waiting.hh"
#include "registry/write_conflict.hh"
#include "scope/geometry.hh"
#include "scope/protected.hh"
#include "scope/scope.hh"

namespace insomnia::registry {
namespace {

using Row = AllocationTable::Row;
using scope::ScopeRule;

constexpr size_t kMaxRules = 4096;
constexpr size_t kShownTask = 80;

Result<void> check_free(AllocationTable& table, Allocation const& row) {
  if (auto holder = TRY(table.by_name(row.pod_name))) {
    std::string process = holder->pod.pid > 0 ? " (process " + std::to_string(holder->pod.pid) + ")" : "";
    return fail(Code::AlreadyExists, "the Pod name '" + row.pod_name + "' is taken by a live Pod" + process +
                                         "; choose another name or stop that one");
  }
  if (auto holder = TRY(table.by_pod_id(row.pod_id))) {
    return fail(Code::AlreadyExists,
                "Pod " + row.pod_id + " is live under the name '" + holder->pod.pod_name + "'");
  }
  if (auto holder = TRY(table.by_segment(row.segment_id)))
    return std::unexpected(segment_conflict(holder->pod));
  return {};
}

/// The row and all above it, with their rules.
Result<std::vector<Row>> with_ancestors(AllocationTable& table, std::optional<Row> row) {
  std::vector<Row> result;
  while (row) {
    TRY(table.load_rules(*row));
    std::string above = row->pod.delegated_from;
    result.push_back(*std::move(row));
    row = above.empty() ? std::nullopt : TRY(table.by_pod_id(above));
  }
  return result;
}

std::string describe_owner(WriteOwner const& owner, std::string_view parent_id) {
  Allocation const& pod = owner.row.pod;
  std::string result = "Pod '" + pod.pod_name + "' holds " + describe_rule(owner.held);
  std::string details;
  if (!parent_id.empty() && pod.delegated_from == parent_id) details = "a child of the same Pod";
  if (pod.state == AllocationState::Reserved)
    details += (details.empty() ? "" : ", ") + std::string("starting");
  if (!pod.task.empty())
    details += (details.empty() ? "task: " : ", task: ") + text::one_line(pod.task, kShownTask);
  return details.empty() ? result : result + " (" + details + ")";
}

/// Who holds what the row asks for, or was there before it; nothing when it can be granted now.
Result<std::optional<Blocker>> find_blocker(AllocationTable& table, Allocation const& row, std::vector<Row> const& ancestors,
                                            std::vector<int64_t> const& strays, Liveness const& liveness,
                                            int64_t place) {
  std::string parent = ancestors.empty() ? "" : ancestors.front().pod.pod_id;
  if (auto conflict = TRY(find_write_conflict(table, {row.scope_allow, row.scope_deny, ancestors, strays}))) {
    Allocation const& owner = conflict->row.pod;
    bool reserved = owner.state == AllocationState::Reserved;
    return Blocker{.pod_name = owner.pod_name,
                   .pod_id = owner.pod_id,
                   .queued = false,
                   .lock_name = reserved ? owner.spawner_name : owner.pod_name,
                   .lock_instance = reserved ? owner.spawner_instance : owner.instance_id,
                   .wanted = describe_rule(conflict->requested),
                   .description = describe_owner(*conflict, parent)};
  }
  auto ahead = TRY(find_waiter_ahead(table, row, ancestors, liveness, place));
  if (!ahead) return std::optional<Blocker>();
  Allocation const& first = ahead->pod;
  bool reserved = first.state == AllocationState::Reserved;
  return Blocker{.pod_name = first.pod_name,
                 .pod_id = first.pod_id,
                 .queued = true,
                 .lock_name = reserved ? first.spawner_name : first.pod_name,
                 .lock_instance = reserved ? first.spawner_instance : first.instance_id,
                 .wanted = describe_rules(row.scope_allow),
                 .description = "Pod '" + first.pod_name + "' waits for " +
                                describe_rules(first.scope_allow) + " and was there first" +
                                (first.task.empty() ? "" : " (task: " + text::one_line(first.task, kShownTask) + ")")};
}

/// The place that this very request has. One that an earlier instance left, or an earlier request, is given up: its bell and its paths are not
/// those of this one.
Result<std::optional<AllocationTable::Waiter>> place_of(AllocationTable& table, Allocation const& row) {
  auto waiting = TRY(table.waiters());
  for (auto& waiter : waiting) {
    Allocation const& pod = waiter.pod;
    if (pod.pod_id != row.pod_id) continue;
    bool same = pod.instance_id == row.instance_id && pod.spawner_instance == row.spawner_instance &&
                pod.scope_allow == row.scope_allow && pod.scope_deny == row.scope_deny;
    if (same) return std::optional(std::move(waiter));
    TRY(table.remove_waiter(waiter));
  }
  return std::optional<AllocationTable::Waiter>();
}

/// For whom a request that waits does so now.
Result<std::optional<Blocker>> blocker_of(AllocationTable& table, AllocationTable::Waiter const& waiter,
                                          Liveness const& liveness) {
  std::optional<Row> parent;
  if (!waiter.pod.delegated_from.empty()) parent = TRY(table.by_pod_id(waiter.pod.delegated_from));
  auto ancestors = TRY(with_ancestors(table, std::move(parent)));
  std::string above = ancestors.empty() ? "" : ancestors.front().pod.pod_id;
  auto strays = TRY(table.strays_of(waiter.pod.pod_id, above));
  return find_blocker(table, waiter.pod, ancestors, strays, liveness, waiter.id);
}

/// What both grants have in common: nobody else may write there or was there first, then the row is added and its strays come back
/// below it.
Result<std::optional<Blocker>> claim(AllocationTable& table, Allocation const& row, std::vector<Row> const& ancestors,
                                     Waiting const& waiting) {
  std::string parent = ancestors.empty() ? "" : ancestors.front().pod.pod_id;
  auto strays = TRY(table.strays_of(row.pod_id, parent));
  auto place = TRY(place_of(table, row));
  auto blocker = TRY(find_blocker(table, row, ancestors, strays, waiting.liveness, place ? place->id : 0));
  if (!blocker) {
    if (place) TRY(table.remove_waiter(*place));
    TRY(table.insert(row, ancestors.empty() ? nullptr : &ancestors.front()));
    for (int64_t stray : strays) TRY(table.move_below(stray, row.pod_id));
    return std::optional<Blocker>();
  }
  if (waiting.bell.empty()) {
    return fail(Code::Conflict, blocker->refusal() +
                                    "; ask for a part that does not overlap, or wait until that Pod has ended");
  }
  auto circle = TRY(find_circle(table, row, *blocker, [&](AllocationTable::Waiter const& waiter) {
    return blocker_of(table, waiter, waiting.liveness);
  }));
  if (!circle.empty()) {
    return fail(Code::Conflict, blocker->refusal() + "; waiting for it would be a deadlock: " + circle +
                                    " cannot end before the Pod that would wait");
  }
  if (!place) TRY(table.add_waiter(row, waiting.bell));
  return blocker;
}

/// Whether a single rule of the spawner grants this one and no deny takes all of it. A deny inside it travels
/// to the child.
bool is_within(Allocation const& spawner, ScopeRule const& rule) {
  bool granted = std::any_of(spawner.scope_allow.begin(), spawner.scope_allow.end(),
                             [&](ScopeRule const& allow) { return covers_fully(allow, rule); });
  bool denied = std::any_of(spawner.scope_deny.begin(), spawner.scope_deny.end(), [&](ScopeRule const& deny) {
    return deny.permission <= rule.permission && contains(paths_of(deny), paths_of(rule));
  });
  return granted && !denied;
}

Result<void> check_delegation(Allocation const& spawner, std::vector<ScopeRule> const& requested,
                              std::optional<scope::ScopeConfig> const& delegation) {
  for (auto const& rule : requested) {
    if (!delegation) {
      if (is_within(spawner, rule)) continue;
      auto place = rule.permission == scope::Permission::Write ? scope::protected_place(rule.target) : "";
      std::string why = place.empty() ? "" : " (" + scope::describe_protection(place) + ")";
      return fail(Code::PermissionDenied,
                  describe_rule(rule) + " is not within the scope of Pod '" + spawner.pod_name + "' (allow " +
                      describe_rules(spawner.scope_allow) + "; deny " + describe_rules(spawner.scope_deny) +
                      ")" + why + "; ask for a part of one of its rules");
    }
    if (delegation_allows(*delegation, rule)) continue;
    std::string grant =
        delegation->allow.empty()
            ? "there is no delegation scope grant, and its direct filesystem scope may not be delegated"
            : "allow " + describe_rules(delegation->allow) + "; deny " + describe_rules(delegation->deny);
    return fail(Code::PermissionDenied,
                describe_rule(rule) + " is outside this Pod's delegation scope grant (" + grant + ")");
  }
  return {};
}

std::unexpected<Error> limit_reached(std::string_view limit, uint32_t value, std::string_view way_out) {
  return fail(Code::LimitReached, "limit reached: " + std::string(limit) + " is " + std::to_string(value) +
                                      "; " + std::string(way_out));
}

Result<void> check_limits(AllocationTable& table, std::vector<Row> const& ancestors, Limits const& limits) {
  if (ancestors.size() > limits.max_depth) {
    return limit_reached("max_depth", limits.max_depth,
                         "this Pod is too deep in the tree to spawn; let its parent spawn instead");
  }
  if (TRY(table.count_below(ancestors.front().pod.pod_id)) >= limits.max_children) {
    return limit_reached("max_children", limits.max_children, "stop a child or wait until one has ended");
  }
  if (TRY(table.count()) >= limits.max_live_pods) {
    return limit_reached("max_live_pods", limits.max_live_pods, "stop Pods on this machine first");
  }
  return {};
}

}  // namespace

Error segment_conflict(Allocation const& holder) {
  return {Code::Conflict, "session segment " + holder.segment_id + " is held by Pod '" + holder.pod_name +
                              "' (" + holder.socket + "); attach to that Pod or fork the session"};
}

Result<void> check_rules(Allocation const& row) {
  if (row.scope_allow.size() + row.scope_deny.size() > kMaxRules) {
    return fail(Code::InvalidArgument, "the scope of Pod '" + row.pod_name + "' has more than " +
                                           std::to_string(kMaxRules) + " rules");
  }
  for (auto const* rules : {&row.scope_allow, &row.scope_deny}) {
    for (auto const& rule : *rules) {
      if (scope::is_canonical_form(rule.target)) continue;
      return fail(Code::InvalidArgument, "the scope of Pod '" + row.pod_name +
                                             "' has a target that is not canonical: '" + rule.target + "'");
    }
  }
  return {};
}

Result<std::optional<Blocker>> grant_registration(AllocationTable& table, Allocation const& row, Waiting const& waiting) {
  TRY(check_free(table, row));
  std::optional<Row> parent;
  if (!row.delegated_from.empty()) parent = TRY(table.by_pod_id(row.delegated_from));
  auto ancestors = TRY(with_ancestors(table, std::move(parent)));
  Allocation live = row;
  live.state = AllocationState::Live;
  return claim(table, live, ancestors, waiting);
}

Result<std::optional<Blocker>> grant_delegation(AllocationTable& table, Allocation const& row,
                                                std::optional<scope::ScopeConfig> const& delegation,
                                                Limits const& limits, Waiting const& waiting) {
  TRY(check_free(table, row));
  auto spawner = TRY(table.by_pod_id(row.delegated_from));
  if (!spawner || spawner->pod.state != AllocationState::Live) {
    return fail(Code::NotFound,
                "the spawner of Pod '" + row.pod_name + "' (" + row.delegated_from + ") is not registered");
  }
  if (spawner->pod.instance_id != row.spawner_instance) {
    return fail(Code::NotFound, "Pod '" + spawner->pod.pod_name + "' is held by instance " +
                                    spawner->pod.instance_id + ", not by " + row.spawner_instance +
                                    "; only that one may delegate its scope");
  }
  auto ancestors = TRY(with_ancestors(table, std::move(spawner)));
  Allocation const& parent = ancestors.front().pod;
  TRY(check_delegation(parent, row.scope_allow, delegation));
  TRY(check_limits(table, ancestors, limits));
  Allocation reservation = row;
  reservation.state = AllocationState::Reserved;
  reservation.spawner_name = parent.pod_name;
  return claim(table, reservation, ancestors, waiting);
}

}  // namespace insomnia::registry
