#include "client/run_confirmation.hh"

namespace insomnia::client {

std::optional<Result<void>> RunConfirmation::on_event(wire::Event const& event) {
  if (decided_) return std::nullopt;
  if (auto const* snapshot = std::get_if<wire::SnapshotEvent>(&event.body)) {
    have_snapshot_ = true;
    was_running_ = snapshot->status == wire::PodStatus::Running;
    return std::nullopt;
  }
  // Somebody else's answer says nothing about this request. Servers without ids leave the field out.
  if (event.id && *event.id != request_id_) return std::nullopt;
  if (auto const* error = std::get_if<wire::ErrorEvent>(&event.body)) {
    decided_ = true;
    if (error->code == "already_running")
      return fail(Code::Conflict, "the Pod is already running: " + error->message);
    return fail(Code::InvalidArgument,
                "the Pod rejected the message (" + error->code + "): " + error->message);
  }
  if (!have_snapshot_ || !proves_acceptance(event)) return std::nullopt;
  decided_ = true;
  return Result<void>{};
}

bool RunConfirmation::proves_acceptance(wire::Event const& event) const {
  if (std::holds_alternative<wire::UserMessageEvent>(event.body)) return true;
  if (auto const* start = std::get_if<wire::InvokeStartEvent>(&event.body)) return start->kind == "user_send";
  // A Pod that was at work goes on with the turns of that work.
  return std::holds_alternative<wire::TurnStartEvent>(event.body) && (event.id || !was_running_);
}

}  // namespace insomnia::client
