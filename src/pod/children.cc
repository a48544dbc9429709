#include "pod/children.hh"

#include <sys/syscall.h>

#include <algorithm>
#include <csignal>

#include "base/fault_point.hh"
#include "pod/restore.hh"

namespace insomnia::pod {
namespace {

constexpr int64_t kStopStepMs = 5'000;

}  // namespace

Children::Children(PodCore& core, Host host)
    : core_(core), host_(std::move(host)), grandchildren_(core, [this](wire::PodEvent event) { host_.tell_parent(std::move(event)); }) {}

Children::~Children() {
  *alive_ = false;
  // Children outlive their parent: only the watching ends here.
  for (auto& [id, child] : living_) {
    if (child->process) child->process->detach();
  }
}

ChildRecord* Children::find(std::string_view pod_name) {
  ChildRecord* found = nullptr;
  for (auto& record : core_.state.spawned_children) {
    if (record.pod_name == pod_name && (found == nullptr || !record.grandchild)) found = &record;
  }
  return found;
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

bool Children::any_working() const {
  auto const& records = core_.state.spawned_children;
  bool asking = std::any_of(living_.begin(), living_.end(), [](auto const& child) { return child.second->asked; });
  return asking || std::any_of(records.begin(), records.end(), [&](auto const& record) { return record.work_open && is_living(record.pod_id); });
}

uint64_t Children::working_for_parent() const {
  auto const& records = core_.state.spawned_children;
  return static_cast<uint64_t>(std::count_if(records.begin(), records.end(), [&](auto const& record) {
    return record.work_open && record.for_parent && is_living(record.pod_id);
  }));
}

/// Whether a child that lives or that ended, of those that `sender` names, is one that `is_it` holds for.
template <typename Predicate>
bool Children::any_sender(std::string_view sender, Predicate is_it) const {
  auto fits = [&](auto const& child) { return !sender.empty() && (child.pod_id == sender || child.instance_id == sender) && is_it(child); };
  auto const& state = core_.state;
  return std::any_of(state.spawned_children.begin(), state.spawned_children.end(), fits) ||
         std::any_of(state.reclaimed_children.begin(), state.reclaimed_children.end(), fits);
}

bool Children::may_report(std::string_view sender, std::string_view pod_name) const {
  return any_sender(sender, [&](auto const& child) { return child.pod_name == pod_name; });
}

bool Children::concerns_parent(std::string_view sender, wire::PodEvent const& event) const {
  bool is_end = std::holds_alternative<wire::Crashed>(event) || std::holds_alternative<wire::ShutDown>(event);
  return any_sender(sender, [&](auto const& child) { return child.for_parent && (child.work_open || !is_end); });
}

void Children::add(ChildRecord record) {
  record.for_parent = works_for_parent();
  add_starting(std::move(record));
}

void Children::add_starting(ChildRecord record) {
  living_[record.pod_id] = std::make_unique<Living>();
  core_.state.spawned_children.push_back(std::move(record));
  broadcast_state(core_.state.spawned_children.back(), "starting");
}

void Children::add_restored(ChildRecord record) {
  auto& reclaimed = core_.state.reclaimed_children;
  if (auto const* known = find_by_id(record.pod_id)) {
    record.for_parent = known->for_parent;
    record.mail_seq = known->mail_seq;
    record.mail_awaited = known->mail_awaited;
    record.work_open = known->work_open;
    record.read_segment = known->read_segment;
    record.read_index = known->read_index;
  }
  for (auto const& child : reclaimed) {
    if (child.pod_id != record.pod_id) continue;
    record.mail_seq = std::max(record.mail_seq, child.mail_seq);
    record.work_open = record.work_open || child.work_open;
    record.for_parent = record.for_parent || child.for_parent;
  }
  std::erase_if(reclaimed, [&](auto const& child) { return child.pod_id == record.pod_id; });
  std::erase_if(core_.state.spawned_children, [&](auto const& child) { return child.pod_id == record.pod_id; });
  add_starting(std::move(record));
}

void Children::give_up_restored(std::string const& pod_id) {
  if (auto const* record = find_by_id(pod_id)) broadcast_state(*record, "stopped");
  living_.erase(pod_id);
  move_to_reclaimed(pod_id, false);
  host_.changed();
}

Children::Policy Children::stored_policy(std::string const& pod_id) const {
  for (auto const& record : core_.state.spawned_children) {
    if (record.pod_id == pod_id) return {record.end_when_done, record.die_with_parent};
  }
  for (auto const& child : core_.state.reclaimed_children) {
    if (child.pod_id == pod_id) return {child.end_when_done, child.die_with_parent};
  }
  return {};
}

std::string Children::stored_id(std::string_view pod_name) const {
  for (auto const& record : core_.state.spawned_children) {
    if (record.pod_name == pod_name && !record.grandchild) return is_living(record.pod_id) ? "" : record.pod_id;
  }
  auto const& reclaimed = core_.state.reclaimed_children;
  auto it = std::find_if(reclaimed.rbegin(), reclaimed.rend(), [&](auto const& child) { return child.pod_name == pod_name; });
  return it == reclaimed.rend() ? "" : it->pod_id;
}

void Children::discard(std::string const& pod_id) {
  if (auto const* record = find_by_id(pod_id)) broadcast_state(*record, "stopped");
  living_.erase(pod_id);
  std::erase_if(core_.state.spawned_children, [&](auto const& record) { return record.pod_id == pod_id; });
  host_.changed();
}

void Children::launched(std::string const& pod_id, pid_t pid) {
  auto it = living_.find(pod_id);
  if (it != living_.end()) it->second->launch_pid = pid;
}

void Children::started(std::string const& pod_id, loop::Child process, UniqueFd lifeline) {
  auto it = living_.find(pod_id);
  if (it == living_.end()) return;
  Living& child = *it->second;
  child.pid = process.pid();
  child.process = std::move(process);
  child.lifeline = std::move(lifeline);
  child.shown_state = "idle";
  child.process->watch(core_.loop, [this, pod_id](loop::ExitStatus status) { process_ended(pod_id, status); });
  if (auto* record = find_by_id(pod_id)) {
    record->state = "live";
    record->made_directories.clear();
    broadcast_state(*record, child.shown_state);
    // A name is given again only when nobody has it: who had it below a child is gone.
    std::erase_if(core_.state.spawned_children, [name = record->pod_name](auto const& other) { return other.grandchild && other.pod_name == name; });
  }
}

void Children::set_work_open(std::string const& pod_id, bool open) {
  auto* record = find_by_id(pod_id);
  if (auto it = living_.find(pod_id); it != living_.end() && !open) it->second->heard_end = true;
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

std::string Children::shown_state(std::string const& pod_id) const {
  auto it = living_.find(pod_id);
  return it == living_.end() ? "" : it->second->shown_state;
}

ChildRecord const* Children::teller(pid_t sender, wire::PodEvent const& event) {
  auto const* record = find(wire::pod_name_of(event));
  auto it = record == nullptr ? living_.end() : living_.find(record->pod_id);
  if (it == living_.end() || sender <= 0 || (it->second->pid != sender && it->second->launch_pid != sender)) return nullptr;
  std::optional<std::string> instance;
  if (auto const* lent = std::get_if<wire::ScopeSubDelegated>(&event)) instance = lent->instance_id;
  if (auto const* returned = std::get_if<wire::ScopeReturned>(&event)) instance = returned->instance_id;
  if (auto const* asked = std::get_if<wire::PermissionAsked>(&event)) instance = asked->instance_id;
  if (auto const* settled = std::get_if<wire::PermissionSettled>(&event)) instance = settled->instance_id;
  return instance && *instance != record->instance_id ? nullptr : record;
}

// ---- Stopping

void Children::stop(std::string const& pod_id, bool tree, std::function<void(Result<std::string>)> done, bool interrupted) {
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
  child.interrupted = interrupted;
  child.shutdown_call = std::make_unique<client::OneShot>(core_.loop, record->socket_path,
                                                          wire::Method{wire::ShutdownMethod{tree, interrupted}, std::nullopt}, kStopStepMs,
                                                          [](Result<wire::SnapshotEvent>) {});
  child.escalation = std::make_unique<loop::Timer>(core_.loop, [this, pod_id] { escalate(pod_id); });
  child.escalation->start(kStopStepMs);
  fault_point("stop.asked");
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

void Children::stop_all(std::function<void()> done, bool interrupted, bool dependents_only) {
  std::vector<std::string> ids;
  for (auto const& [id, child] : living_) {
    auto const* record = find_by_id(id);
    if (child->pid != 0 && (!dependents_only || (record != nullptr && record->die_with_parent))) ids.push_back(id);
  }
  if (ids.empty()) {
    core_.loop.post(std::move(done));
    return;
  }
  auto left = std::make_shared<size_t>(ids.size());
  for (auto const& id : ids) {
    // One that was taken over goes on with the Pod that it was started by, if that is brought back.
    auto const* record = find_by_id(id);
    stop(id, true, [left, done](Result<std::string> const&) {
      if (--*left == 0) done();
    }, interrupted || (record != nullptr && record->taken_over));
  }
}

// ---- After a restart

void Children::recover(std::set<std::string> const& restoring, std::function<void()> done) {
  auto left = std::make_shared<size_t>(1);
  auto one_less = [left, done = std::move(done)] {
    if (--*left == 0) done();
  };
  std::vector<ChildRecord> records = core_.state.spawned_children;
  for (auto const& record : records) {
    if (record.grandchild || restoring.contains(record.pod_id)) continue;
    std::string pod_id = record.pod_id;
    living_[pod_id] = std::make_unique<Living>();
    if (lives(record) != Life::Over) {
      find_by_id(pod_id)->made_directories.clear();
      find_by_id(pod_id)->state = "live";  // it came up although its spawner did not see it
      watch(record);
      continue;
    }
    ++*left;
    living_[pod_id]->waiters.push_back([one_less](Result<std::string> const&) { one_less(); });
    core_.loop.post([this, alive = alive_, pod_id] {
      if (*alive) process_ended(pod_id, std::nullopt);
    });
  }
  look_for_new_ones();
  grandchildren_.look();
  one_less();
}

void Children::hand_back() {
  auto const& records = core_.state.spawned_children;
  if (std::none_of(records.begin(), records.end(), [](auto const& record) { return record.taken_over; })) return;
  using Rows = Result<std::vector<registry::Allocation>>;
  core_.registry_worker.run<Rows>([registry = core_.registry.get()] { return registry->list(); },
                                  [this, alive = alive_](Rows const& rows) {
                                    if (!*alive || !rows) return;
                                    for (auto& record : core_.state.spawned_children) {
                                      if (!record.taken_over) continue;
                                      auto by_id = [&](std::string const& id) {
                                        return std::find_if(rows->begin(), rows->end(), [&](auto const& row) { return row.pod_id == id; });
                                      };
                                      auto own = by_id(record.pod_id);
                                      auto parent = own == rows->end() ? own : by_id(own->delegated_from);
                                      if (parent == rows->end() || parent->pod_id == core_.state.pod_id) continue;
                                      // What it holds is a part of what the restored one holds.
                                      core_.authority.take_back(record.pod_id);
                                      living_.erase(record.pod_id);
                                      ChildRecord grandchild;
                                      grandchild.pod_name = record.pod_name;
                                      grandchild.socket_path = record.socket_path;
                                      grandchild.scope_delegated = record.scope_delegated;
                                      grandchild.callback_address = parent->socket;
                                      grandchild.state = "live";
                                      grandchild.grandchild = true;
                                      record = std::move(grandchild);
                                    }
                                    core_.persist();
                                    host_.changed();
                                  });
}

void Children::look_for_new_ones(std::function<void(Result<void>)> done) {
  using Rows = Result<std::vector<registry::Allocation>>;
  core_.registry_worker.run<Rows>([registry = core_.registry.get(), self = core_.state.pod_id] { return registry->children(self); },
                                  [this, alive = alive_, done = std::move(done)](Rows const& rows) {
                                    if (!*alive) return;
                                    if (!rows) return done(std::unexpected(rows.error()));
                                    take_over(*rows);
                                    host_.scope_changed();
                                    done({});
                                  });
}

}  // namespace insomnia::pod
