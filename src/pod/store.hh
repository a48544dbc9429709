#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "base/paths.hh"
#include "manifest/manifest.hh"
#include "pod/hand_over.hh"
#include "scope/rule.hh"

namespace insomnia::pod {

/// What a parent keeps of a child, durably. state: starting (written before the process exists), live.
struct ChildRecord {
  std::string pod_name;
  std::string pod_id;
  std::string instance_id;
  std::string socket_path;
  std::string callback_address;
  std::string state = "starting";
  std::string task;
  std::string profile;
  std::vector<scope::ScopeRule> scope_delegated;
  std::vector<scope::ScopeRule> scope_deny;
  std::vector<std::string> made_directories;  ///< while it starts: write targets that were missing, to be taken back if it never lives
  uint64_t mail_seq = 0;          ///< number of the last message sent to it
  uint64_t mail_awaited = 0;      ///< the last of them that got into its inbox: the end of its work is still to come, or came
  bool work_open = false;         ///< it was given work whose end has not come
  bool for_parent = false;        ///< its work is a part of what the own parent gave: news of it lead to reports to that one
  bool end_when_done = false;     ///< it ends by itself when it has reported
  bool die_with_parent = false;
  bool taken_over = false;        ///< another Pod started it, which has ended
  bool grandchild = false;        ///< known through scope_sub_delegated only
  std::string read_segment;       ///< ReadPodOutput: where the last reading stopped
  uint64_t read_index = 0;
  friend bool operator==(ChildRecord const&, ChildRecord const&) = default;
};

struct ReclaimedChild {
  std::string pod_name;
  std::string pod_id;
  std::string instance_id;
  std::vector<scope::ScopeRule> scope_delegated;
  bool crashed = false;
  uint64_t mail_seq = 0;  ///< these five as in its ChildRecord, for the case that it is restored
  bool work_open = false;
  bool for_parent = false;
  bool end_when_done = false;
  bool die_with_parent = false;
  friend bool operator==(ReclaimedChild const&, ReclaimedChild const&) = default;
};

/// The durable state of one Pod: <data_dir>/pods/<name>/metadata.json. Format: doc/spawn.md.
struct PodState {
  std::string pod_name;
  std::string pod_id;
  std::string session_id;  ///< empty: no session yet
  std::string segment_id;  ///< empty: pending, nothing was logged yet
  std::string cwd;
  std::string workspace_root;
  std::string task;
  std::string profile;
  std::optional<ParentLink> parent;
  manifest::Config config;  ///< the resolved manifest: the authority for a restore
  manifest::Ceilings ceilings;
  std::vector<ChildRecord> spawned_children;
  /// Number of the last message to any child: a number is never used twice for one, whatever is forgotten of it.
  uint64_t last_mail = 0;
  std::vector<ReclaimedChild> reclaimed_children;  ///< the last 100: for people, and for RestorePod
  /// How the last instance ended: "" it lives, or died without a word; "done": nobody expects it back (its work was done, or somebody
  /// stopped it); "interrupted": a signal or its parent's end took it away. `insomnia restore --all` brings back all but "done".
  std::string ended;
  bool resume = false;             ///< the end interrupted a run, which a restore goes on with
  bool exit_when_settled = false;  ///< as in the hand-over
  friend bool operator==(PodState const&, PodState const&) = default;
};

std::string encode_pod_state(PodState const& state);
Result<PodState> decode_pod_state(std::string_view json);

/// Nothing when the Pod has no state. A damaged file is Corrupt and names it.
Result<std::optional<PodState>> read_pod_state(Paths const& paths, std::string_view name);
/// Atomic and durable.
Result<void> write_pod_state(Paths const& paths, PodState const& state);
/// Names of all Pods with state, sorted.
Result<std::vector<std::string>> list_pod_states(Paths const& paths);

}  // namespace insomnia::pod
