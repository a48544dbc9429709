#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/environment.hh"
#include "base/error.hh"
#include "base/paths.hh"
#include "cli/run.hh"
#include "manifest/profile_document.hh"
#include "pod/hand_over.hh"

namespace insomnia::cli {

/// Everything that `insomnia run` starts a Pod with.
struct PreparedRun {
  std::string task;
  pod::HandOver hand_over;
  bool continuing = false;  ///< the Pod has stored state
  std::string model_note;   ///< which model it is and why, where nobody chose one
  std::vector<manifest::LeftOut> left_out;  ///< of its profile: what nobody has trusted its project with
};

/// Checks what the command line alone can get wrong: names, scope rules, contradictions. The caller exits
/// with kUsage.
Result<void> check_run_options(RunOptions const& options);

/// Reads manifest or profile, puts the options on top, chooses name, scope and model, and checks the result,
/// key included. Starts nothing. `name_is_taken` says whether a Pod name is in use by a living Pod.
///
/// A stored Pod is continued with its stored settings, but for the model. So a name that was not given on the
/// command line avoids, besides living Pods, those that were stored for another directory, by a parent, or
/// with other settings than the options ask for; a name that was given is AlreadyExists when it is live,
/// InvalidArgument when it is stored with other settings. REQUIRES: check_run_options passed.
Result<PreparedRun> prepare_run(RunOptions const& options, Environment const& environment, Paths const& paths,
                                std::function<bool(std::string const&)> const& name_is_taken);

/// What a manifest file says, or else a profile ("": the default one); paths in it are resolved. No defaults are filled in.
Result<manifest::Config> load_settings(std::string const& manifest, std::string const& profile, Paths const& paths);

/// `base`, `base`-2, `base`-3 …: the first that `usable` accepts. Pure.
std::string free_name(std::string const& base, std::function<bool(std::string const&)> const& usable);

/// Makes the error of a new Pod process that did not get ready one for people: the Pod's own words first, and
/// as code Conflict or PermissionDenied when its scope was refused, AlreadyExists when its name is live.
/// Pure.
Error launch_failure(Error error);

}  // namespace insomnia::cli
