#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "manifest/manifest.hh"
#include "scope/rule.hh"
#include "tools/tool.hh"

/// The tools by which a Pod's model starts and talks to other Pods: what they take, as the model is told and as it is decoded.
namespace insomnia::pod {

struct SpawnPodInput {
  std::string name;
  std::string task;
  std::vector<scope::ScopeRule> scope;
  std::optional<std::string> profile;
  std::optional<std::string> instruction;
  std::optional<std::string> cwd;
  int64_t wait_for_scope_ms = 0;  ///< 0: what is busy is refused
  bool end_when_done = false;
  bool die_with_parent = false;
  std::optional<manifest::Budget> budget;  ///< on top of what the profile has: the smaller counts
};
struct NamedPodInput {
  std::string name;
};
struct SendToPodInput {
  std::string name;
  std::string message;
};

Result<SpawnPodInput> decode_spawn_pod(std::string_view arguments);
Result<NamedPodInput> decode_named_pod(std::string_view tool, std::string_view arguments);
Result<SendToPodInput> decode_send_to_pod(std::string_view arguments);

/// SpawnPod (with the given description), SendToPod, ReadPodOutput, WaitForPods, StopPod, RestorePod, ListPods.
std::vector<tools::Definition> pod_tool_definitions(std::string spawn_description);

}  // namespace insomnia::pod
