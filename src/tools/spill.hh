#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "base/unique_fd.hh"

namespace insomnia::tools {

/// The Pod's directory for outputs that are too long to show. What is kept there is removed with this object, and the oldest
/// outputs before, when together they pass the quota. Any thread.
class SpillStore {
 public:
  /// `handle`: of the directory, when its path can't be written through; none: it is written by its path.
  explicit SpillStore(std::string directory, UniqueFd handle = {});
  ~SpillStore();
  SpillStore(SpillStore const&) = delete;
  SpillStore& operator=(SpillStore const&) = delete;

  struct File {
    UniqueFd fd;
    std::string path;
  };
  /// A new empty file "<kind>-<number>.log", mode 0600, for appending and reading; the directory is made when it is missing.
  Result<File> create(std::string_view kind);
  /// The file is complete and stays, as long as the quota allows.
  void keep(std::string const& path, uint64_t bytes);
  void remove(std::string const& path);
  /// The file is no longer this object's: it stays.
  void forget(std::string const& path);

  /// Canonical once the directory exists.
  std::string directory() const;

 private:
  struct Kept {
    std::string path;
    uint64_t bytes = 0;
  };
  int unlink(std::string const& path) const;
  mutable std::mutex mutex_;
  std::string directory_;
  UniqueFd const handle_;
  std::deque<Kept> kept_;       ///< oldest first
  std::deque<std::string> open_;
  uint64_t kept_bytes_ = 0;
};

}  // namespace insomnia::tools
