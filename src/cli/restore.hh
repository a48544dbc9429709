#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/environment.hh"
#include "base/error.hh"
#include "pod/stored_pods.hh"
#include "registry/registry.hh"

namespace insomnia::cli {

struct RestoreOptions {
  std::string name;  ///< empty with `all`
  bool all = false;
  bool json = false;
  friend bool operator==(RestoreOptions const&, RestoreOptions const&) = default;
};

/// What is done for one Pod.
struct RestoreStep {
  enum class Action {
    Launch,      ///< start it; it brings its children back itself
    AskParent,   ///< its parent lives and starts it again as its child
    WithParent,  ///< comes back with the Pod `parent`, which is launched
    None,        ///< it lives
    NeedsKey,
    Gone,
  };
  std::string pod_name;
  std::string pod_id;
  Action action = Action::Launch;
  std::string parent;  ///< name of its parent, "" for a root
  std::string reason;
  friend bool operator==(RestoreStep const&, RestoreStep const&) = default;
};

/// The steps in order, parents before their children. `ended_well`: pod_ids of those that nobody expects back; named ones come back all the
/// same. With a name: that Pod, with all above it that is not alive and all below it. NotFound: nothing is stored under the name. Pure.
Result<std::vector<RestoreStep>> plan_restore(std::vector<pod::StoredPod> const& stored, std::vector<registry::Allocation> const& live,
                                              std::set<std::string> const& ended_well, RestoreOptions const& options);

/// `insomnia restore`: brings back a Pod with its tree, or all that were not done. Returns the exit code.
int restore_pods(RestoreOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
