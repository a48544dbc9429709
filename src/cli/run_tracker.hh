#pragma once

#include <optional>
#include <string>

#include "cli/exit_code.hh"
#include "client/run_confirmation.hh"
#include "wire/event.hh"

namespace insomnia::cli {

/// Follows one `run` request from its acceptance to the moment when the Pod has nothing left to do. Pure: fed
/// with every event of the root Pod, in order.
class RunTracker {
 public:
  explicit RunTracker(std::string request_id) : confirmation_(std::move(request_id)) {}

  void on_event(wire::Event const& event);

  bool accepted() const { return accepted_; }
  /// Why the Pod did not take the task.
  std::optional<Error> const& rejection() const { return rejection_; }
  /// Accepted, the run has ended and nothing more will happen by itself.
  bool settled() const { return accepted_ && settled_ && result_.has_value(); }
  /// Somebody paused the Pod: it waits for a human.
  bool paused() const { return accepted_ && paused_; }
  /// The Pod said that it ends.
  bool shut_down() const { return shut_down_; }
  wire::PodStatus status() const { return status_; }
  /// How the last run ended; nothing while one goes on.
  std::optional<std::string> const& result() const { return result_; }
  /// The exit code for the last result; kFailed when there is none.
  ExitCode exit_code() const;

 private:
  void on_snapshot(wire::SnapshotEvent const& snapshot);

  client::RunConfirmation confirmation_;
  bool accepted_ = false;
  bool settled_ = false;
  bool paused_ = false;
  bool shut_down_ = false;
  bool failed_ = false;  ///< an error came; a base server ends a failed run with nothing else
  bool over_budget_ = false;  ///< and it was that a call would have gone beyond a budget
  wire::PodStatus status_ = wire::PodStatus::Idle;
  std::optional<Error> rejection_;
  std::optional<std::string> result_;
};

}  // namespace insomnia::cli
