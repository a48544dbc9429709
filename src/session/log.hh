#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "session/location.hh"
#include "session/replay.hh"
#include "session/segment_writer.hh"

/// The session log: one file of JSON lines per segment. Format: doc/session-format.md.
namespace insomnia::session {

/// Where a log stops making sense although records follow.
struct Damage {
  uint64_t line = 0;   ///< counted from 1
  std::string reason;  ///< what is wrong with it
  friend bool operator==(Damage const&, Damage const&) = default;
};

/// A segment that was read: raw lines (one per record, without blank lines) and folded state. A torn or NUL-padded tail is left
/// out and counted. Unknown kinds are skipped (their lines stay).
struct LoadedSegment {
  std::vector<std::string> lines;
  ReplayedState state;
  uint64_t torn_bytes = 0;
  std::optional<Damage> damage;  ///< only from salvage_segment
};

/// Reads a segment. Damage in the middle is Corrupt and names the line. An empty log has no entries and is no error.
Result<LoadedSegment> load_segment(std::string const& sessions_dir, Location const& location);

/// The same, but damage ends the reading instead of failing: what stands before it, for a fork that goes on from there.
Result<LoadedSegment> salvage_segment(std::string const& sessions_dir, Location const& location);

/// The state right after the first turn_end with this count (0: right after the segment_start); the whole log when there is
/// none. `lines` as load_segment gave them.
Result<ReplayedState> replay_until_turn(std::vector<std::string> const& lines, uint64_t turn_count);

}  // namespace insomnia::session
