#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "base/paths.hh"
#include "pod/store.hh"

/// Bringing stored Pods back: which ones, and what is known of them.
namespace insomnia::pod {

/// A stored Pod that is not alive and can be started again.
struct RestorableChild {
  PodState state;
  bool works = false;  ///< it, or a Pod below it that comes back with it, goes on with an interrupted run
  friend bool operator==(RestorableChild const&, RestorableChild const&) = default;
};

/// The stored Pod, looked at as a candidate. NotFound: no such state, or it is another Pod's by now (`pod_id` differs); AlreadyExists: it
/// lives; Unavailable: its session is missing or damaged (the message names it). Blocking.
Result<RestorableChild> read_restorable(Paths const& paths, std::string_view name, std::string_view pod_id);

/// The stored children of `parent_id` that a restore of it brings back: all that are not alive and did not end for good, by name. Those that
/// cannot be read are left out with a warning. Blocking.
std::vector<RestorableChild> children_to_restore(Paths const& paths, std::string_view parent_id);

struct StoredName {
  std::string pod_name;
  std::string pod_id;
};
/// What is stored of a Pod, as ListPods shows it.
struct StoredLook {
  std::string state = "missing";  ///< of its metadata: readable, missing (also: the name is another Pod's by now), corrupt
  std::string error;              ///< what is wrong with it
  std::string session_id;
  std::string segment_id;
  bool restorable = false;
  std::string reason;  ///< why not
};
/// One for each, in their order. Blocking.
std::vector<StoredLook> look_at_stored(Paths const& paths, std::vector<StoredName> const& pods);

/// Writes that the stored Pod ended for good, unless it is alive or another one by now. Blocking.
void mark_done(Paths const& paths, std::string_view name, std::string_view pod_id);

}  // namespace insomnia::pod
