#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "registry/allocation_table.hh"
#include "registry/registry.hh"

/// Who comes before whom when scopes are waited for, inside a write transaction.
namespace insomnia::registry {

/// The first of those that wait and were there before `claim`: it must be served first. `before`: only places below this one count (0: all).
/// Requests of Pods that have died lose their place here. Not before it are those that the claim's own ancestors keep waiting: the claim
/// is for a part of what these hold.
Result<std::optional<AllocationTable::Waiter>> find_waiter_ahead(AllocationTable& table, Allocation const& claim,
                                                                 std::vector<AllocationTable::Row> const& ancestors,
                                                                 Liveness const& liveness, int64_t before);

/// Whether waiting for `blocker` would never end: it waits itself, or a Pod below it does, in the end for the Pod that makes the request.
/// `next` tells for whom a request waits. Returns the names on the circle, "" when there is none.
Result<std::string> find_circle(AllocationTable& table, Allocation const& request, Blocker const& blocker,
                                std::function<Result<std::optional<Blocker>>(AllocationTable::Waiter const&)> const& next);

}  // namespace insomnia::registry
