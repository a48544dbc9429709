#pragma once

#include <boost/json/fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hh"
#include "manifest/manifest.hh"
#include "manifest/toml_document.hh"
#include "scope/rule.hh"

namespace insomnia::manifest {

/// What a profile says, whatever it is written in: a recipe without a name and without paths of a machine. Format: doc/profiles.md.
struct ProfileDocument {
  std::string slug;
  std::string description;
  /// Without pod_name and scopes; its paths are relative.
  Config config;
  scope::Permission scope = scope::Permission::Write;  ///< of the workspace
  std::optional<scope::Permission> delegation_scope;   ///< the same for what it may hand on
  friend bool operator==(ProfileDocument const&, ProfileDocument const&) = default;
};

/// Reads a profile from its tree. Errors begin with `place` and name the path of the key.
/// `empty_tables_are_lists`: Lua's `{}` is one where a list is wanted.
Result<ProfileDocument> decode_profile(boost::json::value const& document, PlaceOf const& place, bool empty_tables_are_lists);

/// The same from TOML.
Result<ProfileDocument> parse_profile_toml(std::string_view text, std::string const& file_name);

/// The files and folders that a profile names, by the path of the key: relative to its folder.
std::vector<std::pair<std::string, std::string>> named_paths(Config const& config);

/// A key that a profile may not say, and what it says there (JSON).
struct LeftOut {
  std::string key, value;
  friend bool operator==(LeftOut const&, LeftOut const&) = default;
};
/// "model.auth, permissions".
std::string keys_of(std::vector<LeftOut> const& left_out);

/// What a profile of a project says that nobody has trusted yet, without what would widen what its Pods can do, or send a key elsewhere:
/// other addresses and keys, permissions, a sandbox that lets through more, limits above the usual ones, a scope for its children. What was left out is appended to `left_out`.
ProfileDocument without_widening(ProfileDocument profile, std::vector<LeftOut>& left_out);

/// The config of a Pod that runs in `workspace` by this profile, whose folder is `directory` (both absolute): its paths are joined, its scopes are
/// the workspace. No defaults are filled in.
Config profile_config(ProfileDocument const& profile, std::string const& directory, std::string const& workspace);

}  // namespace insomnia::manifest
