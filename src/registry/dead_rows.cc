#include "registry/dead_rows.hh"

#include <unordered_set>

namespace insomnia::registry {
namespace {

using Row = AllocationTable::Row;

/// Rows that have nothing to do with an operation, but are looked at with it: so the dead do not gather where
/// nobody reads the list.
constexpr int64_t kSweep = 4;

class Search {
 public:
  Search(AllocationTable& table, Liveness const& liveness) : table_(table), liveness_(liveness) {}

  /// What a claim for these rules at this place looks at.
  Result<void> look_around(Allocation const& claim) {
    if (!claim.delegated_from.empty()) TRY(ask_with_line(TRY(table_.by_pod_id(claim.delegated_from))));
    // Those that come back below it, and those that are in between.
    auto former = TRY(table_.once_below(claim.pod_id));
    for (auto& row : former) TRY(ask_with_line(std::move(row)));
    for (auto const& rule : claim.scope_allow) {
      if (rule.permission != scope::Permission::Write) continue;
      auto touching = TRY(table_.write_rules_touching(rule));
      for (auto const& held : touching) {
        if (!followed_.contains(held.row)) TRY(ask_with_line(TRY(table_.by_id(held.row))));
      }
    }
    return {};
  }

  void ask(std::optional<Row> row) {
    if (row) is_dead(*row);
  }

  /// The children of `pod_id`, and in place of dead ones theirs.
  Result<void> ask_children(std::string const& pod_id) {
    std::vector<std::string> parents{pod_id};
    for (size_t at = 0; at < parents.size(); ++at) {
      std::string parent = parents[at];
      auto rows = TRY(table_.below(parent));
      for (auto& row : rows) {
        std::string id = row.pod.pod_id;
        if (is_dead(row)) parents.push_back(std::move(id));
      }
    }
    return {};
  }

  std::vector<Row> take() { return std::move(dead_); }

 private:
  /// A dead row above another one decides where that one hangs.
  Result<void> ask_with_line(std::optional<Row> row) {
    while (row && followed_.insert(row->id).second) {
      std::string above = row->pod.delegated_from;
      is_dead(*row);
      row = above.empty() ? std::nullopt : TRY(table_.by_pod_id(above));
    }
    return {};
  }

  bool is_dead(Row const& row) {
    if (!asked_.insert(row.id).second) return found_.contains(row.id);
    if (liveness_(row.pod)) return false;
    found_.insert(row.id);
    dead_.push_back(row);
    return true;
  }

  AllocationTable& table_;
  Liveness const& liveness_;
  std::unordered_set<int64_t> asked_;
  std::unordered_set<int64_t> followed_;  ///< up to the top
  std::unordered_set<int64_t> found_;
  std::vector<Row> dead_;
};

}  // namespace

Result<std::vector<Row>> find_dead_rows(AllocationTable& table, Liveness const& liveness,
                                        Allocation const& claim, std::optional<Limits> const& limits) {
  Search search(table, liveness);
  if (limits && TRY(table.count()) >= limits->max_live_pods) {
    auto rows = TRY(table.all());
    for (auto& row : rows) search.ask(std::move(row));
    return search.take();
  }
  search.ask(TRY(table.by_name(claim.pod_name)));
  search.ask(TRY(table.by_pod_id(claim.pod_id)));
  search.ask(TRY(table.by_segment(claim.segment_id)));
  TRY(search.look_around(claim));
  if (limits) {
    // With fewer rows than that below it the limit is not reached, whoever of them is dead.
    int64_t below = TRY(table.count_descendants(claim.delegated_from, limits->max_children));
    if (below >= limits->max_children) TRY(search.ask_children(claim.delegated_from));
  }
  // Who waits for whom decides too.
  auto waiting = TRY(table.waiters());
  for (auto const& waiter : waiting) TRY(search.look_around(waiter.pod));
  auto others = TRY(table.some(kSweep));
  for (auto& row : others) search.ask(std::move(row));
  return search.take();
}

}  // namespace insomnia::registry
