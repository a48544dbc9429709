#include "pod/brain.hh"

#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "agent/history.hh"
#include "base/fault_point.hh"
#include "base/io.hh"
#include "base/json.hh"
#include "base/log.hh"
#include "manifest/permission.hh"
#include "pod/completions.hh"
#include "pod/references.hh"

namespace insomnia::pod {
namespace {

constexpr int64_t kStopRunMs = 10'000;
constexpr int64_t kInterruptRunMs = 2'000;
constexpr int64_t kFlushMs = 1'000;
constexpr int64_t kFirstRunMs = 30'000;

double random_unit() {
  // Spreads retries of many Pods; nothing depends on its quality.
  static uint64_t state = 0x9E3779B97F4A7C15ull ^ (static_cast<uint64_t>(::getpid()) << 20) ^ static_cast<uint64_t>(SystemClock().steady_ms());
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return static_cast<double>(state >> 11) / static_cast<double>(1ull << 53);
}

std::string restored_action(tools::Output const& output) {
  return output.summary.starts_with("already_live") ? "already_live" : "restored";
}

}  // namespace

Brain::Brain(BrainParts parts)
    : core_(parts.core),
      provider_(parts.provider),
      prompts_(parts.prompts),
      profiles_(parts.profiles),
      tools_(std::move(parts.tools)),
      engine_(std::move(parts.engine_settings), std::move(parts.engine_state), &random_unit),
      log_(core_.log_worker, core_.loop.clock(), core_.paths.sessions_dir(), parts.location),
      inbox_(std::move(parts.inbox)),
      logged_inbox_(inbox_),
      mail_retry_(core_.loop, [this] { scan_mail([] {}); }),
      report_retry_(core_.loop, [this] { post_report(); }),
      tasks_(std::move(parts.tasks)),
      hands_(core_.loop, with_notices(std::move(parts.hands))),
      privates_(std::move(parts.privates)),
      greeting_(std::move(parts.greeting)),
      exit_when_settled_(parts.exit_when_settled),
      poke_sender_(core_.loop),
      children_(core_, {.broadcast = [this](wire::EventBody const& event) { emit(event); },
                        .scan_mail = [this](std::function<void()> done) { scan_mail(std::move(done)); },
                        .synthesised_end = [this](wire::PodEvent event, std::string instance) { write_end(std::move(event), instance); },
                        .tell_parent = [this](wire::PodEvent event) { tell_parent(std::move(event)); },
                        .scope_changed = [this] { apply_scope([](Result<void> const&) {}); },
                        .changed =
                            [this] {
                              waits_.look_again();
                              settled_may_have_changed();
                            },
                        .works_for_parent = [this] { return engine_.delegated(); },
                        .ended = [this](std::string const& pod_id) { asks_.child_ended(pod_id); }}),
      child_tools_(core_, children_, poke_sender_),
      waits_(core_, children_),
      asks_(core_.loop, {core_.name(), core_.state.pod_id}, std::move(parts.remembered), permission_host()),
      engine_timer_(core_.loop, [this] { feed(agent::TimerFired{}); }) {
  plan_ = std::move(parts.restore);
  if (!parts.log_lines.empty()) log_.adopt(std::move(parts.log_lines));
  if (parts.task_follows) {
    mail_hold_ = std::make_unique<loop::Timer>(core_.loop, [this] { release_mail(); });
    mail_hold_->start(kFirstRunMs);
  }
  greeting_.isolation = std::string(cell::isolation_name(parts.isolation));
}

Brain::~Brain() { *alive_ = false; }

cell::HandsConfig Brain::with_notices(cell::HandsConfig config) {
  config.notice = [this](std::string text) { alert("warn", "cell", std::move(text)); };
  return config;
}

Result<void> Brain::start() {
  server_ = TRY(SocketServer::bind(core_.loop, core_.socket_path(),
                                   {.snapshot = [this] { return snapshot(); },
                                    .on_method = [this](ClientId client, wire::Method const& method) { on_method(client, method); },
                                    .on_attendance = [this] { asks_.attendance_changed(); }}));
  TRY(bind_poke_socket());
  if (mail_hold_) {
    log_.prepare();
    watch_launcher();
  }
  write_status();
  return {};
}

Result<void> Brain::bind_poke_socket() {
  poke_socket_.reset();  // it removes its file
  poke_socket_ = TRY(PokeSocket::bind(core_.loop, poke_path(core_.socket_path()),
                                      {.poked = [this] { scan_mail([] {}); },
                                       .told = [this](pid_t sender, wire::PodEvent const& event) { take_news(sender, event); },
                                       .exec =
                                           [this](std::vector<UniqueFd> descriptors) {
                                             if (!shutting_down_) hands_.exec(std::move(descriptors));
                                           }}));
  return {};
}

Result<void> Brain::restore_runtime_files() {
  if (!server_ || shutting_down_) return {};
  TRY(server_->bind_again());
  if (!io::exists(poke_path(core_.socket_path()))) {
    TRY(bind_poke_socket());
    scan_mail([] {});  // who found no socket has not poked
  }
  if (!io::exists(status_file())) {
    last_status_.clear();
    write_status();
  }
  return {};
}

void Brain::recover(std::optional<Mail> unacknowledged, std::function<void()> done) {
  recovered_ = std::move(done);
  std::set<std::string> restoring;
  if (plan_) {
    for (auto const& child : plan_->children) restoring.insert(child.state.pod_id);
  }
  auto children = plan_ ? std::exchange(plan_->children, {}) : std::vector<RestorableChild>{};
  still_to_restore_ = 1 + children.size();
  auto one_less = [this] {
    if (--still_to_restore_ == 0) all_restored();
  };
  children_.recover(restoring, [this, alive = alive_, one_less] {
    core_.loop.post([alive, one_less] {
      if (*alive) one_less();
    });
  });
  if (unacknowledged) {
    if (auto* ended = unacknowledged->event ? std::get_if<wire::TurnEnded>(&*unacknowledged->event) : nullptr) {
      auto restored = std::count_if(children.begin(), children.end(), [](auto const& child) { return child.works; });
      ended->pending_children = children_.working_for_parent() + static_cast<uint64_t>(restored);
    }
    report_to_parent(*std::move(unacknowledged));
  }
  // What an earlier instance of a child said comes before its next one begins.
  scan_mail([this, one_less, children = std::move(children)]() mutable {
    if (shutting_down_) return;
    for (auto& child : children) {
      start_restore(std::move(child), [this, one_less](tools::Output output) {
        if (output.is_error) restore_failures_.push_back(output.summary);
        one_less();
      });
    }
  });
}

void Brain::all_restored() {
  for (auto const& failure : restore_failures_) {
    alert("warn", "pod", "a child could not be restored: " + failure);
    std::string line = "After an interruption a Pod of yours could not be brought back: " + failure;
    auto body = prompts_.render("notify_wrapper", {{"message", line}});
    notice({.kind = "notification", .body = body ? *body : line, .message = line}, std::nullopt, "notify", false);
  }
  auto restored = std::exchange(plan_, std::nullopt);
  RestorePlan plan = restored.value_or(RestorePlan{});
  if (auto recovered = std::exchange(recovered_, nullptr)) recovered();
  if (plan.resume && engine_.status() == wire::PodStatus::Paused && !engine_.busy()) feed(agent::Resume{});
  if (!restored) return;
  // One that ends when it is settled does so also when it finds nothing to do: nobody has more work for it. (Its parent may have died before it could
  // deliver the first task.)
  has_run_ = true;
  core_.loop.post([this, alive = alive_] {
    if (*alive) settled_may_have_changed();
  });
}

/// The first task comes from the process that started this one, which can die before.
void Brain::watch_launcher() {
  launcher_.reset(static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0)));
  if (!launcher_ || !first_run_may_come()) return launcher_ended();
  launcher_watcher_ = std::make_unique<loop::FdWatcher>(core_.loop, launcher_.get(), loop::FdWatcher::kRead, [this](uint32_t) { launcher_ended(); });
}

