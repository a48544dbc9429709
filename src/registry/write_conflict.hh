#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "registry/allocation_table.hh"

namespace insomnia::registry {

/// What a new row asks for, and where it will stand in the tree.
struct Claim {
  std::vector<scope::ScopeRule> const& allow;
  std::vector<scope::ScopeRule> const& deny;
  std::vector<AllocationTable::Row> const& ancestors;  ///< nearest first, rules loaded
  std::vector<int64_t> const& strays;                  ///< rows that come back below the new one
};

/// Who stands in the way, and with what.
struct WriteOwner {
  scope::ScopeRule requested;
  scope::ScopeRule held;
  AllocationTable::Row row;
};

/// The first write rule of the claim that would give a path a second writer, and the deepest holder of it;
/// nothing when there is none. The parent lends, so it is never in the way. An ancestor above it is, unless
/// what is asked for is already lent on the way down. What a holder's or the claim's own denies take away is
/// not held.
Result<std::optional<WriteOwner>> find_write_conflict(AllocationTable& table, Claim const& claim);

}  // namespace insomnia::registry
