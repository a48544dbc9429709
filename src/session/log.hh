#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "base/unique_fd.hh"
#include "wire/log_entry.hh"

namespace insomnia::session {

/// Where one segment lives: <sessions_dir>/<session_id>/<segment_id>.jsonl.
struct Location {
  std::string session_id;
  std::string segment_id;
  friend bool operator==(Location const&, Location const&) = default;
};

std::string segment_path(std::string const& sessions_dir, Location const& location);

/// The append side of one segment. Blocking; the brain calls it on its log thread only. One write() per append call, each record a
/// line, newline = commit. After a failed append the file is cut back to its last whole record, so nothing half-written stays.
class SegmentWriter {
 public:
  /// Makes a new segment; its first record must be a SegmentStart.
  static Result<SegmentWriter> create(std::string const& sessions_dir, Location const& location);
  /// Continues a segment. A torn or NUL-padded tail is cut first (`cut_bytes` says how much).
  static Result<SegmentWriter> open(std::string const& sessions_dir, Location const& location);

  /// Appends whole lines (without newlines). `durable`: fdatasync before it returns.
  Result<void> append(std::vector<std::string> const& lines, bool durable);
  Result<void> sync();
  uint64_t cut_bytes() const { return cut_bytes_; }
  std::string const& path() const { return path_; }

 private:
  SegmentWriter(std::string path, UniqueFd fd, uint64_t size, uint64_t cut)
      : path_(std::move(path)), fd_(std::move(fd)), size_(size), cut_bytes_(cut) {}
  std::string path_;
  UniqueFd fd_;
  uint64_t size_ = 0;
  uint64_t cut_bytes_ = 0;
};

/// What a segment says, folded.
struct ReplayedState {
  std::string session_id;
  std::optional<std::string> system_prompt;
  wire::RequestConfig config;
  std::vector<wire::Item> history;
  std::vector<wire::Segments> user_segments;
  std::vector<wire::LlmUsage> usage;
  std::vector<wire::Extension> extensions;
  std::map<std::string, uint64_t> inbox;   ///< last mail taken in, by sender
  std::optional<uint64_t> last_report;     ///< number of the last end reported to the parent
  uint64_t turn_count = 0;
  uint64_t entries = 0;
  bool last_run_interrupted = false;       ///< also when the log ends inside a run
  bool run_open = false;                   ///< an invoke without its run_completed or run_errored
  bool run_delegated = false;              ///< that run was the parent's work
  uint64_t unknown_entries = 0;
};

/// Folds entries in order (spec protocol-session 7.3). Pure.
class Replay {
 public:
  void apply(wire::LogEntry const& entry);
  ReplayedState take() { return std::move(state_); }

 private:
  ReplayedState state_;
};

/// Reads a segment: raw lines and folded state. A torn or NUL-padded tail is left out and counted; damage in the middle is
/// Corrupt and names the line. Unknown kinds are skipped.
struct LoadedSegment {
  std::vector<std::string> lines;
  ReplayedState state;
  uint64_t torn_bytes = 0;
};
Result<LoadedSegment> load_segment(std::string const& sessions_dir, Location const& location);

}  // namespace insomnia::session