void Brain::launcher_ended() {
  launcher_watcher_.reset();
  release_mail();
  if (has_run_ || engine_.busy() || !inputs_.empty()) return;
  has_run_ = true;  // there will be none: one that ends when it is settled has nothing to wait for
  settled_may_have_changed();
}

void Brain::emit(wire::EventBody event) {
  if (auto* status = std::get_if<wire::StatusEvent>(&event)) {
    status->settled = settled();
    said_settled_ = status->settled;
    write_status();
  }
  if (server_) server_->broadcast(event);
}

void Brain::alert(std::string level, std::string source, std::string message) {
  log::warn(message);
  if (server_) server_->alert({std::move(level), std::move(source), std::move(message), core_.loop.clock().wall_ms()});
}

wire::SnapshotEvent Brain::snapshot() {
  wire::SnapshotEvent event;
  event.entries = log_.lines();
  event.greeting = greeting_;
  event.status = engine_.status();
  auto in_flight = engine_.in_flight();
  if (in_flight != wire::InFlight{}) event.in_flight = std::move(in_flight);
  event.children = children_.infos();
  event.permission_requests = asks_.open();
  event.settled = settled();
  if (!event.settled) said_settled_ = false;  // whoever got this snapshot is told when it changes
  return event;
}

// ---- The engine

