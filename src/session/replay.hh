#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "wire/log_entry.hh"

namespace insomnia::session {

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
  bool paused = false;                     ///< the last run was paused, or its end is not in the log
  bool run_open = false;                   ///< an invoke without its run_completed or run_errored
  bool run_delegated = false;              ///< the run of the last invoke, open or ended, was the parent's work
  uint64_t unknown_entries = 0;
  friend bool operator==(ReplayedState const&, ReplayedState const&) = default;
};

/// Folds entries in order (doc/session-format.md, "Replay"). Pure.
class Replay {
 public:
  /// What a run that is rolled back goes back to.
  struct Checkpoint {
    size_t history = 0;
    size_t user_segments = 0;
  };

  void apply(wire::LogEntry const& entry);
  ReplayedState take() { return std::move(state_); }

 private:
  ReplayedState state_;
  Checkpoint run_start_;
};

/// The first record of a segment that goes on where `state` stands: same session, prompt, settings and history, and the
/// numbers of the mail, so that nothing is taken in or reported twice. The lineage is the caller's.
wire::SegmentStart continuation_of(ReplayedState const& state);

}  // namespace insomnia::session
