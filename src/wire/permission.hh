#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// The question whether a tool call may run, and its answer (doc/protocol.md, "Permissions").
namespace insomnia::wire {

/// What a question shows of the arguments, in bytes. It has to fit into a datagram, whatever its characters.
inline constexpr size_t kMaxAskedArguments = 16u << 10;

/// A tool call that waits for a person's word.
struct PermissionRequest {
  std::string ask;       ///< id of the question; never used again
  std::string pod_name;  ///< whose call it is: the Pod that tells of it, or one below
  std::string pod_id;
  std::string call_id;
  std::string tool;
  std::string arguments;                ///< JSON text; only its beginning when it is longer than kMaxAskedArguments
  uint64_t arguments_size = 0;          ///< bytes of all of it
  std::vector<std::string> reasons;     ///< the rules that ask, in words
  std::vector<std::string> remembered;  ///< what an answer that is remembered holds for, in words
  int64_t deadline_ms = 0;              ///< wall clock (Unix time): then the answer is no
  uint64_t unattended_ms = 0;           ///< so long the question stays without anybody who could answer; then the answer is no
  friend bool operator==(PermissionRequest const&, PermissionRequest const&) = default;
};

struct PermissionAnswer {
  std::string ask;
  bool allow = false;
  bool remember = false;  ///< the same answer to all that PermissionRequest::remembered says, while the session lives
  friend bool operator==(PermissionAnswer const&, PermissionAnswer const&) = default;
};

/// How a question ended. `by`: "client" (somebody answered), "remembered" (an earlier answer holds), "deadline", "unattended" (nobody was there
/// who could be asked), "cancelled" (the run was stopped), "gone" (the Pod has ended or does not answer any more).
struct PermissionClosed {
  std::string ask;
  bool allow = false;
  std::string by;
  friend bool operator==(PermissionClosed const&, PermissionClosed const&) = default;
};

}  // namespace insomnia::wire
