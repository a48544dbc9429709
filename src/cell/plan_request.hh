#pragma once

#include "cell/init_protocol.hh"
#include "cell/mount_plan.hh"

namespace insomnia::cell {

/// What a plan is made from: what the brain (or a command line) says, and what the machine has.
PlanRequest plan_request(CellStart const& start, FileFacts const& facts);

}  // namespace insomnia::cell
