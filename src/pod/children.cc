#include "pod/children.hh"

#include <sys/syscall.h>

#include <algorithm>
#include <csignal>

#include "base/io.hh"
#include "base/log.hh"
#include "base/text.hh"
#include "pod/target_directories.hh"
#include "registry/liveness.hh"

namespace insomnia::pod {
namespace {

constexpr int64_t kStopStepMs = 5'000;
constexpr size_t kMaxReclaimed = 100;
constexpr size_t kStderrTail = 4096;

std::string stderr_tail(Paths const& paths, std::string const& name) {
  auto bytes = io::read_file(paths.pod_runtime_dir(name) + "/stderr.log", 16u << 20);
  if (!bytes) return "";
  return std::string(text::trim(text::suffix(text::to_utf8(*bytes), kStderrTail)));
}

}  // namespace

Children::Children(PodCore& core, Host host) : core_(core), host_(std::move(host)) {}

Children::~Children() {
  *alive_ = false;
  // Children outlive their parent: only the watching ends here.
  for (auto& [id, child] : living_) {
    if (child->process) child->process->detach();
  }
}

ChildRecord* Children::find(std::string_view pod_name) {
  auto& records = core_.state.spawned_children;
  auto it = std::find_if(records.begin(), records.end(), [&](auto const& record) { return record.pod_name == pod_name; });
  return it == records.end() ? nullptr : &*it;
}

ChildRecord* Children::find_by_id(std::string_view pod_id) {
  auto& records = core_.state.spawned_children;
  auto it = std::find_if(records.begin(), records.end(), [&](auto const& record) { return record.pod_id == pod_id; });
  return it == records.end() ? nullptr : &*it;
}

wire::ChildInfo Children::info(ChildRecord const& record, std::string const& state) const {
  return {.pod_name = record.pod_name,
          .pod_id = record.pod_id,
          .socket_path = record.socket_path,
          .state = state,
          .task = record.task,
          .profile = record.profile,
          .scope = record.scope_delegated};
}

void Children::broadcast_state(ChildRecord const& record, std::string const& state) {
  host_.broadcast(wire::ChildEvent{info(record, state)});
}

std::vector<wire::ChildInfo> Children::infos() const {
  std::vector<wire::ChildInfo> result;
  for (auto const& record : core_.state.spawned_children) {
    if (record.grandchild) continue;
    auto it = living_.find(record.pod_id);
    result.push_back(info(record, it == living_.end() ? "stopped" : it->second->shown_state));
  }
  return result;
}

uint64_t Children::working() const {
  return static_cast<uint64_t>(std::count_if(core_.state.spawned_children.begin(), core_.state.spawned_children.end(),
                                             [&](auto const& record) { return record.work_open && is_living(record.pod_id); }));
}

bool Children::may_report(std::string_view sender, std::string_view pod_name) const {
  auto is_sender = [&](auto const& child) {
    return child.pod_name == pod_name && (child.pod_id == sender || child.instance_id == sender) && !sender.empty();
  };
  auto const& state = core_.state;
  return std::any_of(state.spawned_children.begin(), state.spawned_children.end(), is_sender) ||
         std::any_of(state.reclaimed_children.begin(), state.reclaimed_children.end(), is_sender);
}

bool Children::any_working() const { return working() > 0; }

void Children::add(ChildRecord record) {
  living_[record.pod_id] = std::make_unique<Living>();
  core_.state.spawned_children.push_back(std::move(record));
  broadcast_state(core_.state.spawned_children.back(), "starting");
}

void Children::discard(std::string const& pod_id) {
  if (auto const* record = find_by_id(pod_id)) broadcast_state(*record, "stopped");
  living_.erase(pod_id);
  std::erase_if(core_.state.spawned_children, [&](auto const& record) { return record.pod_id == pod_id; });
}

void Children::started(std::string const& pod_id, loop::Child process) {
  auto it = living_.find(pod_id);
  if (it == living_.end()) return;
  Living& child = *it->second;
  child.pid = process.pid();
  child.process = std::move(process);
  child.shown_state = "idle";
  child.process->watch(core_.loop, [this, pod_id](loop::ExitStatus status) { process_ended(pod_id, status); });
  if (auto* record = find_by_id(pod_id)) {
    record->state = "live";
    record->made_directories.clear();
    broadcast_state(*record, child.shown_state);
  }
}

void Children::set_work_open(std::string const& pod_id, bool open) {
  auto* record = find_by_id(pod_id);
  if (record == nullptr || record->work_open == open) return;
  record->work_open = open;
  core_.persist();
  host_.changed();
}

void Children::set_shown_state(std::string const& pod_id, std::string state) {
  auto it = living_.find(pod_id);
  auto const* record = find_by_id(pod_id);
  if (it == living_.end() || record == nullptr || it->second->shown_state == state) return;
  it->second->shown_state = std::move(state);
  broadcast_state(*record, it->second->shown_state);
}

bool Children::add_grandchild(wire::ScopeSubDelegated const& event) {
  if (find(event.sub_pod) != nullptr) return false;
  auto const* parent = find(event.parent_pod);
  ChildRecord record;
  record.pod_name = event.sub_pod;
  record.socket_path = event.sub_socket;
  record.scope_delegated = event.scope;
  record.callback_address = parent == nullptr ? "" : parent->socket_path;
  record.state = "live";
  record.grandchild = true;
  core_.state.spawned_children.push_back(std::move(record));
  core_.persist();
  return true;
}

// ---- Ends

void Children::process_ended(std::string const& pod_id, std::optional<loop::ExitStatus> status) {
  auto it = living_.find(pod_id);
  if (it == living_.end()) return;
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
  };
  // Its own release ran if it ended in good order; after a crash the row goes here, and what it had lent goes to this Pod.
  core_.registry_worker.run<Released>(
      [registry = core_.registry.get(), pod_id, instance = record.instance_id, self = core_.state.pod_id] {
        Released released{registry->release(pod_id, instance), {}};
        released.children = registry->children(self);
        return released;
      },
      [this, alive = alive_, record, status](Released const& released) {
        if (!*alive) return;
        if (!released.outcome && released.outcome.error().code != Code::NotFound) {
          log::warn("release of " + record.pod_name + ": " + released.outcome.error().message);
        }
        auto it = living_.find(record.pod_id);
        if (it == living_.end()) return;
        auto child = std::move(it->second);
        living_.erase(it);
        core_.authority.take_back(record.pod_id);
        // What its own children hold does not come back yet: they are this Pod's children now.
        if (released.children) take_over(*released.children);
        host_.scope_changed();
        // A process that an earlier instance started leaves no exit status, but one that ended in good order has tidied up.
        bool failed = status ? !status->ok() : io::exists(core_.paths.pod_runtime_dir(record.pod_name) + "/status.json");
        bool crashed = failed && !child->stop_expected && record.state != "starting";
        broadcast_state(record, crashed ? "crashed" : "stopped");
        // Its spawner died before it saw the child live: what was made for it goes, if nobody has put anything there.
        if (record.state == "starting") core_.log_worker.run([made = record.made_directories] { remove_target_directories(made); });
        if (crashed) {
          std::string tail = stderr_tail(core_.paths, record.pod_name);
          wire::Crashed event{record.pod_name, status ? status->describe() : "ended without a word", std::nullopt};
          if (!tail.empty()) event.stderr_tail = tail;
          host_.synthesised_end(std::move(event), record.instance_id);
        } else if (!child->stop_expected && record.state != "starting") {
          host_.synthesised_end(wire::ShutDown{record.pod_name, std::nullopt}, record.instance_id);
        }
        move_to_reclaimed(record.pod_id);
        core_.persist();
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
    record.task = row.task;
    record.scope_delegated = row.scope_allow;
    record.scope_deny = row.scope_deny;
    auto child = std::make_unique<Living>();
    if (!watch_living(record, *child)) continue;  // it has just ended; the registry finds that out
    std::erase_if(core_.state.spawned_children, [&](auto const& other) { return other.grandchild && other.pod_name == row.pod_name; });
    living_[row.pod_id] = std::move(child);
    core_.state.spawned_children.push_back(std::move(record));
    broadcast_state(core_.state.spawned_children.back(), "idle");
  }
}

/// Watches a child that another process started, and takes what it holds from the own scope. False: it does not live.
bool Children::watch_living(ChildRecord const& record, Living& child) {
  auto lives = [&]() -> pid_t {
    auto holder = registry::lock_holder(core_.paths.pod_lock(record.pod_name));
    return holder && *holder && (*holder)->instance_id == record.instance_id ? (*holder)->pid : 0;
  };
  child.pid = lives();
  if (child.pid == 0) return false;
  child.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0)));
  // Asked again: only then is the descriptor the one of the process that holds the lock.
  if (!child.pidfd || lives() != child.pid) return false;
  child.shown_state = "idle";
  core_.authority.lend(record.pod_id, record.pod_name, record.scope_delegated);
  child.watcher = std::make_unique<loop::FdWatcher>(core_.loop, child.pidfd.get(), loop::FdWatcher::kRead, [this, id = record.pod_id](uint32_t) {
    auto it = living_.find(id);
    if (it == living_.end()) return;
    it->second->watcher.reset();
    process_ended(id, std::nullopt);
  });
  return true;
}

