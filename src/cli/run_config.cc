#include "cli/run_config.hh"

#include <sys/stat.h>
#include <unistd.h>

#include "base/io.hh"
#include "base/text.hh"
#include "cli/output.hh"
#include "llm/catalogue.hh"
#include "llm/local_model.hh"
#include "manifest/manifest.hh"
#include "pod/launch.hh"
#include "pod/store.hh"
#include "profile/discovery.hh"
#include "profile/trust.hh"
#include "scope/geometry.hh"
#include "scope/scope.hh"

namespace insomnia::cli {
namespace {

constexpr size_t kMaxTask = 8 << 20;
constexpr size_t kTaskForPeople = 200;
constexpr size_t kMaxName = 64;

Result<std::string> read_task(std::string const& argument) {
  std::string task = argument == "-" ? TRY(io::read_all(STDIN_FILENO, "standard input", kMaxTask)) : argument;
  if (text::trim(task).empty()) return fail(Code::InvalidArgument, "the task is empty");
  return text::to_utf8(task);
}

Result<std::string> working_directory(std::string const& option) {
  std::string here = TRY(io::current_directory());
  std::string path = option.empty() ? here : TRY(io::real_path(io::absolute(option, here)));
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return fail(Code::InvalidArgument, path + " is not a directory");
  }
  if (!text::is_utf8(path)) return std::unexpected(scope::not_utf8(path));
  return path;
}

Result<manifest::Config> read_manifest(std::string const& option) {
  std::string path = io::absolute(option, TRY(io::current_directory()));
  std::string text = TRY(io::read_file(path, 1 << 20));
  return manifest::resolve_paths(TRY(manifest::parse_toml(text, path)), io::parent_path(path));
}

/// The settings of a manifest or of a profile, and what people call it.
struct Settings {
  manifest::Config config;
  std::string label;
  std::string suggested_name;  ///< of a profile
  std::vector<manifest::LeftOut> left_out;
  manifest::Ceilings ceilings;
};

Result<Settings> load_profile(std::string const& option, Paths const& paths, std::string const& cwd) {
  profile::ProfileReading reading{.workspace = cwd, .start_host = profile::host_process(pod::RuntimeCommand::self().program), .trusts = profile::trust_of(paths)};
  auto selected = TRY(profile::read_selected_profile(option, profile::discover_profiles(profile::profile_places(paths, cwd), reading), reading));
  return Settings{std::move(selected.profile.config), std::move(selected.label), std::move(selected.pod_name), std::move(selected.profile.left_out), std::move(selected.ceilings)};
}

/// Fails before anything is started when the model is unknown or its key is missing.
Result<llm::ModelConfig> check_model(manifest::ModelManifest const& model, Environment const& environment,
                                    Paths const& paths) {
  auto catalogue = TRY(llm::Catalogue::load(paths.config_dir));
  auto resolved = TRY(catalogue.resolve(model));
  TRY(llm::resolve_key(resolved, environment));
  return resolved;
}

/// Whether a stored Pod may stand for the one that the options describe. Its name and its model do not
/// matter: the one is being chosen, the other can be chosen anew.
bool same_settings(manifest::Config wanted, manifest::Config const& stored) {
  if (auto scope = scope::Scope::create(wanted.scope)) wanted.scope = scope->rules();
  wanted.pod_name = stored.pod_name;
  wanted.model = stored.model;
  // Ratios became tokens of that model's window.
  if (wanted.compaction && wanted.compaction->ratio) wanted.compaction = stored.compaction;
  return wanted == stored;
}

Result<void> set_scope(manifest::Config& config, RunOptions const& options, std::string const& cwd) {
  if (!options.scope.empty()) config.scope.allow.clear();
  std::string here = TRY(io::current_directory());
  for (auto const& rule : options.scope) config.scope.allow.push_back(TRY(scope::parse_rule(rule, here)));
  if (config.scope.allow.empty())
    config.scope.allow.push_back({.target = cwd, .permission = scope::Permission::Write});
  return {};
}

/// The configuration of a new Pod by manifest, profile and flags; a name only if the manifest has one, the
/// model may be missing.
Result<Settings> wanted_config(RunOptions const& options, Paths const& paths, std::string const& cwd) {
  Settings layer;
  if (!options.manifest.empty())
    layer = {TRY(read_manifest(options.manifest)), "manifest " + options.manifest, "", {}, {}};
  else
    layer = TRY(load_profile(options.profile, paths, cwd));
  layer.config = manifest::merge(manifest::builtin_defaults(), layer.config);
  TRY(set_scope(layer.config, options, cwd));
  if (options.max_turns) layer.config.worker.max_turns = options.max_turns;
  return layer;
}

}  // namespace

