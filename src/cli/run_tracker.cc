#include "cli/run_tracker.hh"

#include "wire/log_entry.hh"

namespace insomnia::cli {

void RunTracker::on_event(wire::Event const& event) {
  if (auto outcome = confirmation_.on_event(event)) {
    if (*outcome) {
      accepted_ = true;
      // What was true of the Pod before is over: a paused one goes on with this run.
      paused_ = false;
      settled_ = false;
    } else {
      rejection_ = outcome->error();
    }
  }
  if (auto const* snapshot = std::get_if<wire::SnapshotEvent>(&event.body)) return on_snapshot(*snapshot);
  if (std::holds_alternative<wire::ShutdownEvent>(event.body)) shut_down_ = true;
  if (auto const* status = std::get_if<wire::StatusEvent>(&event.body)) {
    status_ = status->status;
    paused_ = status_ == wire::PodStatus::Paused;
    settled_ = status->settled;
    if (status_ == wire::PodStatus::Running) result_.reset();
    if (status_ == wire::PodStatus::Idle && accepted_ && !result_ && failed_) result_ = "failed";
  }
  if (!accepted_) return;
  if (std::holds_alternative<wire::InvokeStartEvent>(event.body) ||
      std::holds_alternative<wire::TurnStartEvent>(event.body)) {
    result_.reset();
    failed_ = over_budget_ = false;
  }
  if (auto const* error = std::get_if<wire::ErrorEvent>(&event.body); error != nullptr && !event.id) {
    failed_ = true;
    over_budget_ = error->code == "budget";
  }
  if (auto const* end = std::get_if<wire::RunEndEvent>(&event.body)) result_ = end->result;
}

void RunTracker::on_snapshot(wire::SnapshotEvent const& snapshot) {
  status_ = snapshot.status;
  paused_ = status_ == wire::PodStatus::Paused;
  settled_ = snapshot.settled;
  if (!accepted_ || status_ != wire::PodStatus::Idle) return;
  // Connected again: the end of the run may have come meanwhile.
  for (auto it = snapshot.entries.rbegin(); it != snapshot.entries.rend(); ++it) {
    auto entry = wire::decode_log_entry(*it);
    if (!entry) continue;
    if (auto const* completed = std::get_if<wire::RunCompleted>(&entry->record))
      result_ = completed->result;
    else if (std::holds_alternative<wire::RunErrored>(entry->record))
      result_ = "failed";
    else if (!std::holds_alternative<wire::Invoke>(entry->record))
      continue;
    return;
  }
}

ExitCode RunTracker::exit_code() const {
  if (!result_) return kFailed;
  if (*result_ == "finished") return kFinished;
  if (*result_ == "limit_reached" || over_budget_) return kLimitReached;
  if (*result_ == "paused" || *result_ == "cancelled" || *result_ == "rolled_back") return kInterrupted;
  return kFailed;
}

}  // namespace insomnia::cli
