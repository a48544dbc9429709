#pragma once

#include <string>
#include <vector>

#include "base/error.hh"
#include "base/unique_fd.hh"

namespace insomnia::cell {

/// Empty directories on the host that stand where a deny names a path that is missing, so that there is something to mount upon. They are removed
/// with this object, unless somebody has put something there or another cell uses them too: each is held by a shared lock (flock).
class Placeholders {
 public:
  static Result<Placeholders> make(std::vector<std::string> const& paths);
  Placeholders(Placeholders&&) = default;
  Placeholders& operator=(Placeholders&&) = delete;
  ~Placeholders();

  /// Leaves them to another process, which has this object too (after a fork).
  void forget() { held_.clear(); }

 private:
  Placeholders() = default;
  struct Held {
    std::string path;
    UniqueFd directory;
  };
  std::vector<Held> held_;
};

}  // namespace insomnia::cell
