#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/stream_collector.hh"
#include "llm/provider.hh"
#include "llm/request.hh"
#include "llm/retry.hh"
#include "wire/event.hh"
#include "wire/log_entry.hh"

/// The turn engine: a pure state machine. Inputs go in, effects come out; it does no I/O and reads no clock. Whoever
/// drives it carries out the effects in their order and reports back with inputs. The way of a turn is drawn in
/// ARCHITECTURE.md.
namespace insomnia::agent {

// ---- Inputs

/// A new user message. Refused (effect Refused) while a run is under way, and when it is blank and no mail brought it.
struct StartRun {
  wire::Segments input;
  std::vector<wire::SystemItem> attachments;  ///< resolved references, logged after the input
  bool delegated = false;                     ///< the parent's work: its end is reported
  std::optional<wire::MailRef> mail;          ///< the mail that it came with
};
/// Something that the model is to see at its next step; starts a run when idle, waits when paused. Refused without mail
/// when too many wait already; what came by mail is never refused.
struct Notice {
  wire::SystemItem item;
  std::optional<wire::MailRef> mail;
  std::string trigger = "notify";  ///< notify, pod_event
  bool delegated = false;
};
struct Resume {};
struct Cancel {};
struct Pause {};
/// What the call of the last CallModel brings. After AbortModel or ModelEnded there is none until the next CallModel.
struct ModelEvent {
  llm::StreamEvent event;
};
struct ModelEnded {
  std::optional<llm::CallFailure> failure;
};
struct ToolDone {
  uint64_t id = 0;
  wire::ToolResult result;
  std::vector<wire::LogRecord> extra;  ///< logged in the same write
};
struct AppendDone {
  uint64_t ticket = 0;
};
/// Nothing of the ticket is on disk. Later tickets may still succeed.
struct AppendFailed {
  uint64_t ticket = 0;
  Error error;
};
struct TimerFired {};

using Input = std::variant<StartRun, Notice, Resume, Cancel, Pause, ModelEvent, ModelEnded, ToolDone, AppendDone,
                           AppendFailed, TimerFired>;

// ---- Effects

/// Write these records in one piece; answer with AppendDone or AppendFailed for the ticket. Tickets are answered in
/// order.
struct AppendLog {
  uint64_t ticket = 0;
  std::vector<wire::LogRecord> records;
  bool durable = false;
};
struct Emit {
  wire::EventBody event;
};
/// Start a model call with Engine::request(); events come back as ModelEvent and ModelEnded.
struct CallModel {};
/// Drop the model call; nothing of it may come back.
struct AbortModel {};
/// Run a tool; exactly one ToolDone with this id comes back, also after CancelTool.
struct RunTool {
  uint64_t id = 0;
  wire::ToolCall call;
};
struct CancelTool {
  uint64_t id = 0;
};
/// One timer: TimerFired after the delay, unless set again or stopped.
struct SetTimer {
  int64_t delay_ms = 0;
};
struct StopTimer {};
/// The input cannot be taken now; code as in ErrorEvent.
struct Refused {
  std::string code;
  std::string message;
};
enum class Outcome { Finished, Failed, Paused, Cancelled, LimitReached, RolledBack };
/// A run has ended and its end is on disk, unless the log itself failed (then `report` is empty and nothing may be
/// acknowledged that was not logged). `report`: the number under which the parent is to be told. Notices that a failing
/// log left waiting start no run by themselves; the next input takes them in.
struct RunEnded {
  Outcome outcome = Outcome::Finished;
  std::string message;      ///< of a failure
  std::string last_answer;  ///< the run's last assistant text, whole even if it came in pieces; or ""
  std::optional<uint64_t> report;
};

using Effect =
    std::variant<AppendLog, Emit, CallModel, AbortModel, RunTool, CancelTool, SetTimer, StopTimer, Refused, RunEnded>;
using Effects = std::vector<Effect>;

/// Texts and limits that a Pod's manifest and prompts give.
struct EngineSettings {
  std::string system_prompt;
  std::vector<llm::ToolDefinition> tools;
  wire::RequestConfig config;
  std::optional<uint32_t> max_turns;  ///< per run
  llm::RetryPolicy retry;
  std::string cache_key;
  std::string interrupted_result = "[Interrupted by user]";
  std::string crashed_result =
      "[Interrupted: the Pod ended before this call's result was recorded. It may have had effects: look before you "
      "repeat it.]";
  std::string interrupt_note = "The previous run was interrupted before it was finished.";
  std::string continue_note =
      "Your answer was cut off. Continue exactly where it stopped; do not repeat what is already there.";
  int64_t cancel_grace_ms = 5'000;  ///< how long cancelled tools may take to answer
  int64_t pause_grace_ms = 3'000;   ///< how long running tools may finish after a pause before they are cancelled
  size_t max_notices = 128;         ///< notices that may wait; those with mail are counted but never refused
  uint64_t max_continuations = 3;
};

/// What a session's log gave back.
struct EngineState {
  std::vector<wire::Item> history;
  uint64_t turn_count = 0;
  uint64_t report_seq = 0;   ///< last report number used
  bool interrupted = false;  ///< the last run did not finish: the Pod starts paused
  bool end_known = false;    ///< … but its end was told to everybody (failed, cancelled): the Pod starts idle
  bool delegated = false;    ///< that run was the parent's work
};

class Engine {
 public:
  /// `random` gives numbers in [0, 1).
  Engine(EngineSettings settings, EngineState state, std::function<double()> random);

