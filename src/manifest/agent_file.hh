#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "manifest/profile_document.hh"

namespace insomnia::manifest {

/// An agent as other programs describe it: Markdown with YAML front matter (`name`, `description`, `tools`, `model`), the text below it being its prompt
/// (Claude Code's `.claude/agents/*.md`).
struct AgentFile {
  ProfileDocument profile;
  /// What it says that has no counterpart here, each in a few words: "tools: NotebookEdit", "hooks".
  std::vector<std::string> unmapped;
  friend bool operator==(AgentFile const&, AgentFile const&) = default;
};

/// Tools that are named become `tools.allow`, by their names here; where none is named the agent has all. A short name of a model (`sonnet`) becomes a
/// reference to Anthropic's. The prompt is taken as it stands. Front matter that is no YAML, as many people write it, is read line by line.
/// Errors begin with `file_name`: no front matter, not closed, over its limits, a value of the wrong form.
Result<AgentFile> parse_agent_file(std::string_view text, std::string const& file_name);

}  // namespace insomnia::manifest
