#pragma once

#include <string>

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
};

/// The profiles at hand. Opens no profile: what is listed may still be missing or broken. What is wrong with a registry file is the set's diagnostic, and
/// the other sources count.
ProfileSet discover_profiles(ProfilePlaces const& places, ProfileReading reading);

/// The profile that a selector of the command line means.
struct SelectedProfile {
  std::string label;     ///< "project:reviewer", or the path
  std::string pod_name;  ///< what its Pod is called when nobody says otherwise
  ResolvedProfile profile;
};
/// `selector`: as written; "": the default. Where `profiles` were found for this `reading`. The error lists the profiles at hand when there is none like it.
Result<SelectedProfile> read_selected_profile(std::string_view selector, ProfileSet const& profiles, ProfileReading const& reading);

/// Where a key of a profile that was read is written: "file:12"; "" when that can't be seen.
std::string place_in_profile(ResolvedProfile const& profile, std::string_view path);

/// The profile in one file, as a selector with a path means it. Errors: no such file, not .lua, .toml or .md (an agent of another program), and what the file has wrong.
/// `confined_to`: a directory that the file and what it names must be in; empty: its own folder for what it names.
Result<ResolvedProfile> read_profile_file(std::string const& path, std::string const& confined_to, ProfileReading const& reading);

}  // namespace insomnia::profile
