#include "pod/cell_choice.hh"

#include "base/io.hh"
#include "base/log.hh"
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

}  // namespace

Result<CellChoice> choose_cell(cell::Level const& level, Paths const& paths, PodState const& state, manifest::Manifest const& manifest,
                               Environment const& environment, std::string const& spill_dir, std::function<std::vector<int>()> locks) {
  manifest::Sandbox sandbox = manifest::effective_sandbox(manifest.config, state.ceilings);
  CellChoice choice;
  if (level.isolation != cell::Isolation::Cell) {
    std::string why = "this machine has no cell for a Pod's commands: " + level.reason;
    if (sandbox.required.value_or(true)) {
      return fail(Code::Unavailable, why + "; `insomnia doctor` says how to allow it; with `required = false` in [sandbox] of the manifest the Pod runs without");
    }
    if (sandbox.network == "none") return fail(Code::Unavailable, why + ", so `network = \"none\"` can't be held");
    choice.warning = why + "; commands can write wherever you can";
    return choice;
  }
  std::string own = TRY(own_directory(paths, state));
  choice.isolation = cell::Isolation::Cell;
  cell::CellStart start{.scope = {},
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
    if (resolved && *resolved != "/") start.privates.push_back({*resolved, own + "/home"});
  }
  choice.cell = cell::HandsCell{.start = std::move(start), .locks = std::move(locks), .kill_on_lend = sandbox.on_lend == "kill"};
  return choice;
}

}  // namespace insomnia::pod
