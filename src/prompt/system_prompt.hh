#pragma once

#include <cstdint>
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

/// The content of <cwd>/AGENTS.md; nothing when there is none. An error (not UTF-8, over 256 KiB, a link that
/// leaves `cwd`) is for an alert: the Pod works without it. REQUIRES: `cwd` is readable in the Pod's scope.
Result<std::optional<std::string>> read_agents_md(std::string const& cwd);

}  // namespace insomnia::prompt
