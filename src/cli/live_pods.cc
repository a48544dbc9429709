#include "cli/live_pods.hh"

#include <algorithm>
#include <boost/json.hpp>
#include <ctime>

#include "base/clock.hh"
#include "base/io.hh"
#include "base/json.hh"
#include "base/text.hh"
#include "pod/census.hh"
#include "pod/store.hh"
#include "registry/liveness.hh"

namespace insomnia::cli {
namespace {

constexpr int64_t kReturnLimitMs = 3'000;
constexpr long kPauseNs = 2'000'000;

bool is_reachable(Paths const& paths, registry::Allocation const& row) {
  return io::exists(row.socket) && io::exists(paths.pod_lock(row.pod_name)) &&
         io::exists(paths.pod_runtime_dir(row.pod_name) + "/status.json");
}

/// When the runtime directory, or a part of it, has vanished under living Pods, they are asked to restore it, and
/// waited for.
void wait_for_return(Paths const& paths, std::vector<registry::Allocation> const& rows) {
  std::vector<registry::Allocation> missing;
  for (auto const& row : rows) {
    if (row.state == registry::AllocationState::Live && !is_reachable(paths, row)) missing.push_back(row);
  }
  std::erase_if(missing, [&](registry::Allocation const& row) { return pod::wake_pods(paths, {row}) == 0; });
  SystemClock clock;
  int64_t deadline_ms = clock.steady_ms() + kReturnLimitMs;
  while (!missing.empty() && clock.steady_ms() < deadline_ms) {
    timespec pause{.tv_sec = 0, .tv_nsec = kPauseNs};
    ::nanosleep(&pause, nullptr);
    std::erase_if(missing, [&](registry::Allocation const& row) {
      auto holder = pod::pod_holder(paths, row.pod_name, row.instance_id);
      return is_reachable(paths, row) || (holder && !*holder);
    });
  }
}

}  // namespace

void wait_for_killed_pods(Paths const& paths) {
  constexpr int64_t kRemainsMs = 6'000;
  SystemClock clock;
  int64_t deadline_ms = clock.steady_ms() + kRemainsMs;
  for (auto const& name : io::list_directory(paths.pods_dir()).value_or(std::vector<std::string>{})) {
    for (auto const& lock : {paths.pod_dir(name) + "/lock", paths.pod_lock(name)}) {
      registry::wait_for_remains(lock, std::max<int64_t>(0, deadline_ms - clock.steady_ms()));
    }
  }
}

Result<std::vector<registry::Allocation>> live_pods(Paths const& paths) {
  TRY(paths.require_runtime_dir());
  // No registry is no sign that nobody lives, but without Pods none is made for a look.
  if (!io::exists(paths.registry_db()) && TRY(pod::living_pods(paths)).empty())
    return std::vector<registry::Allocation>{};
  auto registry = TRY(pod::open_registry(paths));
  auto rows = TRY(registry->list());
  wait_for_return(paths, rows);
  return rows;
}

Result<registry::Allocation> find_live_pod(Paths const& paths, std::string const& name) {
  TRY(check_pod_name(name));
  auto rows = TRY(live_pods(paths));
  std::vector<std::string> names;
  for (auto& row : rows) {
    if (row.pod_name == name) return std::move(row);
    names.push_back(row.pod_name);
  }
  std::string message = "no Pod `" + name + "` is running; ";
  message += names.empty() ? "none is" : "running: " + text::join(names, ", ");
  if (io::exists(paths.pod_dir(name) + "/metadata.json")) {
    message += "; its session is stored: `insomnia logs " + name + "` shows it, `insomnia run --name " +
               name + " …` continues it";
  }
  return fail(Code::NotFound, std::move(message));
}

PodStatus pod_status(Paths const& paths, registry::Allocation const& row) {
  if (row.state == registry::AllocationState::Reserved) return {"starting", ""};
  auto text = io::read_file(paths.pod_runtime_dir(row.pod_name) + "/status.json", 1 << 20);
  if (!text) return {"starting", ""};
  auto object = json::parse_object(*text);
  if (!object) return {"unknown", ""};
  json::Reader reader(*object);
  return {reader.string_or("state", "unknown"), reader.string_or("isolation", "")};
}

Result<std::optional<session::Location>> stored_session(Paths const& paths, std::string const& name) {
  TRY(check_pod_name(name));
  TRY(paths.require_data_dir());
  auto state = TRY(pod::read_pod_state(paths, name));
  if (!state) {
    return fail(Code::NotFound,
                "there is no Pod `" + name + "`, neither running nor stored in " + paths.pods_dir());
  }
  if (state->session_id.empty() || state->segment_id.empty()) return std::optional<session::Location>{};
  return std::optional(session::Location{state->session_id, state->segment_id});
}

std::vector<registry::Allocation> descendants(std::vector<registry::Allocation> const& rows,
                                              std::string const& pod_id) {
  std::vector<registry::Allocation> result;
  std::vector<std::string> parents{pod_id};
  // Breadth first from the top; each row has one parent, so nothing comes twice.
  for (size_t i = 0; i < parents.size() && parents.size() <= rows.size() + 1; ++i) {
    std::string parent = parents[i];
    for (auto const& row : rows) {
      if (row.delegated_from != parent || parent.empty()) continue;
      parents.push_back(row.pod_id);
      result.push_back(row);
    }
  }
  std::reverse(result.begin(), result.end());
  return result;
}

}  // namespace insomnia::cli