void Children::move_to_reclaimed(std::string const& pod_id) {
  auto const* record = find_by_id(pod_id);
  if (record == nullptr) return;
  auto& reclaimed = core_.state.reclaimed_children;
  reclaimed.push_back({record->pod_name, record->pod_id, record->instance_id, record->scope_delegated});
  if (reclaimed.size() > kMaxReclaimed) reclaimed.erase(reclaimed.begin());
  std::string name = record->pod_name;
  std::string socket = record->socket_path;
  std::erase_if(core_.state.spawned_children, [&](auto const& other) {
    return other.pod_id == pod_id || (other.grandchild && (other.pod_name == name || other.callback_address == socket));
  });
}

// ---- Stopping

void Children::stop(std::string const& pod_id, bool tree, std::function<void(Result<std::string>)> done) {
  auto it = living_.find(pod_id);
  auto const* record = find_by_id(pod_id);
  if (it == living_.end() || record == nullptr) {
    done(fail(Code::NotFound, "the Pod has ended already"));
    return;
  }
  Living& child = *it->second;
  if (child.pid == 0 && record->state == "starting") {
    done(fail(Code::Conflict, "the Pod is still starting; wait for the answer of SpawnPod"));
    return;
  }
  child.waiters.push_back(std::move(done));
  if (child.stop_expected) return;  // under way
  child.stop_expected = true;
  child.shutdown_call = std::make_unique<client::OneShot>(core_.loop, record->socket_path,
                                                          wire::Method{wire::ShutdownMethod{tree}, std::nullopt}, kStopStepMs,
                                                          [](Result<wire::SnapshotEvent>) {});
  child.escalation = std::make_unique<loop::Timer>(core_.loop, [this, pod_id] { escalate(pod_id); });
  child.escalation->start(kStopStepMs);
}

