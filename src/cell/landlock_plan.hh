#pragma once

#include <string>
#include <vector>

#include "base/error.hh"
#include "cell/landlock.hh"
#include "cell/mount_plan.hh"

/// What a mount plan shows, as far as Landlock can hold it: where no cell can be made. Landlock allows whole directories and can take nothing away
/// within them, so around what is taken away every entry is named by itself: what is held is less than the plan, never more (doc/cell.md).
namespace insomnia::cell {

struct LandlockPlan {
  /// Sorted. Directories stand for all below them.
  std::vector<std::string> listable, readable, writable;
  /// Directories of a writable part in which, as something within is taken away, nothing can be made, renamed or removed: those above come first.
  std::vector<std::string> closed;
  friend bool operator==(LandlockPlan const&, LandlockPlan const&) = default;
};

/// Pure but for `facts`. `scope`: of the plan. A directory that cannot be listed, or that has too many entries to name them (4096), is narrowed
/// to nothing where its entries would have to be named.
LandlockPlan plan_landlock(MountPlan const& plan, scope::Scope const& scope, FileFacts const& facts);

/// What every process needs besides, of /proc and /dev; and the Pod's own directories, writable.
DomainRequest domain_of(LandlockPlan const& plan, std::vector<std::string> const& own_directories);

/// One line per path, for people: "write   /w/src".
std::string describe(LandlockPlan const& plan);

}  // namespace insomnia::cell
