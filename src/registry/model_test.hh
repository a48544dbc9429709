#pragma once

#include <algorithm>
#include <map>

#include "registry/contract_test.hh"
#include "scope/scope.hh"

// A registry that knows nothing of indexes, transactions or geometry: sets of paths on a small tree.
namespace insomnia::registry {

using Points = std::set<std::string>;

/// "/", then a and b on each of four levels. Rules stop two levels above the deepest paths.
inline std::vector<std::string> const& all_paths() {
  static std::vector<std::string> const paths = [] {
    std::vector<std::string> result{"/"}, level{""};
    for (int depth = 0; depth < 5; ++depth) {
      std::vector<std::string> next;
      for (auto const& base : level) {
        for (auto name : {"/a", "/b"}) next.push_back(base + name);
      }
      result.insert(result.end(), next.begin(), next.end());
      level = next;
    }
    return result;
  }();
  return paths;
}

inline Points points(scope::ScopeRule const& rule) {
  Points result;
  for (auto const& path : all_paths()) {
    if (matches(rule, path)) result.insert(path);
  }
  return result;
}

inline Points shared(Points const& a, Points const& b) {
  Points result;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(result, result.end()));
  return result;
}

inline bool within(Points const& inner, Points const& outer) {
  return std::includes(outer.begin(), outer.end(), inner.begin(), inner.end());
}

inline bool writes(scope::ScopeRule const& rule) {
  return rule.permission == scope::Permission::Write;
}

class Model {
 public:
  struct Entry {
    Allocation pod;
    std::set<std::string> ancestors;
  };

  Code register_pod(Allocation row) {
    if (row.delegated_from == row.pod_id) return Code::InvalidArgument;
    reclaim();
    if (auto code = taken(row)) return *code;
    Entry const* parent = by_id(row.delegated_from);
    std::set<std::string> ancestors = parent ? parent->ancestors : std::set<std::string>();
    if (!row.delegated_from.empty()) ancestors.insert(row.delegated_from);
    row.delegated_from = parent ? parent->pod.pod_id : "";
    row.state = AllocationState::Live;
    return claim({row, ancestors});
  }

  Code delegate(Allocation row, std::optional<scope::ScopeConfig> const& delegation, Limits const& limits) {
    if (row.delegated_from == row.pod_id) return Code::InvalidArgument;
    reclaim();
    if (auto code = taken(row)) return *code;
    Entry const* spawner = by_id(row.delegated_from);
    if (!spawner || spawner->pod.state != AllocationState::Live ||
        spawner->pod.instance_id != row.spawner_instance)
      return Code::NotFound;
    for (auto const& rule : row.scope_allow) {
      if (!(delegation ? grants(*delegation, rule) : is_within(spawner->pod, rule)))
        return Code::PermissionDenied;
    }
    if (line_above(row).size() > limits.max_depth || children(row.delegated_from) >= limits.max_children)
      return Code::LimitReached;
    std::set<std::string> ancestors = spawner->ancestors;
    ancestors.insert(spawner->pod.pod_id);
    row.spawner_name = spawner->pod.pod_name;
    return claim({row, ancestors});
  }

  Code adopt(Allocation const& row, std::string const& segment) {
    Entry* entry = by_id(row.pod_id);
    bool ours =
        entry && entry->pod.instance_id == row.instance_id && entry->pod.state == AllocationState::Reserved;
    if (!ours || is_dead(entry->pod)) return Code::NotFound;
    if (segment_taken(segment, row.pod_id)) return Code::Conflict;
    entry->pod.state = AllocationState::Live;
    entry->pod.segment_id = segment;
    return kDone;
  }

  Code update_segment(Allocation const& row, std::string const& segment) {
    Entry* entry = by_id(row.pod_id);
    if (!entry || entry->pod.instance_id != row.instance_id) return Code::NotFound;
    if (segment_taken(segment, row.pod_id)) return Code::Conflict;
    entry->pod.segment_id = segment;
    return kDone;
  }

  Code release(Allocation const& row) {
    Entry* entry = by_id(row.pod_id);
    if (!entry || entry->pod.instance_id != row.instance_id) return Code::NotFound;
    remove(row.pod_id);
    return kDone;
  }

  void reclaim() {
    for (;;) {
      auto dead =
          std::find_if(rows.begin(), rows.end(), [&](auto const& row) { return is_dead(row.second.pod); });
      if (dead == rows.end()) return;
      remove(std::string(dead->first));
    }
  }

  /// The points that a Pod may write now: its own without its denies and without what any Pod below it has.
  Points effective(Allocation const& pod) const {
    Points result;
    for (auto const& rule : pod.scope_allow) {
      if (writes(rule)) result.merge(points(rule));
    }
    auto take = [&](std::vector<scope::ScopeRule> const& rules, bool all) {
      for (auto const& rule : rules) {
        if (!all && !writes(rule)) continue;
        for (auto const& point : points(rule)) result.erase(point);
      }
    };
    take(pod.scope_deny, true);
    for (auto const& [id, entry] : rows) {
      if (id != pod.pod_id && is_above(pod.pod_id, entry.pod)) take(entry.pod.scope_allow, false);
    }
    return result;
  }

