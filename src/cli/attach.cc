#include "cli/attach.hh"

#include <unistd.h>

#include <csignal>
#include <optional>

#include "base/paths.hh"
#include "base/text.hh"
#include "base/uuid.hh"
#include "cli/asking.hh"
#include "cli/exit_code.hh"
#include "cli/line_input.hh"
#include "cli/live_pods.hh"
#include "cli/live_view.hh"
#include "cli/output.hh"
#include "cli/signal_mask.hh"
#include "cli/trust.hh"
#include "loop/signals.hh"

namespace insomnia::cli {
namespace {

constexpr int64_t kAnswerLimitMs = 15'000;
constexpr int64_t kQuitLimitMs = 1'000;
constexpr size_t kHistoryEntries = 40;
constexpr std::string_view kHelp =
    "what you type is given to the Pod: as its next task when it is idle, as a message while it works\n"
    "/pause   interrupt the run so that it can be resumed     /resume  go on\n"
    "/cancel  end the run                                     /quit    leave (the Pod goes on)\n"
    "/yes /no answer the question that waits                  /always /never  the same for this session";

class AttachSession {
 public:
  AttachSession(Environment const& environment, registry::Allocation const& pod)
      : environment_(environment), pod_(pod) {}
  int execute();

 private:
  void on_event(wire::Event const& event);
  void on_line(std::string const& line);
  void on_input_end();
  void leave_if_done();
  void send(wire::MethodBody body) { view_->send({std::move(body), uuid7(clock_)}); }
  /// Leaves when the Pod has taken what was typed.
  void quit();
  void leave(int code) {
    exit_code_ = code;
    loop_.stop();
  }

  Environment const& environment_;
  registry::Allocation const& pod_;
  SystemClock clock_;
  SignalMaskGuard mask_;
  loop::EventLoop loop_{clock_};
  loop::SignalWatcher signals_{loop_, {SIGINT, SIGTERM, SIGHUP}, [this](int) { leave(kInterrupted); }};
  Output output_{STDOUT_FILENO};
  std::optional<LiveView> view_;
  std::optional<Asking> asking_;
  std::optional<LineInput> input_;
  loop::Timer deadline_{loop_, [this] {
                          if (quitting_) return leave(kFinished);
                          print_error("the Pod at " + pod_.socket + " does not answer");
                          leave(kFailed);
                        }};
  bool running_ = false;  ///< or was given something that it has not begun yet
  bool settled_ = false;
  bool input_ended_ = false;
  bool shut_down_ = false;
  bool quitting_ = false;
  int exit_code_ = kFinished;
};

int AttachSession::execute() {
  RenderOptions render = render_options(environment_, pod_.workspace_root);
  render.history_limit = kHistoryEntries;
  // Who is fed by a script answers only what the script answers.
  asking_.emplace(loop_, can_ask() ? AskMode::Terminal : AskMode::Leave, true,
                  Asking::Host{.view = [this] { return view_ ? &*view_ : nullptr; },
                               .show = [this](std::string const& text) {
                                 view_->finish(std::nullopt);
                                 Output(STDERR_FILENO).write(text);
                                 print_note("  (with a slash here: /yes, /always, /no, /never)");
                               }});
  view_.emplace(loop_, pod_.pod_name, pod_.socket, LiveViewOptions{.render = std::move(render)}, output_,
                LiveView::Handler{.on_root_event = [this](wire::Event const& event) { on_event(event); },
                                  .on_event = [this](client::PodOrigin const& origin, wire::Event const& event) { asking_->on_event(origin, event); },
                                  .on_root_closed =
                                      [this](Error const& error) {
                                        if (quitting_) return leave(kFinished);
                                        if (shut_down_) print_note(pod_.pod_name + " has ended");
                                        leave(shut_down_ ? static_cast<int>(kFinished) : fail_with(error));
                                      },
                                  .on_output_closed = [this] { leave(kFinished); }});
  deadline_.start(kAnswerLimitMs);
  loop_.run();
  view_->finish(std::nullopt);
  return exit_code_;
}

void AttachSession::on_event(wire::Event const& event) {
  if (auto const* snapshot = std::get_if<wire::SnapshotEvent>(&event.body)) {
    deadline_.cancel();
    running_ = snapshot->status == wire::PodStatus::Running;
    settled_ = snapshot->settled || snapshot->status == wire::PodStatus::Paused;
    if (input_) return;  // connected again
    if (::isatty(STDIN_FILENO) == 1) {
      print_note("attached to " + pod_.pod_name + " (" + std::string(wire::status_name(snapshot->status)) +
                 "); /help shows what you can type");
    }
    input_.emplace(loop_, STDIN_FILENO,
                   LineInput::Handler{.on_line = [this](std::string line) { on_line(line); },
                                      .on_end = [this] { on_input_end(); }});
    return;
  }
  if (auto const* status = std::get_if<wire::StatusEvent>(&event.body)) {
    running_ = status->status == wire::PodStatus::Running;
    settled_ = status->settled || status->status == wire::PodStatus::Paused;
    leave_if_done();
  } else if (std::holds_alternative<wire::ErrorEvent>(event.body) && event.id) {
    running_ = false;  // our request was refused
    leave_if_done();
  } else if (std::holds_alternative<wire::ShutdownEvent>(event.body)) {
    shut_down_ = true;
  }
}

void AttachSession::on_line(std::string const& typed) {
  std::string line(text::trim(text::to_utf8(typed)));
  if (line.empty()) return;
  if (line == "/quit" || line == "/exit") return quit();
  if (line == "/help") return print_note(kHelp);
  if (line == "/pause") return send(wire::PauseMethod{});
  if (line == "/cancel") return send(wire::CancelMethod{});
  if (line == "/resume") return send(wire::ResumeMethod{});
  if (line == "/yes" || line == "/always" || line == "/no" || line == "/never") {
    if (!asking_->on_line(std::string_view(line).substr(1))) print_note("nothing is asked now");
    return;
  }
  if (line.starts_with('/') && line.find(' ') == std::string::npos &&
      line.find('/', 1) == std::string::npos) {
    return print_note("no such command: " + line + "\n" + std::string(kHelp));
  }
  settled_ = false;
  if (running_) return send(wire::NotifyMethod{line});
  running_ = true;
  send(wire::RunMethod{wire::text_segments(std::move(line))});
}

void AttachSession::on_input_end() {
  input_ended_ = true;
  if (::isatty(STDIN_FILENO) == 1) return quit();
  leave_if_done();
}

void AttachSession::quit() {
  quitting_ = true;
  view_->end_sending();
  deadline_.start(kQuitLimitMs);
}

void AttachSession::leave_if_done() {
  // Fed by a script: stay until what was asked for is done.
  if (input_ended_ && settled_ && !running_ && view_->flushed()) leave(kFinished);
}

}  // namespace

int attach_pod(AttachOptions const& options, Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  auto pod = find_live_pod(paths, options.name);
  if (!pod) return fail_with(pod.error());
  return AttachSession(environment, *pod).execute();
}

}  // namespace insomnia::cli
