#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "manifest/manifest.hh"
#include "manifest/profile_document.hh"
#include "profile/lua_state.hh"
#include "profile/selector.hh"

namespace insomnia::profile {

/// A profile that can be selected.
struct ProfileEntry {
  Source source = Source::Builtin;
  std::string name;
  std::string description;
  bool is_default = false;
  std::string path;  ///< the file that it is read from; empty when it is built in

  /// "source:name".
  std::string qualified_name() const;
  friend bool operator==(ProfileEntry const&, ProfileEntry const&) = default;
};

/// A profile that was read.
struct ResolvedProfile {
  /// It names no Pod. Its relative paths are resolved, its scopes are the workspace (SpawnPod replaces them).
  manifest::Config config;
  std::string slug;
  std::string description;
  std::string notes;                        ///< what it printed
  std::vector<manifest::LeftOut> left_out;  ///< keys that nobody has trusted the project with
  std::vector<std::string> unmapped;        ///< of an agent of another program: what has no counterpart here
  std::vector<LuaChunk> sources;            ///< all that was read
};

/// The profiles at hand, as they were when they were looked for. A value: whoever discovers profiles fills
/// it.
struct ProfileSet {
  std::vector<ProfileEntry> entries;
  /// What was wrong with the search, for people and models; empty when nothing was. Then nothing is sure about the default and about names without a
  /// source: `select` refuses them with this text.
  std::string diagnostic;
  /// The user's own default, also where a project has another one: what it forbids holds for a project's profile, too.
  std::optional<ProfileEntry> users_default;
  /// The user names one that is not there: then nobody knows what it forbids.
  std::string users_default_problem;
  /// Why there is no default, when somebody wanted one.
  std::string default_problem;
  /// Reads one entry.
  std::function<Result<ResolvedProfile>(ProfileEntry const&)> load;

  /// The one entry that is meant. Errors: `profile not found: X`, `ambiguous profile name`, `no default profile`.
  Result<ProfileEntry> select(Selector const& selector) const;
  /// "builtin:default, user:coder"; "(none)" when there is none.
  std::string qualified_names() const;
  /// "`default`, `inherit`, `builtin:default`, …": every selector that SpawnPod takes.
  std::string selector_list() const;
  /// One line per entry for SpawnPod's description: "- `source:name` (default) — description"; "(none)" when
  /// there is none.
  std::string description_list() const;
  /// The default's qualified name; empty when there is none.
  std::string default_name() const;
};

/// The name of a Pod that runs a profile, when nobody gives it one: its slug, else its name; "insomnia" for the default one. Characters that a Pod name
/// can't have become '-'.
std::string suggested_pod_name(ProfileEntry const& entry, std::string const& slug);

}  // namespace insomnia::profile
