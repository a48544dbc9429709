#pragma once

#include <string>

#include "base/error.hh"
#include "cell/mount_plan.hh"

namespace insomnia::cell {

/// Builds what the plan says at `view`, a directory that then is the view's root: the plan's mounts, a /dev with the harmless devices, a /proc
/// of the caller's pid namespace whose settings can't be written. The mounts are shared, so that later changes reach namespaces that follow.
/// The caller is alone in its own user, mount and pid namespaces. An error leaves a part of it there; it goes with the namespace.
Result<void> build_view(MountPlan const& plan, std::string const& view);

/// Makes the view the caller's root, in a mount namespace of its own that follows the caller's former one, and enters `cwd`.
Result<void> enter_view(std::string const& view, std::string const& cwd);

}  // namespace insomnia::cell
