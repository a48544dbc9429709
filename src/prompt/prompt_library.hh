#pragma once

#include <string>
#include <string_view>

#include "base/error.hh"
#include "prompt/template.hh"

namespace insomnia::prompt {

/// Where prompts are read from besides the embedded ones. Absolute paths. An empty path, a missing directory
/// and a missing pack of the user or the workspace all mean: there is none.
struct PromptSources {
  std::string user_directory;       ///< `$user/…`: <config_dir>/prompts
  std::string workspace_directory;  ///< `$workspace/…`: <workspace>/.insomnia/prompts
  std::string user_pack;            ///< <config_dir>/prompts.toml
  std::string workspace_pack;       ///< <workspace>/.insomnia/prompts.toml
  std::string prompt_pack;          ///< `pod.prompt_pack` of the manifest; must exist when given

  /// The usual places. `config_dir` and `workspace_root` may be empty.
  static PromptSources standard(std::string const& config_dir, std::string const& workspace_root,
                                std::string prompt_pack = "");
};

/// Whether `reference` has the form `$insomnia/…`, `$user/…` or `$workspace/…` with plain components. Reads
/// nothing.
Result<void> check_prompt_reference(std::string_view reference);

/// Reads templates by reference. There is no fall-through: a reference is looked for in the library that its
/// prefix names.
class PromptLibrary {
 public:
  explicit PromptLibrary(PromptSources sources) : sources_(std::move(sources)) {}

  /// `.md` may be omitted.
  Result<Template> load(std::string_view reference) const;
  /// A reference inside a template of `folder` ("$user/reviews"; empty: none): one without a prefix is
  /// relative to it.
  Result<Template> load_include(std::string_view reference, std::string_view folder) const;

  PromptSources const& sources() const { return sources_; }

 private:
  Result<std::string> read(std::string const& library, std::string const& relative) const;

  PromptSources sources_;
};

}  // namespace insomnia::prompt
