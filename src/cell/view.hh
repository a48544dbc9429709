#pragma once

#include <string>
#include <vector>

#include "base/error.hh"
#include "base/unique_fd.hh"
#include "cell/mount_plan.hh"
#include "cell/view_layers.hh"

namespace insomnia::cell {

/// Where a first process builds its view: a directory that every system has and no scope needs.
inline constexpr char kViewPlace[] = "/sys";

/// The file tree that the processes of a cell see, built at a directory of this process's mount namespace and changed while they run. The mounts
/// are shared, so that changes reach namespaces that follow. One thread. What it has mounted goes with the namespace, not with this object.
/// REQUIRES: the caller is alone in its own user, mount and pid namespaces, with all capabilities there.
class View {
 public:
  /// Builds what the plan says at `place`, which then is the view's root: the plan's mounts, a /dev with the harmless devices, a /proc of the
  /// caller's pid namespace whose settings can't be written. An error leaves a part of it there.
  static Result<View> build(MountPlan const& plan, std::string place);

  /// Shows another plan. Nobody may look or write meanwhile. An error may leave a part of it; a further try, with a plan made anew, goes on from there.
  Result<void> change_to(MountPlan const& plan);
  /// Whether change_to() would do no more than take away what covers what is to be seen: nobody has to stand still for that.
  bool only_uncovers(MountPlan const& plan) const;
  /// Finds out which mounts the kernel has dropped, or moved with what they stand upon, because somebody outside removed or renamed that; forgets
  /// them. Whether there were any: then change_to() puts back what a plan made now wants.
  Result<bool> look_for_lost_mounts();

  /// Whether this step is what is seen at its path.
  bool shows(MountStep const& step) const;

  std::string const& place() const { return place_; }
  /// The view's /proc, of all processes of the cell.
  int proc() const { return proc_.get(); }

 private:
  View(std::string place) : place_(std::move(place)), layers_({}) {}
  Result<void> build(MountPlan const& plan);
  Result<void> mount_step(MountStep const& step);
  Result<void> cover(Cover const& cover);
  Result<void> uncover(Uncover const& uncover);
  Result<UniqueFd> mount_for(MountStep const& step);
  Result<UniqueFd> mask(bool is_directory);
  Result<void> put(UniqueFd const& mount, std::string const& path, bool is_directory);
  Result<void> add_hidden();
  Result<void> hide();
  Result<void> add_dev();
  Result<void> add_proc();
  Result<void> pin(std::vector<std::string> const& paths);
  std::string in_view(std::string const& path) const { return path == "/" ? place_ : place_ + path; }

  std::string place_;
  bool whole_ = false;  ///< the host's root is the view's
  UniqueFd root_;       ///< the view's root
  UniqueFd hidden_;     ///< a tmpfs in the view that nobody in the cell reaches: originals of masks, and pins
  UniqueFd proc_;
  ViewLayers layers_;
  std::vector<std::string> pinned_;  ///< as they were asked for last
  unsigned pin_trees_ = 0;
};

/// Makes the view the caller's root, in a mount namespace of its own that follows the caller's former one, and enters `cwd`.
Result<void> enter_view(std::string const& place, std::string const& cwd);

}  // namespace insomnia::cell
