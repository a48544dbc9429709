#include "agent/engine.hh"

#include <algorithm>

#include "agent/history.hh"
#include "base/text.hh"

// Starting, stopping and ending runs, and the log. The steps of a run: engine_turn.cc.
namespace insomnia::agent {

Engine::Engine(EngineSettings settings, EngineState state, std::function<double()> random)
    : settings_(std::move(settings)),
      random_(std::move(random)),
      history_(std::move(state.history)),
      logged_(history_.size()),
      interrupted_(state.interrupted),
      delegated_(state.delegated),
      turn_count_(state.turn_count),
      report_seq_(state.report_seq) {
  if (interrupted_ && !state.end_known) status_ = wire::PodStatus::Paused;
}

Effects Engine::handle(Input const& input, int64_t now_ms) {
  effects_.clear();
  now_ms_ = now_ms;
  std::visit([this](auto const& specific) { on(specific); }, input);
  return std::move(effects_);
}

llm::Request Engine::request() const {
  return {.system_prompt = settings_.system_prompt,
          .items = history_,
          .tools = settings_.tools,
          .config = settings_.config,
          .cache_anchor = std::nullopt,
          .cache_key = settings_.cache_key};
}

wire::InFlight Engine::in_flight() const {
  wire::InFlight result;
  if (uncommitted_) result = *uncommitted_;
  else if (stream_) result = stream_->in_flight();
  for (auto const& [id, tool] : tools_) {
    result.tool_calls.push_back({tool.call.call_id, tool.call.name, tool.call.arguments});
  }
  return result;
}

// ---- Starting

void Engine::on(StartRun const& input) {
  if (busy()) {
    refuse("already_running", "the Pod is running; wait for the end of its run, or send a notification");
    return;
  }
  std::string text = wire::flatten(input.input);
  if (!input.mail && text::trim(text).empty()) {
    refuse("invalid_request", "the message is empty; write what the Pod is to do");
    return;
  }
  Records records;
  Events events;
  close_open_calls(records, events);
  bool was_interrupted = interrupted_;
  events.emplace_back(wire::UserMessageEvent{input.input});
  begin_run("user_send", input.delegated, records, events);
  may_roll_back_ = true;
  if (was_interrupted) add_interrupt_note(settings_.interrupt_note, records, events);
  records.emplace_back(wire::UserInput{input.input, input.mail});
  history_.push_back(wire::user_message(std::move(text)));
  for (auto const& attachment : input.attachments) add_system_item(attachment, std::nullopt, records, events);
  append(std::move(records), true, std::move(events));
}

void Engine::on(Notice const& input) {
  if (!input.mail && notices_.size() >= settings_.max_notices) {
    refuse("invalid_request",
           std::to_string(notices_.size()) +
               " notifications wait for this Pod already; let it work (a paused Pod: resume it), then send again");
    return;
  }
  notices_.push_back(input);
  if (may_start_by_itself()) start_pending_notices();
}

void Engine::start_pending_notices() {
  Records records;
  Events events;
  close_open_calls(records, events);
  bool delegated = std::any_of(notices_.begin(), notices_.end(), [](Notice const& notice) { return notice.delegated; });
  begin_run(notices_.front().trigger, delegated, records, events);
  auto taken = take_notices(records, events);
  append(std::move(records), true, std::move(events), std::move(taken));
}

void Engine::on(Resume const&) {
  if (busy()) {
    refuse("already_running", "the Pod is running already");
    return;
  }
  if (status_ != wire::PodStatus::Paused) {
    refuse("not_paused", "the Pod is not paused; there is nothing to resume");
    return;
  }
  Records records;
  Events events;
  close_open_calls(records, events);
  begin_run("wakeup", delegated_, records, events);
  // A request must not end with the model's own words, nor be empty.
  if (ends_with_model(history_) || history_.empty()) add_interrupt_note(settings_.interrupt_note, records, events);
  append(std::move(records), true, std::move(events));
}

/// REQUIRES: close_open_calls() was called, so that no call of an earlier run is undone with this one.
void Engine::begin_run(std::string const& trigger, bool delegated, Records& records, Events& events) {
  before_ = {history_.size(), interrupted_, delegated_, status_};
  phase_ = Phase::Starting;
  status_ = wire::PodStatus::Running;
  delegated_ = delegated;
  interrupted_ = false;
  may_roll_back_ = false;
  run_turns_ = 0;
  stop_requested_ = false;
  pause_requested_ = false;
  log_error_.reset();
  last_answer_.clear();
  continuations_ = 0;
  turn_open_ = false;
  call_open_ = false;
  records.emplace_back(wire::Invoke{trigger, delegated});
  events.emplace_back(wire::StatusEvent{wire::PodStatus::Running});
  events.emplace_back(wire::InvokeStartEvent{trigger});
}

/// Calls whose end nobody saw are never run again: they may have had effects.
void Engine::close_open_calls(Records& records, Events& events) {
  for (auto const& call : unanswered_calls(history_)) {
    wire::ToolResult result{
        .call_id = call.call_id, .summary = settings_.crashed_result, .content = std::nullopt, .is_error = true};
    events.emplace_back(wire::ToolResultEvent{result.call_id, result.summary, result.content, result.is_error});
    records.emplace_back(wire::ToolResultRecord{result});
    history_.emplace_back(std::move(result));
  }
}

std::vector<Notice> Engine::take_notices(Records& records, Events& events) {
  std::vector<Notice> taken(std::make_move_iterator(notices_.begin()), std::make_move_iterator(notices_.end()));
  notices_.clear();
  for (auto const& notice : taken) add_system_item(notice.item, notice.mail, records, events);
  return taken;
}

void Engine::add_system_item(wire::SystemItem const& item, std::optional<wire::MailRef> const& mail, Records& records,
                             Events& events) {
  records.emplace_back(wire::SystemItemRecord{item, mail});
  history_.push_back(wire::system_message(item.body));
  events.emplace_back(wire::SystemItemEvent{wire::encode_system_item(item)});
}

void Engine::add_interrupt_note(std::string const& body, Records& records, Events& events) {
  add_system_item({.kind = "interrupt", .body = body}, std::nullopt, records, events);
}

// ---- The log

/// Everything that was put into the history since the last call belongs to these records.
void Engine::append(Records records, bool durable, Events events, std::vector<Notice> notices) {
  if (records.empty()) {  // REQUIRES: nothing is being written
    emit_all(std::move(events));
    uncommitted_.reset();
    appended();
    return;
  }
  uint64_t ticket = next_ticket_++;
  open_tickets_.emplace(ticket, Ticket{logged_, history_.size(), std::move(events), std::move(notices)});
  logged_ = history_.size();
  effects_.push_back(AppendLog{ticket, std::move(records), durable});
}

void Engine::on(AppendDone const& input) {
  auto it = open_tickets_.find(input.ticket);
  if (it == open_tickets_.end()) return;
  emit_all(std::move(it->second.events));
  open_tickets_.erase(it);
  if (!open_tickets_.empty()) return;
  uncommitted_.reset();
  appended();
}

void Engine::appended() {
  switch (phase_) {
    case Phase::Starting:
    case Phase::Preparing: next_step(); break;
    case Phase::Committing:
      if (!continuing_) {
        start_tools();
      } else if (continue_wait_ms_ > 0 && !stop_requested_) {
        phase_ = Phase::BackingOff;
        set_timer(continue_wait_ms_);
      } else {
        next_step();
      }
      break;
    case Phase::Tools:
      if (tools_.empty()) tools_finished();
      break;
    case Phase::Ending: run_ended(outcome_ == Outcome::Paused ? wire::PodStatus::Paused : wire::PodStatus::Idle); break;
    case Phase::Idle:
    case Phase::Streaming:
    case Phase::BackingOff: break;  // nothing is being written
  }
}

void Engine::on(AppendFailed const& input) {
  auto it = open_tickets_.find(input.ticket);
  if (it == open_tickets_.end()) return;
  forget(it->second);
  open_tickets_.erase(it);
  uncommitted_.reset();
  if (!log_error_) log_error_ = "cannot write the session log, so the run stops here: " + input.error.message;
  switch (phase_) {
    case Phase::Starting: run_not_begun(); break;
    case Phase::Tools:
      // Whatever runs is told to stop; results that can be written after all are.
      if (!tools_.empty()) cancel_tools();
      else if (open_tickets_.empty()) tools_finished();
      break;
    case Phase::Ending:
      outcome_ = Outcome::Failed;
      end_message_ = *log_error_;
      end_code_ = "internal";
      interrupted_ = true;
      if (report_) --report_seq_;  // nobody has seen the number
      report_.reset();
      run_ended(wire::PodStatus::Idle);
      break;
    default: next_step(); break;
  }
}

/// What is not on disk was never said: its items leave the history, its notices wait again.
void Engine::forget(Ticket const& ticket) {
  auto begin = history_.begin() + static_cast<std::ptrdiff_t>(ticket.begin);
  size_t count = ticket.end - ticket.begin;
  history_.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
  logged_ -= count;
  for (auto& [id, other] : open_tickets_) {
    if (other.begin < ticket.end) continue;
    other.begin -= count;
    other.end -= count;
  }
  notices_.insert(notices_.begin(), ticket.notices.begin(), ticket.notices.end());
}

// ---- Stopping

void Engine::on(Cancel const&) {
  if (!busy()) refuse("not_running", "the Pod is not running; there is nothing to cancel");
  else stop(false);
}

void Engine::on(Pause const&) {
  if (busy()) stop(true);
  else if (status_ != wire::PodStatus::Paused)
    refuse("not_running", "the Pod is not running; there is nothing to pause");
}

void Engine::stop(bool pause) {
  if (phase_ == Phase::Ending) return;
  bool first = !stop_requested_;
  pause_requested_ = pause && (first || pause_requested_);
  stop_requested_ = true;
  switch (phase_) {
    case Phase::Streaming: {
      effects_.push_back(AbortModel{});
      Records records;
      report_usage(records);
      end_run(pause ? Outcome::Paused : Outcome::Cancelled, "", std::move(records));
      break;
    }
    case Phase::BackingOff:
      stop_timer();
      end_run(pause ? Outcome::Paused : Outcome::Cancelled);
      break;
    case Phase::Tools:
      if (tools_.empty()) break;
      if (!pause) cancel_tools();
      else if (first && !timer_set_) set_timer(settings_.pause_grace_ms);
      break;
    default: break;  // seen when what is being written is on disk
  }
}

// ---- Ending

void Engine::end_run(Outcome outcome, std::string message, Records records, std::string code) {
  drop_stream();
  close_call();
  bool stopped = outcome == Outcome::Cancelled || outcome == Outcome::Paused;
  if (stopped && may_roll_back_) {
    outcome = Outcome::RolledBack;
    interrupted_ = before_.interrupted;
    records.clear();
  } else {
    interrupted_ = stopped || outcome == Outcome::Failed;
  }
  outcome_ = outcome;
  end_message_ = std::move(message);
  end_code_ = std::move(code);
  report_.reset();
  if (delegated_) report_ = ++report_seq_;

  auto completed = [&](std::string result) { return wire::RunCompleted{interrupted_, std::move(result), report_}; };
  switch (outcome) {
    case Outcome::Finished: records.emplace_back(completed("finished")); break;
    case Outcome::LimitReached: records.emplace_back(completed("limit_reached")); break;
    case Outcome::Paused: records.emplace_back(completed("paused")); break;
    case Outcome::Cancelled: records.emplace_back(completed("cancelled")); break;
    case Outcome::RolledBack: records.emplace_back(completed("rolled_back")); break;
    case Outcome::Failed: records.emplace_back(wire::RunErrored{true, end_message_, report_}); break;
  }
  phase_ = Phase::Ending;
  append(std::move(records), true);
}

/// The start could not be written: there was no run, and all is as it was before it.
void Engine::run_not_begun() {
  interrupted_ = before_.interrupted;
  delegated_ = before_.delegated;
  outcome_ = Outcome::Failed;
  end_message_ = *log_error_;
  end_code_ = "internal";
  report_.reset();
  run_ended(before_.status);
}

void Engine::run_ended(wire::PodStatus next) {
  static constexpr std::string_view kResults[] = {"finished",  "failed",        "paused",
                                                  "cancelled", "limit_reached", "rolled_back"};
  phase_ = Phase::Idle;
  if (outcome_ == Outcome::RolledBack) {
    history_.resize(before_.history);
    logged_ = history_.size();
  }
  if (outcome_ == Outcome::Failed) emit(wire::ErrorEvent{end_code_, end_message_});
  emit(wire::RunEndEvent{std::string(kResults[static_cast<size_t>(outcome_)])});
  effects_.push_back(RunEnded{outcome_, end_message_, last_answer_, report_});
  set_status(next);
  // What came after the last request must not wait for the next message; but a broken log would only break again.
  if (may_start_by_itself() && !log_error_) start_pending_notices();
}

// ---- Effects

void Engine::emit_all(Events events) {
  for (auto& event : events) emit(std::move(event));
}

void Engine::refuse(std::string code, std::string message) {
  effects_.push_back(Refused{std::move(code), std::move(message)});
}

void Engine::set_timer(int64_t delay_ms) {
  timer_set_ = true;
  effects_.push_back(SetTimer{delay_ms});
}

void Engine::stop_timer() {
  if (!timer_set_) return;
  timer_set_ = false;
  effects_.push_back(StopTimer{});
}

void Engine::set_status(wire::PodStatus status) {
  status_ = status;
  emit(wire::StatusEvent{status});
}

}  // namespace insomnia::agent
