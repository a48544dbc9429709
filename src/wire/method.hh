#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "base/error.hh"
#include "wire/permission.hh"
#include "wire/pod_event.hh"
#include "wire/segment.hh"

/// Client to Pod: `{"method":"<snake>","params":{…},"id":"…"}`; methods without parameters have no `params`.
namespace insomnia::wire {

struct RunMethod {
  Segments input;
  friend bool operator==(RunMethod const&, RunMethod const&) = default;
};
struct NotifyMethod {
  std::string message;
  friend bool operator==(NotifyMethod const&, NotifyMethod const&) = default;
};
struct PodEventMethod {
  PodEvent event;
  friend bool operator==(PodEventMethod const&, PodEventMethod const&) = default;
};
struct ResumeMethod {
  friend bool operator==(ResumeMethod const&, ResumeMethod const&) = default;
};
struct CancelMethod {
  friend bool operator==(CancelMethod const&, CancelMethod const&) = default;
};
struct PauseMethod {
  friend bool operator==(PauseMethod const&, PauseMethod const&) = default;
};
struct CompactMethod {
  friend bool operator==(CompactMethod const&, CompactMethod const&) = default;
};
struct ListRewindTargetsMethod {
  friend bool operator==(ListRewindTargetsMethod const&, ListRewindTargetsMethod const&) = default;
};
struct RewindToMethod {
  std::string segment_id;
  uint64_t user_input_entry_index = 0;
  uint64_t expected_head_entries = 0;
  friend bool operator==(RewindToMethod const&, RewindToMethod const&) = default;
};
/// `tree`: stop the Pod's children too, deepest first. `interrupted`: the end is not wished for (the machine goes down, say): a restore
/// brings the Pod back. Both are omitted when false.
struct ShutdownMethod {
  bool tree = false;
  bool interrupted = false;
  friend bool operator==(ShutdownMethod const&, ShutdownMethod const&) = default;
};
enum class CompletionKind { File, Knowledge, Workflow };
struct ListCompletionsMethod {
  CompletionKind kind = CompletionKind::File;
  std::string prefix;
  friend bool operator==(ListCompletionsMethod const&, ListCompletionsMethod const&) = default;
};
struct ListPodsMethod {
  friend bool operator==(ListPodsMethod const&, ListPodsMethod const&) = default;
};
struct RestorePodMethod {
  std::string name;
  friend bool operator==(RestorePodMethod const&, RestorePodMethod const&) = default;
};
/// The answer to a PermissionRequestEvent. What follows is a PermissionClosedEvent to all; a question that is not open is an error.
struct AnswerPermissionMethod {
  PermissionAnswer answer;
  friend bool operator==(AnswerPermissionMethod const&, AnswerPermissionMethod const&) = default;
};
/// What this client is there for. `answers_permissions`: somebody looks at its PermissionRequestEvents; without it all clients get them and may answer, but
/// none of them is counted on. No reply.
struct ClientOptionsMethod {
  bool answers_permissions = false;
  friend bool operator==(ClientOptionsMethod const&, ClientOptionsMethod const&) = default;
};
/// There is mail in the inbox. No reply.
struct PokeMethod {
  friend bool operator==(PokeMethod const&, PokeMethod const&) = default;
};

using MethodBody =
    std::variant<RunMethod, NotifyMethod, PodEventMethod, ResumeMethod, CancelMethod, PauseMethod, CompactMethod,
                 ListRewindTargetsMethod, RewindToMethod, ShutdownMethod, ListCompletionsMethod, ListPodsMethod, RestorePodMethod,
                 AnswerPermissionMethod, ClientOptionsMethod, PokeMethod>;

struct Method {
  MethodBody body;
  /// Echoed in every reply to this request; chosen by the client.
  std::optional<std::string> id;
  friend bool operator==(Method const&, Method const&) = default;
};

/// Longest `id` that a Pod accepts, since it is echoed.
inline constexpr size_t kMaxRequestId = 256;

std::string encode_method(Method const& method);
/// Errors contain "invalid method" and say what is wrong. Unknown fields are skipped, an unknown method is an error.
Result<Method> decode_method(std::string_view line);

}  // namespace insomnia::wire
