#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/engine.hh"
#include "cell/hands.hh"
#include "cell/probe.hh"
#include "llm/provider.hh"
#include "pod/child_tools.hh"
#include "pod/children.hh"
#include "pod/core.hh"
#include "pod/mailbox.hh"
#include "pod/permission_asks.hh"
#include "pod/restore.hh"
#include "pod/pod_wait.hh"
#include "pod/poke_socket.hh"
#include "pod/session_log.hh"
#include "pod/socket_server.hh"
#include "pod/spawn.hh"
#include "profile/profile_set.hh"
#include "prompt/prompt_catalog.hh"
#include "tools/task_store.hh"
#include "tools/tool.hh"

namespace insomnia::pod {

/// What a Pod that is restored brings back before it is ready.
struct RestorePlan {
  std::vector<RestorableChild> children;
  bool resume = false;  ///< its own run was interrupted
};

/// What a brain is made of; made by startup.
struct BrainParts {
  PodCore& core;
  llm::Provider& provider;
  prompt::PromptCatalog const& prompts;
  profile::ProfileSet const& profiles;
  agent::EngineSettings engine_settings;
  agent::EngineState engine_state;
  std::vector<tools::Definition> tools;  ///< those that this Pod has
  std::vector<std::string> log_lines;    ///< of a continued session
  session::Location location;
  std::map<std::string, uint64_t> inbox;  ///< last mail taken in, by sender
  tools::TaskStore tasks;
  RememberedAnswers remembered;  ///< what people have answered for the whole session
  cell::HandsConfig hands;
  cell::Isolation isolation = cell::Isolation::None;
  std::vector<cell::PrivateDirectory> privates;  ///< of the Pod's own, in its cell
  wire::Greeting greeting;
  bool exit_when_settled = false;
  /// Whoever started this Pod gives it a run at once: mail waits for that, so that the run is not refused because of it.
  bool task_follows = false;
  std::optional<RestorePlan> restore;
};

/// The Pod process at work: drives the turn engine, carries out its effects, serves the socket, runs tools, minds children and mail, and
/// ends in good order. Everything happens on the loop's thread.
class Brain final : public llm::CallHandler {
 public:
  explicit Brain(BrainParts parts);
  ~Brain() override;

  /// Binds the socket and begins: the Pod is reachable afterwards.
  Result<void> start();
  /// What was written for an earlier end but perhaps never arrived is sent again; children and mail of an earlier instance are taken up.
  /// `done`: with a RestorePlan when the children are back (or could not be brought back), else at once.
  void recover(std::optional<Mail> unacknowledged, std::function<void()> done);
  /// Ends the Pod: stops the run, with `tree` the children, tells the clients; then calls `ended`. Once.
  /// `interrupted`: nobody wished for it; the run is left so that a restore can go on with it.
  void shut_down(bool tree, bool interrupted = false);
  /// How it ended, for the stored state.
  bool was_interrupted() const { return interrupted_; }
  bool run_was_interrupted() const { return run_interrupted_; }
  /// Nobody asked for it: its work was done.
  bool left_by_itself() const { return left_by_itself_; }
  void on_ended(std::function<void()> ended) { ended_ = std::move(ended); }
  /// Puts back what has vanished of sockets and status file; clients stay connected.
  Result<void> restore_runtime_files();
  /// A notice for people, kept for clients that come later.
  void alert(std::string level, std::string source, std::string message);

  void on_event(llm::StreamEvent const& event) override;
  void on_end(std::optional<llm::CallFailure> failure) override;

 private:
  /// When something that must get through could not.
  static constexpr int64_t kMailRetryMs = 5'000;
  cell::HandsConfig with_notices(cell::HandsConfig config);
  struct Requester {
    ClientId client = 0;
    std::optional<std::string> id;
  };

  // The engine.
  void feed(agent::Input input);
  void carry_out(agent::Effect const& effect);
  void append(agent::AppendLog const& effect);
  void run_ended(agent::RunEnded const& end);
  void emit(wire::EventBody event);

  // Methods of clients.
  void on_method(ClientId client, wire::Method const& method);
  void run_method(wire::RunMethod const& method);
  void reply_error(std::string code, std::string message);
  wire::SnapshotEvent snapshot();

  // Tools.
  void run_tool(uint64_t id, wire::ToolCall const& call);
  void start_tool(uint64_t id, wire::ToolCall const& call, tools::Place place);
  void cancel_tool(uint64_t id);
  void explain_refusals(tools::Output& output) const;
  void run_brain_tool(uint64_t id, wire::ToolCall const& call);
  PermissionAsks::Host permission_host();
  std::string scope_refusal(wire::ToolCall const& call) const;
  bool means_the_machine(std::string const& path) const;
  void refuse_naming_holder(uint64_t id, wire::ToolCall const& call, std::string refusal);
  void tool_done(uint64_t id, std::string const& tool, tools::Output output, std::vector<tools::Observed> const& observed = {});
  void spawn_pod(uint64_t id, std::string const& arguments);
  void restore_pod(std::string const& name, std::function<void(tools::Output)> done);
  void start_restore(RestorableChild child, std::function<void(tools::Output)> done);
  void all_restored();
  SpawnTransaction::Host spawn_host();
  void apply_scope(std::function<void(Result<void>)> done);

