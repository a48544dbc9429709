#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "base/paths.hh"
#include "profile/lua_profile.hh"
#include "profile/profile_set.hh"

namespace insomnia::profile {

/// Where profiles are looked for. Tests put other places here.
struct ProfilePlaces {
  std::string builtin_directory;  ///< of *.lua, *.toml and */profile.lua; empty: the profiles in the binary
  std::string user_file;          ///< <config_dir>/profiles.toml; empty: none
  std::string project_file;       ///< the nearest .insomnia/profiles.toml; empty: none
  std::string agents_directory;   ///< the nearest .claude/agents, of *.md; empty: none
};

/// Those of a Pod that works in `cwd` (canonical): the project's are looked for there and upwards.
ProfilePlaces profile_places(Paths const& paths, std::string const& cwd);

/// What a profile is read for.
struct ProfileReading {
  std::string workspace;  ///< absolute; its scope intents mean this directory
  StartHost start_host;   ///< evaluates Lua
  /// Whether the user has trusted these files of a project (trust.hh); nullptr: none.
  std::function<bool(std::string const& project, std::vector<LuaChunk> const& sources)> trusts = nullptr;
};

/// The profiles at hand. Opens no profile: what is listed may still be missing or broken. What is wrong with a registry file is the set's diagnostic, and
/// the other sources count.
ProfileSet discover_profiles(ProfilePlaces const& places, ProfileReading reading);

/// What is read of a project when all its profiles are: for asking whether it is trusted.
struct ProjectProfiles {
  std::string project;  ///< canonical
  std::vector<LuaChunk> sources;
  struct Wish {
    std::string profile;  ///< "project:coder"
    manifest::LeftOut said;
  };
  std::vector<Wish> wishes;           ///< what they want that needs trust
  std::vector<std::string> problems;  ///< profiles that can't be read
};
/// Nothing when there is no project that has profiles.
Result<std::optional<ProjectProfiles>> read_project(ProfilePlaces const& places, ProfileReading reading);

/// The profile that a selector of the command line means.
struct SelectedProfile {
  std::string label;     ///< "project:reviewer", or the path
  std::string pod_name;  ///< what its Pod is called when nobody says otherwise
  ResolvedProfile profile;
  manifest::Ceilings ceilings;  ///< of a project's profile: what the user's own default forbids
};
/// `selector`: as written; "": the default. Where `profiles` were found for this `reading`. The error lists the profiles at hand when there is none like it.
Result<SelectedProfile> read_selected_profile(std::string_view selector, ProfileSet const& profiles, ProfileReading const& reading);

/// Where a key of a profile that was read is written: "file:12"; "" when that can't be seen.
std::string place_in_profile(ResolvedProfile const& profile, std::string_view path);

/// The profile in one file, as a selector with a path means it. Errors: no such file, not .lua, .toml or .md (an agent of another program), and what the file
/// has wrong. It is trusted: somebody has named it.
Result<ResolvedProfile> read_profile_file(std::string const& path, ProfileReading const& reading);

}  // namespace insomnia::profile
