#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "registry/registry.hh"

namespace insomnia::registry {

/// What one instance holds (its own row, the reservations that it has made), in files beside its locks, from
/// which a registry that was lost is made anew. The registry tells it of every grant (SqliteOptions). Used by
/// the thread that uses the registry. Format: doc/registry.md.
class Holdings {
 public:
  /// The first file counts; the others are written when that is possible.
  Holdings(std::string instance_id, std::vector<std::string> files)
      : instance_id_(std::move(instance_id)), files_(std::move(files)) {}

  /// Adds it, or replaces what is there for the same pod_id. When it cannot be written, nothing has changed.
  Result<void> add(Holding const& holding);
  void remove(std::string const& pod_id, std::string const& instance_id);
  /// Writes those files that are missing.
  Result<void> restore();
  /// Removes the files: this instance holds nothing any more.
  void clear();

  std::vector<Holding> const& all() const { return held_; }

 private:
  Result<void> write(std::vector<Holding> const& held) const;

  std::string instance_id_;
  std::vector<std::string> files_;
  std::vector<Holding> held_;
};

std::string encode_holdings(std::string const& instance_id, std::vector<Holding> const& held);

/// What `instance_id` holds by this file; nothing when it is missing or was left by another instance. Corrupt
/// names the file.
Result<std::vector<Holding>> read_holdings(std::string const& path, std::string const& instance_id);

}  // namespace insomnia::registry
