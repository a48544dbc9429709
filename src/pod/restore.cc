#include "pod/restore.hh"

#include <algorithm>
#include <map>

#include "base/io.hh"
#include "base/log.hh"
#include "registry/liveness.hh"
#include "session/log.hh"

namespace insomnia::pod {

namespace {

/// What is stored of all Pods, read once.
class Stock {
 public:
  explicit Stock(Paths const& paths) : paths_(paths) {
    auto names = list_pod_states(paths);
    if (!names) {
      log::warn("stored Pods can't be listed: " + names.error().message);
      return;
    }
    for (auto const& name : *names) {
      auto state = read_pod_state(paths, name);
      if (state && *state && (*state)->parent && (*state)->ended != "done") below_.emplace((*state)->parent->pod_id, **std::move(state));
    }
  }

  std::vector<PodState const*> children(std::string_view parent_id) const {
    std::vector<PodState const*> result;
    auto [first, last] = below_.equal_range(std::string(parent_id));
    for (auto it = first; it != last; ++it) result.push_back(&it->second);
    return result;
  }

  Result<RestorableChild> look_at(PodState state, size_t depth = 0) const {
    std::string named = "Pod `" + state.pod_name + "`";
    std::string lock = paths_.pod_dir(state.pod_name) + "/lock";
    registry::wait_for_remains(lock, kRemainsMs);
    auto holder = TRY(registry::lock_holder(lock));
    if (holder) return fail(Code::AlreadyExists, named + " is live (process " + std::to_string(holder->pid) + ")");
    RestorableChild child{.state = std::move(state), .works = false};
    session::Location location{child.state.session_id, child.state.segment_id};
    // Without a session it was started and never given anything to do.
    bool logged = !location.session_id.empty() && !location.segment_id.empty() && io::exists(session::segment_path(paths_.sessions_dir(), location));
    if (logged) {
      auto segment = session::load_segment(paths_.sessions_dir(), location);
      if (!segment) return fail(Code::Unavailable, named + " cannot be restored, its session is gone: " + segment.error().message);
      child.works = segment->state.run_open || child.state.resume;
    }
    for (auto const* below : children(child.state.pod_id)) {
      if (child.works || depth > kMaxDepth) break;
      auto looked = look_at(*below, depth + 1);
      child.works = looked && looked->works;
    }
    return child;
  }

 private:
  static constexpr size_t kMaxDepth = 64;
  static constexpr int64_t kRemainsMs = 6'000;
  Paths const& paths_;
  std::multimap<std::string, PodState> below_;  ///< by the parent's pod_id; all that did not end for good
};

}  // namespace

Result<RestorableChild> read_restorable(Paths const& paths, std::string_view name, std::string_view pod_id) {
  std::string named = "Pod `" + std::string(name) + "`";
  auto state = TRY(read_pod_state(paths, name));
  if (!state) return fail(Code::NotFound, "pod state missing: there is no stored " + named);
  if (state->pod_id != pod_id) return fail(Code::NotFound, "pod state missing: " + named + " is stored, but it is another Pod by now");
  return Stock(paths).look_at(*std::move(state));
}

std::vector<RestorableChild> children_to_restore(Paths const& paths, std::string_view parent_id) {
  std::vector<RestorableChild> result;
  Stock stock(paths);
  for (auto const* state : stock.children(parent_id)) {
    auto child = stock.look_at(*state);
    if (child) result.push_back(*std::move(child));
    else if (child.error().code != Code::AlreadyExists) log::warn(child.error().message);
  }
  std::sort(result.begin(), result.end(), [](auto const& a, auto const& b) { return a.state.pod_name < b.state.pod_name; });
  return result;
}

std::vector<StoredLook> look_at_stored(Paths const& paths, std::vector<StoredName> const& pods) {
  std::vector<StoredLook> result;
  for (auto const& [name, pod_id] : pods) {
    StoredLook& look = result.emplace_back();
    auto state = read_pod_state(paths, name);
    if (!state) {
      look.state = "corrupt";
      look.error = look.reason = state.error().message;
      continue;
    }
    if (!*state || (*state)->pod_id != pod_id) {
      look.reason = *state ? "the name is another Pod's by now" : "nothing of it is stored";
      continue;
    }
    look.state = "readable";
    look.session_id = (*state)->session_id;
    look.segment_id = (*state)->segment_id;
    auto holder = registry::lock_holder(paths.pod_dir(name) + "/lock");
    if (!holder) look.reason = holder.error().message;
    else if (*holder) look.reason = "it is live";
    else if (look.segment_id.empty()) look.reason = "it was never given anything to do";
    else if (!io::exists(session::segment_path(paths.sessions_dir(), {look.session_id, look.segment_id}))) look.reason = "its session is missing";
    else look.restorable = true;
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