void Brain::feed(agent::Input input) {
  inputs_.push_back(std::move(input));
  if (feeding_) return;
  feeding_ = true;
  while (!inputs_.empty()) {
    agent::Input next = std::move(inputs_.front());
    inputs_.pop_front();
    for (auto const& effect : engine_.handle(next, core_.loop.clock().steady_ms())) carry_out(effect);
  }
  feeding_ = false;
}

void Brain::carry_out(agent::Effect const& effect) {
  // After the last run's end nothing is begun any more: what came by mail stays in the inbox for the next instance.
  if (engine_stopped_ && !std::holds_alternative<agent::Emit>(effect)) return;
  if (auto const* log = std::get_if<agent::AppendLog>(&effect)) append(*log);
  else if (auto const* event = std::get_if<agent::Emit>(&effect)) emit(event->event);
  else if (std::holds_alternative<agent::CallModel>(effect)) call_ = provider_.call(engine_.request(), *this);
  else if (std::holds_alternative<agent::AbortModel>(effect)) call_.reset();
  else if (auto const* tool = std::get_if<agent::RunTool>(&effect)) run_tool(tool->id, tool->call);
  else if (auto const* cancel = std::get_if<agent::CancelTool>(&effect)) cancel_tool(cancel->id);
  else if (auto const* timer = std::get_if<agent::SetTimer>(&effect)) engine_timer_.start(timer->delay_ms);
  else if (std::holds_alternative<agent::StopTimer>(effect)) engine_timer_.cancel();
  else if (auto const* refused = std::get_if<agent::Refused>(&effect)) reply_error(refused->code, refused->message);
  else if (auto const* end = std::get_if<agent::RunEnded>(&effect)) run_ended(*end);
}

void Brain::on_event(llm::StreamEvent const& event) { feed(agent::ModelEvent{event}); }

void Brain::on_end(std::optional<llm::CallFailure> failure) {
  // The Call is not destroyed inside its own callback unless the engine asks for the next one.
  feed(agent::ModelEnded{std::move(failure)});
}

