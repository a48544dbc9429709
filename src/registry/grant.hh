#pragma once

#include <optional>

#include "registry/allocation_table.hh"
#include "registry/registry.hh"

/// The decisions of the registry, inside a write transaction from which the dead have been removed. A refusal
/// has changed nothing.
namespace insomnia::registry {

/// How busy scopes are met. Without a bell what is busy is refused (Conflict).
struct Waiting {
  Liveness const& liveness;
  std::string bell;
};

/// Adds `row` as a live Pod. With a bell: or gives it a place in the queue and says for whom it waits.
Result<std::optional<Blocker>> grant_registration(AllocationTable& table, Allocation const& row, Waiting const& waiting);

/// Adds `row` as a reservation below its spawner, or queues it.
Result<std::optional<Blocker>> grant_delegation(AllocationTable& table, Allocation const& row,
                                                std::optional<scope::ScopeConfig> const& delegation,
                                                Limits const& limits, Waiting const& waiting);

/// Refuses rules that are not canonical, and too many of them.
Result<void> check_rules(Allocation const& row);

/// The error that names who holds a session segment.
Error segment_conflict(Allocation const& holder);

}  // namespace insomnia::registry
