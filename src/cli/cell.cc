#include "cli/cell.hh"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/io.hh"
#include "base/paths.hh"
#include "cell/confine.hh"
#include "cell/host.hh"
#include "cell/landlock.hh"
#include "cell/landlock_init.hh"
#include "cell/landlock_plan.hh"
#include "cell/plan_request.hh"
#include "cell/probe.hh"
#include "cli/exit_code.hh"
#include "cli/output.hh"
#include "cli/run_config.hh"

namespace insomnia::cli {
namespace {

/// A directory for the command's own /tmp and HOME, which goes with it.
class OwnDirectory {
 public:
  static Result<OwnDirectory> make() {
    std::string name = "/tmp/insomnia-cell-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) return fail_errno("make " + name, errno);
    OwnDirectory made(name);
    for (auto const* part : {"/tmp", "/home"}) TRY(io::make_directories(name + part));
    return made;
  }
  OwnDirectory(OwnDirectory&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  OwnDirectory& operator=(OwnDirectory&&) = delete;
  ~OwnDirectory() {
    if (!path_.empty()) (void)io::remove_tree(path_);
  }
  std::string const& path() const { return path_; }

 private:
  explicit OwnDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Result<scope::Scope> scope_of(CellOptions const& options, scope::ScopeConfig settings, std::string const& here) {
  constexpr std::string_view kDeny = "deny-";
  if (!options.scope.empty()) settings.allow.clear();
  for (auto const& text : options.scope) {
    bool deny = text.starts_with(kDeny);
    auto rule = TRY(scope::parse_rule(std::string_view(text).substr(deny ? kDeny.size() : 0), here));
    (deny ? settings.deny : settings.allow).push_back(std::move(rule));
  }
  if (settings.allow.empty()) settings.allow.push_back({here, scope::Permission::Write, true});
  return scope::Scope::create(settings);
}

/// What is asked for, else the strongest that there is.
Result<cell::Level> level_for(CellOptions const& options, Environment const& environment) {
  if (options.isolation == cell::isolation_name(cell::Isolation::Cell)) return cell::Level{cell::Isolation::Cell, ""};
  if (!options.isolation.empty()) {
    if (cell::landlock_version() < cell::kLandlockFiles) return fail(Code::Unavailable, "this kernel has no Landlock that is strong enough (Linux 6.2)");
    return cell::Level{cell::Isolation::Landlock, ""};
  }
  auto level = cell::level_of_machine(Paths::resolve(environment), "/proc/self/exe");
  if (level.isolation == cell::Isolation::None) return fail(Code::Unavailable, "the cell could not be made: " + level.reason + "; `insomnia doctor` says how to allow it");
  return level;
}

}  // namespace

int run_in_cell(CellOptions const& options, Environment const& environment) {
  auto usage = [](std::string const& text) {
    print_error(text);
    return kUsage;
  };
  if (options.command.empty() && !options.explain) return usage("no command; write: insomnia cell [--scope write:DIR]... -- COMMAND");
  auto here = io::current_directory();
  if (!here) return usage(here.error().message);
  manifest::Config settings;
  if (!options.manifest.empty() || !options.profile.empty()) {
    auto loaded = load_settings(options.manifest, options.profile, Paths::resolve(environment));
    if (!loaded) return usage(loaded.error().message);
    settings = *std::move(loaded);
  }
  manifest::Sandbox sandbox = settings.sandbox.value_or(manifest::Sandbox{});
  auto scope = scope_of(options, settings.scope, *here);
  if (!scope) return usage(scope.error().message);
  if (!scope->is_readable(*here)) return usage("the working directory " + *here + " is not in the scope; add --scope read:" + *here + ", or change to a directory in it");
  auto own = OwnDirectory::make();
  if (!own) return fail_with(own.error());

  auto level = level_for(options, environment);
  if (!level) return fail_with(level.error());

  cell::CellStart start{.isolation = level->isolation,
                        .scope = scope->rules(),
                        .own_files = "",
                        .masked = cell::own_paths(Paths::resolve(environment)),
                        .readable = {},
                        .privates = {{"/tmp", own->path() + "/tmp"}},
                        .environment = {},
                        .network = (options.network.empty() ? sandbox.network.value_or("full") : options.network) != "none",
                        .limits = {.processes = sandbox.max_processes,
                                   .open_files = sandbox.max_open_files,
                                   .cpu_secs = sandbox.max_cpu_secs,
                                   .file_bytes = sandbox.max_file_bytes,
                                   .memory_bytes = sandbox.max_memory_bytes}};
  for (auto const* name : {"HOME", "PATH"}) {
    if (auto value = environment.get(name)) start.environment[name] = *value;
  }
  if (auto home = environment.get("HOME"); home && *home != "/") {
    if (auto resolved = scope::resolve_path(*home)) start.privates.push_back({*resolved, own->path() + "/home"});
  }
  for (auto const& path : sandbox.read) {
    if (auto resolved = scope::resolve_path(path)) start.readable.push_back(*std::move(resolved));
  }
  cell::HostFacts facts;
  cell::PlanRequest request = cell::plan_request(start, facts);
  auto plan = cell::plan_mounts(request, facts);
  if (!plan) return fail_with(plan.error());
  bool landlock = level->isolation == cell::Isolation::Landlock;
  if (options.explain) return print(landlock ? cell::describe(cell::plan_landlock(*plan, request.scope, facts)) : cell::describe(*plan));
  Environment variables = cell::allowed_environment(environment, options.env);
  if (!landlock) {
    auto status = cell::run_confined({.plan = *std::move(plan),
                                      .cwd = *here,
                                      .argv = options.command,
                                      .environment = std::move(variables),
                                      .namespaces = {.network = start.network, .group = nullptr},
                                      .limits = start.limits});
    return status ? *status : fail_with(status.error());
  }
  if (!level->reason.empty()) print_note("no cell can be made here (" + level->reason + "), so Landlock alone holds the command; `insomnia doctor` says how to allow it");
  variables.set("TMPDIR", own->path() + "/tmp");
  variables.set("HOME", own->path() + "/home");
  auto status = cell::run_under_landlock({.plan = std::move(request),
                                          .own_directories = {own->path() + "/tmp", own->path() + "/home"},
                                          .cwd = *here,
                                          .argv = options.command,
                                          .environment = std::move(variables),
                                          .network = start.network,
                                          .limits = start.limits});
  return status ? *status : fail_with(status.error());
}

}  // namespace insomnia::cli
