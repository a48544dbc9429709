#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "manifest/manifest.hh"

namespace insomnia::pod {

/// A child's tie to its parent.
struct ParentLink {
  std::string pod_id;
  std::string instance_id;
  std::string pod_name;
  std::string socket;
  friend bool operator==(ParentLink const&, ParentLink const&) = default;
};

/// Everything that a launcher tells a new Pod process, as JSON in a sealed memory file (`insomnia pod --spawn-config-fd N`), never in
/// argv. References to keys travel, keys do not. Format: doc/spawn.md.
struct HandOver {
  manifest::Config config;            ///< pod_name and scope included; paths absolute
  manifest::Ceilings ceilings;
  std::string pod_id;                 ///< empty: a new one, or the stored one when the Pod is continued
  std::string instance_id;            ///< empty: a new one
  std::optional<ParentLink> parent;   ///< set: adopt the reservation made for pod_id and instance_id
  std::string cwd;                    ///< absolute; empty: the current directory
  std::string workspace_root;         ///< absolute; empty: cwd
  std::string task;                   ///< for people: what the Pod is there for
  std::string profile;                ///< for people: where the config came from
  /// End (children first) as soon as the Pod has worked and is settled: idle, no child at work, no mail.
  bool exit_when_settled = false;
  /// End, children first, when the launcher ends: it holds the other end of the pipe on --lifeline-fd.
  bool die_with_parent = false;
  /// Bring the stored Pod `pod_id` back: its children too, and its interrupted run. Only pod_name counts of the config of a root; a child's
  /// scope is the one that its parent reserved, never more than it had.
  bool restore = false;
  int64_t wait_for_scope_ms = 0;      ///< of a root: how long it may wait for a busy scope
  friend bool operator==(HandOver const&, HandOver const&) = default;
};

std::string encode_hand_over(HandOver const& hand_over);
Result<HandOver> decode_hand_over(std::string_view json);

}  // namespace insomnia::pod
