// What the registry costs a Pod: opening it, and the operations of a spawn, alone and among many rows.

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/io.hh"
#include "registry/liveness.hh"
#include "registry/registry.hh"

namespace {

using namespace insomnia;
using namespace insomnia::registry;

/// A registry of `pods` roots in a fresh directory, in memory when the machine has /dev/shm.
class World {
 public:
  explicit World(int64_t pods) {
    char name[] = "/dev/shm/insomnia-bench-XXXXXX";
    if (!::mkdtemp(name)) std::abort();
    directory = name;
    registry = open();
    for (int64_t i = 0; i < pods; ++i) require(registry->register_pod(pod("p" + std::to_string(i))));
  }
  ~World() {
    registry.reset();
    (void)io::remove_tree(directory);
  }
  std::string file() const { return directory + "/registry.db"; }
  std::unique_ptr<Registry> open(bool real_liveness = false) const {
    Liveness everybody = [](Allocation const&) { return true; };
    return *open_sqlite_registry(file(), real_liveness ? lock_liveness(directory, "") : everybody);
  }
  static Allocation pod(std::string const& name) {
    Allocation row;
    row.pod_name = name;
    row.pod_id = name + "-0190-7000-8000-000000000000";
    row.instance_id = name + "-0190-7000-8000-000000000001";
    row.scope_allow = {{"/home/user/projects/" + name, scope::Permission::Write, true},
                       {"/home/user/projects", scope::Permission::Read, true}};
    return row;
  }
  static Allocation child_of_first(std::string const& name) {
    Allocation row = pod(name);
    row.delegated_from = pod("p0").pod_id;
    row.spawner_instance = pod("p0").instance_id;
    row.scope_allow = {{"/home/user/projects/p0/" + name, scope::Permission::Write, true}};
    return row;
  }
  static void require(Result<void> const& result) {
    if (!result) std::abort();
  }

  std::string directory;
  std::unique_ptr<Registry> registry;
};

void BM_Create(benchmark::State& state) {
  for (auto _ : state) World world(0);
}
BENCHMARK(BM_Create)->Unit(benchmark::kMicrosecond);

void BM_OpenWhileAnotherIsOpen(benchmark::State& state) {
  World world(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(world.open());
}
BENCHMARK(BM_OpenWhileAnotherIsOpen)->Arg(10)->Arg(1000)->Unit(benchmark::kMicrosecond);

void BM_OpenAlone(benchmark::State& state) {
  World world(state.range(0));
  world.registry.reset();
  for (auto _ : state) benchmark::DoNotOptimize(world.open());
}
BENCHMARK(BM_OpenAlone)->Arg(10)->Arg(1000)->Unit(benchmark::kMicrosecond);

void BM_OpenAndFirstAdopt(benchmark::State& state) {
  World world(state.range(0));
  Allocation row = World::child_of_first("child");
  for (auto _ : state) {
    state.PauseTiming();
    World::require(world.registry->delegate(row, std::nullopt, Limits{}));
    state.ResumeTiming();
    auto own = world.open();
    World::require(own->adopt(row.pod_id, row.instance_id, 1, "segment"));
    state.PauseTiming();
    World::require(own->release(row.pod_id, row.instance_id));
    own.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(BM_OpenAndFirstAdopt)->Arg(10)->Arg(1000)->Unit(benchmark::kMicrosecond);

void BM_DelegateAdoptRelease(benchmark::State& state) {
  World world(state.range(0));
  Allocation row = World::child_of_first("child");
  for (auto _ : state) {
    World::require(world.registry->delegate(row, std::nullopt, Limits{}));
    World::require(world.registry->adopt(row.pod_id, row.instance_id, 1, "segment"));
    World::require(world.registry->release(row.pod_id, row.instance_id));
  }
}
BENCHMARK(BM_DelegateAdoptRelease)->Arg(10)->Arg(100)->Arg(1000)->Unit(benchmark::kMicrosecond);

void BM_LookAtLocks(benchmark::State& state) {
  World world(1);
  auto lock = InstanceLock::acquire(world.directory + "/p0/lock", World::pod("p0").instance_id);
  auto liveness = lock_liveness(world.directory, "");
  Allocation row = World::pod("p0");
  for (auto _ : state) benchmark::DoNotOptimize(liveness(row));
}
BENCHMARK(BM_LookAtLocks);

void BM_Lent(benchmark::State& state) {
  World world(state.range(0));
  World::require(world.registry->delegate(World::child_of_first("child"), std::nullopt, Limits{}));
  for (auto _ : state) benchmark::DoNotOptimize(world.registry->lent(World::pod("p0").pod_id));
}
BENCHMARK(BM_Lent)->Arg(1000)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
