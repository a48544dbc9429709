#include "pod/spawn.hh"

#include <sys/stat.h>

#include <algorithm>

#include "base/fault_point.hh"
#include "base/io.hh"
#include "base/text.hh"
#include "base/uuid.hh"
#include "llm/catalogue.hh"
#include "pod/target_directories.hh"

namespace insomnia::pod {
namespace {

constexpr int64_t kReadyMs = 10'000;
constexpr int64_t kDeliveryMs = 20'000;
/// A restored child is ready when its own children are.
constexpr int64_t kRestoreMs = 60'000;

/// Where a delegation scope decides what may be delegated, its denies travel in place of the spawner's own write denies: those keep the
/// spawner itself out of what it may well hand on. What the spawner may not read, no child may.
std::vector<scope::ScopeRule> denies_that_travel(scope::Scope const& own, std::optional<scope::ScopeConfig> const& delegation) {
  if (!delegation) return own.deny_rules();
  std::vector<scope::ScopeRule> rules = delegation->deny;
  for (auto const& rule : own.deny_rules()) {
    if (rule.permission == scope::Permission::Read) rules.push_back(rule);
  }
  return rules;
}

bool is_directory(std::string const& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

/// For the spawner: what its child's profile wanted and does not get.
std::string without(std::vector<manifest::LeftOut> const& left_out, std::vector<std::string> const& unmapped) {
  std::string text;
  if (!left_out.empty()) text += ". Nobody has trusted this project, so of its profile is left out: " + manifest::keys_of(left_out);
  if (!unmapped.empty()) text += ". Its profile also says what has no counterpart here: " + text::one_line(text::join(unmapped, ", "), 300);
  return text;
}

/// A name or scope that another holds and a limit that is reached are faults of the request, not of the machine.
Error as_refusal(Error error) {
  if (error.code == Code::Conflict || error.code == Code::AlreadyExists || error.code == Code::LimitReached) error.code = Code::InvalidArgument;
  return error;
}

}  // namespace

SpawnTransaction::SpawnTransaction(PodCore& core, Children& children, profile::ProfileSet const& profiles, Host host,
                                   std::function<void(tools::Output)> done)
    : core_(core), children_(children), profiles_(profiles), host_(std::move(host)), done_(std::move(done)) {}

SpawnTransaction::~SpawnTransaction() { *alive_ = false; }

void SpawnTransaction::start(std::string_view arguments) {
  if (auto valid = validate(arguments); !valid) {
    finish(tools::failed(as_refusal(valid.error())));
    return;
  }
  build_config();
}

void SpawnTransaction::build_config() {
  profile::ChildRequest request{.pod_name = input_.name,
                                .profile = input_.profile,
                                .instruction = input_.instruction,
                                .allow = allow_,
                                .deny = deny_,
                                .window_of = [config_dir = core_.paths.config_dir](manifest::ModelManifest const& model) -> std::optional<uint64_t> {
                                  auto catalogue = llm::Catalogue::load(config_dir);
                                  auto resolved = catalogue ? catalogue->resolve(model) : std::unexpected(catalogue.error());
                                  return resolved ? std::optional(resolved->context_window) : std::nullopt;
                                }};
  if (!profile::evaluates_lua(profiles_, input_.profile)) return config_built(profile::build_child_config(core_.manifest, profiles_, request));
  // `profiles_` and the manifest outlive the workers, and nobody changes them.
  core_.workers->profiles.run<Result<profile::ChildConfig>>([this_manifest = &core_.manifest, profiles = &profiles_, request = std::move(request)] { return profile::build_child_config(*this_manifest, *profiles, request); },
                                                            [this, alive = alive_](Result<profile::ChildConfig> child) {
                                                              if (*alive) config_built(std::move(child));
                                                            });
}

void SpawnTransaction::config_built(Result<profile::ChildConfig> child) {
  if (cancelled()) return;
  if (!child) return finish(tools::failed(as_refusal(child.error())));
  hand_over_.config = std::move(child->config);
  if (input_.budget) {
    manifest::Ceilings asked;
    asked.budget = input_.budget;
    hand_over_.config.budget = manifest::ceilings_below(asked, hand_over_.config).budget;
  }
  hand_over_.profile = std::move(child->profile);
  left_out_ = std::move(child->left_out);
  unmapped_ = std::move(child->unmapped);
  // Meanwhile others may have started.
  if (auto name = check_free_name(); !name) return finish(tools::failed(as_refusal(name.error())));
  record_starting();
}

void SpawnTransaction::restore(RestorableChild child) {
  restoring_ = true;
  works_ = child.works;
  if (auto valid = validate_restore(std::move(child)); !valid) {
    finish(tools::failed(as_refusal(valid.error())));
    return;
  }
  record_starting();
}

void SpawnTransaction::cancel() {
  cancelled_ = true;
  if (rolled_back_) return;  // its answer is on the way
  if (wait_) {
    wait_.reset();  // gives up its place
    (void)cancelled();
    return;
  }
  if (!launch_ || delivery_) return;  // the step under way sees it when it is done
  launch_.reset();                    // kills the group and reaps
  (void)cancelled();
}

/// Whether the transaction was given up: then it is undone here and the caller stops.
bool SpawnTransaction::cancelled() {
  if (!cancelled_ || !done_) return cancelled_;
  roll_back(Error{Code::Cancelled, "SpawnPod of `" + input_.name + "` was cancelled; nothing of it is left"});
  return true;
}

Result<void> SpawnTransaction::validate(std::string_view arguments) {
  input_ = TRY(decode_spawn_pod(arguments));
  if (input_.name == core_.name()) return fail(Code::InvalidArgument, "a Pod cannot spawn itself: `" + input_.name + "` is this Pod's own name");
  TRY(check_pod_name(input_.name));
  if (text::trim(input_.task).empty()) return fail(Code::InvalidArgument, "the task must not be empty; say what the Pod is to do");
  socket_ = core_.paths.pod_socket(input_.name);
  if (socket_.size() > kMaxSocketPath) {
    return fail(Code::InvalidArgument, "the name `" + input_.name + "` makes the socket path " + socket_ + " too long; choose a shorter name");
  }
  TRY(check_free_name());
  allow_ = TRY(scope::canonical_request(input_.scope));
  deny_ = scope::travelling_denies(denies_that_travel(core_.authority.own(), core_.manifest.config.delegation_scope), allow_);
  scope::Scope child_scope = scope::Scope::from_resolved({allow_, deny_});
  missing_ = missing_directories(allow_);
  std::string cwd = TRY(child_cwd(child_scope));
  hand_over_.ceilings = manifest::ceilings_below(core_.state.ceilings, core_.manifest.config);
  hand_over_.ceilings.accounts = core_.accounts;
  hand_over_.pod_id = uuid7(core_.loop.clock());
  hand_over_.instance_id = uuid7(core_.loop.clock());
  hand_over_.parent = ParentLink{core_.state.pod_id, core_.instance_id, core_.name(), core_.socket_path()};
  hand_over_.cwd = cwd;
  hand_over_.workspace_root = core_.state.workspace_root;
  hand_over_.task = text::one_line(input_.task, 200);
  hand_over_.exit_when_settled = input_.end_when_done;
  hand_over_.die_with_parent = input_.die_with_parent;
  return {};
}

Result<void> SpawnTransaction::check_free_name() {
  auto const* existing = children_.find(input_.name);
  if (existing == nullptr || !children_.is_living(existing->pod_id)) return {};
  return fail(Code::AlreadyExists, "you have a Pod named `" + input_.name + "` already; use SendToPod, or choose another name");
}

bool SpawnTransaction::will_be_made(std::string const& path) const {
  return std::find(missing_.begin(), missing_.end(), path) != missing_.end();
}

/// What it had, never more: the reservation checks the stored rules against what this Pod holds now, and its denies of today travel.
Result<void> SpawnTransaction::validate_restore(RestorableChild child) {
  PodState& stored = child.state;
  input_.name = stored.pod_name;
  TRY(check_pod_name(input_.name));
  socket_ = core_.paths.pod_socket(input_.name);
  if (auto const* existing = children_.find(input_.name); existing != nullptr && children_.is_living(existing->pod_id)) {
    return fail(Code::AlreadyExists, "Pod `" + input_.name + "` is live already");
  }
  if (!is_directory(stored.cwd)) return fail(Code::InvalidArgument, "Pod `" + input_.name + "` can't be restored: its directory " + stored.cwd + " is gone");
  scope::ScopeConfig had = stored.config.scope;
  for (auto& deny : scope::travelling_denies(denies_that_travel(core_.authority.own(), core_.manifest.config.delegation_scope), had.allow)) {
    if (std::find(had.deny.begin(), had.deny.end(), deny) == had.deny.end()) had.deny.push_back(std::move(deny));
  }
  missing_ = missing_directories(had.allow);
  hand_over_.config = stored.config;
  hand_over_.config.scope = std::move(had);
  hand_over_.ceilings = manifest::ceilings_below(core_.state.ceilings, core_.manifest.config);
  hand_over_.ceilings.accounts = core_.accounts;
  hand_over_.pod_id = stored.pod_id;
  hand_over_.instance_id = uuid7(core_.loop.clock());
  hand_over_.parent = ParentLink{core_.state.pod_id, core_.instance_id, core_.name(), core_.socket_path()};
  hand_over_.cwd = stored.cwd;
  hand_over_.workspace_root = stored.workspace_root;
  hand_over_.task = stored.task;
  hand_over_.profile = stored.profile;
  hand_over_.restore = true;
  auto const policy = children_.stored_policy(stored.pod_id);
  hand_over_.exit_when_settled = input_.end_when_done = policy.end_when_done;
  hand_over_.die_with_parent = input_.die_with_parent = policy.die_with_parent;
  return {};
}

Result<std::string> SpawnTransaction::child_cwd(scope::Scope const& child_scope) const {
  if (!input_.cwd) {
    if (child_scope.is_readable(core_.state.cwd)) return core_.state.cwd;
    for (auto const& rule : child_scope.allow_rules()) {
      if (is_directory(rule.target) || will_be_made(rule.target)) return rule.target;
    }
    return fail(Code::InvalidArgument, "the child has no directory to start in: give it read on a directory, or name a `cwd`");
  }
  std::string const& cwd = *input_.cwd;
  if (!cwd.starts_with('/')) return fail(Code::InvalidArgument, "cwd `" + cwd + "` must be absolute");
  if (will_be_made(cwd)) return cwd;
  auto real = io::real_path(cwd);
  if (!real) return fail(Code::InvalidArgument, "cwd `" + cwd + "` does not exist");
  if (!is_directory(*real)) return fail(Code::InvalidArgument, "cwd `" + cwd + "` must be a directory");
  if (!child_scope.is_readable(*real)) {
    return fail(Code::InvalidArgument, "cwd `" + cwd + "` is outside the child's delegated readable scope; add a read rule for it");
  }
  return *real;
}

void SpawnTransaction::record_starting() {
  ChildRecord record;
  record.pod_name = input_.name;
  record.pod_id = hand_over_.pod_id;
  record.instance_id = hand_over_.instance_id;
  record.socket_path = socket_;
  record.callback_address = core_.socket_path();
  record.task = hand_over_.task;
  record.profile = hand_over_.profile;
  record.scope_delegated = hand_over_.config.scope.allow;
  record.scope_deny = hand_over_.config.scope.deny;
  record.made_directories = missing_;
  record.end_when_done = input_.end_when_done;
  record.die_with_parent = input_.die_with_parent;
  recorded_ = true;
  if (restoring_) children_.add_restored(std::move(record));
  else children_.add(std::move(record));
  core_.persist([this, alive = alive_](Result<void> written) {
    fault_point("spawn.recorded");
    if (!*alive || cancelled()) return;
    if (written) reserve();
    else roll_back(std::move(written).error());
  });
}

void SpawnTransaction::reserve() {
  registry::Allocation row;
  row.pod_name = input_.name;
  row.pod_id = hand_over_.pod_id;
  row.instance_id = hand_over_.instance_id;
  row.state = registry::AllocationState::Reserved;
  row.spawner_instance = core_.instance_id;
  row.spawner_name = core_.name();
  row.delegated_from = core_.state.pod_id;
  row.socket = socket_;
  row.workspace_root = hand_over_.workspace_root;
  row.task = hand_over_.task;
  row.pid = ::getpid();
  row.since_ms = core_.loop.clock().wall_ms();
  row.scope_allow = hand_over_.config.scope.allow;
  row.scope_deny = hand_over_.config.scope.deny;
  registry::Limits limits{core_.manifest.max_depth(), core_.manifest.max_children(), core_.manifest.max_live_pods()};
  if (auto const& ceiling = core_.state.ceilings.limits) {
    limits.max_depth = std::min(limits.max_depth, ceiling->max_depth.value_or(limits.max_depth));
    limits.max_children = std::min(limits.max_children, ceiling->max_children.value_or(limits.max_children));
    limits.max_live_pods = std::min(limits.max_live_pods, ceiling->max_live_pods.value_or(limits.max_live_pods));
  }
  if (input_.wait_for_scope_ms > 0) {
    ScopeRequest request{.row = row,
                         .delegation = core_.manifest.config.delegation_scope,
                         .limits = limits,
                         .wait_ms = input_.wait_for_scope_ms,
                         .bell = core_.paths.pod_runtime_dir(core_.name()) + "/bell." + hand_over_.pod_id};
    wait_ = std::make_unique<ScopeWait>(core_.loop, core_.registry_worker, *core_.registry, core_.paths, std::move(request),
                                        ScopeWait::Handler{.waiting =
                                                               [this](registry::Blocker const&) {
                                                                 children_.set_shown_state(hand_over_.pod_id, "waiting");
                                                               },
                                                           .done =
                                                               [this](Result<void> outcome) {
                                                                 auto wait = std::move(wait_);  // it is calling
                                                                 reserved(std::move(outcome));
                                                               }});
    return;
  }
  core_.registry_worker.run<Result<void>>(
      [registry = core_.registry.get(), row, limits, delegation = core_.manifest.config.delegation_scope] {
        return registry->delegate(row, delegation, limits);
      },
      [this, alive = alive_](Result<void> outcome) {
        if (*alive) reserved(std::move(outcome));
      });
}

void SpawnTransaction::reserved(Result<void> outcome) {
  if (!outcome) {
    roll_back(as_refusal(std::move(outcome).error()));
    return;
  }
  reserved_ = true;
  fault_point("spawn.reserved");
  children_.set_shown_state(hand_over_.pod_id, "starting");
  if (!cancelled()) make_directories();
}

void SpawnTransaction::make_directories() {
  if (missing_.empty()) {
    demote();
    return;
  }
  using Made = Result<std::vector<std::string>>;
  core_.log_worker.run<Made>([paths = std::move(missing_)] { return make_target_directories(paths); },
                             [this, alive = alive_](Made made) {
                               if (!*alive) return;
                               if (!made) return roll_back(std::move(made).error());
                               missing_ = *std::move(made);
                               made_ = true;
                               fault_point("spawn.made");
                               if (!cancelled()) demote();
                             });
}

void SpawnTransaction::demote() {
  core_.authority.lend(hand_over_.pod_id, input_.name, hand_over_.config.scope.allow);
  demoted_ = true;
  host_.apply_scope([this, alive = alive_](Result<void> applied) {
    fault_point("spawn.demoted");
    if (!*alive || cancelled()) return;
    if (applied) launch();
    else roll_back(std::move(applied).error());
  });
}

void SpawnTransaction::launch() {
  launch_ = std::make_unique<PodLaunch>(core_.loop, core_.paths, core_.runtime, hand_over_, restoring_ ? kRestoreMs : kReadyMs,
                                        [this](Result<LaunchedPod> result) {
                                          if (result) ready(*std::move(result));
                                          else roll_back(std::move(result).error());
                                        });
  children_.launched(hand_over_.pod_id, launch_->pid());
}

void SpawnTransaction::ready(LaunchedPod pod) {
  fault_point("spawn.ready");
  if (pod.pod_id != hand_over_.pod_id || pod.instance_id != hand_over_.instance_id || pod.socket_path != socket_) {
    { loop::Child stranger = std::move(pod.child); }  // killed and reaped with its group before its scope is free
    roll_back(Error{Code::Internal, "the process that got ready as `" + input_.name + "` is not the one that was started"});
    return;
  }
  children_.started(hand_over_.pod_id, std::move(pod.child), std::move(pod.lifeline));
  auto* record = children_.find_by_id(hand_over_.pod_id);
  if (record != nullptr) record->work_open = !restoring_ || works_ || record->work_open;
  if (restoring_) {
    children_.hand_back();
    core_.persist();
    host_.tell_parent({core_.name(), input_.name, socket_, hand_over_.config.scope.allow});
    finish({.summary = "restored pod `" + input_.name + "` with " + scope::describe_rules(hand_over_.config.scope.allow) +
                       (works_ ? "; it goes on with its work and its end will be reported to you" : "; it is idle, SendToPod gives it work"),
            .content = std::nullopt,
            .is_error = false});
    return;
  }
  // Now, not when the delivery is confirmed: its own news of itself may come before that.
  children_.set_shown_state(hand_over_.pod_id, "running");
  core_.persist();
  host_.tell_parent({core_.name(), input_.name, socket_, hand_over_.config.scope.allow});
  deliver();
}

void SpawnTransaction::deliver() {
  fault_point("spawn.live");
  delivery_ = std::make_unique<client::RunDelivery>(
      core_.loop, socket_, input_.task, kDeliveryMs, [this](Result<void> delivered) {
        fault_point("spawn.delivered");
        if (delivered) {
          finish({.summary = "spawned pod `" + input_.name + "` (" + hand_over_.profile + ") with " +
                             scope::describe_rules(hand_over_.config.scope.allow) + "; it works on the task now and its end will be " +
                             "reported to you" + without(left_out_, unmapped_),
                  .content = std::nullopt,
                  .is_error = false});
          return;
        }
        children_.set_work_open(hand_over_.pod_id, false);
        children_.set_shown_state(hand_over_.pod_id, "idle");
        std::string kind = "its task was not confirmed";
        if (delivered.error().code == Code::Conflict) kind = "it is already running something";
        if (delivered.error().code == Code::InvalidArgument) kind = "it rejected the task";
        finish(tools::failed({Code::Unavailable, "Pod `" + input_.name + "` was started and remains registered with its scope, but " + kind + ": " +
                                                     delivered.error().message + ". Try SendToPod, or StopPod to get the scope back"}));
      });
}

void SpawnTransaction::roll_back(Error error) {
  if (std::exchange(rolled_back_, true)) return;
  auto answer = [this](Error const& failure) {
    finish(tools::failed(failure));
  };
  if (demoted_) {
    core_.authority.take_back(hand_over_.pod_id);
    host_.apply_scope([](Result<void> const&) {});
  }
  if (made_) core_.log_worker.run([paths = missing_] { remove_target_directories(paths); });
  if (recorded_) {
    if (restoring_) children_.give_up_restored(hand_over_.pod_id);
    else children_.discard(hand_over_.pod_id);
    core_.persist();
  }
  if (!reserved_) {
    answer(error);
    return;
  }
  // The answer waits for the release: whoever tries again at once must find the scope free.
  core_.registry_worker.run<Result<void>>(
      [registry = core_.registry.get(), id = hand_over_.pod_id, instance = hand_over_.instance_id] { return registry->release(id, instance); },
      [alive = alive_, answer, error](Result<void> const&) {
        if (*alive) answer(error);
      });
}

void SpawnTransaction::finish(tools::Output output) {
  auto callback = std::move(done_);
  callback(std::move(output));  // may destroy this object
}

}  // namespace insomnia::pod
