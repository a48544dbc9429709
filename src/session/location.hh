#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"

namespace insomnia::session {

/// Where one segment lives: <sessions_dir>/<session_id>/<segment_id>.jsonl.
struct Location {
  std::string session_id;
  std::string segment_id;
  friend bool operator==(Location const&, Location const&) = default;
};

std::string segment_path(std::string const& sessions_dir, Location const& location);

/// Whether both ids can be names of files: not empty, no '/', no NUL, no leading '.'.
Result<void> check_location(Location const& location);

/// A record longer than this is refused when it is appended, so that every log can be read again.
inline constexpr size_t kMaxRecordBytes = 64u << 20;
/// So is a record that would make its segment longer than this: compaction starts a new segment.
inline constexpr uint64_t kMaxSegmentBytes = 480u << 20;

/// Session ids, newest first (the ids are UUIDs of version 7, so their order is their age unless the clock was set back; nothing is decided
/// by it). Other names are ignored.
Result<std::vector<std::string>> list_sessions(std::string const& sessions_dir);
/// Segment ids of one session, newest first; traces and stray files are ignored. A session that does not exist has none.
Result<std::vector<std::string>> list_segments(std::string const& sessions_dir, std::string const& session_id);
/// The session that holds a segment; nothing when no session does.
Result<std::optional<Location>> find_segment(std::string const& sessions_dir, std::string const& segment_id);

}  // namespace insomnia::session
