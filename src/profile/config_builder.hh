#pragma once

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
};

struct ChildConfig {
  manifest::Config config;
  std::string profile;  ///< which profile it was: "builtin:default", "inherit"
};

/// Builds the config that is handed to a child: the reusable fields of a profile (or, for `inherit`, of the
/// spawner), with name and scope of the request. It has no delegation_scope and no ceilings: those travel
/// beside it. A profile without a model takes `spawner.config.model`, which REQUIRES that a running Pod keeps
/// there the model it really uses. Errors are InvalidArgument and end with the selectors that would work.
Result<ChildConfig> build_child_config(manifest::Manifest const& spawner, ProfileSet const& profiles,
                                       ChildRequest const& request);

}  // namespace insomnia::profile
