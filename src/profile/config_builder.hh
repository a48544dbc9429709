#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "manifest/manifest.hh"
#include "profile/profile_set.hh"
#include "scope/rule.hh"

namespace insomnia::profile {

/// What SpawnPod asks of a child's config.
struct ChildRequest {
  std::string pod_name;
  std::optional<std::string> profile;      ///< as it was written; see parse_spawn_selector
  std::optional<std::string> instruction;  ///< replaces the profile's, and nothing else of it
  std::vector<scope::ScopeRule> allow;     ///< canonical (scope::canonical_request)
  std::vector<scope::ScopeRule> deny;      ///< those that travel (scope::travelling_denies)
  /// The context window of a model, where it is known: what ratios are parts of.
  std::function<std::optional<uint64_t>(manifest::ModelManifest const&)> window_of;
};

struct ChildConfig {
  manifest::Config config;
  std::string profile;  ///< which profile it was: "builtin:default", "inherit"
  std::vector<manifest::LeftOut> left_out;  ///< what its project is not trusted with (ResolvedProfile)
  std::vector<std::string> unmapped;  ///< what has no counterpart here (ResolvedProfile)
};

/// Builds the config that is handed to a child: the reusable fields of a profile (or, for `inherit`, of the
/// spawner), with name and scope of the request. It has no delegation_scope and no ceilings: those travel
/// beside it. What a profile says of tools, sandbox, limits and budget is in it: below the ceilings it narrows further. A profile without a model takes `spawner.config.model`, which REQUIRES that a running Pod keeps
/// there the model it really uses. Errors are InvalidArgument and end with the selectors that would work.
Result<ChildConfig> build_child_config(manifest::Manifest const& spawner, ProfileSet const& profiles,
                                       ChildRequest const& request);

/// Whether building the config evaluates Lua, which takes milliseconds, and up to some seconds where the profile is hostile.
bool evaluates_lua(ProfileSet const& profiles, std::optional<std::string> const& profile);

}  // namespace insomnia::profile
