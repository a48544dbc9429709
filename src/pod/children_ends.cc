// The part of Children that notices ends, and takes over who is left.
#include <sys/syscall.h>

#include <algorithm>

#include "base/fault_point.hh"
#include "base/io.hh"
#include "base/log.hh"
#include "pod/census.hh"
#include "pod/children.hh"
#include "pod/launch.hh"
#include "pod/report_receiver.hh"
#include "pod/restore.hh"
#include "pod/target_directories.hh"
#include "registry/liveness.hh"

namespace insomnia::pod {
namespace {

constexpr int64_t kRemainsMs = 2'000;
constexpr int64_t kAskMs = 5'000;
constexpr size_t kMaxReclaimed = 100;
constexpr int64_t kLookAgainMs = 1'000;

/// Of a child whose process an earlier instance of this Pod started, so that there is no exit status: whether it ended without a word.
bool ended_without_a_word(Paths const& paths, ChildRecord const& child) {
  auto state = read_pod_state(paths, child.pod_name);
  if (state && *state && (*state)->pod_id != child.pod_id) return false;  // the name is another's by now, and so is all that lies there
  return io::exists(paths.pod_runtime_dir(child.pod_name) + "/status.json");  // one that ended in good order has tidied up
}

}  // namespace

void Children::process_ended(std::string const& pod_id, std::optional<loop::ExitStatus> status) {
  auto it = living_.find(pod_id);
  if (it == living_.end()) return;
  fault_point("end.noticed");
  it->second->escalation.reset();
  it->second->shutdown_call.reset();
  host_.scan_mail([this, alive = alive_, pod_id, status] {
    if (*alive) finish_end(pod_id, status);
  });
}

void Children::finish_end(std::string const& pod_id, std::optional<loop::ExitStatus> status) {
  auto const* found = find_by_id(pod_id);
  if (found == nullptr) return;
  ChildRecord record = *found;
  struct Released {
    Result<void> outcome;
    Result<std::vector<registry::Allocation>> children;
    std::optional<std::vector<registry::Allocation>> all;  ///< when there were Pods below it
  };
  // Its own release ran if it ended in good order; after a crash the row goes here, and what it had lent goes to this Pod.
  core_.registry_worker.run<Released>(
      [registry = core_.registry.get(), pod_id, instance = record.instance_id, self = core_.state.pod_id, below = grandchildren_.any_below(record),
       lock = core_.paths.pod_dir(record.pod_name) + "/lock", path = core_.paths.pod_lock(record.pod_name)] {
        // The process is dead, but perhaps not yet what it ran in its cell: its scope is free when nothing can write there any more.
        if (!registry::wait_for_remains(lock, kRemainsMs) || !registry::wait_for_remains(path, kRemainsMs)) {
          Error error{Code::Unavailable, "something in its cell does not end"};
          return Released{std::unexpected(error), std::unexpected(error), {}};
        }
        Released released{registry->release(pod_id, instance), {}, {}};
        released.children = registry->children(self);
        if (below) {
          if (auto all = registry->list()) released.all = *std::move(all);
        }
        return released;
      },
      [this, alive = alive_, record, status](Released const& released) {
        if (!*alive) return;
        if (!released.outcome && released.outcome.error().code != Code::NotFound) {
          log::warn("release of " + record.pod_name + ": " + released.outcome.error().message);
        }
        auto it = living_.find(record.pod_id);
        if (it == living_.end()) return;
        if (!released.children) {
          // What it had lent to Pods that live can't be told from what is free: nothing comes back before it can.
          log::warn("who took over from " + record.pod_name + " can't be found out: " + released.children.error().message);
          it->second->look_again = std::make_unique<loop::Timer>(core_.loop, [this, id = record.pod_id, status] { finish_end(id, status); });
          it->second->look_again->start(kLookAgainMs);
          return;
        }
        fault_point("end.released");
        auto child = std::move(it->second);
        living_.erase(it);
        core_.authority.take_back(record.pod_id);
        // What its own children hold does not come back yet: they are this Pod's children now.
        take_over(*released.children);
        if (released.all) grandchildren_.child_ended(record, *released.all);
        host_.scope_changed();
        host_.ended(record.pod_id);
        bool failed = status ? !status->ok() : ended_without_a_word(core_.paths, record);
        bool crashed = failed && !child->stop_expected && record.state != "starting";
        broadcast_state(record, crashed ? "crashed" : "stopped");
        // One that was told to end is not brought back by a restore, also when it had to be killed.
        if (child->stop_expected && !child->interrupted) {
          core_.log_worker.run([paths = core_.paths, name = record.pod_name, pod_id = record.pod_id] { mark_done(paths, name, pod_id); });
        }
        // Its spawner died before it saw the child live: what was made for it goes, if nobody has put anything there.
        if (record.state == "starting") core_.log_worker.run([made = record.made_directories] { remove_target_directories(made); });
        if (crashed) {
          std::string tail = stderr_tail(core_.paths.pod_runtime_dir(record.pod_name) + "/stderr.log");
          wire::Crashed event{record.pod_name, status ? status->describe() : "ended without a word", std::nullopt};
          if (!tail.empty()) event.stderr_tail = tail;
          host_.synthesised_end(std::move(event), record.instance_id);
        } else if (!child->stop_expected && record.state != "starting" && !(record.end_when_done && !record.work_open)) {
          host_.synthesised_end(wire::ShutDown{record.pod_name, std::nullopt}, record.instance_id);
        }
        move_to_reclaimed(record.pod_id, crashed);
        core_.persist();
        fault_point("end.recorded");
        if (record.state != "starting") host_.tell_parent(wire::ScopeReturned{core_.name(), record.pod_name, record.scope_delegated, std::nullopt});
        for (auto& waiter : child->waiters) waiter(scope::describe_rules(record.scope_delegated));
        if (*alive) host_.changed();
      });
}

/// Pods that hang below this one in the registry and are not known yet: the Pod between has ended.
void Children::take_over(std::vector<registry::Allocation> const& rows) {
  for (auto const& row : rows) {
    if (row.state != registry::AllocationState::Live || living_.contains(row.pod_id) || find_by_id(row.pod_id) != nullptr) continue;
    ChildRecord record;
    record.pod_name = row.pod_name;
    record.pod_id = row.pod_id;
    record.instance_id = row.instance_id;
    record.socket_path = row.socket;
    record.callback_address = core_.socket_path();
    record.state = "live";
    record.taken_over = true;
    record.for_parent = core_.state.parent.has_value();  // who gave its work is gone
    record.task = row.task;
    record.scope_delegated = row.scope_allow;
    record.scope_deny = row.scope_deny;
    if (lives(record) == Life::Over) continue;  // it has just ended; the registry finds that out
    std::erase_if(core_.state.spawned_children, [&](auto const& other) { return other.grandchild && other.pod_name == row.pod_name; });
    living_[row.pod_id] = std::make_unique<Living>();
    core_.state.spawned_children.push_back(record);
    watch(record);
    ask_whether_it_works(record);
    broadcast_state(core_.state.spawned_children.back(), "idle");
  }
}

/// Of one that was taken over. Its end is waited for when it will report to this Pod: the one between is gone for good.
void Children::ask_whether_it_works(ChildRecord const& record) {
  living_[record.pod_id]->asked = true;
  core_.log_worker.run<bool>(
      [paths = core_.paths, name = record.pod_name, pod_id = record.pod_id, self = core_.state.pod_id] {
        auto state = read_pod_state(paths, name);
        if (!state || !*state || (*state)->pod_id != pod_id || !(*state)->parent) return false;
        return (*state)->parent->pod_id == self || !will_read_mail(paths, *(*state)->parent);
      },
      [this, alive = alive_, pod_id = record.pod_id, socket = record.socket_path](bool reports_here) {
        if (!*alive || !living_.contains(pod_id)) return;
        auto answered = [this, pod_id](bool works) {
          auto child = living_.find(pod_id);
          if (child == living_.end()) return;
          child->second->asked = false;
          if (works && !child->second->heard_end) {
            set_shown_state(pod_id, "running");
            set_work_open(pod_id, true);
          }
          host_.changed();
        };
        if (!reports_here) return answered(false);
        living_[pod_id]->probe =
            std::make_unique<client::OneShot>(core_.loop, socket, std::nullopt, kAskMs, [answered](Result<wire::SnapshotEvent> snapshot) {
              answered(snapshot && snapshot->status == wire::PodStatus::Running);
            });
      });
}

/// Whether the process of a child that another process started lives. What cannot be found out is not over.
Children::Life Children::lives(ChildRecord const& record, pid_t* pid) const {
  auto holder = pod_holder(core_.paths, record.pod_name, record.instance_id);
  if (!holder) {
    log::warn("whether Pod " + record.pod_name + " lives can't be found out: " + holder.error().message);
    return Life::Unknown;
  }
  if (!*holder || (*holder)->instance_id != record.instance_id) return Life::Over;
  if (pid != nullptr) *pid = (*holder)->pid;
  return Life::GoesOn;
}

/// Watches a child that another process started, and takes what it holds from the own scope. When its life can't be found out now it is
/// looked at again, and nothing of it comes back before.
void Children::watch(ChildRecord const& record) {
  auto it = living_.find(record.pod_id);
  if (it == living_.end()) return;
  Living& child = *it->second;
  core_.authority.lend(record.pod_id, record.pod_name, record.scope_delegated);
  child.shown_state = "idle";
  Life life = lives(record, &child.pid);
  if (life == Life::GoesOn) {
    child.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0)));
    // Asked again: only then is the descriptor the one of the process that holds the lock.
    pid_t again = 0;
    life = lives(record, &again);
    if (life == Life::GoesOn && (!child.pidfd || again != child.pid)) life = Life::Unknown;
  }
  if (life == Life::GoesOn) {
    child.look_again.reset();
    child.watcher = std::make_unique<loop::FdWatcher>(core_.loop, child.pidfd.get(), loop::FdWatcher::kRead, [this, id = record.pod_id](uint32_t) {
      auto ended = living_.find(id);
      if (ended == living_.end()) return;
      ended->second->watcher.reset();
      process_ended(id, std::nullopt);
    });
    return;
  }
  // Not at once: the caller is not done yet.
  child.look_again = std::make_unique<loop::Timer>(core_.loop, [this, id = record.pod_id, life] {
    auto const* known = find_by_id(id);
    if (known == nullptr) return;
    if (life == Life::Over) process_ended(id, std::nullopt);
    else watch(ChildRecord(*known));
  });
  child.look_again->start(life == Life::Over ? 0 : kLookAgainMs);
}

void Children::move_to_reclaimed(std::string const& pod_id, bool crashed) {
  auto const* record = find_by_id(pod_id);
  if (record == nullptr) return;
  auto& reclaimed = core_.state.reclaimed_children;
  reclaimed.push_back({record->pod_name, record->pod_id, record->instance_id, record->scope_delegated, crashed, record->mail_seq, record->work_open,
                       record->for_parent, record->end_when_done, record->die_with_parent});
  if (reclaimed.size() > kMaxReclaimed) reclaimed.erase(reclaimed.begin());
  std::string name = record->pod_name;
  std::erase_if(core_.state.spawned_children,
                [&](auto const& other) { return other.pod_id == pod_id || (other.grandchild && other.pod_name == name); });
}

}  // namespace insomnia::pod
