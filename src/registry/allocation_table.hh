#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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

  explicit AllocationTable(Database& database) : database_(database) {}
  Database& database() { return database_; }

  /// The version in the file; 0 in a new one.
  Result<int64_t> version();
  static constexpr int64_t kVersion = 1;
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
  Result<void> move_below(int64_t row, std::string_view parent);
  Result<void> set_live(int64_t row, pid_t pid, std::string_view segment_id);
  Result<void> set_segment(int64_t row, std::string_view segment_id);
  /// Removes the row; its children go to its parent.
  Result<void> remove(Row const& row);

 private:
  Result<std::optional<Row>> one(Query& query);
  Result<std::vector<Row>> many(Query& query);
  Result<void> insert_rules(int64_t row, std::vector<scope::ScopeRule> const& rules, bool deny);

  Database& database_;
};

}  // namespace insomnia::registry
