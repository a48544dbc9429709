#include "pod/pod_main.hh"

#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "base/fault_point.hh"
#include "base/io.hh"
#include "base/log.hh"
#include "base/text.hh"
#include "base/uuid.hh"
#include "http/client.hh"
#include "llm/catalogue.hh"
#include "loop/signals.hh"
#include "pod/brain.hh"
#include "pod/census.hh"
#include "pod/mailbox.hh"
#include "pod/own_directories.hh"
#include "pod/pod_tools.hh"
#include "pod/runtime_dir.hh"
#include "pod/runtime_keeper.hh"
#include "pod/scope_wait.hh"
#include "pod/cell_choice.hh"
#include "pod/startup.hh"
#include "usage/metered_gate.hh"
#include "profile/discovery.hh"
#include "profile/trust.hh"
#include "prompt/system_prompt.hh"
#include "registry/liveness.hh"

namespace insomnia::pod {
namespace {

/// Removes what a killed instance of the Pod left: half-written files, and FIFOs of requests that waited for scopes.
/// REQUIRES: both locks of the Pod are held.
void remove_leftovers(Paths const& paths, std::string const& name) {
  for (auto const& directory : {paths.pod_runtime_dir(name), paths.pod_dir(name)}) {
    auto files = io::list_directory(directory).value_or(std::vector<std::string>{});
    for (auto const& file : files) {
      bool left = file.starts_with("bell") || file.find(".tmp.") != std::string::npos;
      if (left && ::unlink((directory + "/" + file).c_str()) != 0) log::warn(errno_error("remove " + directory + "/" + file, errno).message);
    }
  }
}

/// Everything from the first line to the end of one Pod process.
class PodProcess {
 public:
  PodProcess(PodOptions const& options, Environment const& environment)
      : options_(options), environment_(environment), paths_(Paths::resolve(environment)), loop_(clock_) {}

  Result<void> run();

 private:
  Result<void> take_identity();
  Result<void> take_scope();
  Result<void> start_brain();
  Result<void> register_pod(manifest::Manifest const& manifest, registry::Registry& table);
  Result<void> wait_for_scope(registry::Allocation const& row, registry::Registry& table);
  void watch_lifeline();
  void look_after_runtime_dir();
  void say_ready();
  void leave();
  void look_for_last_mail();

  PodOptions const& options_;
  Environment const& environment_;
  Paths const paths_;
  SystemClock clock_;
  loop::EventLoop loop_;

  HandOver hand_over_;
  std::string instance_id_;
  std::optional<registry::InstanceLock> runtime_lock_;
  std::optional<registry::InstanceLock> data_lock_;
  std::optional<registry::Holdings> holdings_;
  PodState state_;
  session::LoadedSegment session_;
  bool resume_ = false;  ///< the last instance was interrupted in a run
  std::optional<scope::Scope> scope_;
  std::optional<Error> failure_;  ///< why it ended, when that was not asked for

