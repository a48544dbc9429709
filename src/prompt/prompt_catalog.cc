#include "prompt/prompt_catalog.hh"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "base/confined_file.hh"
#include "base/io.hh"
#include "base/resource.hh"
#include "base/text.hh"
#include "manifest/toml_document.hh"

namespace insomnia::prompt {
namespace {

constexpr size_t kMaxPack = 1 << 20;

constexpr std::array<std::string_view, 12> kKeys{
    "compact_system",
    "memory_extract_system",
    "memory_consolidation_system",
    "notify_wrapper",
    "interrupt_tool_result_summary",
    "interrupt_system_note",
    "working_boundaries_section",
    "agents_md_section",
    "resident_memory_summary_section",
    "resident_knowledge_section",
    "resident_workflows_section",
    "spawn_pod_tool_description",
};

std::string known_keys() {
  std::string list;
  for (auto key : kKeys) list += (list.empty() ? "" : ", ") + std::string(key);
  return list;
}

std::unexpected<Error> fail_in(std::string const& file, manifest::Positions const& positions,
                               std::string const& path, std::string const& why) {
  auto at = positions.find(path);
  std::string place = at == positions.end()
                          ? ""
                          : ":" + std::to_string(at->second.line) + ":" + std::to_string(at->second.column);
  return fail(Code::InvalidArgument, file + place + ": " + path + ": " + why);
}

Result<std::optional<std::string>> read_user_pack(std::string const& path) {
  if (path.empty()) return std::nullopt;
  auto text = io::read_file(path, kMaxPack);
  if (text) return *std::move(text);
  if (text.error().code == Code::NotFound) return std::nullopt;
  return std::unexpected(std::move(text).error());
}

Result<std::optional<std::string>> read_workspace_pack(std::string const& path) {
  if (path.empty()) return std::nullopt;
  return io::read_confined_file(io::parent_path(path), std::string(io::base_name(path)), kMaxPack);
}

}  // namespace

Result<void> PromptCatalog::add_layer(std::string_view toml, std::string const& file_name,
                                      std::string const& folder) {
  manifest::Positions positions;
  boost::json::object document = TRY(manifest::parse_toml_document(toml, file_name, positions));
  for (auto const& member : document) {
    if (member.key() != "prompt" || !member.value().is_object()) {
      return fail_in(file_name, positions, manifest::key_path("", member.key()),
                     "a prompt pack has one table, [prompt]");
    }
    for (auto const& [key, value] : member.value().get_object()) {
      std::string path = manifest::key_path("prompt", key);
      if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
        return fail_in(file_name, positions, path, "unknown key; known here: " + known_keys());
      }
      if (!value.is_string()) return fail_in(file_name, positions, path, "must be a string");
      std::string_view text = value.get_string();
      templates_.insert_or_assign(std::string(key),
                                  TRY(Template::parse(text, file_name + ": " + std::string(key), folder)));
    }
  }
  return {};
}

Result<PromptCatalog> PromptCatalog::load(PromptSources sources) {
  PromptCatalog catalog{PromptLibrary(std::move(sources))};
  PromptSources const& from = catalog.library_.sources();
  auto embedded = base::find_resource("prompts/internal.toml");
  if (!embedded) return fail(Code::Internal, "the embedded prompts/internal.toml is missing");
  TRY(catalog.add_layer(*embedded, "$insomnia/internal.toml", "$insomnia"));
  for (auto key : kKeys) {
    if (!catalog.templates_.contains(key)) {
      return fail(Code::Internal, "the embedded prompts/internal.toml lacks the key " + std::string(key));
    }
  }
  if (auto text = TRY(read_user_pack(from.user_pack))) TRY(catalog.add_layer(*text, from.user_pack, "$user"));
  if (auto text = TRY(read_workspace_pack(from.workspace_pack))) {
    TRY(catalog.add_layer(*text, from.workspace_pack, "$workspace"));
  }
  if (!from.prompt_pack.empty()) {
    auto text = io::read_file(from.prompt_pack, kMaxPack);
    if (!text) return std::unexpected(std::move(text).error().with_context("pod.prompt_pack"));
    TRY(catalog.add_layer(*text, from.prompt_pack, ""));
  }
  return catalog;
}

Result<std::string> PromptCatalog::render(std::string_view key, Variables const& variables) const {
  auto found = templates_.find(key);
  if (found == templates_.end())
    return fail(Code::Internal, "the prompt catalogue has no key `" + std::string(key) + "`");
  return render_template(found->second, variables);
}

Result<std::string> PromptCatalog::render_file(std::string_view reference, Variables const& variables) const {
  return render_template(TRY(library_.load(reference)), variables);
}

Result<std::string> PromptCatalog::render_template(Template const& text, Variables const& variables) const {
  return text.render(variables, [this](std::string const& reference, std::string const& folder) {
    return library_.load_include(reference, folder);
  });
}

}  // namespace insomnia::prompt
