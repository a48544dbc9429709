#pragma once

#include <vector>

#include "registry/allocation_table.hh"

namespace insomnia::registry {

/// Fills new tables with what living instances hold. They held it side by side before, so nothing is checked
/// but names. Each hangs below the nearest of its ancestors that is there.
Result<void> put_back(AllocationTable& table, std::vector<Holding> const& living);

}  // namespace insomnia::registry
