#pragma once

#include <optional>

#include "registry/allocation_table.hh"
#include "registry/registry.hh"

/// The decisions of the registry, inside a write transaction from which the dead have been removed. A refusal
/// has changed nothing.
namespace insomnia::registry {

/// Adds `row` as a live Pod.
Result<void> grant_registration(AllocationTable& table, Allocation const& row);

/// Adds `row` as a reservation below its spawner.
Result<void> grant_delegation(AllocationTable& table, Allocation const& row,
                              std::optional<scope::ScopeConfig> const& delegation, Limits const& limits);

/// Refuses rules that are not canonical, and too many of them.
Result<void> check_rules(Allocation const& row);

/// The error that names who holds a session segment.
Error segment_conflict(Allocation const& holder);

}  // namespace insomnia::registry
