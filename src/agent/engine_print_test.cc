#include "agent/engine_script_test.hh"

// Effects as readable lines.
namespace insomnia::agent {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

std::string reported(std::optional<uint64_t> const& report) {
  return report ? " report " + std::to_string(*report) : "";
}

std::string outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::Finished: return "finished";
    case Outcome::Failed: return "failed";
    case Outcome::Paused: return "paused";
    case Outcome::Cancelled: return "cancelled";
    case Outcome::LimitReached: return "limit_reached";
    case Outcome::RolledBack: return "rolled_back";
  }
  return "?";
}

std::string count(std::optional<uint64_t> const& number) {
  return number ? std::to_string(*number) : "-";
}

std::string print_effect(Effect const& effect) {
  return std::visit(Overloaded{
                        [](AppendLog const& log) {
                          std::string line = "log " + std::to_string(log.ticket) + (log.durable ? "!" : "") + ":";
                          for (size_t i = 0; i < log.records.size(); ++i)
                            line += (i == 0 ? " " : " | ") + print(log.records[i]);
                          return line;
                        },
                        [](Emit const& emit) { return "> " + print(emit.event); },
                        [](CallModel const&) { return std::string("call model"); },
                        [](AbortModel const&) { return std::string("abort model"); },
                        [](RunTool const& run) {
                          return "run " + std::to_string(run.id) + ": " + run.call.name + " " + run.call.call_id;
                        },
                        [](CancelTool const& cancel) { return "cancel " + std::to_string(cancel.id); },
                        [](SetTimer const& timer) { return "timer " + std::to_string(timer.delay_ms); },
                        [](StopTimer const&) { return std::string("stop timer"); },
                        [](Refused const& refused) { return "refused " + refused.code; },
                        [](RunEnded const& end) {
                          return "END " + outcome_name(end.outcome) + " '" + end.last_answer + "'" +
                                 reported(end.report);
                        },
                    },
                    effect);
}

}  // namespace

std::string print(wire::Item const& item) {
  return std::visit(
      Overloaded{
          [](wire::Message const& message) {
            static constexpr char const* kRoles[] = {"user", "assistant", "system"};
            return std::string(kRoles[static_cast<size_t>(message.role)]) + " '" + wire::message_text(message) + "'";
          },
          [](wire::ToolCall const& call) { return "call " + call.name + " " + call.call_id + " " + call.arguments; },
          [](wire::ToolResult const& result) {
            return "result " + result.call_id + (result.is_error ? " ERROR '" : " '") + wire::result_text(result) + "'";
          },
          [](wire::Reasoning const& reasoning) { return "reasoning '" + reasoning.text + "'"; },
      },
      item);
}

std::string print(std::vector<wire::Item> const& history) {
  std::string lines;
  for (auto const& item : history) lines += print(item) + "\n";
  return lines;
}

std::string print(wire::LogRecord const& record) {
  return std::visit(Overloaded{
                        [](wire::Invoke const& invoke) {
                          return "invoke " + invoke.trigger + (invoke.delegated ? " delegated" : "");
                        },
                        [](wire::UserInput const& input) {
                          return "user_input '" + wire::flatten(input.segments) + "'" +
                                 (input.mail ? " mail " + input.mail->sender : "");
                        },
                        [](wire::SystemItemRecord const& system) {
                          return system.item.kind + " '" + system.item.body + "'" +
                                 (system.mail ? " mail " + system.mail->sender : "");
                        },
                        [](wire::AssistantItem const& assistant) { return print(assistant.item); },
                        [](wire::ToolResultRecord const& result) { return print(wire::Item(result.item)); },
                        [](wire::TurnEndRecord const& end) { return "turn_end " + std::to_string(end.turn_count); },
                        [](wire::LlmUsage const& usage) {
                          return "usage " + std::to_string(usage.history_len) + " items " +
                                 std::to_string(usage.input_total_tokens) + "/" + std::to_string(usage.output_tokens);
                        },
                        [](wire::Extension const& extension) { return "extension " + extension.domain; },
                        [](wire::RunCompleted const& completed) {
                          return "completed " + completed.result + (completed.interrupted ? " interrupted" : "") +
                                 reported(completed.report);
                        },
                        [](wire::RunErrored const& errored) {
                          return "errored '" + errored.message + "'" + reported(errored.report);
                        },
                        [](auto const&) { return std::string("other record"); },
                    },
                    record);
}

std::string print(wire::EventBody const& event) {
  std::string name(wire::event_name(event));
  return std::visit(
      Overloaded{
          [&](wire::SystemItemEvent const&) { return name; },
          [&](wire::InvokeStartEvent const& e) { return name + " " + e.kind; },
          [&](wire::UserMessageEvent const& e) { return name + " '" + wire::flatten(e.segments) + "'"; },
          [&](wire::TurnStartEvent const& e) { return name + " " + std::to_string(e.turn); },
          [&](wire::TurnEndEvent const& e) { return name + " " + std::to_string(e.turn); },
          [&](wire::LlmCallStartEvent const& e) { return name + " " + std::to_string(e.llm_call); },
          [&](wire::LlmCallEndEvent const& e) { return name + " " + std::to_string(e.llm_call); },
          [&](wire::LlmRetryEvent const& e) {
            return name + " call " + std::to_string(e.llm_call) + " failed " + std::to_string(e.failed_attempt) +
                   " of " + std::to_string(e.max_attempts) + " wait " + std::to_string(e.wait_ms) + " elapsed " +
                   std::to_string(e.elapsed_ms) + (e.status ? " status " + std::to_string(*e.status) : "") + " '" +
                   e.error + "'";
          },
          [&](wire::LlmContinuationEvent const& e) {
            return name + " call " + std::to_string(e.llm_call) + ", " + std::to_string(e.attempt) + " of " +
                   std::to_string(e.max_attempts) + " '" + e.reason + "'";
          },
          [&](wire::TextDeltaEvent const& e) { return name + " '" + e.text + "'"; },
          [&](wire::TextDoneEvent const& e) { return name + " '" + e.text + "'"; },
          [&](wire::ThinkingDeltaEvent const& e) { return name + " '" + e.text + "'"; },
          [&](wire::ThinkingDoneEvent const& e) { return name + " '" + e.text + "'"; },
          [&](wire::ToolCallStartEvent const& e) { return name + " " + e.id; },
          [&](wire::ToolCallArgsDeltaEvent const& e) { return name + " " + e.id + " " + e.json; },
          [&](wire::ToolCallDoneEvent const& e) { return name + " " + e.id + " " + e.arguments; },
          [&](wire::ToolResultEvent const& e) {
            return name + " " + e.id + (e.is_error ? " ERROR '" : " '") + e.summary + "'";
          },
          [&](wire::UsageEvent const& e) { return name + " " + count(e.input_tokens) + "/" + count(e.output_tokens); },
          [&](wire::RunEndEvent const& e) { return name + " " + e.result; },
          [&](wire::StatusEvent const& e) { return name + " " + std::string(wire::status_name(e.status)); },
          [&](wire::ErrorEvent const& e) { return name + " " + e.code + " '" + e.message + "'"; },
          [&](auto const&) { return name; },
      },
      event);
}

std::string print(Effects const& effects) {
  std::string lines;
  for (auto const& effect : effects) lines += print_effect(effect) + "\n";
  return lines;
}

}  // namespace insomnia::agent
