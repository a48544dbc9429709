#include "pod/restore.hh"

#include <algorithm>

#include "base/io.hh"
#include "base/log.hh"
#include "registry/liveness.hh"
#include "session/log.hh"

namespace insomnia::pod {

Result<RestorableChild> read_restorable(Paths const& paths, std::string_view name, std::string_view pod_id) {
  std::string named = "Pod `" + std::string(name) + "`";
  auto state = TRY(read_pod_state(paths, name));
  if (!state) return fail(Code::NotFound, "pod state missing: there is no stored " + named);
  if (state->pod_id != pod_id) return fail(Code::NotFound, "pod state missing: " + named + " is stored, but it is another Pod by now");
  auto holder = TRY(registry::lock_holder(paths.pod_dir(name) + "/lock"));
  if (holder) return fail(Code::AlreadyExists, named + " is live (process " + std::to_string(holder->pid) + ")");
  RestorableChild child{.state = *std::move(state), .works = false};
  session::Location location{child.state.session_id, child.state.segment_id};
  bool logged = !location.session_id.empty() && !location.segment_id.empty() && io::exists(session::segment_path(paths.sessions_dir(), location));
  if (!logged) return child;  // it was started and never given anything to do
  auto segment = session::load_segment(paths.sessions_dir(), location);
  if (!segment) return fail(Code::Unavailable, named + " cannot be restored, its session is gone: " + segment.error().message);
  child.works = segment->state.run_open || child.state.resume;
  return child;
}

std::vector<RestorableChild> children_to_restore(Paths const& paths, std::string_view parent_id) {
  std::vector<RestorableChild> result;
  auto names = list_pod_states(paths);
  if (!names) {
    log::warn("stored Pods can't be listed: " + names.error().message);
    return result;
  }
  for (auto const& name : *names) {
    auto state = read_pod_state(paths, name);
    if (!state || !*state || !(*state)->parent || (*state)->parent->pod_id != parent_id || (*state)->ended == "done") continue;
    auto child = read_restorable(paths, name, (*state)->pod_id);
    if (child) result.push_back(*std::move(child));
    else if (child.error().code != Code::AlreadyExists) log::warn(child.error().message);
  }
  return result;
}

void mark_done(Paths const& paths, std::string_view name, std::string_view pod_id) {
  // With the lock in hand nobody starts it meanwhile.
  auto lock = registry::InstanceLock::acquire(paths.pod_dir(name) + "/lock", "restore");
  if (!lock) return;
  auto state = read_pod_state(paths, name);
  if (!state || !*state || (*state)->pod_id != pod_id || (*state)->ended == "done") return;
  (*state)->ended = "done";
  if (auto written = write_pod_state(paths, **state); !written) log::warn(written.error().message);
}

}  // namespace insomnia::pod
