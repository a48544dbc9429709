#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/connection.hh"
#include "loop/child.hh"
#include "pod/core.hh"
#include "wire/event.hh"
#include "wire/pod_event.hh"

namespace insomnia::pod {

/// The Pods that this one started: their records, their processes, their ends. A child's scope comes back exactly when its death is
/// proven, whatever ended it.
class Children {
 public:
  /// What it asks of its Pod.
  struct Host {
    std::function<void(wire::EventBody const&)> broadcast;
    /// Takes in what lies in the inbox, then calls back: a child's last reports come before its end.
    std::function<void(std::function<void()>)> scan_mail;
    /// An end that the child did not report itself. `instance_id` numbers it. Called before the child's record goes, so that what is
    /// written of it first is never lost with it.
    std::function<void(wire::PodEvent, std::string instance_id)> synthesised_end;
    /// The hands must follow the effective scope.
    std::function<void()> scope_changed;
    /// Whether the Pod is settled may have changed.
    std::function<void()> changed;
  };

  Children(PodCore& core, Host host);
  ~Children();

  /// At start: children of an earlier instance of this Pod. Those that live are watched, the others' ends are taken in. So are Pods
  /// that became children when the one between them and this Pod ended.
  void recover();

  ChildRecord* find(std::string_view pod_name);
  ChildRecord* find_by_id(std::string_view pod_id);
  /// Whether mail of this sender (a pod_id, or the instance_id of an end that this Pod wrote itself) about `pod_name` is of a child that is
  /// or was ours: its last letter may be taken in after its record has gone.
  bool may_report(std::string_view sender, std::string_view pod_name) const;
  /// A record in state starting; part of the spawn transaction.
  void add(ChildRecord record);
  /// Takes back a spawn that failed.
  void discard(std::string const& pod_id);
  /// The process is ready: watch it.
  void started(std::string const& pod_id, loop::Child process);
  /// The child works on something (or no longer does).
  void set_work_open(std::string const& pod_id, bool open);
  /// What the child reported of itself, for the tree that clients see.
  void set_shown_state(std::string const& pod_id, std::string state);
  /// A grandchild that a child told of; false when it is known already.
  bool add_grandchild(wire::ScopeSubDelegated const& event);

  /// Ends the child: shutdown, then SIGTERM, then SIGKILL to its group; `done` when it is dead and its scope is back. The text lists that
  /// scope. Its end is expected then and not reported to the model.
  void stop(std::string const& pod_id, bool tree, std::function<void(Result<std::string>)> done);
  /// Ends all of them.
  void stop_all(std::function<void()> done);

  bool any_working() const;
  uint64_t working() const;
  bool any_living() const { return !living_.empty(); }
  bool is_living(std::string const& pod_id) const { return living_.contains(pod_id); }
  std::vector<wire::ChildInfo> infos() const;

 private:
  struct Living {
    std::optional<loop::Child> process;  ///< started by this instance
    pid_t pid = 0;
    UniqueFd pidfd;  ///< of a child that an earlier instance started
    std::unique_ptr<loop::FdWatcher> watcher;
    std::string shown_state = "starting";
    bool stop_expected = false;
    std::vector<std::function<void(Result<std::string>)>> waiters;
    std::unique_ptr<client::OneShot> shutdown_call;
    std::unique_ptr<loop::Timer> escalation;
    int signals_sent = 0;
  };

  void process_ended(std::string const& pod_id, std::optional<loop::ExitStatus> status);
  void finish_end(std::string const& pod_id, std::optional<loop::ExitStatus> status);
  void send_signal(Living& child, int signal_number);
  void escalate(std::string const& pod_id);
  void broadcast_state(ChildRecord const& record, std::string const& state);
  wire::ChildInfo info(ChildRecord const& record, std::string const& state) const;
  void move_to_reclaimed(std::string const& pod_id);
  void take_over(std::vector<registry::Allocation> const& rows);
  bool watch_living(ChildRecord const& record, Living& child);

  PodCore& core_;
  Host host_;
  std::map<std::string, std::unique_ptr<Living>> living_;  ///< by pod_id
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace insomnia::pod
