#include <algorithm>

#include "agent/engine.hh"
#include "agent/history.hh"

// The steps of a run: model calls with retries and continuations, and the tools that they ask for.
namespace insomnia::agent {

void Engine::next_step() {
  if (log_error_) {
    end_run(Outcome::Failed, *log_error_, {}, "internal");
    return;
  }
  if (stop_requested_) {
    end_run(pause_requested_ ? Outcome::Paused : Outcome::Cancelled);
    return;
  }
  if (notices_.empty()) {
    call_model();
    return;
  }
  Records records;
  Events events;
  auto from_parent =
      std::find_if(notices_.begin(), notices_.end(), [](Notice const& notice) { return notice.delegated; });
  if (from_parent != notices_.end() && !delegated_) {
    // The parent's work joins a run that was not its own: from here on its end is reported, also after a crash.
    delegated_ = true;
    records.emplace_back(wire::Invoke{from_parent->trigger, true});
    events.emplace_back(wire::InvokeStartEvent{from_parent->trigger});
  }
  auto taken = take_notices(records, events);
  may_roll_back_ = false;  // they would be lost
  phase_ = Phase::Preparing;
  append(std::move(records), true, std::move(events), std::move(taken));
}

// ---- The model call

void Engine::call_model() {
  order_results(history_);  // not earlier: a ticket names the items that it wrote by their place
  if (!turn_open_) {
    turn_open_ = true;
    turn_text_.clear();
    emit(wire::TurnStartEvent{turn_count_});
  }
  call_open_ = true;
  continuing_ = false;
  attempts_failed_ = 0;
  waited_ms_ = 0;
  call_started_ms_ = now_ms_;
  emit(wire::LlmCallStartEvent{llm_calls_});
  attempt_call();
}

void Engine::attempt_call() {
  phase_ = Phase::Streaming;
  stream_.emplace();
  effects_.push_back(CallModel{});
}

void Engine::on(ModelEvent const& input) {
  if (phase_ != Phase::Streaming) return;
  emit_all(stream_->take(input.event));
  if (stream_->active()) may_roll_back_ = false;
}

void Engine::on(ModelEnded const& input) {
  if (phase_ != Phase::Streaming) return;
  if (stream_->completed()) finish_stream();  // what fails after the answer's end does not matter
  else if (input.failure) model_failed(*input.failure);
  else if (stream_->active()) break_stream("the stream ended before its end event", 0);
  else model_failed({.error = {Code::Unavailable, "the model's stream ended before anything came"}, .retryable = true});
}

void Engine::model_failed(llm::CallFailure const& failure) {
  if (stream_->active() && failure.retryable) {
    auto wait = llm::next_wait_ms(settings_.retry, failure, static_cast<int>(continuations_) + 1, 0, random_());
    break_stream(failure.error.message, wait.value_or(0));
    return;
  }
  ++attempts_failed_;
  std::optional<int64_t> wait;
  if (failure.retryable) wait = llm::next_wait_ms(settings_.retry, failure, attempts_failed_, waited_ms_, random_());
  if (!wait) {
    end_run(Outcome::Failed, failure.error.message, {}, failure.api_code == "budget" ? "budget" : "provider_error");
    return;
  }
  emit(wire::LlmRetryEvent{.llm_call = llm_calls_,
                           .failed_attempt = static_cast<uint64_t>(attempts_failed_),
                           .max_attempts = static_cast<uint64_t>(settings_.retry.max_attempts),
                           .wait_ms = static_cast<uint64_t>(*wait),
                           .elapsed_ms = static_cast<uint64_t>(std::max<int64_t>(0, now_ms_ - call_started_ms_)),
                           .status = failure.status,
                           .error = failure.error.message});
  waited_ms_ += *wait;
  phase_ = Phase::BackingOff;
  drop_stream();
  set_timer(*wait);
}

/// The stream broke after something of it was shown: that stays, and the model is asked for the rest.
void Engine::break_stream(std::string const& reason, int64_t wait_ms) {
  Records records;
  report_usage(records);
  uncommitted_ = stream_->in_flight();
  uncommitted_->tool_calls.clear();
  bool said_something = add_model_items(stream_->salvage(), records);
  drop_stream();
  if (continuations_ >= settings_.max_continuations) {
    end_run(Outcome::Failed, "LLM stream interrupted too many times: " + reason, std::move(records));
  } else {
    continue_turn(std::move(records), said_something, reason, wait_ms);
  }
}

void Engine::finish_stream() {
  auto reason = stream_->stop_reason().value_or(llm::StopReason::EndTurn);
  bool refused = reason == llm::StopReason::Refusal || reason == llm::StopReason::ContentFilter;
  Records records;
  report_usage(records);
  uncommitted_ = stream_->in_flight();
  auto items = stream_->items();
  auto is_call = [](wire::Item const& item) { return std::holds_alternative<wire::ToolCall>(item); };
  if (refused) std::erase_if(items, is_call);  // they are not run, so there would be no answers
  next_tools_.clear();
  for (auto const& item : items) {
    if (is_call(item)) next_tools_.push_back(std::get<wire::ToolCall>(item));
  }
  bool said_something = add_model_items(std::move(items), records);
  drop_stream();

  bool paused = reason == llm::StopReason::PauseTurn && next_tools_.empty();
  bool cut = reason == llm::StopReason::MaxTokens && next_tools_.empty();
  if ((paused || (cut && said_something)) && continuations_ < settings_.max_continuations) {
    continue_turn(std::move(records), said_something,
                  cut ? "the output limit was reached" : "the model paused its turn", 0);
    return;
  }
  close_call();
  ++turn_count_;
  ++run_turns_;
  records.emplace_back(wire::TurnEndRecord{turn_count_});
  if (refused) {
    end_run(Outcome::Failed, "the model refused to answer (its provider's safety filter); rephrase the task",
            std::move(records));
  } else if (cut) {
    end_run(Outcome::Failed, "the model's answer did not fit its output limit; raise worker.max_tokens",
            std::move(records));
  } else if (paused) {
    end_run(Outcome::Failed, "the model paused its turn too many times without an answer; send the task again",
            std::move(records));
  } else if (next_tools_.empty()) {
    end_run(Outcome::Finished, "", std::move(records));
  } else {
    phase_ = Phase::Committing;
    append(std::move(records), true);
  }
}

/// Another call of the same turn, after what there is so far is on disk.
void Engine::continue_turn(Records records, bool said_something, std::string const& reason, int64_t wait_ms) {
  ++continuations_;
  emit(wire::LlmCallEndEvent{llm_calls_});
  call_open_ = false;
  ++llm_calls_;
  Events events;
  events.emplace_back(wire::LlmContinuationEvent{llm_calls_, continuations_, settings_.max_continuations, reason});
  if (said_something) add_interrupt_note(settings_.continue_note, records, events);
  continuing_ = true;
  continue_wait_ms_ = wait_ms;
  phase_ = Phase::Committing;
  append(std::move(records), false, std::move(events));
}

/// Returns whether there was text among the items.
bool Engine::add_model_items(std::vector<wire::Item> items, Records& records) {
  bool said_something = false;
  for (auto& item : items) {
    if (auto const* message = std::get_if<wire::Message>(&item)) {
      said_something = true;
      turn_text_ += wire::message_text(*message);
      last_answer_ = turn_text_;
    }
    records.emplace_back(wire::AssistantItem{item});
    history_.push_back(std::move(item));
  }
  return said_something;
}

void Engine::drop_stream() {
  if (stream_) emit_all(stream_->close());
  stream_.reset();
}

void Engine::close_call() {
  if (call_open_) {
    emit(wire::LlmCallEndEvent{llm_calls_});
    ++llm_calls_;
    call_open_ = false;
  }
  if (turn_open_) {
    emit(wire::TurnEndEvent{turn_count_, "finished"});
    turn_open_ = false;
  }
}

/// REQUIRES: nothing of the stream is in the history yet, for the usage was measured on what was sent. A call that did
/// not say how long its prompt was measures nothing and leaves no record.
void Engine::report_usage(Records& records) {
  llm::Usage const& usage = stream_->usage();
  if (!usage.input_tokens && !usage.output_tokens) return;
  emit_all(stream_->close());
  emit(wire::UsageEvent{usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens});
  if (!usage.input_tokens) return;
  records.emplace_back(wire::LlmUsage{.history_len = history_.size(),
                                      .input_total_tokens = *usage.input_tokens,
                                      .cache_read_tokens = usage.cache_read_input_tokens.value_or(0),
                                      .cache_write_tokens = usage.cache_creation_input_tokens.value_or(0),
                                      .output_tokens = usage.output_tokens.value_or(0)});
}

// ---- Tools

void Engine::start_tools() {
  phase_ = Phase::Tools;
  continuations_ = 0;
  for (auto& call : next_tools_) tools_.emplace(next_tool_++, RunningTool{std::move(call)});
  next_tools_.clear();
  if (stop_requested_) {
    answer_interrupted();  // none is started
    return;
  }
  for (auto const& [id, tool] : tools_) effects_.push_back(RunTool{id, tool.call});
}

void Engine::on(ToolDone const& input) {
  auto it = tools_.find(input.id);
  if (it == tools_.end()) return;  // answered already, after its time to stop was over
  wire::ToolResult result = input.result;
  result.call_id = it->second.call.call_id;
  tools_.erase(it);
  Events events;
  events.emplace_back(wire::ToolResultEvent{result.call_id, result.summary, result.content, result.is_error});
  Records records = input.extra;
  records.emplace_back(wire::ToolResultRecord{result});
  history_.emplace_back(std::move(result));
  append(std::move(records), tools_.empty(), std::move(events));
}

void Engine::cancel_tools() {
  bool any = false;
  for (auto& [id, tool] : tools_) {
    if (tool.cancelled) continue;
    tool.cancelled = any = true;
    effects_.push_back(CancelTool{id});
  }
  if (any) set_timer(settings_.cancel_grace_ms);  // asking again gives no more time
}

/// Answers the calls of all tools that have not answered themselves; what comes from them later is ignored.
void Engine::answer_interrupted() {
  Records records;
  Events events;
  for (auto const& [id, tool] : tools_) {
    wire::ToolResult result{.call_id = tool.call.call_id,
                            .summary = settings_.interrupted_result,
                            .content = std::nullopt,
                            .is_error = true};
    events.emplace_back(wire::ToolResultEvent{result.call_id, result.summary, result.content, result.is_error});
    records.emplace_back(wire::ToolResultRecord{result});
    history_.emplace_back(std::move(result));
  }
  tools_.clear();
  append(std::move(records), true, std::move(events));
}

void Engine::tools_finished() {
  stop_timer();
  if (!stop_requested_ && !log_error_ && settings_.max_turns && run_turns_ >= *settings_.max_turns) {
    end_run(Outcome::LimitReached);
    return;
  }
  next_step();
}

void Engine::on(TimerFired const&) {
  if (!timer_set_) return;
  timer_set_ = false;
  if (phase_ == Phase::BackingOff) {
    if (call_open_) attempt_call();
    else next_step();
    return;
  }
  if (phase_ != Phase::Tools || tools_.empty()) return;
  bool all_cancelled =
      std::all_of(tools_.begin(), tools_.end(), [](auto const& entry) { return entry.second.cancelled; });
  if (all_cancelled) answer_interrupted();
  else cancel_tools();
}

}  // namespace insomnia::agent
