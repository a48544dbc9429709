#pragma once

#include <string>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia profile`.
struct ProfileOptions {
  enum class Action { List, Show, Check, New };
  Action action = Action::List;
  std::string selector;  ///< Show, Check: as --profile takes it; "": the default. New: the name
  bool project = false;  ///< New: in the project's .insomnia, not in the user's configuration
  bool json = false;
  friend bool operator==(ProfileOptions const&, ProfileOptions const&) = default;
};

/// Lists the profiles at hand, shows what one comes to and where each value is from, checks one, or writes a commented starter. kFailed when a profile
/// or a registry file is wrong.
int run_profile_command(ProfileOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
