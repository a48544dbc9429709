#include "cli/stop.hh"

#include <algorithm>
#include <csignal>
#include <optional>
#include <vector>

#include "base/clock.hh"
#include "base/paths.hh"
#include "base/uuid.hh"
#include "cli/exit_code.hh"
#include "cli/live_pods.hh"
#include "cli/output.hh"
#include "cli/pod_process.hh"
#include "client/connection.hh"
#include "pod/restore.hh"

namespace insomnia::cli {
namespace {

constexpr int64_t kConnectLimitMs = 5'000;
constexpr int64_t kForcedGraceMs = 1'000;
constexpr int64_t kTermGraceMs = 3'000;
constexpr int64_t kKillGraceMs = 5'000;

/// Sends the shutdown; false when the Pod did not take it.
bool ask_to_end(registry::Allocation const& pod, bool tree, int64_t limit_ms) {
  SystemClock clock;
  loop::EventLoop loop(clock);
  std::optional<Result<wire::SnapshotEvent>> result;
  client::OneShot shot(loop, pod.socket, wire::Method{wire::ShutdownMethod{.tree = tree}, uuid7(clock)},
                       limit_ms, [&](auto got) { result = std::move(got); });
  while (!result) loop.run_once(1'000);
  return result->has_value();
}

/// Waits until `deadline_ms`; those that are still there.
std::vector<PodProcess> still_alive(std::vector<PodProcess> processes, SystemClock const& clock,
                                    int64_t deadline_ms) {
  std::vector<PodProcess> left;
  for (auto& process : processes) {
    if (!process.wait(deadline_ms - clock.steady_ms())) left.push_back(std::move(process));
  }
  return left;
}

/// Gives those that are left `grace_ms` after `step` was done to them; adds a line to `report` for each that
/// ended.
std::vector<PodProcess> after_step(std::vector<PodProcess> processes, void (*step)(PodProcess const&),
                                   int64_t grace_ms, SystemClock const& clock, std::string const& ended_how,
                                   std::string& report) {
  std::vector<std::string> names;
  for (auto const& process : processes) {
    names.push_back(process.name());
    step(process);
  }
  auto left = still_alive(std::move(processes), clock, clock.steady_ms() + grace_ms);
  for (auto const& name : names) {
    bool survived = std::any_of(left.begin(), left.end(),
                                [&](PodProcess const& process) { return process.name() == name; });
    if (!survived) report += name + " " + ended_how + "\n";
  }
  return left;
}

/// The Pods that are to end, deepest first.
Result<std::vector<registry::Allocation>> rows_of(Paths const& paths, registry::Allocation const& pod, bool tree) {
  std::vector<registry::Allocation> rows;
  if (tree) rows = descendants(TRY(live_pods(paths)), pod.pod_id);
  rows.push_back(pod);
  return rows;
}

Result<std::vector<PodProcess>> processes_of(Paths const& paths, std::vector<registry::Allocation> const& rows) {
  std::vector<PodProcess> result;
  for (auto const& row : rows) {
    if (row.state != registry::AllocationState::Live) continue;
    if (auto process = TRY(PodProcess::find(paths, row))) result.push_back(std::move(*process));
  }
  return result;
}

}  // namespace

int stop_pod(StopOptions const& options, Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  auto pod = find_live_pod(paths, options.name);
  if (!pod) return fail_with(pod.error());
  if (pod->state == registry::AllocationState::Reserved) {
    print_error("Pod `" + options.name + "` is just being started by its parent; try again in a moment");
    return kFailed;
  }
  auto rows = rows_of(paths, *pod, options.tree);
  if (!rows) return fail_with(rows.error());
  auto processes = processes_of(paths, *rows);
  if (!processes) return fail_with(processes.error());

  SystemClock clock;
  int64_t grace_ms = options.force ? kForcedGraceMs : int64_t{1'000} * options.timeout_seconds;
  int64_t deadline = clock.steady_ms() + grace_ms;
  bool asked = ask_to_end(*pod, options.tree, std::min(grace_ms, kConnectLimitMs));
  size_t count = processes->size();
  auto left = still_alive(std::move(*processes), clock, asked ? deadline : clock.steady_ms());
  if (left.empty()) {
    std::string others =
        count > 1 ? " and " + std::to_string(count - 1) + (count == 2 ? " descendant" : " descendants") : "";
    return print(options.name + others + " stopped\n");
  }

  std::string why = asked ? "did not end within " + std::to_string(grace_ms / 1'000) + " s"
                          : "did not answer on its socket";
  std::string report;
  left = after_step(
      std::move(left), [](PodProcess const& process) { process.signal(SIGTERM); },
      options.force ? kForcedGraceMs : kTermGraceMs, clock, why + " and was terminated (SIGTERM)", report);
  left = after_step(
      std::move(left), [](PodProcess const& process) { process.kill_group(); }, kKillGraceMs, clock,
      why + " and was killed (SIGKILL)", report);
  print(report);
  // Somebody wanted them to end, so no restore brings them back, though they could not write that themselves.
  for (auto const& row : *rows) pod::mark_done(paths, row.pod_name, row.pod_id);
  for (auto const& process : left) {
    print_error("process " + std::to_string(process.pid()) + " of Pod `" + process.name() +
                "` survived SIGKILL: it hangs in the kernel (a dead disk or network mount?)");
  }
  return left.empty() ? kFinished : kFailed;
}

}  // namespace insomnia::cli
