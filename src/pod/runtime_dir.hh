#pragma once

#include <string>

#include "base/error.hh"
#include "base/paths.hh"

namespace insomnia::pod {

/// Makes the runtime directory (0700) and checks it: ours, and not on a network file system, where locks and sockets do not hold.
Result<void> prepare_runtime_dir(Paths const& paths);

/// Records in the data directory which runtime directory is in use since when the machine was booted. A second one is refused while a Pod
/// lives in the first, also when that has vanished: two registries could not see each other's scopes.
Result<void> claim_runtime_dir(Paths const& paths);

/// Whether a file system type (statfs f_type) is a network one. Pure.
bool is_network_file_system(long type);

}  // namespace insomnia::pod
