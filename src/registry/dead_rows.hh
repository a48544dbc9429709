#pragma once

#include <optional>
#include <vector>

#include "registry/allocation_table.hh"
#include "registry/registry.hh"

namespace insomnia::registry {

/// The dead rows that could decide about a grant of `claim`, and a few others: when these are removed, the
/// decision is the same as if all dead rows were. The cost grows with the depth of the tree and with the
/// number of rows that share paths with the claim, not with the number of all rows. `limits`: of a
/// delegation.
Result<std::vector<AllocationTable::Row>> find_dead_rows(AllocationTable& table, Liveness const& liveness,
                                                         Allocation const& claim,
                                                         std::optional<Limits> const& limits);

}  // namespace insomnia::registry
