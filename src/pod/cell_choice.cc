#include "pod/cell_choice.hh"

#include "base/io.hh"
#include "base/log.hh"
#include "base/text.hh"
#include "cell/host.hh"
#include "scope/scope.hh"

namespace insomnia::pod {
namespace {

/// Enough for any build, and an end to a fork bomb.
constexpr uint64_t kProcesses = 4096;

/// `<data_dir>/pods/<name>/cell/<pod_id>`: kept as long as the Pod's session.
Result<std::string> own_directory(Paths const& paths, PodState const& state) {
  std::string all = paths.pod_dir(state.pod_name) + "/cell";
  std::string own = all + "/" + state.pod_id;
  if (io::exists(own + "/home") && io::exists(own + "/tmp")) return own;
  for (auto const& name : io::list_directory(all).value_or(std::vector<std::string>{})) {
    if (name == state.pod_id) continue;
    if (auto removed = io::remove_tree(all + "/" + name); !removed) log::warn(removed.error().message);
  }
  TRY(io::make_directories(own + "/home"));
  TRY(io::make_directories(own + "/tmp"));
  return own;
}

/// Of the repository that the directory is in: its git directory, and of a working tree or submodule the file that names it, that directory, and the
/// one that several share.
std::vector<std::string> git_directories(std::string const& cwd) {
  std::string place;
  for (std::string at = cwd;; at = io::parent_path(at)) {
    place = at == "/" ? "/.git" : at + "/.git";
    if (io::exists(place)) break;
    if (at == "/") return {};
  }
  std::vector<std::string> result;
  auto add = [&](std::string const& path, std::string const& base) {
    auto real = io::real_path(io::absolute(path, base));
    if (real) result.push_back(*std::move(real));
    return real ? result.back() : std::string();
  };
  std::string directory = add(place, "/");
  if (auto link = io::read_file(place, 4096); link && link->starts_with("gitdir: ")) {
    directory = add(std::string(text::trim(std::string_view(*link).substr(8))), io::parent_path(place));
  }
  if (auto common = io::read_file(directory + "/commondir", 4096)) add(std::string(text::trim(*common)), directory);
  return result;
}

}  // namespace

Result<CellChoice> choose_cell(cell::Level const& level, Paths const& paths, PodState const& state, manifest::Manifest const& manifest,
                               Environment const& environment, std::string const& spill_dir, std::function<std::vector<int>()> locks) {
  manifest::Sandbox sandbox = manifest::effective_sandbox(manifest.config, state.ceilings);
  CellChoice choice;
  bool required = sandbox.required.value_or(true);
  // Who waives a cell wants commands to do what they do anywhere, and Landlock alone narrows them.
  if (level.isolation == cell::Isolation::None || (level.isolation == cell::Isolation::Landlock && !required)) {
    std::string why = "this machine has no cell for a Pod's commands: " + level.reason;
    if (required) {
      return fail(Code::Unavailable, why + "; `insomnia doctor` says how to allow it; with `required = false` in [sandbox] of the manifest the Pod runs without");
    }
    if (sandbox.network == "none") return fail(Code::Unavailable, why + ", so `network = \"none\"` can't be held");
    choice.warning = why + "; commands can write wherever you can";
    return choice;
  }
  std::string own = TRY(own_directory(paths, state));
  choice.isolation = level.isolation;
  bool landlock = level.isolation == cell::Isolation::Landlock;
  if (landlock) {
    choice.warning = "this machine has no cell for a Pod's commands (" + level.reason + "), so Landlock alone holds them, which allows them less; `insomnia doctor` says how to allow it";
    choice.environment["TMPDIR"] = own + "/tmp";
    choice.environment["HOME"] = own + "/home";
  }
  choice.own_directories.push_back({landlock ? own + "/tmp" : "/tmp", scope::Permission::Write, true});
  cell::CellStart start{.isolation = level.isolation,
                        .scope = {},
                        .own_files = spill_dir,
                        .masked = cell::own_paths(paths),
                        .readable = {},
                        .privates = {{"/tmp", own + "/tmp"}},
                        .environment = {},
                        .network = sandbox.network != "none",
                        .limits = {.processes = sandbox.max_processes.value_or(kProcesses),
                                   .open_files = sandbox.max_open_files,
                                   .cpu_secs = sandbox.max_cpu_secs,
                                   .file_bytes = sandbox.max_file_bytes,
                                   .memory_bytes = sandbox.max_memory_bytes}};
  // Who works in a part of a repository sees what git knows of all of it; only who holds the git directory changes it.
  scope::Scope scope = scope::Scope::from_resolved(state.config.scope);
  for (auto& directory : git_directories(state.cwd)) {
    if (scope.is_writable(directory)) continue;
    if (!scope.is_readable(directory)) start.readable.push_back(std::move(directory));
    choice.environment["GIT_OPTIONAL_LOCKS"] = "0";  // `git status` does without the lock for its index
  }
  for (auto const& path : sandbox.read) {
    if (auto resolved = scope::resolve_path(path)) start.readable.push_back(*std::move(resolved));
  }
  // So that `insomnia` there can say why it does nothing there.
  if (auto program = io::real_path("/proc/self/exe")) start.readable.push_back(*std::move(program));
  for (auto const* name : {"HOME", "PATH"}) {
    if (auto value = environment.get(name)) start.environment[name] = *value;
  }
  if (auto home = environment.get("HOME"); home && home->starts_with('/')) {
    auto resolved = scope::resolve_path(*home);
    if (resolved && *resolved != "/") {
      start.privates.push_back({*resolved, own + "/home"});
      choice.own_directories.push_back({landlock ? own + "/home" : *resolved, scope::Permission::Read, true});
    }
  }
  choice.cell = cell::HandsCell{.start = std::move(start), .locks = std::move(locks), .kill_on_lend = sandbox.on_lend == "kill"};
  return choice;
}

}  // namespace insomnia::pod
