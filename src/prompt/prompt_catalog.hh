#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "prompt/prompt_library.hh"
#include "prompt/template.hh"

namespace insomnia::prompt {

/// The texts that the runtime itself puts before a model, by key (doc/manifest.md lists the keys and their
/// inputs). Layers, low to high: embedded, user, workspace, the manifest's prompt_pack. Every template is
/// parsed when it is loaded, so that a syntax error shows at the start of a Pod and not in the middle of a
/// turn.
class PromptCatalog {
 public:
  static Result<PromptCatalog> load(PromptSources sources);

  /// One text of the catalogue. Errors: an unknown key, a variable that is not given, an include that can't
  /// be read.
  Result<std::string> render(std::string_view key, Variables const& variables) const;
  /// A template file: `$insomnia/default`.
  Result<std::string> render_file(std::string_view reference, Variables const& variables) const;

 private:
  explicit PromptCatalog(PromptLibrary library) : library_(std::move(library)) {}
  Result<void> add_layer(std::string_view toml, std::string const& file_name, std::string const& folder);
  Result<std::string> render_template(Template const& text, Variables const& variables) const;

  PromptLibrary library_;
  std::map<std::string, Template, std::less<>> templates_;
};

}  // namespace insomnia::prompt
