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
#include "pod/grandchildren.hh"
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
    /// News of the control plane for the own parent, if there is one.
    std::function<void(wire::PodEvent)> tell_parent;
    /// The hands must follow the effective scope.
    std::function<void()> scope_changed;
    /// A child's work or life may have changed, and with it whether the Pod is settled.
    std::function<void()> changed;
    /// Whether what the Pod does now is the own parent's work: then so is what it gives to a child.
    std::function<bool()> works_for_parent;
    /// A child's process has ended, however.
    std::function<void(std::string const& pod_id)> ended = [](std::string const&) {};
  };

  Children(PodCore& core, Host host);
  ~Children();

  /// At start: children of an earlier instance of this Pod. Those that live are watched, the others' ends are taken in. So are Pods
  /// that became children when the one between them and this Pod ended.
  /// `restoring`: pod_ids of those that are about to be brought back, whose end is no news.
  /// `done`: the ends of the others are taken in.
  void recover(std::set<std::string> const& restoring = {}, std::function<void()> done = [] {});

  /// Children that were taken over go back to the Pod that is between again, because it was restored.
  void hand_back();
  /// Pods that became children because the one between has ended are taken up; `done` afterwards.
  void look_for_new_ones(std::function<void(Result<void>)> done = [](Result<void> const&) {});

  ChildRecord* find(std::string_view pod_name);
  ChildRecord* find_by_id(std::string_view pod_id);
  /// Whether mail of this sender (a pod_id, or the instance_id of an end that this Pod wrote itself) about `pod_name` is of a child that is
  /// or was ours: its last letter may be taken in after its record has gone.
  bool may_report(std::string_view sender, std::string_view pod_name) const;
  /// A record in state starting; part of the spawn transaction.
  void add(ChildRecord record);
  /// The same for a stored child that is brought back. What is known of it (mail, reading) goes on.
  void add_restored(ChildRecord record);
  /// Its restore failed: it is no living child any more, but can be restored again.
  void give_up_restored(std::string const& pod_id);
  struct Policy {
    bool end_when_done = false;
    bool die_with_parent = false;
  };
  /// What was wished of a child that is not alive.
  Policy stored_policy(std::string const& pod_id) const;
  /// The identity of the latest child of this name that is not alive, "" when there is none.
  std::string stored_id(std::string_view pod_name) const;
  /// Takes back a spawn that failed.
  void discard(std::string const& pod_id);
  /// Its process was started: what it says of itself counts from now on.
  void launched(std::string const& pod_id, pid_t pid);
  /// The process is ready: watch it. `lifeline`: of one that dies with this Pod.
  void started(std::string const& pod_id, loop::Child process, UniqueFd lifeline = {});
  /// Whether work that is given to a child now is a part of the own parent's.
  bool works_for_parent() const { return host_.works_for_parent(); }
  /// The child works on something (or no longer does).
  void set_work_open(std::string const& pod_id, bool open);
  /// What the child reported of itself, for the tree that clients see.
  void set_shown_state(std::string const& pod_id, std::string state);
  /// The living child that tells this: its process is `sender`, and the event names it (by its instance too, if it says one). Null: nobody
  /// who may.
  ChildRecord const* teller(pid_t sender, wire::PodEvent const& event);
  Grandchildren& grandchildren() { return grandchildren_; }

  /// Ends the child: shutdown, then SIGTERM, then SIGKILL to its group; `done` when it is dead and its scope is back. The text lists that
  /// scope. Its end is expected then and not reported to the model.
  /// `interrupted`: a restore is to bring it back.
  void stop(std::string const& pod_id, bool tree, std::function<void(Result<std::string>)> done, bool interrupted = false);
  /// Ends all of them, or those that die with this Pod.
  void stop_all(std::function<void()> done, bool interrupted = false, bool dependents_only = false);

  bool any_working() const;
  /// How many work on a part of what the own parent gave.
  uint64_t working_for_parent() const;
  /// Whether this news of `sender` (as in may_report) belongs to what the own parent gave: every report of such a child's work does, and
  /// its end if it was at work.
  bool concerns_parent(std::string_view sender, wire::PodEvent const& event) const;
  bool any_living() const { return !living_.empty(); }
  bool is_living(std::string const& pod_id) const { return living_.contains(pod_id); }
  /// As clients see it; "" when it does not live.
  std::string shown_state(std::string const& pod_id) const;
  std::vector<wire::ChildInfo> infos() const;

 private:
  struct Living {
    std::optional<loop::Child> process;  ///< started by this instance
    UniqueFd lifeline;                   ///< the child ends when this is closed
    pid_t pid = 0;         ///< once it is ready
    pid_t launch_pid = 0;  ///< before that
    UniqueFd pidfd;  ///< of a child that an earlier instance started
    std::unique_ptr<loop::FdWatcher> watcher;
    std::unique_ptr<loop::Timer> look_again;  ///< when something about it could not be found out
    std::string shown_state = "starting";
    bool heard_end = false;  ///< of its work
    bool asked = false;      ///< whether it works, and has not answered yet
    std::unique_ptr<client::OneShot> probe;
    bool stop_expected = false;
    bool interrupted = false;  ///< the stop is not wished for
    std::vector<std::function<void(Result<std::string>)>> waiters;
    std::unique_ptr<client::OneShot> shutdown_call;
    std::unique_ptr<loop::Timer> escalation;
    int signals_sent = 0;
  };

  template <typename Predicate>
  bool any_sender(std::string_view sender, Predicate is_it) const;
  void add_starting(ChildRecord record);
  void process_ended(std::string const& pod_id, std::optional<loop::ExitStatus> status);
  void finish_end(std::string const& pod_id, std::optional<loop::ExitStatus> status);
  void send_signal(Living& child, int signal_number);
  void escalate(std::string const& pod_id);
  void broadcast_state(ChildRecord const& record, std::string const& state);
  wire::ChildInfo info(ChildRecord const& record, std::string const& state) const;
  void move_to_reclaimed(std::string const& pod_id, bool crashed);
  void take_over(std::vector<registry::Allocation> const& rows);
  void ask_whether_it_works(ChildRecord const& record);
  enum class Life { GoesOn, Over, Unknown };
  Life lives(ChildRecord const& record, pid_t* pid = nullptr) const;
  void watch(ChildRecord const& record);

  PodCore& core_;
  Host host_;
  Grandchildren grandchildren_;
  std::map<std::string, std::unique_ptr<Living>> living_;  ///< by pod_id
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace insomnia::pod
