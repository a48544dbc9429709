#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "prompt/prompt_catalog.hh"

namespace insomnia::prompt {

/// What a system prompt is made from. Variables of the template: date, time, datetime (UTC), cwd, language,
/// pod_name, tools ("A, B"), and for `if`: is_child, can_edit (Edit or Write is there), can_run (Bash),
/// can_spawn (SpawnPod).
struct SystemPromptInput {
  std::string instruction = "$insomnia/default";  ///< reference of the template
  std::optional<std::string> instruction_text;    ///< in place of the template, as it stands
  std::string pod_name;
  std::string cwd;
  std::string language;
  int64_t wall_ms = 0;             ///< the time that date, time and datetime tell
  std::vector<std::string> tools;  ///< names; sorted here
  std::string scope_summary;       ///< Scope::summary()
  bool is_child = false;
  std::optional<std::string> agents_md;  ///< content of AGENTS.md
  std::optional<std::string> memory_summary;
  std::optional<std::string> knowledge_entries;  ///< "- slug: description" lines
  std::optional<std::string> workflow_entries;
};

/// Renders the template, then the tail that no template can drop: working boundaries, AGENTS.md, resident
/// memory, knowledge, workflows. To be made once in a Pod's life: the text is part of its log.
Result<std::string> build_system_prompt(SystemPromptInput const& input, PromptCatalog const& catalog);

/// The files AGENTS.md from `workspace` down to `cwd`, the nearest last; with several each under a line with its path. Nothing when there is none. `cwd` alone when
/// it is not below the workspace. Only directories that are `readable` are looked into. An error (not UTF-8, over 256 KiB in all, a link that leaves its directory) is for an
/// alert: the Pod works without them.
Result<std::optional<std::string>> read_agents_md(std::string const& cwd, std::string const& workspace, std::function<bool(std::string const&)> const& readable);

}  // namespace insomnia::prompt
