#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "registry/database.hh"
#include "registry/registry.hh"

namespace insomnia::registry {

/// The tables of the registry: rows in and out, nothing decided. Writing needs an open write transaction.
/// Schema: doc/registry.md.
class AllocationTable {
 public:
  struct Row {
    int64_t id = 0;
    Allocation pod;  ///< without rules until load_rules()
  };
  struct HeldRule {
    int64_t row = 0;
    scope::ScopeRule rule;
  };

  /// A request that waits for its scope.
  struct Waiter {
    int64_t id = 0;  ///< its place: lower ones came first
    Allocation pod;  ///< what it asks for, with rules
    std::string bell;
  };

  explicit AllocationTable(Database& database) : database_(database) {}
  Database& database() { return database_; }

  /// The version in the file; 0 in a new one.
  Result<int64_t> version();
  static constexpr int64_t kVersion = 2;
  /// Makes the tables.
  Result<void> create();

  /// All rows, by name.
  Result<std::vector<Row>> all();
  Result<std::optional<Row>> by_id(int64_t id);
  Result<std::optional<Row>> by_name(std::string_view pod_name);
  Result<std::optional<Row>> by_pod_id(std::string_view pod_id);
  Result<std::optional<Row>> by_segment(std::string_view segment_id);
  Result<std::optional<Row>> by_pid(pid_t pid);
  /// The direct children, by name.
  Result<std::vector<Row>> below(std::string_view pod_id);
  Result<int64_t> count();
  Result<int64_t> count_below(std::string_view pod_id);
  /// How many rows there are below it on all levels; counting ends at `limit`.
  Result<int64_t> count_descendants(std::string_view pod_id, int64_t limit);
  /// The rows that were ever below it.
  Result<std::vector<Row>> once_below(std::string_view pod_id);
  /// A few rows, others each time.
  Result<std::vector<Row>> some(int64_t limit);

  Result<void> load_rules(Row& row);
  /// For all rows at once.
  Result<void> load_rules(std::vector<Row>& rows);
  /// The write allow rules of all rows that share a path with `rule`, by row.
  Result<std::vector<HeldRule>> write_rules_touching(scope::ScopeRule const& rule);

  /// The rows that were once below `pod_id` and are now direct children of `parent` ("": roots).
  Result<std::vector<int64_t>> strays_of(std::string_view pod_id, std::string_view parent);

  /// `parent` is null for a root. The row remembers its parents for strays_of(); while `pod.delegated_from`
  /// names a Pod that is not there, the row is a root that remembers that one.
  Result<void> insert(Allocation const& pod, Row const* parent);
  /// The row of a Pod that lives, in a table that is made anew; its parent is `parent` ("": none).
  Result<void> put_back(Holding const& holding, std::string_view parent);
  Result<void> move_below(int64_t row, std::string_view parent);
  Result<void> set_live(int64_t row, pid_t pid, std::string_view segment_id);
  Result<void> set_segment(int64_t row, std::string_view segment_id);
  /// Removes the row; its children go to its parent. Bells of those that wait for its rules are noted.
  Result<void> remove(Row const& row);

  /// Those that wait, in their order.
  Result<std::vector<Waiter>> waiters();
  Result<void> add_waiter(Allocation const& pod, std::string_view bell);
  /// Bells of those behind it that wait for the same paths are noted.
  Result<void> remove_waiter(Waiter const& waiter);
  /// A row that was added, adopted or changed through this object.
  struct Changed {
    Holding holding;
    bool granted = false;  ///< added or adopted
  };
  Result<std::vector<Changed>> take_changed();

  /// The bells to ring when the transaction is committed.
  std::vector<std::string> take_bells() { return std::exchange(bells_, {}); }

 private:
  Result<std::optional<Row>> one(Query& query);
  Result<std::vector<Row>> many(Query& query);
  Result<void> insert_rules(int64_t row, std::vector<scope::ScopeRule> const& rules, bool deny);
  Result<int64_t> insert_row(Allocation const& pod, std::string_view parent);
  Result<std::vector<std::string>> ancestors_of(Row const& row);

  Result<void> note_bells(std::vector<scope::ScopeRule> const& freed, int64_t behind);

  Database& database_;
  std::vector<std::string> bells_;
  std::vector<std::pair<int64_t, bool>> changed_;  ///< rows, and whether they were granted
};

}  // namespace insomnia::registry
