#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "manifest/manifest.hh"
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

/// The profiles at hand, as they were when they were looked for. A value: whoever discovers profiles fills
/// it.
struct ProfileSet {
  std::vector<ProfileEntry> entries;
  /// What was wrong with the search, for people and models; empty when nothing was.
  std::string diagnostic;
  /// Evaluates one entry. What it returns names no Pod and no scope that counts; its relative paths are
  /// resolved.
  std::function<Result<manifest::Config>(ProfileEntry const&)> load;

  /// The one entry that is meant. Errors: `profile not found: X`, `ambiguous
  /// profile name`, `no default profile`.
  Result<ProfileEntry> select(Selector const& selector) const;
  /// "`default`, `inherit`, `builtin:default`, …": every selector that SpawnPod takes.
  std::string selector_list() const;
  /// One line per entry for SpawnPod's description: "- `source:name` (default) — description"; "(none)" when
  /// there is none.
  std::string description_list() const;
  /// The default's qualified name; empty when there is none.
  std::string default_name() const;
};

/// The profile that comes with the program. It names no model.
manifest::Config builtin_default_profile();
/// The set that holds `builtin:default` alone.
ProfileSet builtin_profiles();

}  // namespace insomnia::profile