  bool is_above(std::string const& id, Allocation const& pod) const {
    auto line = line_above(pod);
    return std::any_of(line.begin(), line.end(),
                       [&](Allocation const* above) { return above->pod_id == id; });
  }

  static constexpr Code kDone = static_cast<Code>(-1);
  std::map<std::string, Entry> rows;  // by pod_id
  std::set<std::string> dead;

 private:
  Entry* by_id(std::string const& id) {
    auto found = rows.find(id);
    return found == rows.end() ? nullptr : &found->second;
  }
  bool is_dead(Allocation const& pod) const {
    return dead.contains(pod.state == AllocationState::Live ? pod.instance_id : pod.spawner_instance);
  }
  bool segment_taken(std::string const& segment, std::string const& but) const {
    return !segment.empty() && std::any_of(rows.begin(), rows.end(), [&](auto const& row) {
      return row.first != but && row.second.pod.segment_id == segment;
    });
  }
  size_t children(std::string const& id) const {
    return static_cast<size_t>(std::count_if(
        rows.begin(), rows.end(), [&](auto const& row) { return row.second.pod.delegated_from == id; }));
  }
  std::optional<Code> taken(Allocation const& row) const {
    for (auto const& [id, entry] : rows) {
      if (entry.pod.pod_name == row.pod_name || id == row.pod_id) return Code::AlreadyExists;
    }
    if (segment_taken(row.segment_id, row.pod_id)) return Code::Conflict;
    return std::nullopt;
  }
  std::vector<Allocation const*> line_above(Allocation const& pod) const {
    std::vector<Allocation const*> result;
    for (auto found = rows.find(pod.delegated_from); found != rows.end();
         found = rows.find(found->second.pod.delegated_from)) {
      result.push_back(&found->second.pod);
    }
    return result;
  }
  static bool is_within(Allocation const& spawner, scope::ScopeRule const& rule) {
    Points asked = points(rule);
    bool granted = std::any_of(
        spawner.scope_allow.begin(), spawner.scope_allow.end(),
        [&](auto const& allow) { return (writes(allow) || !writes(rule)) && within(asked, points(allow)); });
    bool denied = std::any_of(spawner.scope_deny.begin(), spawner.scope_deny.end(), [&](auto const& deny) {
      return (writes(rule) || !writes(deny)) && within(asked, points(deny));
    });
    return granted && !denied;
  }
  static bool grants(scope::ScopeConfig const& delegation, scope::ScopeRule const& rule) {
    Points asked = points(rule);
    bool granted = std::any_of(delegation.allow.begin(), delegation.allow.end(), [&](auto const& allow) {
      return (writes(allow) || !writes(rule)) && within(asked, points(allow));
    });
    bool denied = std::any_of(delegation.deny.begin(), delegation.deny.end(), [&](auto const& deny) {
      return (writes(rule) || !writes(deny)) && !shared(asked, points(deny)).empty();
    });
    return granted && !denied;
  }
  static bool any_covers(Points const& asked, std::vector<scope::ScopeRule> const& rules,
                         bool write_rules_only) {
    return std::any_of(rules.begin(), rules.end(), [&](auto const& rule) {
      return (!write_rules_only || writes(rule)) && within(asked, points(rule));
    });
  }

  /// Moves the strays below the entry, looks whether anybody is in the way, and undoes it all if so.
  Code claim(Entry entry) {
    auto before = rows;
    for (auto& [id, other] : rows) {
      if (other.ancestors.contains(entry.pod.pod_id) &&
          other.pod.delegated_from == entry.pod.delegated_from) {
        other.pod.delegated_from = entry.pod.pod_id;
      }
    }
    std::string id = entry.pod.pod_id;
    rows.emplace(id, std::move(entry));
    for (auto const& [other_id, other] : rows) {
      if (other_id == id || !in_the_way(other.pod, rows.at(id).pod)) continue;
      rows = std::move(before);
      return Code::Conflict;
    }
    return kDone;
  }

  bool in_the_way(Allocation const& other, Allocation const& claimant) const {
    if (is_above(claimant.pod_id, other) || claimant.delegated_from == other.pod_id) return false;
    auto line = line_above(claimant);
    auto at = std::find(line.begin(), line.end(), &other);
    for (auto const& mine : claimant.scope_allow) {
      for (auto const& theirs : other.scope_allow) {
        if (!writes(mine) || !writes(theirs)) continue;
        Points both = shared(points(mine), points(theirs));
        if (both.empty() || any_covers(both, claimant.scope_deny, false) ||
            any_covers(both, other.scope_deny, false))
          continue;
        bool lent = at != line.end() && std::any_of(line.begin(), at, [&](Allocation const* between) {
                      return any_covers(both, between->scope_allow, true);
                    });
        if (!lent) return true;
      }
    }
    return false;
  }

  void remove(std::string const& id) {
    std::string parent = rows.at(id).pod.delegated_from;
    rows.erase(id);
    for (auto& [other, entry] : rows) {
      if (entry.pod.delegated_from == id) entry.pod.delegated_from = parent;
    }
  }
};

}  // namespace insomnia::registry
