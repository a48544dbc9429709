#include "cli/restore.hh"

#include <algorithm>
#include <boost/json.hpp>
#include <functional>
#include <map>
#include <optional>

#include "base/clock.hh"
#include "base/json.hh"
#include "base/paths.hh"
#include "base/text.hh"
#include "base/uuid.hh"
#include "cli/exit_code.hh"
#include "cli/live_pods.hh"
#include "cli/output.hh"
#include "cli/run_config.hh"
#include "client/connection.hh"
#include "pod/launch.hh"
#include "pod/store.hh"
#include "registry/liveness.hh"

namespace insomnia::cli {
namespace {

using Action = RestoreStep::Action;
using pod::StoredPod;
using pod::StoredState;

/// A Pod is ready when all below it is.
constexpr int64_t kAskAgainMs = 50;
constexpr int64_t kLaunchLimitMs = 90'000;

class Planner {
 public:
  Planner(std::vector<StoredPod> const& stored, std::vector<registry::Allocation> const& live, std::set<std::string> const& ended_well)
      : ended_well_(ended_well) {
    for (auto const& row : live) live_.emplace(row.pod_id, row.pod_name);
    for (auto const& pod : stored) {
      if (!pod.pod_id.empty()) by_id_.emplace(pod.pod_id, &pod);
      if (!pod.parent_pod_id.empty()) below_.emplace(pod.parent_pod_id, &pod);
    }
  }

  /// The highest Pod that must be brought back for this one, by way of Pods that can be.
  StoredPod const* top_of(StoredPod const& pod) const {
    StoredPod const* top = &pod;
    for (size_t steps = 0; steps <= by_id_.size(); ++steps) {
      auto above = by_id_.find(top->parent_pod_id);
      bool comes_back = above != by_id_.end() && !lives(*above->second) && above->second->state == StoredState::Restorable &&
                        !ended_well_.contains(above->second->pod_id);
      if (!comes_back) break;
      top = above->second;
    }
    return top;
  }

  void plan_tree(StoredPod const& top, bool is_named) {
    if (!planned_.insert(top.pod_id.empty() ? "name " + top.pod_name : top.pod_id).second) return;
    RestoreStep step = step_for(top);
    if (!is_named && step.action == Action::Launch && ended_well_.contains(top.pod_id)) return;
    bool starts = step.action == Action::Launch || step.action == Action::AskParent || step.action == Action::WithParent;
    steps_.push_back(std::move(step));
    if (starts) plan_below(top);
  }

  bool lives(StoredPod const& pod) const { return live_.contains(pod.pod_id); }
  std::vector<RestoreStep> take() { return std::move(steps_); }

 private:
  RestoreStep step_for(StoredPod const& pod) const {
    RestoreStep step{.pod_name = pod.pod_name, .pod_id = pod.pod_id, .action = Action::Launch, .parent = "", .reason = pod.reason};
    auto parent = live_.find(pod.parent_pod_id);
    auto above = by_id_.find(pod.parent_pod_id);
    if (parent != live_.end()) step.parent = parent->second;
    else if (above != by_id_.end() && planned_.contains(above->first)) step.parent = above->second->pod_name;
    if (lives(pod)) step.action = Action::None;
    else if (pod.state == StoredState::Gone) step.action = Action::Gone;
    else if (pod.state == StoredState::NeedsKey) step.action = Action::NeedsKey;
    else if (parent != live_.end()) step.action = Action::AskParent;
    else if (!step.parent.empty()) step.action = Action::WithParent;
    return step;
  }

  void plan_below(StoredPod const& pod) {
    auto [first, last] = below_.equal_range(pod.pod_id);
    for (auto it = first; it != last; ++it) {
      if (!ended_well_.contains(it->second->pod_id)) plan_tree(*it->second, false);
    }
  }

