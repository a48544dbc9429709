#include "cli/run.hh"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <set>

#include "base/paths.hh"
#include "base/text.hh"
#include "base/uuid.hh"
#include "cli/asking.hh"
#include "cli/live_view.hh"
#include "cli/output.hh"
#include "cli/run_config.hh"
#include "cli/run_tracker.hh"
#include "cli/trust.hh"
#include "cli/signal_mask.hh"
#include "loop/signals.hh"
#include "pod/census.hh"
#include "pod/launch.hh"
#include "registry/liveness.hh"

namespace insomnia::cli {
namespace {

/// For the end of what a killed Pod of the name has left.
constexpr int64_t kRemainsMs = 6'000;
constexpr int64_t kLaunchLimitMs = 20'000;
constexpr int64_t kAcceptLimitMs = 30'000;
constexpr int64_t kPauseLimitMs = 10'000;
constexpr int64_t kStopLimitMs = 20'000;
constexpr int64_t kEndLimitMs = 15'000;
constexpr int kNameAttempts = 8;
constexpr int kLastTurns = 4;

/// One `insomnia run`, from the launch to the exit code. All on its own loop.
class RunSession {
 public:
  RunSession(RunOptions const& options, Environment const& environment, Paths const& paths)
      : options_(options), environment_(environment), paths_(paths) {}

  int execute();

 private:
  enum class Phase { Launching, Delivering, Working, Pausing, Stopping, Ending };

  Result<PreparedRun> prepare();
  bool ask_for_trust(PreparedRun const& prepared) const;
  void launch();
  void on_launched(Result<pod::LaunchedPod> launched);
  void on_event(wire::Event const& event);
  void on_any_event(client::PodOrigin const& origin, wire::Event const& event);
  void on_accepted();
  void on_pause_answer(wire::Event const& event);
  void on_connection_closed(Error const& error);
  void on_process_ended(loop::ExitStatus status);
  void on_signal(int signal);
  void on_deadline();
  void conclude();
  /// Ends the session; `leave_pod`: the Pod goes on without us.
  void exit_with(int code, bool leave_pod);
  void enter(Phase phase, int64_t limit_ms);
  void send(wire::MethodBody body, std::string const& id) { view_->send({std::move(body), id}); }
  void note(std::string const& message) {
    if (options_.quiet) return;
    if (view_) view_->finish(std::nullopt);  // ends the line that is being written
    print_note(message);
  }
  void complain(std::string const& message) {
    if (view_) view_->finish(std::nullopt);
    print_error(message);
  }
  std::string how_to_go_on() const {
    std::string attach = "  insomnia attach " + name_;
    std::string send = "  insomnia send " + name_ + " \"…\"";
    attach.resize(std::max(attach.size(), text::length(send)), ' ');
    return attach + "   to go on (then /resume)\n" + send + "   to give it something else to do";
  }