void Brain::append(agent::AppendLog const& effect) {
  std::vector<wire::LogRecord> records;
  if (log_.empty()) {
    auto const& settings = engine_.settings();
    records.emplace_back(wire::SegmentStart{.session_id = log_.location().session_id,
                                            .system_prompt = settings.system_prompt,
                                            .config = settings.config,
                                            .history = {},
                                            .forked_from = std::nullopt,
                                            .compacted_from = std::nullopt,
                                            .inbox = inbox_});
    // A message of a person has one number only, and its file goes when it is in the log: nothing is to be remembered of it.
    std::erase_if(std::get<wire::SegmentStart>(records.back()).inbox, [](auto const& last) { return is_human_sender(last.first); });
  }
  records.insert(records.end(), effect.records.begin(), effect.records.end());
  std::vector<wire::MailRef> mail;
  for (auto const& record : records) {
    if (auto const* input = std::get_if<wire::UserInput>(&record); input != nullptr && input->mail) mail.push_back(*input->mail);
    if (auto const* item = std::get_if<wire::SystemItemRecord>(&record); item != nullptr && item->mail) mail.push_back(*item->mail);
  }
  std::vector<wire::MailRef> messages;  // those that the engine does not keep when they can't be written
  for (auto const& record : records) {
    if (auto const* input = std::get_if<wire::UserInput>(&record); input != nullptr && input->mail) messages.push_back(*input->mail);
  }
  log_.append(records, effect.durable, [this, ticket = effect.ticket, mail, messages](Result<void> written) {
    if (!written) {
      for (auto const& letter : messages) unlogged_.emplace(letter.sender, letter.seq);
      if (!messages.empty()) mail_retry_.start(kMailRetryMs);
      feed(agent::AppendFailed{ticket, std::move(written).error()});
      return;
    }
    // What is in the log needs no letter any more.
    for (auto const& letter : mail) logged_inbox_[letter.sender] = std::max(logged_inbox_[letter.sender], letter.seq);
    if (!mail.empty()) {
      core_.log_worker.run<bool>(
          [paths = core_.paths, name = core_.name(), mail] {
            for (auto const& letter : mail) remove_mail(paths, name, letter.sender, letter.seq);
            return true;
          },
          [this, alive = alive_, mail](bool) {
            if (!*alive) return;
            // Scans that still saw the file have been answered by now.
            for (auto const& letter : mail) {
              if (!is_human_sender(letter.sender)) continue;
              inbox_.erase(letter.sender);
              logged_inbox_.erase(letter.sender);
            }
          });
    }
    feed(agent::AppendDone{ticket});
  });
}

void Brain::run_ended(agent::RunEnded const& end) {
  fault_point("run.ended");
  call_.reset();
  has_run_ = true;
  engine_stopped_ = shutting_down_;
  if (end.report && core_.state.parent) {
    report_to_parent({.to_pod_id = core_.state.parent->pod_id,
                      .from_pod_id = core_.state.pod_id,
                      .from_instance_id = core_.instance_id,
                      .from_pod_name = core_.name(),
                      .seq = *end.report,
                      .taken = logged_inbox_[core_.state.parent->pod_id],
                      .event = end_event(end),
                      .text = ""});
  }
  core_.loop.post([this, alive = alive_] {
    if (!*alive) return;
    if (shutting_down_) finish_shut_down();
    else settled_may_have_changed();
  });
}

wire::PodEvent Brain::end_event(agent::RunEnded const& end) const {
  std::optional<std::string> answer;
  if (!end.last_answer.empty()) answer = end.last_answer;
  switch (end.outcome) {
    // The parent's work is not done while children work on parts of it: their ends start further runs, which are reported too. One that came
    // during the last request has started its run by now.
    case agent::Outcome::Finished: return wire::TurnEnded{core_.name(), answer, children_.working_for_parent() + ends_for_parent_ + (engine_.delegated() ? 1 : 0)};
    case agent::Outcome::Failed: return wire::Errored{core_.name(), end.message, answer};
    case agent::Outcome::LimitReached: return wire::LimitReachedEvent{core_.name(), answer};
    case agent::Outcome::Paused: return wire::Interrupted{core_.name(), answer, true};
    case agent::Outcome::Cancelled:
    case agent::Outcome::RolledBack: break;
  }
  return wire::Interrupted{core_.name(), answer, false};
}

