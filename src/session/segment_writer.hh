#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hh"
#include "base/unique_fd.hh"
#include "session/location.hh"

namespace insomnia::session {

/// The append side of one segment. Blocking; the brain calls it on its log thread only. One write() per append call, each record a
/// line, newline = commit. After a failed append the file is cut back to its last whole record, so nothing half-written stays.
/// That there is one writer is proven by the Pod's lock, not here; but a file that changed behind the writer's back is noticed
/// and left alone (Conflict).
class SegmentWriter {
 public:
  /// Makes the directory of a segment that will be created: half of what create() needs, so that it can be done beforehand.
  static Result<void> prepare(std::string const& sessions_dir, Location const& location);
  /// Makes a new segment; its first record must be a SegmentStart. Directories and the file get into their parents durably.
  static Result<SegmentWriter> create(std::string const& sessions_dir, Location const& location);
  /// Continues a segment. A torn or NUL-padded tail is cut first (`cut_bytes` says how much).
  static Result<SegmentWriter> open(std::string const& sessions_dir, Location const& location);

  /// Appends whole lines (without newlines): all of them or, on an error, none. `durable`: fdatasync before it returns. When
  /// that sync fails nobody knows what reached the disk: the writer refuses everything from then on, a new one starts from
  /// what is there.
  Result<void> append(std::vector<std::string> const& lines, bool durable);
  Result<void> sync();
  /// Keeps the first `entries` records, durably: for rewind and rollback. Cutting an append-only file is one step for the
  /// file system, so a crash leaves the old length or the new one.
  Result<void> truncate(uint64_t entries);

  uint64_t cut_bytes() const { return cut_bytes_; }
  uint64_t size() const { return size_; }
  std::string const& path() const { return path_; }

 private:
  SegmentWriter(std::string path, UniqueFd fd, uint64_t size, uint64_t cut)
      : path_(std::move(path)), fd_(std::move(fd)), size_(size), cut_bytes_(cut) {}

  Result<void> check_usable();
  Result<std::string> join(std::vector<std::string> const& lines) const;
  Result<void> cut_back();

  std::string path_;
  UniqueFd fd_;
  uint64_t size_ = 0;
  uint64_t cut_bytes_ = 0;
  bool cut_is_due_ = false;  ///< a failed append left bytes behind that could not be cut yet
  bool sync_failed_ = false;
};

}  // namespace insomnia::session
