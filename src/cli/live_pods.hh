#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "base/paths.hh"
#include "registry/registry.hh"
#include "session/log.hh"

namespace insomnia::cli {

/// A Pod that was killed a moment ago counts as alive until nothing in its cell can write any more, some milliseconds: waits for that, at most
/// some seconds.
void wait_for_killed_pods(Paths const& paths);

/// All rows of the registry whose Pod is alive, ordered by name. A registry that was lost is made anew of what the
/// living hold; Pods whose files have vanished from the runtime directory are asked to restore them and waited
/// for, at most 3 s. Otherwise nothing changes but dead rows.
Result<std::vector<registry::Allocation>> live_pods(Paths const& paths);

/// The live Pod of that name. NotFound lists the live ones and says how to start it.
Result<registry::Allocation> find_live_pod(Paths const& paths, std::string const& name);

/// What a Pod says of itself in <runtime_dir>/<name>/status.json.
struct PodStatus {
  std::string state;      ///< idle, running, paused; "starting" while there is nothing
  std::string isolation;  ///< cell, landlock, none; "" when it does not say
};
PodStatus pod_status(Paths const& paths, registry::Allocation const& row);

/// Where the stored session of a Pod is; nothing when it has none yet. NotFound: no such Pod was ever stored.
Result<std::optional<session::Location>> stored_session(Paths const& paths, std::string const& name);

/// The rows of the Pod's descendants, deepest first.
std::vector<registry::Allocation> descendants(std::vector<registry::Allocation> const& rows,
                                              std::string const& pod_id);

}  // namespace insomnia::cli