// ---- Methods of clients

void Brain::reply_error(std::string code, std::string message) {
  wire::ErrorEvent event{std::move(code), std::move(message)};
  if (requester_ && server_) server_->reply(requester_->client, event, requester_->id);
  else emit(std::move(event));
}

void Brain::on_method(ClientId client, wire::Method const& method) {
  requester_ = Requester{client, method.id};
  bool starts_work = std::holds_alternative<wire::NotifyMethod>(method.body) || std::holds_alternative<wire::ResumeMethod>(method.body);
  if (shutting_down_ && starts_work) {
    reply_error("invalid_request", "the Pod is shutting down");
  } else if (auto const* run = std::get_if<wire::RunMethod>(&method.body)) {
    run_method(*run);
    release_mail();
  } else if (auto const* notify = std::get_if<wire::NotifyMethod>(&method.body)) {
    auto body = prompts_.render("notify_wrapper", {{"message", notify->message}});
    notice({.kind = "notification", .body = body ? *body : notify->message, .message = notify->message}, std::nullopt, "notify", false);
    waits_.end_all("a message to you has arrived");
  } else if (auto const* event = std::get_if<wire::PodEventMethod>(&method.body)) {
    take_news(server_->peer_pid(client), event->event);
  } else if (std::holds_alternative<wire::ResumeMethod>(method.body)) {
    feed(agent::Resume{});
  } else if (std::holds_alternative<wire::CancelMethod>(method.body)) {
    feed(agent::Cancel{});
  } else if (std::holds_alternative<wire::PauseMethod>(method.body)) {
    feed(agent::Pause{});
    waits_.end_all("the run was paused");
    asks_.cancel_all();
  } else if (auto const* shutdown = std::get_if<wire::ShutdownMethod>(&method.body)) {
    shut_down(shutdown->tree, shutdown->interrupted);
  } else if (auto const* completions = std::get_if<wire::ListCompletionsMethod>(&method.body)) {
    wire::CompletionsEvent answer{"file", {}};
    if (completions->kind == wire::CompletionKind::File) {
      answer.entries = complete_path(completions->prefix, core_.state.cwd, core_.authority.own());
    } else {
      answer.kind = completions->kind == wire::CompletionKind::Knowledge ? "knowledge" : "workflow";
    }
    server_->reply(client, answer, method.id);
  } else if (std::holds_alternative<wire::ListPodsMethod>(method.body)) {
    child_tools_.list_json([this, alive = alive_, requester = *requester_](std::string pods) {
      if (*alive && server_) server_->reply(requester.client, wire::PodsListedEvent{std::move(pods)}, requester.id);
    });
  } else if (auto const* restore = std::get_if<wire::RestorePodMethod>(&method.body)) {
    restore_pod(restore->name, [this, requester = *requester_, name = restore->name](tools::Output output) {
      if (!server_) return;
      if (output.is_error) server_->reply(requester.client, wire::ErrorEvent{"invalid_request", output.summary}, requester.id);
      else server_->reply(requester.client, wire::PodRestoredEvent{restored_action(output), name, core_.paths.pod_socket(name), std::nullopt}, requester.id);
    });
  } else if (auto const* answer = std::get_if<wire::AnswerPermissionMethod>(&method.body)) {
    if (auto taken = asks_.answer(answer->answer); !taken) reply_error("invalid_request", taken.error().message);
  } else if (auto const* client_options = std::get_if<wire::ClientOptionsMethod>(&method.body)) {
    server_->set_answers(client, client_options->answers_permissions);
  } else if (std::holds_alternative<wire::PokeMethod>(method.body)) {
    scan_mail([] {});
  } else {
    reply_error("invalid_request", "this Pod does not offer that method yet");
  }
  requester_.reset();
}