  /// `now_ms` is on a clock that never goes back.
  Effects handle(Input const& input, int64_t now_ms);

  /// The request for a CallModel effect. Valid until the next handle().
  llm::Request request() const;

  wire::PodStatus status() const { return status_; }
  /// A step is being taken: also between two runs while an end is being written.
  bool busy() const { return phase_ != Phase::Idle; }
  /// A run is under way whose end is reported to the parent.
  bool delegated() const { return busy() && delegated_; }
  bool has_pending_notices() const { return !notices_.empty(); }
  std::vector<wire::Item> const& history() const { return history_; }
  uint64_t turn_count() const { return turn_count_; }
  uint64_t llm_calls() const { return llm_calls_; }
  wire::InFlight in_flight() const;
  /// The first run of a segment sets the prompt, rendered once.
  void set_system_prompt(std::string prompt) { settings_.system_prompt = std::move(prompt); }
  EngineSettings const& settings() const { return settings_; }
  /// From now on no run starts by itself: the Pod is ending. Notices wait; those with mail come again at the next
  /// start.
  void close() { closing_ = true; }

 private:
  enum class Phase {
    Idle,
    Starting,    ///< the start of the run is being written
    Preparing,   ///< notices are being written before a request
    Streaming,   ///< a model call is under way
    BackingOff,  ///< waiting before the next attempt
    Committing,  ///< the model's answer is being written
    Tools,       ///< tools run
    Ending,      ///< the end of the run is being written
  };
  struct RunningTool {
    wire::ToolCall call;
    bool cancelled = false;
  };
  struct Ticket {
    size_t begin = 0;  ///< its items in the history: [begin, end)
    size_t end = 0;
    std::vector<wire::EventBody> events;  ///< shown when the records are on disk
    std::vector<Notice> notices;          ///< taken in by it; wait again when it cannot be written
  };
  /// How things stood before the run: what a run that gave nothing, or that never began, goes back to.
  struct Before {
    size_t history = 0;
    bool interrupted = false;
    bool delegated = false;
    wire::PodStatus status = wire::PodStatus::Idle;
  };

  void on(StartRun const& input);
  void on(Notice const& input);
  void on(Resume const& input);
  void on(Cancel const& input);
  void on(Pause const& input);
  void on(ModelEvent const& input);
  void on(ModelEnded const& input);
  void on(ToolDone const& input);
  void on(AppendDone const& input);
  void on(AppendFailed const& input);
  void on(TimerFired const& input);

