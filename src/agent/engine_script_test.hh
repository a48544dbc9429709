#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/engine.hh"

/// What the engine's tests share: inputs in few words, effects as readable lines, and a driver that plays by the rules.
namespace insomnia::agent {

// ---- Inputs in few words

Input say(std::string text);
Input say_delegated(std::string text);
Input notice(std::string body);
Input notice_delegated(std::string body);
Input tool_done(uint64_t id, std::string summary);
Input append_done(uint64_t ticket);
Input append_failed(uint64_t ticket);
Input model(llm::StreamEvent event);
Input model_ended();
Input model_failed_with(std::string message, bool retryable = true, std::optional<int> status = std::nullopt,
                        std::optional<int64_t> retry_after_ms = std::nullopt);

/// Streams, event by event.
std::vector<Input> text_stream(std::string const& text);
std::vector<Input> tool_stream(std::vector<wire::ToolCall> const& calls);
std::vector<Input> finished(std::vector<Input> stream, llm::StopReason reason = llm::StopReason::EndTurn);

// ---- Printing

std::string print(wire::Item const& item);
std::string print(std::vector<wire::Item> const& history);
std::string print(wire::EventBody const& event);
std::string print(wire::LogRecord const& record);
/// One line for each effect.
std::string print(Effects const& effects);

// ---- The log's meaning, told a second time

struct Folded {
  std::vector<wire::Item> history;
  uint64_t turn_count = 0;
  uint64_t last_report = 0;
  bool interrupted = false;
  bool run_open = false;
  bool delegated = false;
};
/// What a log says: records of a run that was rolled back are undone back to its invoke.
Folded fold(std::vector<wire::LogRecord> const& log);
EngineState restart_state(std::vector<wire::LogRecord> const& log);
/// Result rows in the order of their calls.
std::vector<wire::Item> in_call_order(std::vector<wire::Item> items);

EngineSettings test_settings();

/// Drives an engine, keeps its log, and checks after each step what must always hold (the checks are failures of the
/// running test).
class Driver {
 public:
  /// A log that is not empty: the Pod was started again.
  explicit Driver(EngineSettings settings = test_settings(), std::vector<wire::LogRecord> log = {});

  /// Gives one input; returns the effects, printed.
  std::string in(Input const& input);
  /// Gives the inputs; after each one all appends are answered as done. Returns all effects, printed.
  std::string go(std::vector<Input> const& inputs);
  std::string go(Input const& input) { return go(std::vector<Input>{input}); }

  void close() {
    closed_ = true;
    engine_.close();
  }

  Engine& engine() { return engine_; }
  std::vector<wire::LogRecord> const& log() const { return log_; }
  std::deque<AppendLog> const& open_appends() const { return open_; }
  std::map<uint64_t, wire::ToolCall> const& running_tools() const { return tools_; }
  bool in_run() const { return in_run_; }
  bool calling() const { return calling_; }
  bool timer_set() const { return timer_; }
  std::vector<RunEnded> const& ends() const { return ends_; }
  /// The items of the last request, printed.
  std::string const& request() const { return request_; }
  int64_t now_ms = 0;

 private:
  void before(Input const& input);
  void carry_out(Effect const& effect);
  void called();
  void ended(RunEnded const& end);
  void check();
  void check_history();

  Engine engine_;
  std::vector<wire::LogRecord> log_;
  std::deque<AppendLog> open_;
  std::map<uint64_t, wire::ToolCall> tools_;
  std::vector<RunEnded> ends_;
  std::vector<wire::LogRecord> last_written_;
  std::string request_;
  std::string shown_;  ///< text that clients were shown since the call began
  uint64_t last_ticket_ = 0;
  uint64_t last_tool_ = 0;
  bool in_run_ = false;
  bool calling_ = false;
  bool timer_ = false;
  bool log_failed_ = false;
  bool closed_ = false;
};

}  // namespace insomnia::agent
