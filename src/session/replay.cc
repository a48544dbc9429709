#include "session/replay.hh"

#include <algorithm>

namespace insomnia::session {
namespace {

struct Fold {
  ReplayedState& state;
  Replay::Checkpoint& run_start;

  void take_mail(std::optional<wire::MailRef> const& mail) const {
    if (!mail) return;
    uint64_t& last = state.inbox[mail->sender];
    last = std::max(last, mail->seq);
  }
  void end_run(bool interrupted, std::optional<uint64_t> const& report) const {
    state.run_open = false;
    state.last_run_interrupted = interrupted;
    if (report) state.last_report = std::max(state.last_report.value_or(0), *report);
  }

  void operator()(wire::SegmentStart const& r) const {
    state.session_id = r.session_id;
    state.system_prompt = r.system_prompt;
    state.config = r.config;
    state.history = r.history;
    state.inbox = r.inbox;
    state.last_report = r.last_report;
  }
  void operator()(wire::Invoke const& r) const {
    // A second invoke can stand inside a run; what undoes the run is its first.
    if (!state.run_open) run_start = {state.history.size(), state.user_segments.size()};
    state.run_open = true;
    state.run_delegated = r.delegated;
    state.last_run_interrupted = true;
    state.paused = true;
  }
  void operator()(wire::UserInput const& r) const {
    state.history.push_back(wire::user_message(wire::flatten(r.segments)));
    state.user_segments.push_back(r.segments);
    take_mail(r.mail);
  }
  void operator()(wire::SystemItemRecord const& r) const {
    state.history.push_back(wire::system_message(r.item.body));
    take_mail(r.mail);
  }
  void operator()(wire::AssistantItem const& r) const { state.history.push_back(r.item); }
  void operator()(wire::ToolResultRecord const& r) const { state.history.push_back(r.item); }
  void operator()(wire::TurnEndRecord const& r) const { state.turn_count = r.turn_count; }
  void operator()(wire::LlmUsage const& r) const { state.usage.push_back(r); }
  void operator()(wire::Extension const& r) const { state.extensions.push_back(r); }
  void operator()(wire::ConfigChanged const& r) const { state.config = r.config; }
  void operator()(wire::RunCompleted const& r) const {
    if (r.result == "rolled_back" && state.run_open) {
      state.history.resize(run_start.history);
      state.user_segments.resize(run_start.user_segments);
    }
    end_run(r.interrupted, r.report);
    state.paused = r.result == "paused";
  }
  void operator()(wire::RunErrored const& r) const {
    end_run(r.interrupted, r.report);
    state.paused = false;
  }
  void operator()(wire::UnknownEntry const&) const { ++state.unknown_entries; }
};

}  // namespace

void Replay::apply(wire::LogEntry const& entry) {
  ++state_.entries;
  std::visit(Fold{state_, run_start_}, entry.record);
}

wire::SegmentStart continuation_of(ReplayedState const& state) {
  wire::SegmentStart start;
  start.session_id = state.session_id;
  start.system_prompt = state.system_prompt;
  start.config = state.config;
  start.history = state.history;
  start.inbox = state.inbox;
  start.last_report = state.last_report;
  return start;
}

}  // namespace insomnia::session
