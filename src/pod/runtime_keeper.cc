#include "pod/runtime_keeper.hh"

#include <algorithm>

#include "base/io.hh"
#include "base/log.hh"
#include "manifest/encode.hh"
#include "pod/runtime_dir.hh"

namespace insomnia::pod {
namespace {

constexpr int64_t kFirstRetryMs = 100;
constexpr int64_t kMaxRetryMs = 10'000;
/// Some tries go wrong while the members of a family come back in any order; then people should know.
constexpr int kToleratedFailures = 5;

/// The row of this Pod, if it is not in the registry: a registry that was made without it has to take it back.
Result<void> register_again(registry::Registry& registry, registry::Holdings& holdings, std::string const& pod_id) {
  TRY(holdings.restore());
  for (auto const& holding : holdings.all()) {
    if (holding.row.pod_id != pod_id) continue;
    registry::Allocation row = holding.row;
    auto found = TRY(registry.find(row.pod_name));
    if (found && found->pod_id == row.pod_id && found->instance_id == row.instance_id) return {};
    return registry.register_pod(row);
  }
  return {};
}

}  // namespace

RuntimeKeeper::RuntimeKeeper(PodCore& core, Brain& brain, registry::InstanceLock& lock, registry::Holdings& holdings)
    : core_(core), brain_(brain), lock_(lock), holdings_(holdings), retry_(core.loop, [this] { look(); }) {}

RuntimeKeeper::~RuntimeKeeper() { *alive_ = false; }

void RuntimeKeeper::look() {
  if (auto restored = restore_files(); !restored) return try_again(restored.error());
  restore_row();
}

Result<void> RuntimeKeeper::restore_files() {
  TRY(prepare_runtime_dir(core_.paths));
  if (!lock_.is_at(file("lock"))) {
    // The old one is let go when the new one is held; the lock in the data directory is held all the time.
    lock_ = TRY(registry::InstanceLock::acquire(file("lock"), core_.instance_id));
    log::warn("the runtime directory of this Pod had vanished; it is restored");
  }
  TRY(io::make_directories(file("bash-output")));
  if (!io::exists(file("manifest.toml"))) {
    core_.log_worker.run([path = file("manifest.toml"), config = core_.manifest.config] {
      if (auto written = io::replace_file(path, manifest::to_toml(config)); !written) log::warn(written.error().message);
    });
  }
  return brain_.restore_runtime_files();
}

void RuntimeKeeper::restore_row() {
  core_.registry_worker.run<Result<void>>(
      [registry = core_.registry.get(), holdings = &holdings_, id = core_.state.pod_id] { return register_again(*registry, *holdings, id); },
      [this, alive = alive_](Result<void> const& registered) {
        if (!*alive) return;
        if (!registered) return try_again(registered.error());
        failures_ = 0;
        retry_.cancel();
      });
}

void RuntimeKeeper::try_again(Error const& error) {
  if (++failures_ == kToleratedFailures) brain_.alert("error", "pod", "this Pod is not to be found by others: " + error.message);
  retry_.start(std::min(kMaxRetryMs, kFirstRetryMs << std::min(failures_ - 1, 7)));
}

}  // namespace insomnia::pod
