#include "registry/write_conflict.hh"

#include <algorithm>
#include <unordered_set>

#include "scope/geometry.hh"

namespace insomnia::registry {
namespace {

using scope::PathSet;
using scope::Permission;
using scope::ScopeRule;
using Row = AllocationTable::Row;

bool any_contains(std::vector<ScopeRule> const& rules, PathSet const& paths) {
  return std::any_of(rules.begin(), rules.end(),
                     [&](ScopeRule const& rule) { return contains(paths_of(rule), paths); });
}

bool writes_all(std::vector<ScopeRule> const& rules, PathSet const& paths) {
  return std::any_of(rules.begin(), rules.end(), [&](ScopeRule const& rule) {
    return rule.permission == Permission::Write && contains(paths_of(rule), paths);
  });
}

class Search {
 public:
  Search(AllocationTable& table, Claim const& claim) : table_(table), claim_(claim) {}

  Result<std::optional<WriteOwner>> run() {
    for (auto const& rule : claim_.allow) {
      if (rule.permission != Permission::Write) continue;
      TRY(collect(rule));
      if (!owners_.empty()) return deepest();
    }
    return std::optional<WriteOwner>();
  }

 private:
  Result<void> collect(ScopeRule const& requested) {
    auto touching = TRY(table_.write_rules_touching(requested));
    std::stable_sort(touching.begin(), touching.end(),
                     [](auto const& a, auto const& b) { return a.row < b.row; });
    for (auto const& held : touching) {
      if (!owners_.empty() && owners_.back().row.id == held.row) continue;
      if (TRY(is_in_the_way(held, requested))) {
        auto row = TRY(table_.by_id(held.row));
        if (row) owners_.push_back({requested, held.rule, *std::move(row)});
      }
    }
    return {};
  }

  Result<bool> is_in_the_way(AllocationTable::HeldRule const& held, ScopeRule const& requested) {
    auto shared = shared_paths(paths_of(held.rule), paths_of(requested));
    // A deny of either permission takes write away.
    if (!shared || any_contains(claim_.deny, *shared)) return false;

    auto const& above = claim_.ancestors;
    auto ancestor =
        std::find_if(above.begin(), above.end(), [&](Row const& row) { return row.id == held.row; });
    if (ancestor != above.end()) {
      bool lent_on_the_way = std::any_of(
          above.begin(), ancestor, [&](Row const& row) { return writes_all(row.pod.scope_allow, *shared); });
      return ancestor != above.begin() && !lent_on_the_way &&
             !any_contains(ancestor->pod.scope_deny, *shared);
    }

    Row row{.id = held.row};
    TRY(table_.load_rules(row));
    if (any_contains(row.pod.scope_deny, *shared)) return false;
    return !TRY(is_below_a_stray(held.row));
  }

  Result<bool> is_below_a_stray(int64_t id) {
    if (claim_.strays.empty()) return false;
    for (auto row = TRY(table_.by_id(id)); row; row = TRY(table_.by_pod_id(row->pod.delegated_from))) {
      if (std::find(claim_.strays.begin(), claim_.strays.end(), row->id) != claim_.strays.end()) return true;
    }
    return false;
  }

  // Blames a holder that has lent nothing of it to another one; of several the oldest.
  std::optional<WriteOwner> deepest() const {
    std::unordered_set<std::string_view> lenders;
    for (auto const& owner : owners_) lenders.insert(owner.row.pod.delegated_from);
    auto last = std::find_if(owners_.begin(), owners_.end(), [&](WriteOwner const& owner) {
      return !lenders.contains(owner.row.pod.pod_id);
    });
    return last == owners_.end() ? owners_.front() : *last;
  }

  AllocationTable& table_;
  Claim const& claim_;
  std::vector<WriteOwner> owners_;
};

}  // namespace

Result<std::optional<WriteOwner>> find_write_conflict(AllocationTable& table, Claim const& claim) {
  return Search(table, claim).run();
}

}  // namespace insomnia::registry