  RunOptions const& options_;
  Environment const& environment_;
  Paths const& paths_;
  SystemClock clock_;
  SignalMaskGuard mask_;
  loop::EventLoop loop_{clock_};
  loop::SignalWatcher signals_{loop_, {SIGINT, SIGTERM, SIGHUP}, [this](int signal) { on_signal(signal); }};
  loop::Timer deadline_{loop_, [this] { on_deadline(); }};
  Output output_{STDOUT_FILENO};
  std::set<std::string> taken_names_;
  PreparedRun run_;
  std::string name_;
  std::string const run_id_ = uuid7(clock_);
  std::string const pause_id_ = uuid7(clock_);
  RunTracker tracker_{run_id_};
  std::optional<pod::PodLaunch> launch_;
  std::optional<loop::Child> process_;
  std::optional<loop::ExitStatus> process_status_;
  std::optional<Error> closed_;
  std::optional<LiveView> view_;
  std::optional<Asking> asking_;
  Phase phase_ = Phase::Launching;
  int64_t started_ms_ = 0;
  int attempts_ = 0;
  int interrupts_ = 0;
  bool refuses_unasked_ = false;  ///< permissions that are asked for are refused, and nobody said that they should be
  bool said_refuses_ = false;
  bool over_ = false;  ///< the exit code stands; what still comes is only shown
  int exit_code_ = kFailed;
};

Result<PreparedRun> RunSession::prepare() {
  // The lock says who lives; opening the registry for it would cost more than all else that is done here.
  return prepare_run(options_, environment_, paths_, [this](std::string const& name) {
    if (taken_names_.contains(name)) return true;
    for (auto const& lock : {paths_.pod_lock(name), paths_.pod_dir(name) + "/lock"}) registry::wait_for_remains(lock, kRemainsMs);
    auto holder = pod::pod_holder(paths_, name);
    return holder && holder->has_value();
  });
}

/// What a project's profile wants that needs somebody's word: true when it was given now.
bool RunSession::ask_for_trust(PreparedRun const& prepared) const {
  std::string const& profile = prepared.hand_over.profile;
  if (!options_.json && !options_.detach && can_ask()) {
    print_note("This project's profile " + safe_line(profile, 0) + " wants");
    for (auto const& said : prepared.left_out) print_note("  " + safe_line(said.key, 0) + " = " + safe_line(said.value, 300));
    if (ask("and nobody has trusted this project yet. Look at all of its profiles now? [y/N] ")) {
      if (trust_project({}, environment_) == kFinished) return true;
    }
  }
  print_note("insomnia: nobody has trusted this project, so its profile " + safe_line(profile, 0) + " is used without " + manifest::keys_of(prepared.left_out) + "; `insomnia trust` shows what it wants, and allows it");
  return false;
}

int RunSession::execute() {
  started_ms_ = clock_.steady_ms();
  auto prepared = prepare();
  if (!prepared) {
    print_error(prepared.error().message);
    return kFailed;
  }
  if (!prepared->left_out.empty() && ask_for_trust(*prepared)) {
    prepared = prepare();
    if (!prepared) {
      print_error(prepared.error().message);
      return kFailed;
    }
  }
  run_ = std::move(*prepared);
  launch();
  loop_.run();
  launch_.reset();
  // What the descendants said last may still wait in their sockets.
  for (int i = 0; i < kLastTurns; ++i) loop_.run_once(0);
  if (view_)
    view_->finish(tracker_.accepted() && !options_.detach ? std::optional(clock_.steady_ms() - started_ms_)
                                                          : std::nullopt);
  asking_.reset();
  view_.reset();
  return exit_code_;
}

void RunSession::launch() {
  name_ = *run_.hand_over.config.pod_name;
  ++attempts_;
  phase_ = Phase::Launching;
  if (run_.continuing) note("continuing " + name_ + " in " + run_.hand_over.cwd);
  if (!run_.model_note.empty() && attempts_ == 1) note(run_.model_note);
  launch_.emplace(loop_, paths_, pod::RuntimeCommand::self(), run_.hand_over, kLaunchLimitMs,
                  [this](Result<pod::LaunchedPod> launched) { on_launched(std::move(launched)); },
                  [this](std::string const& for_whom) { note("waiting for " + for_whom); });
}

void RunSession::on_launched(Result<pod::LaunchedPod> launched) {
  if (!launched) {
    Error error = launch_failure(std::move(launched).error());
    // Somebody was faster: take the next free name, unless the user wants this one.
    if (error.code == Code::AlreadyExists && options_.name.empty() && attempts_ < kNameAttempts) {
      taken_names_.insert(name_);
      if (auto prepared = prepare()) {
        run_ = std::move(*prepared);
        loop_.post([this] { launch(); });
        return;
      }
    }
    int code = fail_with(error);
    return exit_with(code, false);
  }
  process_.emplace(std::move(launched->child));
  process_->watch(loop_, [this](loop::ExitStatus status) { on_process_ended(status); });
  RenderOptions render = render_options(environment_, run_.hand_over.cwd);
  render.echo_input = false;
  render.root_history = false;
  AskMode mode = options_.detach ? AskMode::Leave : options_.asks.value_or(options_.json ? AskMode::Deny : default_ask_mode());
  refuses_unasked_ = mode == AskMode::Deny && !options_.asks;
  asking_.emplace(loop_, mode, false,
                  Asking::Host{.view = [this] { return view_ ? &*view_ : nullptr; },
                               .show =
                                   [this](std::string const& text) {
                                     if (view_) view_->finish(std::nullopt);
                                     Output(STDERR_FILENO).write(text);
                                   },
                               .note = [this](std::string const& text) { note(text); }});
  view_.emplace(
      loop_, name_, launched->socket_path,
      LiveViewOptions{.json = options_.json,
                      .quiet = options_.quiet || (options_.detach && !options_.json),
                      .render = std::move(render),
                      .observer = options_.observer},
      output_,
      LiveView::Handler{.on_root_event = [this](wire::Event const& event) { on_event(event); },
                        .on_event = [this](client::PodOrigin const& origin, wire::Event const& event) { on_any_event(origin, event); },
                        .on_root_closed = [this](Error const& error) { on_connection_closed(error); },
                        .on_output_closed = [this] { exit_with(kInterrupted, true); }});
  enter(Phase::Delivering, kAcceptLimitMs);
  send(wire::RunMethod{wire::text_segments(run_.task)}, run_id_);
}

void RunSession::on_event(wire::Event const& event) {
  if (over_) return;
  bool was_accepted = tracker_.accepted();
  tracker_.on_event(event);
  if (tracker_.rejection() && phase_ == Phase::Delivering) {
    int code = fail_with(*tracker_.rejection());
    // A Pod that works on something (a continued one, say) is not ours to end.
    bool busy = tracker_.rejection()->code == Code::Conflict;
    if (busy)
      note("it goes on with earlier work; `insomnia send " + name_ +
           " \"…\"` queues a message, `insomnia attach " + name_ + "` shows it");
    return exit_with(busy ? static_cast<int>(kFailed) : code, busy);
  }
  if (!was_accepted && tracker_.accepted()) on_accepted();
  if (over_) return;
  switch (phase_) {
    case Phase::Working:
      if (tracker_.settled()) return conclude();
      if (tracker_.paused() && !tracker_.shut_down()) {
        note(name_ + " was paused.\n" + how_to_go_on());
        return exit_with(kInterrupted, true);
      }
      return;
    case Phase::Pausing:
      return on_pause_answer(event);
    default:
      return;
  }
}

void RunSession::on_any_event(client::PodOrigin const& origin, wire::Event const& event) {
  bool asked = std::holds_alternative<wire::PermissionRequestEvent>(event.body);
  if (asked && refuses_unasked_ && !std::exchange(said_refuses_, true)) {
    note("nobody can be asked here, so it is not allowed; --yes allows what the policy asks about, --leave-asks leaves it to others who are attached");
  }
  asking_->on_event(origin, event);
}

void RunSession::on_accepted() {
  if (phase_ != Phase::Delivering) return;
  deadline_.cancel();
  phase_ = Phase::Working;
  if (!options_.detach) return;
  if (!options_.json && !options_.quiet) {
    output_.write(name_ + "\n");
    note(name_ + " works on it; `insomnia attach " + name_ + "` shows it, `insomnia stop " + name_ +
         " --tree` ends it");
  }
  exit_with(kFinished, true);
}

void RunSession::on_pause_answer(wire::Event const& event) {
  auto const* error = std::get_if<wire::ErrorEvent>(&event.body);
  if (error != nullptr && (event.id == pause_id_ || (!event.id && error->code == "not_running"))) {
    note(name_ +
         " itself is not at work (its children may be) and cannot be paused; it goes on without this "
         "terminal.\n" +
         "  insomnia attach " + name_ + "        to watch\n  insomnia stop " + name_ +
         " --tree   to end it and its children");
    return exit_with(kInterrupted, true);
  }
  if (tracker_.paused()) {
    note(name_ + " is paused; nothing is lost.\n" + how_to_go_on());
    return exit_with(kInterrupted, true);
  }
  if (tracker_.settled()) {
    note("the run had ended (" + tracker_.result().value_or("") + "); `insomnia run --name " + name_ +
         " \"…\"` continues the session");
    exit_code_ = kInterrupted;
    enter(Phase::Ending, kEndLimitMs);
  }
}

void RunSession::conclude() {
  exit_code_ = tracker_.exit_code();
  if (options_.keep) return exit_with(exit_code_, true);
  // The Pod ends by itself. Its name is free when its process has gone, so wait for that.
  enter(Phase::Ending, kEndLimitMs);
}

void RunSession::on_connection_closed(Error const& error) {
  if (over_) return;
  closed_ = error;
  if (process_status_) return on_process_ended(*process_status_);
  if (phase_ == Phase::Delivering || phase_ == Phase::Working || phase_ == Phase::Pausing)
    enter(Phase::Ending, kEndLimitMs);
}

void RunSession::on_process_ended(loop::ExitStatus status) {
  if (over_) return;
  process_status_ = status;
  // What it said last is still in the socket; its end of the connection is closed, so this does not take
  // long.
  if (!closed_ && view_)
    return enter(phase_ == Phase::Stopping ? Phase::Stopping : Phase::Ending, kEndLimitMs);
  if (phase_ == Phase::Stopping || interrupts_ > 0) return exit_with(kInterrupted, false);
  if (tracker_.settled()) return exit_with(tracker_.exit_code(), false);
  if (tracker_.shut_down()) {
    note(name_ + " was shut down before it was done; `insomnia run --name " + name_ +
         " \"…\"` continues the session");
    return exit_with(kInterrupted, false);
  }
  complain("Pod `" + name_ + "` ended unexpectedly (" + status.describe() +
           "); its session is kept: `insomnia logs " + name_ + "` shows it, `insomnia run --name " + name_ +
           " \"…\"` continues it; see also " + paths_.pod_runtime_dir(name_) + "/stderr.log");
  exit_with(kFailed, false);
}

void RunSession::on_signal(int signal) {
  if (over_) return;
  if (phase_ == Phase::Launching) return exit_with(kInterrupted, false);
  if (signal != SIGINT) return exit_with(kInterrupted, true);
  switch (++interrupts_) {
    case 1:
      if (phase_ == Phase::Ending) return exit_with(kInterrupted, true);
      note("pausing " + name_ + " … (Ctrl-C again stops it and its children)");
      send(wire::PauseMethod{}, pause_id_);
      return enter(Phase::Pausing, kPauseLimitMs);
    case 2:
      note("stopping " + name_ + " and its children … (Ctrl-C again leaves at once)");
      send(wire::CancelMethod{}, uuid7(clock_));
      send(wire::ShutdownMethod{.tree = true}, uuid7(clock_));
      return enter(Phase::Stopping, kStopLimitMs);
    default:
      return exit_with(kInterrupted, true);
  }
}

void RunSession::on_deadline() {
  switch (phase_) {
    case Phase::Delivering:
      complain("Pod `" + name_ + "` did not accept the task within " + std::to_string(kAcceptLimitMs / 1000) +
               " s");
      return exit_with(kFailed, false);
    case Phase::Pausing:
      note(name_ + " has not paused yet; it will when its present step ends.\n" + how_to_go_on());
      return exit_with(kInterrupted, true);
    case Phase::Stopping:
      note(name_ + " has not stopped yet; `insomnia stop " + name_ + " --tree --force` ends it");
      return exit_with(kInterrupted, true);
    case Phase::Ending:
      if (tracker_.settled()) {
        note(name_ + " is done but its process has not ended; `insomnia stop " + name_ + "` ends it");
        return exit_with(exit_code_, true);
      }
      if (process_status_) {
        closed_ = Error{Code::Unavailable, "gone"};
        return on_process_ended(*process_status_);
      }
      complain("lost the connection to Pod `" + name_ + "`: " + (closed_ ? closed_->message : "") +
               "; it goes on without us: `insomnia attach " + name_ + "`");
      return exit_with(kFailed, true);
    default:
      return;
  }
}

void RunSession::enter(Phase phase, int64_t limit_ms) {
  phase_ = phase;
  deadline_.start(limit_ms);
}

void RunSession::exit_with(int code, bool leave_pod) {
  if (over_) return;
  over_ = true;
  exit_code_ = code;
  deadline_.cancel();
  if (process_ && leave_pod) process_->detach();
  loop_.stop();
}

}  // namespace

int run_task(RunOptions const& options, Environment const& environment) {
  if (auto checked = check_run_options(options); !checked) {
    print_error(checked.error().message);
    return kUsage;
  }
  Paths paths = Paths::resolve(environment);
  return RunSession(options, environment, paths).execute();
}

}  // namespace insomnia::cli