  profile::ProfileSet profiles_;
  std::optional<prompt::PromptCatalog> prompts_;
  std::unique_ptr<http::Client> http_;
  UniqueFd lifeline_;
  std::unique_ptr<loop::FdWatcher> lifeline_watcher_;
  std::unique_ptr<PodWorkers> workers_;
  std::unique_ptr<PodCore> core_;
  std::vector<manifest::Account> accounts_;
  std::unique_ptr<usage::MeteredGate> gate_;
  std::unique_ptr<llm::Provider> provider_;
  std::unique_ptr<Brain> brain_;
  std::unique_ptr<RuntimeKeeper> keeper_;
};

Result<void> PodProcess::take_identity() {
  hand_over_ = TRY(read_hand_over(options_, environment_, paths_));
  std::string name = hand_over_.config.pod_name.value_or("");
  TRY(check_pod_name(name));
  set_fault_pod(name);
  fault_point("start.handed_over");
  workers_ = std::make_unique<PodWorkers>(loop_);
  // Loading libcurl takes as long as all the rest of the start: it goes on beside it.
  http_ = std::make_unique<http::Client>(loop_, environment_);
  if (!hand_over_.config.model.ref.value_or("").starts_with("rehearsal/")) http_->preload();
  TRY(paths_.require_data_dir());
  TRY(prepare_runtime_dir(paths_));
  if (paths_.pod_socket(name).size() > kMaxSocketPath) {
    return fail(Code::InvalidArgument, "the socket path " + paths_.pod_socket(name) + " is longer than " + std::to_string(kMaxSocketPath) +
                                           " bytes; choose a shorter name or set INSOMNIA_RUNTIME_DIR to a shorter directory");
  }
  instance_id_ = hand_over_.instance_id.empty() ? uuid7(clock_) : hand_over_.instance_id;
  runtime_lock_ = TRY(registry::InstanceLock::acquire(paths_.pod_lock(name), instance_id_));
  // With the lock in hand: whoever claims another directory from now on sees that a Pod lives in this one.
  TRY(claim_runtime_dir(paths_));
  data_lock_ = TRY(registry::InstanceLock::acquire(paths_.pod_dir(name) + "/lock", instance_id_));
  holdings_.emplace(instance_id_, holdings_files(paths_, name));
  remove_leftovers(paths_, name);

  auto stored = TRY(read_pod_state(paths_, name));
  if (!stored && options_.require_pod_state) return fail(Code::NotFound, "pod state missing: there is no stored Pod named `" + name + "`");
  resume_ = stored && stored->resume;
  state_ = TRY(initial_state(hand_over_, stored, environment_, paths_, clock_));
  if (!stored || stored->pod_id != state_.pod_id) {
    // The numbers of letters begin anew for this Pod, and with them the names of their files: letters for an earlier Pod of its name go before
    // anybody can write to it.
    if (auto swept = scan_inbox(paths_, name, state_.pod_id); !swept) log::warn(swept.error().message);
  }
  if (::chdir(state_.cwd.c_str()) != 0) return fail_errno("enter the working directory " + state_.cwd, errno);
  session_ = TRY(load_session(paths_, state_));
  return {};
}

Result<void> PodProcess::take_scope() {
  scope::Scope scope = TRY(without_own_directories(TRY(scope::Scope::create(state_.config.scope)), paths_));
  // The canonical form is what is stored, registered and handed on.
  state_.config.scope = scope.rules();
  if (!scope.is_readable(state_.cwd)) {
    return fail(Code::PermissionDenied, "the working directory " + state_.cwd + " is outside the Pod's scope; add --scope read:" + state_.cwd +
                                            " or choose another --cwd");
  }
  scope_ = std::move(scope);
  return {};
}

Result<void> PodProcess::register_pod(manifest::Manifest const& manifest, registry::Registry& table) {
  if (hand_over_.parent) return table.adopt(state_.pod_id, instance_id_, ::getpid(), state_.segment_id);
  registry::Allocation row;
  row.pod_name = state_.pod_name;
  row.pod_id = state_.pod_id;
  row.instance_id = instance_id_;
  row.socket = paths_.pod_socket(state_.pod_name);
  row.segment_id = state_.segment_id;
  row.workspace_root = state_.workspace_root;
  row.task = state_.task;
  row.pid = ::getpid();
  row.since_ms = clock_.wall_ms();
  row.scope_allow = manifest.config.scope.allow;
  row.scope_deny = manifest.config.scope.deny;
  // Living children of an earlier instance come back below this row by themselves, with what they hold.
  if (hand_over_.wait_for_scope_ms > 0) return wait_for_scope(row, table);
  return table.register_pod(row);
}

/// Runs the loop until the scope is granted, refused, or somebody ends this process.
Result<void> PodProcess::wait_for_scope(registry::Allocation const& row, registry::Registry& table) {
  std::optional<Result<void>> outcome;
  ScopeRequest request{.row = row,
                       .delegation = std::nullopt,
                       .limits = {},
                       .wait_ms = hand_over_.wait_for_scope_ms,
                       .bell = paths_.pod_runtime_dir(state_.pod_name) + "/bell"};
  auto say = [this](registry::Blocker const& blocker) {
    std::string line = "INSOMNIA-WAITING\t" + text::one_line(blocker.wanted + ": " + blocker.description, 400) + "\n";
    if (options_.ready_fd) (void)io::write_all(*options_.ready_fd, line, "--ready-fd");
    else std::fputs(line.c_str(), stderr);
  };
  {
    ScopeWait wait(loop_, workers_->registry, table, paths_, std::move(request),
                   {.waiting = say, .done = [&](Result<void> result) { outcome = std::move(result); }});
    while (!outcome) {
      if (loop_.run_once(-1)) outcome = fail(Code::Cancelled, "ended while it waited for its scope");
    }
  }
  workers_->registry.drain();  // from here on the registry is used on this thread again
  return *outcome;
}

/// The launcher holds the other end: when that is closed, by whatever, this Pod ends too, its children first.
void PodProcess::watch_lifeline() {
  if (!options_.lifeline_fd) return;
  lifeline_.reset(*options_.lifeline_fd);
  ::fcntl(lifeline_.get(), F_SETFD, FD_CLOEXEC);
  // Sooner than the pipe when the launcher is killed while this process does not look at its loop.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
  lifeline_watcher_ = std::make_unique<loop::FdWatcher>(loop_, lifeline_.get(), loop::FdWatcher::kRead, [this](uint32_t) {
    lifeline_watcher_.reset();
    if (brain_) brain_->shut_down(true, true);
    else loop_.stop();
  });
}

Result<void> PodProcess::start_brain() {
  auto catalogue = TRY(llm::Catalogue::load(paths_.config_dir));
  auto model = TRY(catalogue.resolve(state_.config.model));
  state_.config = manifest::with_window(std::move(state_.config), model.context_window);
  auto manifest = TRY(manifest::resolve(state_.config));
  RuntimeCommand self = RuntimeCommand::self();
  accounts_ = paying_accounts(state_, manifest.config, loop_.clock().wall_ms());
  if (model.scheme != "rehearsal") gate_ = std::make_unique<usage::MeteredGate>(loop_, workers_->usage, gate_settings(paths_, accounts_, catalogue, model), [this](std::string text) {
    if (brain_) brain_->alert("warn", "usage", std::move(text));
  });
  provider_ = TRY(llm::make_provider(model, {.loop = loop_,
                                             .http = *http_,
                                             .environment = environment_,
                                             .self_program = self.program,
                                             .config_dir = paths_.config_dir,
                                             .gate = gate_.get()}));

  auto table = TRY(open_registry(paths_, &*holdings_, [this] {
    if (!io::exists(paths_.pod_lock(state_.pod_name))) loop_.post([this] { look_after_runtime_dir(); });
  }));
  TRY(register_pod(manifest, *table));
  fault_point("start.registered");
  scope::Scope own = *scope_;
  std::string runtime_dir = paths_.pod_runtime_dir(state_.pod_name);
  std::string spill_dir = runtime_dir + "/bash-output";
  TRY(io::make_directories(spill_dir));
  std::string own_spill_dir = scope::resolve_path(spill_dir).value_or("");
  own = TRY(own.with_added_deny_rules(manifest::memory_denies(manifest.config, state_.workspace_root)));
  auto choice = TRY(choose_cell(cell::level_of_machine(paths_, self.program), paths_, state_, manifest, environment_, own_spill_dir,
                                [this] { return std::vector<int>{runtime_lock_->fd(), data_lock_->fd()}; }));
  core_ = std::make_unique<PodCore>(loop_, paths_, self, manifest, state_, instance_id_, own.with_own_files(own_spill_dir).with_own_directories(choice.own_directories), std::move(table), std::move(workers_));
  core_->accounts = accounts_;
  // Synced beside what follows; the log thread keeps its order, so the state is on disk before the first message is confirmed.
  core_->persist([this](Result<void> written) {
    if (written) return;
    failure_ = Error{written.error().code, "the Pod's state can't be written, so it ends: " + written.error().message};
    brain_->alert("error", "pod", failure_->message);
    brain_->shut_down(false);
  });
  core_->log_worker.run([path = runtime_dir + "/manifest.toml", config = manifest.config] {
    if (auto written = io::replace_file(path, manifest::to_toml(config)); !written) log::warn(written.error().message);
  });

  prompts_ = TRY(prompt::PromptCatalog::load(
      prompt::PromptSources::standard(paths_.config_dir, state_.workspace_root, manifest.config.prompt_pack.value_or(""))));
  profiles_ = profile::discover_profiles(profile::profile_places(paths_, state_.cwd), {.workspace = state_.workspace_root, .start_host = profile::host_process(self.program), .trusts = profile::trust_of(paths_)});
  auto definitions = TRY(tools_of_pod(*prompts_, profiles_, manifest, state_.ceilings));

  std::vector<std::pair<std::string, std::string>> alerts;  // source, text
  agent::EngineSettings settings;
  for (auto const& definition : definitions) settings.tools.push_back({definition.name, definition.description, definition.input_schema});
  std::vector<std::string> tool_names;
  for (auto const& definition : definitions) tool_names.push_back(definition.name);
  if (session_.state.system_prompt) {
    settings.system_prompt = *session_.state.system_prompt;
  } else {
    std::string alert;
    auto input = system_prompt_input(manifest, state_.cwd, state_.workspace_root, definitions, *scope_, alert);
    input.wall_ms = clock_.wall_ms();
    input.is_child = state_.parent.has_value();
    if (!alert.empty()) alerts.emplace_back("agents_md", std::move(alert));
    settings.system_prompt = TRY(prompt::build_system_prompt(input, *prompts_));
  }
  auto const& worker = manifest.config.worker;
  settings.config = {.max_tokens = worker.max_tokens,
                     .temperature = worker.temperature,
                     .top_p = worker.top_p,
                     .top_k = worker.top_k,
                     .stop_sequences = worker.stop_sequences.value_or(std::vector<std::string>{}),
                     .reasoning = worker.reasoning};
  settings.max_turns = worker.max_turns;
  settings.cache_key = state_.segment_id;
  settings.interrupted_result = TRY(prompts_->render("interrupt_tool_result_summary", {}));
  settings.interrupt_note = TRY(prompts_->render("interrupt_system_note", {}));

  std::string log_error = runtime_dir + "/hands.log";
  wire::Greeting greeting{.pod_name = state_.pod_name,
                          .pod_id = state_.pod_id,
                          .instance_id = instance_id_,
                          .cwd = state_.cwd,
                          .provider = model.scheme,
                          .model = model.model_id,
                          .scope_summary = scope_->summary(),
                          .tools = tool_names,
                          .context_window = model.context_window,
                          .context_tokens = 0,
                          .isolation = ""};
  if (!choice.warning.empty()) alerts.emplace_back("cell", choice.warning);
  auto commands_see = command_environment(environment_, state_.pod_name);
  if (choice.cell) commands_see.erase("TMPDIR");  // they have one of their own
  for (auto& [name, value] : choice.environment) commands_see[name] = std::move(value);
  // Under Landlock alone a path means the same to a Pod as to everybody.
  auto privates = choice.isolation == cell::Isolation::Cell ? choice.cell->start.privates : std::vector<cell::PrivateDirectory>{};
  bool interrupted = session_.state.last_run_interrupted;
  brain_ = std::make_unique<Brain>(BrainParts{
      .core = *core_,
      .provider = *provider_,
      .prompts = *prompts_,
      .profiles = profiles_,
      .engine_settings = std::move(settings),
      .engine_state = {.history = session_.state.history,
                       .turn_count = session_.state.turn_count,
                       .report_seq = session_.state.last_report.value_or(0),
                       .interrupted = interrupted,
                       .end_known = !session_.state.paused,
                       .delegated = session_.state.run_delegated},
      .tools = std::move(definitions),
      .log_lines = session_.lines,
      .location = {state_.session_id, state_.segment_id},
      .inbox = session_.state.inbox,
      .tasks = replay_tasks(session_.state.history),
      .remembered = replay_remembered(session_.state.extensions),
      .hands = {.program = self.program,
                .start = {.cwd = state_.cwd,
                          .spill_dir = own_spill_dir,
                          .environment = std::move(commands_see),
                          .scope = own.rules(),
                          .observed = replay_observed(session_.state.extensions),
                          .own_directories = choice.own_directories,
                          .read_bytes = manifest.output_limit("Read")},
                .stderr_path = log_error,
                .cell = std::move(choice.cell)},
      .isolation = choice.isolation,
      .privates = std::move(privates),
      .greeting = std::move(greeting),
      .exit_when_settled = state_.exit_when_settled,
      .task_follows = !hand_over_.task.empty() && !hand_over_.restore,
      .restore = hand_over_.restore ? std::optional(RestorePlan{.children = children_to_restore(paths_, state_.pod_id),
                                                                          .resume = resume_ || session_.state.run_open})
                                    : std::nullopt});
  brain_->on_ended([this] { loop_.stop(); });
  TRY(brain_->start());
  keeper_ = std::make_unique<RuntimeKeeper>(*core_, *brain_, *runtime_lock_, *holdings_);
  for (auto const& [source, message] : alerts) brain_->alert("warn", source, message);
  if (session_.torn_bytes > 0) {
    brain_->alert("warn", "pod", "the session log ended in an unfinished record of " + std::to_string(session_.torn_bytes) +
                                     " bytes, which was cut off; everything before it is there");
  }
  return {};
}

/// While it starts there is nothing to restore: what is missing is made, or found to be missing before it is ready.
void PodProcess::look_after_runtime_dir() {
  if (keeper_) keeper_->look();
}

void PodProcess::say_ready() {
  if (!runtime_lock_->is_at(paths_.pod_lock(state_.pod_name))) look_after_runtime_dir();
  fault_point("start.before_ready");
  std::string name = state_.pod_name;
  std::string line = "INSOMNIA-READY\t" + name + "\t" + paths_.pod_socket(name) + "\t" + state_.pod_id + "\t" + instance_id_ + "\n";
  if (options_.ready_fd) {
    UniqueFd fd(*options_.ready_fd);
    if (auto written = io::write_all(fd.get(), line, "--ready-fd"); !written) log::warn(written.error().message);
  }
  std::fprintf(stderr, "INSOMNIA-READY\t%s\t%s\nPod %s is ready\n", name.c_str(), paths_.pod_socket(name).c_str(), name.c_str());
}

void PodProcess::leave() {
  PodState& state = core_->state;
  state.ended = brain_->was_interrupted() ? "interrupted" : "done";
  state.resume = brain_->run_was_interrupted();
  bool by_itself = brain_->left_by_itself();
  keeper_.reset();
  // The hands go first: when the row is free, nothing of this Pod writes any more.
  brain_.reset();
  provider_.reset();
  core_->log_worker.drain();
  core_->registry_worker.drain();
  if (auto written = write_pod_state(paths_, state); !written) log::warn(written.error().message);
  fault_point("leave.stored");
  if (auto released = core_->registry->release(state_.pod_id, instance_id_); !released) log::warn("release: " + released.error().message);
  fault_point("leave.released");
  holdings_->clear();
  std::string directory = paths_.pod_runtime_dir(state_.pod_name);
  for (auto* file : {"/status.json", "/manifest.toml", "/hands.log"}) ::unlink((directory + file).c_str());
  if (auto removed = io::remove_tree(directory + "/bash-output"); !removed) log::warn(removed.error().message);
  if (by_itself) look_for_last_mail();
}

/// Whoever wrote while this Pod lived has been told that it is read. Once the lock is free nobody is told so any more: what came until then makes
/// this an end that a restore goes on from.
void PodProcess::look_for_last_mail() {
  runtime_lock_.reset();
  auto letters = scan_inbox(paths_, state_.pod_name, state_.pod_id);
  bool unread = letters && std::any_of(letters->begin(), letters->end(), [](Mail const& mail) { return !mail.text.empty(); });
  if (!unread) return;
  core_->state.ended = "interrupted";
  if (auto written = write_pod_state(paths_, core_->state); !written) log::warn(written.error().message);
}

Result<void> PodProcess::run() {
  int signals = 0;
  loop::SignalWatcher watcher(loop_, {SIGINT, SIGTERM, SIGHUP, SIGUSR1}, [this, &signals](int signal) {
    if (signal == SIGUSR1) look_after_runtime_dir();
    else if (++signals == 1 && brain_) brain_->shut_down(state_.exit_when_settled || hand_over_.die_with_parent, true);
    else loop_.stop();
  });
  watch_lifeline();
  TRY(take_identity());
  TRY(take_scope());
  TRY(start_brain());
  // A restored Pod is ready when its children are back.
  if (!hand_over_.restore) say_ready();
  if (!hand_over_.restore) fault_point("start.ready");
  brain_->recover(last_report(state_, instance_id_, session_.lines), [this] {
    if (hand_over_.restore) say_ready();
  });
  session_ = {};
  loop_.run();
  leave();
  if (failure_) return std::unexpected(*failure_);
  return {};
}

}  // namespace

int pod_main(PodOptions const& options, Environment const& environment) {
  // "Look after your runtime directory": it must not end a Pod at any moment.
  sigset_t look;
  sigemptyset(&look);
  sigaddset(&look, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &look, nullptr);
  // One arena: the helper threads allocate little, and an arena each costs every Pod private memory.
  ::mallopt(M_ARENA_MAX, 1);
  PodProcess process(options, environment);
  auto result = process.run();
  if (result) return 0;
  std::fprintf(stderr, "error: %s\n", result.error().message.c_str());
  return 1;
}

}  // namespace insomnia::pod