void Brain::run_method(wire::RunMethod const& method) {
  if (shutting_down_) {
    reply_error("invalid_request", "the Pod is shutting down");
    return;
  }
  if (engine_.busy()) {
    feed(agent::StartRun{});  // refused with the engine's own words
    return;
  }
  agent::StartRun run;
  run.input = method.input;
  // Work of a Pod that has a parent is the parent's, whoever typed it: its end is reported.
  run.delegated = core_.state.parent.has_value();
  for (auto& reference : resolve_references(method.input, core_.state.cwd, core_.authority.own(), core_.manifest.file_upload_limit())) {
    if (reference) run.attachments.push_back(*std::move(reference));
    else alert("warn", "pod", reference.error().message);
  }
  feed(std::move(run));
}

// ---- Settling and ending

bool Brain::settled() const {
  return engine_.status() == wire::PodStatus::Idle && !engine_.busy() && !engine_.has_pending_notices() && !children_.any_working() &&
         spawns_.empty() && restores_.empty() && scans_ == 0 && inputs_.empty() && reports_.empty();
}

void Brain::settled_may_have_changed() {
  if (shutting_down_) return;
  bool now = settled();
  // An idle Pod costs as little as it can: what the run has freed goes back to the system.
  if (now && has_run_) ::malloc_trim(0);
  if (now != said_settled_) emit(wire::StatusEvent{engine_.status()});
  if (!now) looked_before_leaving_ = false;
  if (!now || !has_run_ || !exit_when_settled_) return;
  if (std::exchange(looked_before_leaving_, true)) {
    left_by_itself_ = true;
    return shut_down(true);
  }
  // Somebody may have written just now, whose poke is still on its way.
  scan_mail([] {});  // asks again when it is done
}

void Brain::write_status() {
  std::string text = json::dump(boost::json::object{{"state", wire::status_name(engine_.status())},
                                                    {"segment_id", log_.location().segment_id},
                                                    {"pod_name", core_.name()},
                                                    {"isolation", greeting_.isolation}}) + "\n";
  if (text == last_status_) return;
  last_status_ = text;
  core_.log_worker.run([path = status_file(), text] {
    if (auto written = io::replace_file(path, text); !written) log::warn(written.error().message);
  });
}

void Brain::shut_down(bool tree, bool interrupted) {
  stop_children_ = stop_children_ || tree;
  if (shutting_down_) return;
  shutting_down_ = true;
  interrupted_ = interrupted;
  run_interrupted_ = interrupted && engine_.busy();
  release_mail();
  engine_.close();
  shut_down_limit_ = std::make_unique<loop::Timer>(core_.loop, [this] { finish_shut_down(); });
  // An interrupted run is paused, so that it can go on; tools that don't end in time leave it open in the log, as a crash would.
  shut_down_limit_->start(interrupted ? kInterruptRunMs : kStopRunMs);
  if (engine_.busy() && interrupted) {
    // Said first: else whoever watches takes the pause for one that somebody wished, of a Pod that stays.
    say_shut_down();
    feed(agent::Pause{});
    waits_.end_all("the run was interrupted");
    asks_.cancel_all();
  } else if (engine_.busy()) feed(agent::Cancel{});  // goes on in run_ended
  else core_.loop.post([this, alive = alive_] {
    if (*alive) finish_shut_down();
  });
}

void Brain::say_shut_down() {
  if (!std::exchange(said_shut_down_, true)) emit(wire::ShutdownEvent{});
}

void Brain::finish_shut_down() {
  if (!shut_down_limit_) return;  // done already
  shut_down_limit_.reset();
  call_.reset();
  auto close = [this, alive = alive_] {
    if (!*alive) return;
    say_shut_down();
    poke_socket_.reset();
    server_->close(kFlushMs, [this, alive] {
      if (*alive && ended_) ended_();
    });
  };
  children_.stop_all(close, interrupted_, !stop_children_);
}

}  // namespace insomnia::pod
