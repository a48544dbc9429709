#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cell/mount_plan.hh"

/// How a view that is in use comes to show another plan: as a pure value.
namespace insomnia::cell {

/// Mounts that come on top of what is seen at `path` and below; the first one is for the path itself.
struct Cover {
  std::string path;
  std::vector<MountStep> steps;
  friend bool operator==(Cover const&, Cover const&) = default;
};

/// The topmost mount at `path` goes, and what is mounted in it; `mount` is its number.
struct Uncover {
  std::string path;
  uint64_t mount = 0;
  friend bool operator==(Uncover const&, Uncover const&) = default;
};

struct ViewChange {
  std::vector<Uncover> uncover;
  std::vector<Cover> cover;          ///< afterwards, in this order
  friend bool operator==(ViewChange const&, ViewChange const&) = default;
};

/// What a view shows, and what lies beneath it. A part that changes is covered by a further mount; what covers something that is to be seen again
/// is taken away instead, so that lending and giving back does not pile up mounts.
class ViewLayers {
 public:
  explicit ViewLayers(std::vector<MountStep> const& base);

  /// What must be done so that `steps` is shown; from then on it is what is shown. The error (nothing is changed): a part that stands in no mount
  /// of the view, which only a new view can have.
  Result<ViewChange> change_to(std::vector<MountStep> const& steps);

  struct Shown {
    MountStep step;
    uint64_t mount = 0;  ///< number of the mount
    friend bool operator==(Shown const&, Shown const&) = default;
  };
  using ByPath = std::map<std::string, Shown, ByComponents>;
  ByPath const& shown() const { return shown_; }
  /// Says by which mount a path is shown now.
  void set_mount(std::string const& path, uint64_t mount);
  /// The mount at the path is gone, and what was mounted below with it.
  void forget(std::string const& path);

 private:
  struct Layer {
    std::string path;
    uint64_t mount = 0;  ///< the one that covers
    ByPath before;       ///< what was shown at and below the path
  };
  ByPath part(std::string const& path) const;
  void replace_part(std::string const& path, ByPath const& by);

  ByPath shown_;
  std::vector<Layer> layers_;  ///< oldest first
};

}  // namespace insomnia::cell