  // Children and mail.
  bool first_run_may_come() const;
  bool parent_lives() const;
  void scan_mail(std::function<void()> done);
  void start_scan(std::function<void()> done);
  void release_mail();
  void take_mail(Mail const& mail);
  void take_child_event(wire::PodEvent const& event, wire::MailRef mail, uint64_t taken);
  void write_end(wire::PodEvent event, std::string const& instance_id);
  void take_news(pid_t sender, wire::PodEvent const& event);
  void tell_parent(wire::PodEvent event);
  void take_answer(pid_t sender, wire::PermissionAnswered const& answered);
  void notice(wire::SystemItem item, std::optional<wire::MailRef> mail, std::string trigger, bool delegated);
  void report_to_parent(Mail mail);
  void post_report();
  void report_further_up();
  void report_posted();
  void take_parent(ParentLink parent);
  wire::PodEvent end_event(agent::RunEnded const& end) const;

  // Settling and ending.
  bool settled() const;
  void settled_may_have_changed();
  void watch_launcher();
  void launcher_ended();
  void write_status();
  Result<void> bind_poke_socket();
  std::string status_file() const { return core_.paths.pod_runtime_dir(core_.name()) + "/status.json"; }
  void finish_shut_down();
  void say_shut_down();

  PodCore& core_;
  llm::Provider& provider_;
  prompt::PromptCatalog const& prompts_;
  profile::ProfileSet const& profiles_;
  std::vector<tools::Definition> tools_;
  agent::Engine engine_;
  SessionLog log_;
  std::map<std::string, uint64_t> inbox_;         ///< last mail taken in, by sender
  std::map<std::string, uint64_t> logged_inbox_;  ///< the same, but on disk
  std::set<std::pair<std::string, uint64_t>> unlogged_;  ///< taken in, but the log refused it: to be taken again
  std::map<std::string, bool> looked_up_;  ///< instances of unknown senders: whether it is known now that they are no children
  loop::Timer mail_retry_;
  std::deque<Mail> reports_;  ///< to the parent, in order; the first one is being posted
  loop::Timer report_retry_;
  bool report_failed_ = false;
  tools::TaskStore tasks_;
  cell::Hands hands_;
  std::vector<cell::PrivateDirectory> const privates_;
  wire::Greeting greeting_;
  bool exit_when_settled_;
  std::unique_ptr<loop::Timer> mail_hold_;  ///< while it is there, the first run is still to come and scans wait
  std::vector<std::function<void()>> held_scans_;
  UniqueFd launcher_;
  std::unique_ptr<loop::FdWatcher> launcher_watcher_;

  std::unique_ptr<SocketServer> server_;
  std::unique_ptr<PokeSocket> poke_socket_;
  PokeSender poke_sender_;
  Children children_;
  ChildTools child_tools_;
  PodWaits waits_;
  PermissionAsks asks_;
  std::map<uint64_t, std::unique_ptr<SpawnTransaction>> spawns_;
  std::map<uint64_t, std::unique_ptr<SpawnTransaction>> restores_;
  uint64_t next_restore_ = 1;
  std::optional<RestorePlan> plan_;
  size_t still_to_restore_ = 0;
  std::vector<std::string> restore_failures_;
  std::function<void()> recovered_;
  /// Calls that run in the brain, and how each is cancelled; null for those that answer soon by themselves.
  std::map<uint64_t, std::function<void()>> brain_calls_;
  std::unique_ptr<llm::Call> call_;
  loop::Timer engine_timer_;
  std::deque<agent::Input> inputs_;
  bool feeding_ = false;
  std::optional<Requester> requester_;
  uint64_t scans_ = 0;           ///< inbox scans under way
  uint64_t ends_for_parent_ = 0;  ///< ends of children at work for the parent that are on their way through the inbox
  bool has_run_ = false;
  bool said_settled_ = false;
  bool looked_before_leaving_ = false;
  bool left_by_itself_ = false;
  std::string last_status_;

  bool shutting_down_ = false;
  bool engine_stopped_ = false;  ///< the last run of this instance has ended
  bool stop_children_ = false;
  bool said_shut_down_ = false;
  bool interrupted_ = false;
  bool run_interrupted_ = false;
  std::unique_ptr<loop::Timer> shut_down_limit_;
  std::function<void()> ended_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace insomnia::pod
