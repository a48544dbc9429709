#include "cli/logs.hh"

#include <unistd.h>

#include <csignal>

#include "base/paths.hh"
#include "cli/exit_code.hh"
#include "cli/live_pods.hh"
#include "cli/live_view.hh"
#include "cli/output.hh"
#include "cli/signal_mask.hh"
#include "loop/signals.hh"

namespace insomnia::cli {
namespace {

int show_stored(LogsOptions const& options, Environment const& environment, Paths const& paths) {
  auto location = stored_session(paths, options.name);
  if (!location) return fail_with(location.error());
  if (!*location) {
    print_note(options.name + " has no session yet");
    return kFinished;
  }
  auto loaded = session::load_segment(paths.sessions_dir(), **location);
  if (!loaded) return fail_with(loaded.error());
  if (loaded->torn_bytes > 0) {
    print_note("the log ends in " + std::to_string(loaded->torn_bytes) +
               " bytes of a record that was never completed; they are left out");
  }
  Output output(STDOUT_FILENO);
  if (options.json) {
    for (auto const& line : loaded->lines) {
      if (!output.write(line + "\n")) break;
    }
    return kFinished;
  }
  Renderer renderer(render_options(environment, ""));
  output.write(renderer.history({options.name, 0}, loaded->lines));
  output.write(renderer.finish());
  return kFinished;
}

int follow(LogsOptions const& options, Environment const& environment, registry::Allocation const& pod) {
  SystemClock clock;
  SignalMaskGuard mask;
  loop::EventLoop loop(clock);
  int exit_code = kFinished;
  loop::SignalWatcher signals(loop, {SIGINT, SIGTERM, SIGHUP}, [&](int) {
    exit_code = kInterrupted;
    loop.stop();
  });
  Output output(STDOUT_FILENO);
  bool connected = false;
  bool shut_down = false;
  LiveView view(loop, pod.pod_name, pod.socket,
                {.json = options.json,
                 .follow_children = false,
                 .render = render_options(environment, pod.workspace_root)},
                output,
                {.on_root_event =
                     [&](wire::Event const& event) {
                       connected = true;
                       if (std::holds_alternative<wire::ShutdownEvent>(event.body)) shut_down = true;
                     },
                 .on_root_closed =
                     [&](Error const& error) {
                       if (!shut_down) exit_code = fail_with(error);
                       loop.stop();
                     },
                 .on_output_closed = [&] { loop.stop(); }});
  loop::Timer deadline(loop, [&] {
    if (connected) return;
    print_error("the Pod at " + pod.socket + " does not answer");
    exit_code = kFailed;
    loop.stop();
  });
  deadline.start(15'000);
  loop.run();
  view.finish(std::nullopt);
  return exit_code;
}

}  // namespace

int show_log(LogsOptions const& options, Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  if (auto checked = check_pod_name(options.name); !checked) return fail_with(checked.error());
  if (!options.follow) return show_stored(options, environment, paths);
  auto live = live_pods(paths);
  if (!live) return fail_with(live.error());
  for (auto const& row : *live) {
    if (row.pod_name == options.name && row.state == registry::AllocationState::Live)
      return follow(options, environment, row);
  }
  // Nobody writes to it: what is stored is all there is.
  return show_stored(options, environment, paths);
}

}  // namespace insomnia::cli