  std::set<std::string> const& ended_well_;
  std::map<std::string, std::string> live_;  ///< pod_id to name
  std::map<std::string, StoredPod const*> by_id_;
  std::multimap<std::string, StoredPod const*> below_;
  std::set<std::string> planned_;
  std::vector<RestoreStep> steps_;
};

/// Starts the Pod; it stays when this process ends.
Result<void> launch(Paths const& paths, RestoreStep const& step) {
  auto stored = TRY(pod::read_pod_state(paths, step.pod_name));
  if (!stored) return fail(Code::NotFound, "the state of Pod `" + step.pod_name + "` has gone meanwhile");
  pod::HandOver hand_over;
  hand_over.config.pod_name = step.pod_name;
  hand_over.pod_id = step.pod_id;
  hand_over.cwd = stored->cwd;
  hand_over.workspace_root = stored->workspace_root;
  hand_over.restore = true;
  SystemClock clock;
  loop::EventLoop loop(clock);
  std::optional<Result<pod::LaunchedPod>> launched;
  pod::PodLaunch start(loop, paths, pod::RuntimeCommand::self(), hand_over, kLaunchLimitMs,
                       [&](Result<pod::LaunchedPod> result) { launched = std::move(result); });
  while (!launched) loop.run_once(1'000);
  if (!*launched) return std::unexpected(launch_failure(std::move(*launched).error()));
  (*launched)->child.detach();
  return {};
}

/// The parent starts its child again. `reached`: it has answered the connection.
Result<void> ask_parent_once(loop::EventLoop& loop, Paths const& paths, RestoreStep const& step, int64_t deadline, bool& reached) {
  std::string id = uuid7(loop.clock());
  std::optional<Result<void>> answer;
  client::Connection connection(loop, paths.pod_socket(step.parent),
                                {.on_event =
                                     [&](wire::Event const& event) {
                                       reached = true;
                                       if (event.id != id) return;
                                       if (auto const* error = std::get_if<wire::ErrorEvent>(&event.body)) answer = fail(Code::Unavailable, error->message);
                                       auto const* restored = std::get_if<wire::PodRestoredEvent>(&event.body);
                                       if (restored == nullptr) return;
                                       // It was not when this was planned: somebody else brings it back, and what is below it.
                                       if (restored->action == "already_live") answer = fail(Code::AlreadyExists, "Pod `" + step.pod_name + "` is live already");
                                       else answer = Result<void>{};
                                     },
                                 .on_closed = [&](Error const& error) { answer = std::unexpected(error); }});
  connection.send({wire::RestorePodMethod{step.pod_name}, id});
  while (!answer && loop.clock().steady_ms() < deadline) loop.run_once(deadline - loop.clock().steady_ms());
  if (!answer) return fail(Code::Timeout, "Pod `" + step.parent + "` did not bring its child back in time");
  return *answer;
}

/// A parent that is being brought back at this moment answers when its socket is there.
Result<void> ask_parent(Paths const& paths, RestoreStep const& step) {
  SystemClock clock;
  loop::EventLoop loop(clock);
  int64_t deadline = clock.steady_ms() + kLaunchLimitMs;
  for (;;) {
    bool reached = false;
    auto answer = ask_parent_once(loop, paths, step, deadline, reached);
    if (answer || reached || answer.error().code != Code::Unavailable || clock.steady_ms() >= deadline) return answer;
    auto holder = registry::lock_holder(paths.pod_lock(step.parent));
    if (!holder || !*holder) return answer;
    bool later = false;
    loop::Timer pause(loop, [&] { later = true; });
    pause.start(kAskAgainMs);
    while (!later) loop.run_once(kAskAgainMs);
  }
}

struct Outcome {
  RestoreStep step;
  std::string word;
  std::string reason;
  bool good = false;
};

class Restore {
 public:
  explicit Restore(Paths const& paths) : paths_(paths) {}

  void carry_out(std::vector<RestoreStep> const& steps) {
    for (auto const& step : steps) {
      if (step.action == Action::Launch) started(step, launch(paths_, step));
      else if (step.action == Action::AskParent) started(step, ask_parent(paths_, step));
      else if (step.action == Action::None) outcomes_.push_back({step, "already live", "", true});
      else if (step.action == Action::NeedsKey) outcomes_.push_back({step, "needs key", step.reason, false});
      else if (step.action == Action::Gone) outcomes_.push_back({step, "gone", step.reason, false});
      else outcomes_.push_back({step, "", "", false});
    }
    // What came back with its parent is seen in the registry: the parent was ready after it.
    auto rows = live_pods(paths_);
    for (auto& outcome : outcomes_) {
      if (!outcome.word.empty()) continue;
      if (being_restored_.contains(outcome.step.parent)) {
        being_restored_.insert(outcome.step.pod_name);
        outcome.word = kBeingRestored;
        outcome.good = true;
        continue;
      }
      outcome.good = rows && std::any_of(rows->begin(), rows->end(), [&](auto const& row) { return row.pod_id == outcome.step.pod_id; });
      outcome.word = outcome.good ? "restored" : "not restored";
      if (!outcome.good) outcome.reason = "`insomnia attach " + outcome.step.parent + "` shows why";
    }
  }

  bool all_good() const {
    return std::all_of(outcomes_.begin(), outcomes_.end(), [](Outcome const& outcome) { return outcome.good; });
  }

  std::string text() const {
    std::map<std::string, size_t> depths;
    std::string result;
    for (auto const& outcome : outcomes_) {
      auto above = depths.find(outcome.step.parent);
      size_t depth = above == depths.end() ? 0 : above->second + 1;
      depths[outcome.step.pod_name] = depth;
      result += std::string(2 * depth, ' ') + safe_line(outcome.step.pod_name, 64) + "  " + outcome.word;
      if (!outcome.reason.empty()) result += ": " + safe_line(outcome.reason, 0);
      result += '\n';
    }
    return result;
  }

  std::string json() const {
    boost::json::array list;
    for (auto const& outcome : outcomes_) {
      boost::json::object item{{"pod_name", outcome.step.pod_name}, {"pod_id", outcome.step.pod_id}, {"result", outcome.word}};
      item["parent"] = outcome.step.parent.empty() ? boost::json::value(nullptr) : boost::json::value(outcome.step.parent);
      item["reason"] = outcome.reason.empty() ? boost::json::value(nullptr) : boost::json::value(text::to_utf8(outcome.reason));
      list.push_back(std::move(item));
    }
    return json::dump_pretty(list) + "\n";
  }

 private:
  void started(RestoreStep const& step, Result<void> const& result) {
    bool taken = !result && (result.error().code == Code::AlreadyExists || result.error().code == Code::Conflict);
    if (taken && is_live(step)) {
      // Two restores at once: the other one was first.
      being_restored_.insert(step.pod_name);
      outcomes_.push_back({step, kBeingRestored, "", true});
      return;
    }
    outcomes_.push_back({step, result ? "restored" : "not restored", result ? "" : result.error().message, result.has_value()});
  }

  bool is_live(RestoreStep const& step) const {
    auto holder = registry::lock_holder(paths_.pod_lock(step.pod_name));
    auto state = pod::read_pod_state(paths_, step.pod_name);
    return holder && *holder && state && *state && (*state)->pod_id == step.pod_id;
  }

  static constexpr char const* kBeingRestored = "brought back by somebody else";
  Paths const& paths_;
  std::vector<Outcome> outcomes_;
  std::set<std::string> being_restored_;  ///< names
};

/// The Pods that nobody expects back: their work was done, or somebody stopped them.
std::set<std::string> ended_well(Paths const& paths, std::vector<StoredPod> const& stored) {
  std::set<std::string> result;
  for (auto const& pod : stored) {
    if (pod.pod_id.empty()) continue;
    auto state = pod::read_pod_state(paths, pod.pod_name);
    if (state && *state && (*state)->ended == "done") result.insert(pod.pod_id);
  }
  return result;
}

}  // namespace

Result<std::vector<RestoreStep>> plan_restore(std::vector<StoredPod> const& stored, std::vector<registry::Allocation> const& live,
                                              std::set<std::string> const& ended_well, RestoreOptions const& options) {
  Planner planner(stored, live, ended_well);
  if (options.all) {
    for (auto const& pod : stored) {
      // Of one whose state can't be read nobody knows whether it was done: it is named.
      if (pod.pod_id.empty()) planner.plan_tree(pod, false);
      else if (!planner.lives(pod) && !ended_well.contains(pod.pod_id)) planner.plan_tree(*planner.top_of(pod), false);
    }
    return planner.take();
  }
  auto named = std::find_if(stored.begin(), stored.end(), [&](StoredPod const& pod) { return pod.pod_name == options.name; });
  if (named == stored.end()) {
    return fail(Code::NotFound, "there is no stored Pod `" + options.name + "`; `insomnia ps --all` lists those that there are");
  }
  planner.plan_tree(named->state == StoredState::Restorable ? *planner.top_of(*named) : *named, true);
  planner.plan_tree(*named, true);
  return planner.take();
}

int restore_pods(RestoreOptions const& options, Environment const& environment) {
  if (options.all != options.name.empty()) {
    print_error("name one Pod, or give --all");
    return kUsage;
  }
  Paths paths = Paths::resolve(environment);
  wait_for_killed_pods(paths);
  auto stored = pod::stored_pods(paths, environment);
  if (!stored) return fail_with(stored.error());
  auto live = live_pods(paths);
  if (!live) return fail_with(live.error());
  auto steps = plan_restore(*stored, *live, ended_well(paths, *stored), options);
  if (!steps) return fail_with(steps.error());
  Restore restore(paths);
  restore.carry_out(*steps);
  if (!options.json && steps->empty()) print_note("nothing to restore: every stored Pod is live or was done");
  print(options.json ? restore.json() : restore.text());
  return restore.all_good() ? kFinished : kFailed;
}

}  // namespace insomnia::cli
