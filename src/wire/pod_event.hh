#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.hh"
#include "scope/rule.hh"
#include "wire/permission.hh"

namespace insomnia::wire {

/// What a child tells its direct parent. The first four are the base kinds; the rest are ends that the base had no event for.
/// `last_answer` is the child's last assistant text of the run; `pending_children` counts children of the child that still
/// work on delegated tasks (the end is then not final: another one follows when they are done).
struct TurnEnded {
  std::string pod_name;
  std::optional<std::string> last_answer;
  uint64_t pending_children = 0;
  friend bool operator==(TurnEnded const&, TurnEnded const&) = default;
};
struct Errored {
  std::string pod_name;
  std::string message;
  std::optional<std::string> last_answer;
  friend bool operator==(Errored const&, Errored const&) = default;
};
struct ShutDown {
  std::string pod_name;
  std::optional<std::string> last_answer;
  friend bool operator==(ShutDown const&, ShutDown const&) = default;
};
/// `parent_pod` and `instance_id` are who tells it: the child of the one that is told.
struct ScopeSubDelegated {
  std::string parent_pod;
  std::string sub_pod;
  std::string sub_socket;
  std::vector<scope::ScopeRule> scope;
  std::optional<std::string> instance_id;
  friend bool operator==(ScopeSubDelegated const&, ScopeSubDelegated const&) = default;
};
/// A Pod below the child has ended and what it held went back: the end of what ScopeSubDelegated began.
struct ScopeReturned {
  std::string parent_pod;
  std::string sub_pod;
  std::vector<scope::ScopeRule> scope;
  std::optional<std::string> instance_id;
  friend bool operator==(ScopeReturned const&, ScopeReturned const&) = default;
};
/// The run hit max_turns.
struct LimitReachedEvent {
  std::string pod_name;
  std::optional<std::string> last_answer;
  friend bool operator==(LimitReachedEvent const&, LimitReachedEvent const&) = default;
};
/// A human paused or cancelled the run.
struct Interrupted {
  std::string pod_name;
  std::optional<std::string> last_answer;
  bool paused = false;  ///< true: it can be resumed
  friend bool operator==(Interrupted const&, Interrupted const&) = default;
};
/// Synthesised by the parent: the child's process ended without saying so.
struct Crashed {
  std::string pod_name;
  std::string exit_status;               ///< "killed by signal 9 (Killed)"
  std::optional<std::string> stderr_tail;
  friend bool operator==(Crashed const&, Crashed const&) = default;
};
/// A tool call of the child `pod_name`, or of one below it, waits for a person's word, and nobody is attached there. Told again from time to time
/// while it is open. `instance_id` is the child's.
struct PermissionAsked {
  std::string pod_name;
  std::string instance_id;
  PermissionRequest request;
  friend bool operator==(PermissionAsked const&, PermissionAsked const&) = default;
};
/// … and needs no answer any more.
struct PermissionSettled {
  std::string pod_name;
  std::string instance_id;
  PermissionClosed closed;
  friend bool operator==(PermissionSettled const&, PermissionSettled const&) = default;
};
/// The way down: the parent `pod_name` tells its child what was answered. `by`: "client", "unattended".
struct PermissionAnswered {
  std::string pod_name;
  PermissionAnswer answer;
  std::string by;
  friend bool operator==(PermissionAnswered const&, PermissionAnswered const&) = default;
};
/// A kind that this version does not know.
struct UnknownPodEvent {
  std::string kind;
  friend bool operator==(UnknownPodEvent const&, UnknownPodEvent const&) = default;
};

using PodEvent = std::variant<TurnEnded, Errored, ShutDown, ScopeSubDelegated, ScopeReturned, LimitReachedEvent, Interrupted,
                              Crashed, PermissionAsked, PermissionSettled, PermissionAnswered, UnknownPodEvent>;

/// Whether the parent's model gets to see it: the ends.
bool is_agent_visible(PodEvent const& event);
/// The child (or sub_pod's parent) that it speaks of; of an answer, the one that gives it.
std::string pod_name_of(PodEvent const& event);
/// One line (plus the last answer) for the model: "pod `x` finished a turn" and so on.
std::string render_pod_event(PodEvent const& event);

std::string encode_pod_event(PodEvent const& event);
Result<PodEvent> decode_pod_event(std::string_view json);

}  // namespace insomnia::wire
