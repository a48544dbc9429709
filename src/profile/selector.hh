#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.hh"

namespace insomnia::profile {

/// Who provides a profile. Claude: an agent of the project in the form of another program (manifest/agent_file.hh); it is chosen by its source alone.
enum class Source { Builtin, User, Project, Claude };

/// "builtin", "user", "project", "claude".
std::string_view source_name(Source source);

/// Which profile is meant.
struct Selector {
  enum class Kind {
    Default,  ///< the default of the profiles at hand
    Named,    ///< `name`, of `source` if that is given
    Path,     ///< the file `path`; command line only
    Inherit,  ///< what the spawner runs with; SpawnPod only
  };
  Kind kind = Kind::Default;
  std::optional<Source> source;
  std::string name;
  std::string path;

  /// The path, "source:name", "name", "default" or "inherit".
  std::string label() const;
  friend bool operator==(Selector const&, Selector const&) = default;
};

/// A selector of the command line. Never fails: what is nothing else is an unqualified name.
Selector parse_cli_selector(std::string_view text);

/// The `profile` of a SpawnPod call. Paths are refused: a model chooses among the registered profiles only.
/// The caller adds which selectors there are.
Result<Selector> parse_spawn_selector(std::optional<std::string> const& text);

}  // namespace insomnia::profile
