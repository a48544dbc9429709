#include "prompt/system_prompt.hh"

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/confined_file.hh"
#include "base/io.hh"
#include "base/text.hh"

namespace insomnia::prompt {
namespace {

constexpr size_t kMaxAgentsMd = 256 << 10;

std::string utc(int64_t wall_ms, char const* format) {
  std::time_t seconds = wall_ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  size_t size = std::strftime(text, sizeof text, format, &parts);
  return std::string(text, size);
}

Variables template_variables(SystemPromptInput const& input) {
  std::vector<std::string> tools = input.tools;
  std::sort(tools.begin(), tools.end());
  auto has = [&](std::string_view tool) {
    return std::find(tools.begin(), tools.end(), tool) != tools.end();
  };
  auto flag = [](bool value) { return value ? std::string("yes") : std::string(); };
  Variables out;
  out["date"] = utc(input.wall_ms, "%Y-%m-%d");
  out["time"] = utc(input.wall_ms, "%H:%M:%S");
  out["datetime"] = utc(input.wall_ms, "%Y-%m-%dT%H:%M:%SZ");
  out["cwd"] = input.cwd;
  out["language"] = input.language;
  out["pod_name"] = input.pod_name;
  out["tools"] = text::join(tools, ", ");
  out["is_child"] = flag(input.is_child);
  out["can_edit"] = flag(has("Edit") || has("Write"));
  out["can_run"] = flag(has("Bash"));
  out["can_spawn"] = flag(has("SpawnPod"));
  return out;
}

/// Appends a section behind a blank line.
void append(std::string& prompt, std::string_view section) {
  while (!prompt.empty() && (prompt.back() == '\n' || prompt.back() == ' ')) prompt.pop_back();
  if (!prompt.empty()) prompt += "\n\n";
  prompt += section;
}

}  // namespace

Result<std::string> build_system_prompt(SystemPromptInput const& input, PromptCatalog const& catalog) {
  std::string prompt = input.instruction_text ? *input.instruction_text : TRY(catalog.render_file(input.instruction, template_variables(input)));
  append(prompt, TRY(catalog.render("working_boundaries_section", {{"scope_summary", input.scope_summary}})));
  struct Section {
    std::string_view key;
    std::string variable;
    std::optional<std::string> const& text;
  };
  for (Section const& section : {Section{"agents_md_section", "agents_md", input.agents_md},
                                 Section{"resident_memory_summary_section", "summary", input.memory_summary},
                                 Section{"resident_knowledge_section", "entries", input.knowledge_entries},
                                 Section{"resident_workflows_section", "entries", input.workflow_entries}}) {
    if (!section.text || text::trim(*section.text).empty()) continue;
    append(prompt, TRY(catalog.render(section.key, {{section.variable, *section.text}})));
  }
  return std::string(text::trim(prompt));
}

Result<std::optional<std::string>> read_agents_md(std::string const& cwd, std::string const& workspace, std::function<bool(std::string const&)> const& readable) {
  std::vector<std::string> directories;  // the nearest first
  bool inside = cwd == workspace || workspace == "/" || cwd.starts_with(workspace + "/");
  for (std::string at = cwd;; at = io::parent_path(at)) {
    if (readable(at + (at == "/" ? "AGENTS.md" : "/AGENTS.md"))) directories.push_back(at);
    if (!inside || at == workspace || at == "/") break;
  }
  std::vector<std::pair<std::string, std::string>> found;  // path and text
  size_t size = 0;
  for (auto at = directories.rbegin(); at != directories.rend(); ++at) {
    auto text = TRY(io::read_confined_file(*at, "AGENTS.md", kMaxAgentsMd));
    if (!text || text::trim(*text).empty()) continue;
    std::string path = *at + (*at == "/" ? "AGENTS.md" : "/AGENTS.md");
    size += text->size();
    if (size > kMaxAgentsMd) return fail(Code::LimitReached, "the files AGENTS.md from " + workspace + " to " + cwd + " have more than 256 KiB together; " + path + " is the first that is too much");
    found.emplace_back(std::move(path), *std::move(text));
  }
  if (found.empty()) return std::nullopt;
  if (found.size() == 1) return std::move(found.front().second);
  std::string all;
  for (auto const& [path, text] : found) all += (all.empty() ? "" : "\n\n") + path + ":\n\n" + std::string(text::trim(text));
  return all;
}

}  // namespace insomnia::prompt