  using Records = std::vector<wire::LogRecord>;
  using Events = std::vector<wire::EventBody>;

  void begin_run(std::string const& trigger, bool delegated, Records& records, Events& events);
  void start_pending_notices();
  bool may_start_by_itself() const {
    return status_ == wire::PodStatus::Idle && !busy() && !closing_ && !notices_.empty();
  }
  std::vector<Notice> take_notices(Records& records, Events& events);
  void close_open_calls(Records& records, Events& events);
  void add_system_item(wire::SystemItem const& item, std::optional<wire::MailRef> const& mail, Records& records,
                       Events& events);
  void add_interrupt_note(std::string const& body, Records& records, Events& events);

  void append(Records records, bool durable, Events events = {}, std::vector<Notice> notices = {});
  void appended();
  void forget(Ticket const& ticket);

  void next_step();
  void call_model();
  void attempt_call();
  void model_failed(llm::CallFailure const& failure);
  void finish_stream();
  void break_stream(std::string const& reason, int64_t wait_ms);
  void continue_turn(Records records, bool said_something, std::string const& reason, int64_t wait_ms);
  bool add_model_items(std::vector<wire::Item> items, Records& records);
  void drop_stream();
  void close_call();
  void report_usage(Records& records);

  void start_tools();
  void cancel_tools();
  void answer_interrupted();
  void tools_finished();

  void stop(bool pause);
  void end_run(Outcome outcome, std::string message = "", Records records = {}, std::string code = "provider_error");
  void run_not_begun();
  void run_ended(wire::PodStatus next);

  void emit(wire::EventBody event) { effects_.push_back(Emit{std::move(event)}); }
  void emit_all(Events events);
  void refuse(std::string code, std::string message);
  void set_timer(int64_t delay_ms);
  void stop_timer();
  void set_status(wire::PodStatus status);

  EngineSettings settings_;
  std::function<double()> random_;
  std::vector<wire::Item> history_;
  size_t logged_ = 0;  ///< items of the history that the log has, or has been given
  wire::PodStatus status_ = wire::PodStatus::Idle;
  Phase phase_ = Phase::Idle;
  bool interrupted_ = false;
  std::deque<Notice> notices_;

  // Of the run.
  bool delegated_ = false;
  Before before_;
  bool may_roll_back_ = false;  ///< a new user message that nothing has come of yet
  uint64_t run_turns_ = 0;
  bool stop_requested_ = false;
  bool pause_requested_ = false;
  Outcome outcome_ = Outcome::Finished;
  std::string end_message_;
  std::string end_code_;
  std::optional<uint64_t> report_;
  std::optional<std::string> log_error_;  ///< the log failed: the run ends as soon as nothing is under way
  std::string last_answer_;

  // Of the turn.
  std::optional<StreamCollector> stream_;
  std::optional<wire::InFlight> uncommitted_;  ///< what a finished stream gave, until it is on disk
  std::string turn_text_;
  bool turn_open_ = false;
  bool call_open_ = false;
  bool continuing_ = false;  ///< what is being written is followed by another call of the same turn
  int64_t continue_wait_ms_ = 0;
  int attempts_failed_ = 0;
  int64_t waited_ms_ = 0;
  int64_t call_started_ms_ = 0;
  uint64_t continuations_ = 0;
  std::map<uint64_t, RunningTool> tools_;
  std::vector<wire::ToolCall> next_tools_;

  uint64_t turn_count_ = 0;
  uint64_t llm_calls_ = 0;
  uint64_t report_seq_ = 0;
  uint64_t next_ticket_ = 1;
  uint64_t next_tool_ = 1;
  bool timer_set_ = false;
  bool closing_ = false;
  std::map<uint64_t, Ticket> open_tickets_;
  int64_t now_ms_ = 0;
  Effects effects_;
};

}  // namespace insomnia::agent
