#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/environment.hh"
#include "base/error.hh"
#include "base/paths.hh"
#include "scope/rule.hh"

namespace insomnia::pod {

/// What can be done with a stored Pod that does not live.
enum class StoredState {
  Restorable,  ///< it can go on where it stopped
  NeedsKey,  ///< it could, but its model can't be called: its key is not found, or it is not in the tables of
             ///< models
  Gone,      ///< its state or its session is damaged or missing
};

/// "restorable", "needs key", "gone".
std::string_view stored_state_name(StoredState state);

/// What is on disk of one Pod, live or not: that is for the caller to find out.
struct StoredPod {
  std::string pod_name;
  std::string pod_id;         ///< this and all below is empty when metadata.json can't be read
  std::string parent_pod_id;  ///< empty: a root
  std::string parent_pod_name;
  StoredState state = StoredState::Gone;
  std::string reason;  ///< why it is not restorable, for people; never a key
  std::string task;
  std::string workspace_root;
  scope::ScopeConfig scope;
  std::string session_id;
  std::string segment_id;
  int64_t last_active_ms = 0;  ///< when the active segment was last written; 0: unknown
  friend bool operator==(StoredPod const&, StoredPod const&) = default;
};

/// All Pods of which there is something in the data directory, by name. Reads the metadata and the beginning
/// of the active segment of each (64 KiB at most), nothing from the network. What is wrong with one Pod is in
/// its reason. The error is that the directory of Pods itself can't be read. Keys are looked for as a start
/// of the Pod in `environment` would.
Result<std::vector<StoredPod>> stored_pods(Paths const& paths, Environment const& environment);

}  // namespace insomnia::pod