std::string free_name(std::string const& base, std::function<bool(std::string const&)> const& usable) {
  if (usable(base)) return base;
  for (unsigned number = 2;; ++number) {
    std::string suffix = "-" + std::to_string(number);
    std::string name = base.substr(0, kMaxName - suffix.size()) + suffix;
    if (number == 10'000 || usable(name)) return name;
  }
}

Result<void> check_run_options(RunOptions const& options) {
  if (!options.name.empty()) TRY(check_pod_name(options.name));
  if (text::trim(options.task).empty()) return fail(Code::InvalidArgument, "the task is empty");
  if (!options.manifest.empty() && !options.profile.empty()) {
    return fail(Code::InvalidArgument, "--manifest and --profile exclude each other");
  }
  if (!options.model.empty()) {
    auto slash = options.model.find('/');
    if (slash == 0 || slash == std::string::npos || slash + 1 == options.model.size()) {
      return fail(
          Code::InvalidArgument,
          "--model takes provider/model, for example anthropic/claude-sonnet-4-6; got " + options.model);
    }
  }
  if (options.detach && options.asks && *options.asks != AskMode::Leave) {
    return fail(Code::InvalidArgument, "with --detach nobody stays who could answer what the permission policy asks; leave out --yes or --deny-asks, or --detach");
  }
  for (auto const& rule : options.scope) TRY(scope::parse_rule(rule, "/"));
  return {};
}

Result<manifest::Config> load_settings(std::string const& manifest, std::string const& profile, Paths const& paths) {
  if (!manifest.empty()) return read_manifest(manifest);
  return TRY(load_profile(profile, paths, TRY(io::current_directory()))).config;
}

Result<PreparedRun> prepare_run(RunOptions const& options, Environment const& environment, Paths const& paths,
                                std::function<bool(std::string const&)> const& name_is_taken) {
  TRY(paths.require_data_dir());
  TRY(paths.require_runtime_dir());
  std::string cwd = TRY(working_directory(options.cwd));
  auto [config, label, suggested_name, left_out, ceilings] = TRY(wanted_config(options, paths, cwd));

  bool own_settings =
      !options.manifest.empty() || !options.profile.empty() || !options.scope.empty() || options.max_turns;
  auto continues = [&](pod::PodState const& stored) {
    return !own_settings || same_settings(config, stored.config);
  };
  std::string name = options.name;
  // The default profile says nothing of what its Pod is; the directory does.
  bool own_name = !options.profile.empty() && suggested_name != "insomnia" && !suggested_name.empty();
  if (!name.empty() && name_is_taken(name)) {
    return fail(Code::AlreadyExists, "Pod `" + name + "` is running; `insomnia send " + name +
                                         " \"…\"` gives it more to do, `insomnia attach " + name +
                                         "` shows it");
  }
  if (name.empty()) {
    name =
        free_name(config.pod_name.value_or(own_name ? suggested_name : sanitize_pod_name(io::base_name(cwd), "pod")),
                  [&](std::string const& candidate) {
                    if (name_is_taken(candidate)) return false;
                    auto stored = pod::read_pod_state(paths, candidate);
                    if (!stored) return false;  // what cannot be read is not continued by accident
                    return !*stored || (!(*stored)->parent && (*stored)->cwd == cwd && continues(**stored));
                  });
  }

  PreparedRun result;
  config.pod_name = name;
  if (auto stored = TRY(pod::read_pod_state(paths, name))) {
    if (!continues(*stored)) {
      return fail(Code::InvalidArgument,
                  "Pod `" + name +
                      "` is stored with other settings, and keeps them; leave out --scope, --manifest, "
                      "--profile and --max-turns to continue it, or choose another --name");
    }
    result.continuing = true;
    config = stored->config;
    config.pod_name = name;
    label = stored->profile;
    cwd = stored->cwd;
  }
  if (!options.model.empty()) config.model = manifest::ModelManifest{.ref = options.model};
  if (config.model.empty()) {
    auto chosen = TRY(llm::default_model(environment, paths.config_dir, [&] { return llm::local_model(environment); }));
    config.model = std::move(chosen.model);
    result.model_note = "model " + safe_line(config.model.ref.value_or(""), 0) + ", " + safe_line(chosen.why, 0);
  }
  auto model = TRY(check_model(config.model, environment, paths));
  config = manifest::with_window(std::move(config), model.context_window);
  TRY(manifest::resolve(config, true));

  result.task = TRY(read_task(options.task));
  result.hand_over.config = std::move(config);
  result.hand_over.cwd = cwd;
  result.hand_over.workspace_root = cwd;
  result.hand_over.task = safe_line(result.task, kTaskForPeople);
  result.hand_over.profile = label;
  if (!result.continuing) {
    result.left_out = std::move(left_out);
    result.hand_over.ceilings = std::move(ceilings);
  }
  result.hand_over.wait_for_scope_ms = int64_t{1000} * options.wait_for_scope_s;
  result.hand_over.exit_when_settled = !options.keep && !options.detach;
  return result;
}

Error launch_failure(Error error) {
  if (error.code != Code::Unavailable) return error;
  // A process that ended tells why in words only, on its stderr.
  auto says = [&](std::string_view fragment) { return error.message.find(fragment) != std::string::npos; };
  if (says("is taken by a live Pod") || says("stop that one first or use another name"))
    error.code = Code::AlreadyExists;
  else if (says(" is refused: "))
    error.code = Code::Conflict;
  else if (says("is outside the Pod's scope") || says("is not within the scope") || says("where insomnia keeps its own files"))
    error.code = Code::PermissionDenied;

  constexpr std::string_view kLastWord = "\nerror: ";
  if (auto at = error.message.rfind(kLastWord); at != std::string::npos) {
    std::string head = error.message.substr(0, error.message.find('\n'));
    error.message = std::string(text::trim(error.message.substr(at + kLastWord.size()))) + " (" + head + ")";
  }
  return error;
}

}  // namespace insomnia::cli
