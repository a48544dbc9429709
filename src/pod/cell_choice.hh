#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/environment.hh"
#include "base/paths.hh"
#include "cell/hands.hh"
#include "cell/probe.hh"
#include "manifest/manifest.hh"
#include "pod/store.hh"

namespace insomnia::pod {

/// How the hands of a Pod are held.
struct CellChoice {
  cell::Isolation isolation = cell::Isolation::None;
  std::optional<cell::HandsCell> cell;
  std::map<std::string, std::string> environment;  ///< of commands, besides
  /// What file tools may do in the Pod's own HOME and /tmp. In HOME they read only: who has a file written there means the user's.
  std::vector<scope::ScopeRule> own_directories;
  std::string warning;  ///< for people; "" when it is as it should be
};

/// The strongest that this machine offers. An error when that is less than the manifest and the ceilings want. Makes the Pod's own HOME and /tmp;
/// those of an earlier Pod of its name are removed. `locks`: see cell::HandsCell.
Result<CellChoice> choose_cell(cell::Level const& level, Paths const& paths, PodState const& state, manifest::Manifest const& manifest,
                               Environment const& environment, std::string const& spill_dir, std::function<std::vector<int>()> locks);

}  // namespace insomnia::pod
