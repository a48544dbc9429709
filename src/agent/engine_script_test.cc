#include "agent/engine_script_test.hh"

#include <gtest/gtest.h>

#include <algorithm>

#include "agent/history.hh"

namespace insomnia::agent {

// ---- Inputs in few words

Input say(std::string text) {
  return StartRun{.input = wire::text_segments(std::move(text))};
}
Input say_delegated(std::string text) {
  return StartRun{.input = wire::text_segments(std::move(text)), .delegated = true, .mail = wire::MailRef{"parent", 1}};
}
Input notice(std::string body) {
  return Notice{.item = {.kind = "notification", .body = std::move(body)}, .mail = std::nullopt};
}
Input notice_delegated(std::string body) {
  return Notice{.item = {.kind = "notification", .body = std::move(body)},
                .mail = wire::MailRef{"parent", 2},
                .trigger = "notify",
                .delegated = true};
}
Input tool_done(uint64_t id, std::string summary) {
  return ToolDone{id, {.call_id = "", .summary = std::move(summary), .content = std::nullopt}, {}};
}
Input append_done(uint64_t ticket) {
  return AppendDone{ticket};
}
Input append_failed(uint64_t ticket) {
  return AppendFailed{ticket, {Code::NoSpace, "disk full"}};
}
Input model(llm::StreamEvent event) {
  return ModelEvent{std::move(event)};
}
Input model_ended() {
  return ModelEnded{};
}
Input model_failed_with(std::string message, bool retryable, std::optional<int> status,
                        std::optional<int64_t> retry_after_ms) {
  llm::CallFailure failure;
  failure.error = {Code::Unavailable, std::move(message)};
  failure.status = status;
  failure.retry_after_ms = retry_after_ms;
  failure.retryable = retryable;
  return ModelEnded{failure};
}

std::vector<Input> text_stream(std::string const& text) {
  return {model(llm::BlockStart{0, llm::BlockType::Text, "", ""}), model(llm::BlockDelta{0, text}),
          model(llm::BlockStop{0})};
}
std::vector<Input> tool_stream(std::vector<wire::ToolCall> const& calls) {
  std::vector<Input> stream;
  for (size_t i = 0; i < calls.size(); ++i) {
    stream.push_back(model(llm::BlockStart{i, llm::BlockType::ToolUse, calls[i].call_id, calls[i].name}));
    stream.push_back(model(llm::BlockDelta{i, calls[i].arguments}));
    stream.push_back(model(llm::BlockStop{i}));
  }
  return stream;
}
std::vector<Input> finished(std::vector<Input> stream, llm::StopReason reason) {
  stream.push_back(model(llm::Stopped{reason}));
  stream.push_back(model(llm::Completed{}));
  stream.push_back(model_ended());
  return stream;
}

// ---- The log's meaning, told a second time

std::vector<wire::Item> in_call_order(std::vector<wire::Item> items) {
  auto call_position = [&](wire::Item const& result, size_t before) {
    for (size_t i = before; i-- > 0;) {
      auto const* call = std::get_if<wire::ToolCall>(&items[i]);
      if (call != nullptr && call->call_id == std::get<wire::ToolResult>(result).call_id) return i;
    }
    return items.size();
  };
  for (size_t i = 1; i < items.size(); ++i) {  // insertion sort of each row
    for (size_t k = i; k > 0 && std::holds_alternative<wire::ToolResult>(items[k]) &&
                       std::holds_alternative<wire::ToolResult>(items[k - 1]) &&
                       call_position(items[k], k) < call_position(items[k - 1], k);
         --k) {
      std::swap(items[k], items[k - 1]);
    }
  }
  return items;
}

Folded fold(std::vector<wire::LogRecord> const& log) {
  Folded folded;
  size_t run_start = 0;
  for (auto const& record : log) {
    if (auto const* invoke = std::get_if<wire::Invoke>(&record)) {
      run_start = folded.history.size();
      folded.run_open = true;
      folded.delegated = invoke->delegated;
    } else if (auto const* input = std::get_if<wire::UserInput>(&record)) {
      folded.history.push_back(wire::user_message(wire::flatten(input->segments)));
    } else if (auto const* system = std::get_if<wire::SystemItemRecord>(&record)) {
      folded.history.push_back(wire::system_message(system->item.body));
    } else if (auto const* assistant = std::get_if<wire::AssistantItem>(&record)) {
      folded.history.push_back(assistant->item);
    } else if (auto const* result = std::get_if<wire::ToolResultRecord>(&record)) {
      folded.history.emplace_back(result->item);
    } else if (auto const* turn = std::get_if<wire::TurnEndRecord>(&record)) {
      folded.turn_count = turn->turn_count;
    } else if (auto const* completed = std::get_if<wire::RunCompleted>(&record)) {
      if (completed->result == "rolled_back") folded.history.resize(run_start);
      folded.run_open = false;
      folded.interrupted = completed->interrupted;
      if (completed->report) folded.last_report = *completed->report;
    } else if (auto const* errored = std::get_if<wire::RunErrored>(&record)) {
      folded.run_open = false;
      folded.interrupted = errored->interrupted;
      if (errored->report) folded.last_report = *errored->report;
    }
  }
  folded.history = in_call_order(std::move(folded.history));
  return folded;
}

EngineState restart_state(std::vector<wire::LogRecord> const& log) {
  Folded folded = fold(log);
  return {.history = std::move(folded.history),
          .turn_count = folded.turn_count,
          .report_seq = folded.last_report,
          .interrupted = folded.interrupted || folded.run_open,
          .delegated = folded.delegated};
}

EngineSettings test_settings() {
  EngineSettings settings;
  settings.system_prompt = "prompt";
  settings.crashed_result = "crashed";
  settings.interrupted_result = "interrupted";
  settings.interrupt_note = "was interrupted";
  settings.continue_note = "go on";
  return settings;
}

// ---- The driver

Driver::Driver(EngineSettings settings, std::vector<wire::LogRecord> log)
    : engine_(std::move(settings), restart_state(log), [] { return 0.5; }), log_(std::move(log)) {}

std::string Driver::in(Input const& input) {
  bool had_notices = engine_.has_pending_notices();
  size_t items = engine_.history().size();
  before(input);
  Effects effects = engine_.handle(input, now_ms);
  for (auto const& effect : effects) {
    carry_out(effect);
    if (!std::holds_alternative<Refused>(effect)) continue;
    EXPECT_EQ(effects.size(), 1U) << "a refusal changes nothing";
    EXPECT_EQ(engine_.history().size(), items);
    EXPECT_EQ(engine_.has_pending_notices(), had_notices);
  }
  check();
  bool log_changed = std::holds_alternative<AppendDone>(input) || std::holds_alternative<AppendFailed>(input);
  if (log_changed && open_.empty()) check_history();
  return print(effects);
}

std::string Driver::go(std::vector<Input> const& inputs) {
  std::string lines;
  for (auto const& input : inputs) {
    lines += in(input);
    while (!open_.empty()) lines += in(AppendDone{open_.front().ticket});
  }
  return lines;
}

/// What the outer world does before it reports.
void Driver::before(Input const& input) {
  uint64_t answered = 0;
  if (auto const* done = std::get_if<AppendDone>(&input)) answered = done->ticket;
  if (auto const* failed = std::get_if<AppendFailed>(&input)) answered = failed->ticket;
  if (answered != 0) {
    ASSERT_FALSE(open_.empty());
    ASSERT_EQ(open_.front().ticket, answered) << "the test answers out of order";
    if (std::holds_alternative<AppendDone>(input)) {
      log_.insert(log_.end(), open_.front().records.begin(), open_.front().records.end());
      last_written_ = open_.front().records;
    } else {
      log_failed_ = true;
    }
    open_.pop_front();
  }
  if (std::holds_alternative<ModelEnded>(input)) calling_ = false;
  if (std::holds_alternative<TimerFired>(input)) timer_ = false;
  if (auto const* done = std::get_if<ToolDone>(&input)) tools_.erase(done->id);
}

void Driver::carry_out(Effect const& effect) {
  if (auto const* log = std::get_if<AppendLog>(&effect)) {
    EXPECT_EQ(log->ticket, ++last_ticket_);
    EXPECT_FALSE(log->records.empty());
    if (!in_run_) {
      log_failed_ = false;
      in_run_ = std::any_of(log->records.begin(), log->records.end(),
                            [](auto const& record) { return std::holds_alternative<wire::Invoke>(record); });
      EXPECT_TRUE(in_run_) << "nothing is logged outside a run";
    }
    open_.push_back(*log);
  } else if (std::holds_alternative<CallModel>(effect)) {
    called();
  } else if (std::holds_alternative<AbortModel>(effect)) {
    EXPECT_TRUE(calling_);
    calling_ = false;
  } else if (auto const* run = std::get_if<RunTool>(&effect)) {
    EXPECT_TRUE(in_run_ && !calling_ && open_.empty());
    EXPECT_GT(run->id, last_tool_) << "tool ids are never used again";
    last_tool_ = run->id;
    tools_.emplace(run->id, run->call);
  } else if (auto const* cancel = std::get_if<CancelTool>(&effect)) {
    EXPECT_TRUE(tools_.contains(cancel->id));
  } else if (std::holds_alternative<SetTimer>(effect)) {
    timer_ = true;
  } else if (std::holds_alternative<StopTimer>(effect)) {
    EXPECT_TRUE(timer_);
    timer_ = false;
  } else if (auto const* end = std::get_if<RunEnded>(&effect)) {
    ended(*end);
  } else if (auto const* emit = std::get_if<Emit>(&effect)) {
    if (auto const* delta = std::get_if<wire::TextDeltaEvent>(&emit->event)) shown_ += delta->text;
  }
}

void Driver::called() {
  EXPECT_TRUE(in_run_ && !calling_);
  EXPECT_TRUE(open_.empty()) << "a request waits for the log";
  calling_ = true;
  shown_.clear();
  llm::Request request = engine_.request();
  std::vector<wire::Item> items(request.items.begin(), request.items.end());
  request_ = print(items);
  auto logged = fold(log_).history;
  EXPECT_TRUE(items == logged) << "request:\n" << request_ << "log:\n" << print(logged);
  EXPECT_FALSE(items.empty());
  std::map<std::string, int> open_calls;
  for (auto const& item : items) {
    if (auto const* call = std::get_if<wire::ToolCall>(&item)) ++open_calls[call->call_id];
    auto const* result = std::get_if<wire::ToolResult>(&item);
    if (result == nullptr) continue;
    EXPECT_EQ(open_calls[result->call_id]--, 1) << "answered once, after the call: " << request_;
  }
  for (auto const& [id, count] : open_calls) EXPECT_EQ(count, 0) << "unanswered " << id << " in " << request_;
  if (items.empty()) return;
  auto const* last = std::get_if<wire::Message>(&items.back());
  EXPECT_TRUE(std::holds_alternative<wire::ToolResult>(items.back()) ||
              (last != nullptr && last->role != wire::Role::Assistant))
      << "a request ends with the model's own: " << request_;
}

void Driver::ended(RunEnded const& end) {
  EXPECT_TRUE(in_run_) << "one end for each run";
  EXPECT_TRUE(open_.empty() && !calling_ && !timer_);
  in_run_ = false;
  ends_.push_back(end);
  if (log_failed_) return;
  // The end is on disk, and so is the report's number.
  ASSERT_FALSE(last_written_.empty());
  auto const* completed = std::get_if<wire::RunCompleted>(&last_written_.back());
  auto const* errored = std::get_if<wire::RunErrored>(&last_written_.back());
  ASSERT_TRUE(completed != nullptr || errored != nullptr);
  EXPECT_EQ(end.report, completed != nullptr ? completed->report : errored->report);
  for (auto const& call : unanswered_calls(engine_.history())) {
    ADD_FAILURE() << "a started call was never answered: " << call.call_id;
  }
}

void Driver::check_history() {
  auto history = in_call_order(engine_.history());
  auto logged = fold(log_).history;
  EXPECT_TRUE(history == logged) << "memory:\n" << print(history) << "log:\n" << print(logged);
}

void Driver::check() {
  EXPECT_EQ(engine_.busy(), in_run_);
  EXPECT_EQ(engine_.status() == wire::PodStatus::Running, in_run_);
  if (in_run_) {
    EXPECT_TRUE(!open_.empty() || calling_ || !tools_.empty() || timer_) << "the run waits for nothing";
  } else {
    EXPECT_TRUE(open_.empty() && !calling_ && !timer_);
    bool may_wait = engine_.status() == wire::PodStatus::Paused || log_failed_ || closed_;
    EXPECT_TRUE(may_wait || !engine_.has_pending_notices());
  }
  bool text_is_being_written = std::any_of(open_.begin(), open_.end(), [](AppendLog const& log) {
    return std::any_of(log.records.begin(), log.records.end(), [](auto const& record) {
      auto const* item = std::get_if<wire::AssistantItem>(&record);
      return item != nullptr && std::holds_alternative<wire::Message>(item->item);
    });
  });
  auto sorted = [](std::string text) {  // text blocks may interleave
    std::sort(text.begin(), text.end());
    return text;
  };
  EXPECT_EQ(sorted(engine_.in_flight().text), calling_ || text_is_being_written ? sorted(shown_) : "")
      << "who attaches now misses nothing";
}

}  // namespace insomnia::agent