void Children::escalate(std::string const& pod_id) {
  auto it = living_.find(pod_id);
  if (it == living_.end()) return;
  Living& child = *it->second;
  send_signal(child, child.signals_sent++ == 0 ? SIGTERM : SIGKILL);
  child.escalation->start(kStopStepMs);
}

void Children::send_signal(Living& child, int signal_number) {
  if (child.process) child.process->signal(signal_number, signal_number == SIGKILL);
  else if (child.pidfd) ::syscall(SYS_pidfd_send_signal, child.pidfd.get(), signal_number, nullptr, 0);
}

void Children::stop_all(std::function<void()> done) {
  std::vector<std::string> ids;
  for (auto const& [id, child] : living_) {
    if (child->pid != 0) ids.push_back(id);
  }
  if (ids.empty()) {
    core_.loop.post(std::move(done));
    return;
  }
  auto left = std::make_shared<size_t>(ids.size());
  for (auto const& id : ids) {
    stop(id, true, [left, done](Result<std::string> const&) {
      if (--*left == 0) done();
    });
  }
}

// ---- After a restart

void Children::recover() {
  std::vector<ChildRecord> records = core_.state.spawned_children;
  for (auto const& record : records) {
    if (record.grandchild) continue;
    auto child = std::make_unique<Living>();
    std::string pod_id = record.pod_id;
    bool lives = watch_living(record, *child);
    living_[pod_id] = std::move(child);
    if (lives) {
      find_by_id(pod_id)->made_directories.clear();
      find_by_id(pod_id)->state = "live";  // it came up although its spawner did not see it
      continue;
    }
    core_.loop.post([this, alive = alive_, pod_id] {
      if (*alive) process_ended(pod_id, std::nullopt);
    });
  }
  using Rows = Result<std::vector<registry::Allocation>>;
  core_.registry_worker.run<Rows>([registry = core_.registry.get(), self = core_.state.pod_id] { return registry->children(self); },
                                  [this, alive = alive_](Rows const& rows) {
                                    if (!*alive || !rows) return;
                                    take_over(*rows);
                                    host_.scope_changed();
                                  });
}

}  // namespace insomnia::pod
