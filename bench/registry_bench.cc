// What the registry costs a Pod, among 10, 1,000 and 10,000 living ones: opening it, the operations of a start and of a spawn, and a
// refusal. Everybody counts as alive, so that it is the table that is measured; the locks are measured by themselves.
// Usage: registry_bench [ROUNDS]
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/io.hh"
#include "pod/census.hh"
#include "registry/liveness.hh"
#include "registry/registry.hh"

using namespace insomnia;
using namespace insomnia::registry;

namespace {

using Clock = std::chrono::steady_clock;

void require(Result<void> const& result) {
  if (!result) panic(result.error().message);
}

Allocation row(std::string const& name, std::string const& target) {
  Allocation row;
  row.pod_name = name;
  row.pod_id = name + "-0190-7000-8000-000000000000";
  row.instance_id = name + "-0190-7000-8000-000000000001";
  row.scope_allow = {{target, scope::Permission::Write, true}, {"/home/user/projects", scope::Permission::Read, true}};
  return row;
}
Allocation root(int64_t i) { return row("p" + std::to_string(i), "/home/user/projects/p" + std::to_string(i)); }
Allocation child() {
  Allocation result = row("child", "/home/user/projects/p0/child");
  result.scope_allow.pop_back();
  result.state = AllocationState::Reserved;
  result.delegated_from = root(0).pod_id;
  result.spawner_instance = root(0).instance_id;
  return result;
}

/// A registry of `pods` roots in a fresh directory in memory, where /run/user is too.
class World {
 public:
  explicit World(int64_t pods) : size(pods) {
    char name[] = "/dev/shm/insomnia-bench-XXXXXX";
    if (::mkdtemp(name) == nullptr) panic("mkdtemp failed");
    paths.data_dir = std::string(name) + "/data";
    paths.runtime_dir = std::string(name) + "/run";
    directory = name;
    registry = open();
    for (int64_t i = 0; i < pods; ++i) require(registry->register_pod(root(i)));
  }
  ~World() {
    registry.reset();
    (void)io::remove_tree(directory);
  }
  std::unique_ptr<Registry> open() const {
    auto opened = open_sqlite_registry(paths.registry_db(), [](Allocation const&) { return true; });
    if (!opened) panic(opened.error().message);
    return *std::move(opened);
  }

  int64_t size;
  std::string directory;
  Paths paths;
  std::unique_ptr<Registry> registry;
};

/// `before` and `after` are not measured.
struct Subject {
  char const* name;
  std::function<void(World&)> before, measured, after;
};

void nothing(World&) {}

std::vector<Subject> subjects() {
  static std::unique_ptr<Registry> own;
  auto open = [](World& world) { own = world.open(); };
  auto close = [](World&) { own.reset(); };
  auto delegate = [](World& world) { require(world.registry->delegate(child(), std::nullopt, {.max_live_pods = 1'000'000})); };
  auto adopt = [](World& world) { require(world.registry->adopt(child().pod_id, child().instance_id, 1, "segment")); };
  auto release = [](World& world) { require(world.registry->release(child().pod_id, child().instance_id)); };
  static Allocation const fresh = row("fresh", "/home/user/elsewhere");
  auto refused = [](Result<void> const& result) {
    if (result || result.error().code != Code::Conflict) panic("no conflict");
  };
  return {
      {"open", nothing, open, close},
      {"open, register",
       nothing,
       [=](World& world) {
         open(world);
         require(own->register_pod(fresh));
       },
       [=](World& world) {
         require(own->release(fresh.pod_id, fresh.instance_id));
         close(world);
       }},
      {"delegate", nothing, delegate, release},
      {"adopt", delegate, adopt, release},
      {"release",
       [=](World& world) {
         delegate(world);
         adopt(world);
       },
       release, nothing},
      {"register refused: a root holds it", nothing,
       [=](World& world) { refused(world.registry->register_pod(row("thief", root(world.size / 2).scope_allow[0].target + "/x"))); }, nothing},
      {"delegate refused: a sibling holds it", delegate,
       [=](World& world) {
         Allocation second = child();
         second.pod_name = "second";
         second.pod_id = "second-id";
         refused(world.registry->delegate(second, std::nullopt, {.max_live_pods = 1'000'000}));
       },
       release},
      {"find", nothing, [](World& world) { (void)world.registry->find("p" + std::to_string(world.size / 2)); }, nothing},
      {"lent", delegate, [](World& world) { (void)world.registry->lent(root(0).pod_id); }, release},
      {"list (all rows)", nothing, [](World& world) { (void)world.registry->list(); }, nothing},
  };
}

struct Times {
  double median_us = 0, p99_us = 0;
};

Times measure(int rounds, std::function<void()> const& before, std::function<void()> const& measured, std::function<void()> const& after) {
  std::vector<double> us;
  for (int i = 0; i < rounds; ++i) {
    before();
    auto start = Clock::now();
    measured();
    us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    after();
  }
  std::sort(us.begin(), us.end());
  return {us[us.size() / 2], us[us.size() * 99 / 100]};
}

/// As a starting Pod does it: real locks, and what it is granted is noted on disk.
void print_start(int rounds) {
  char name[] = "/tmp/ib-XXXXXX";
  if (::mkdtemp(name) == nullptr) panic("mkdtemp failed");
  Paths paths;
  paths.data_dir = std::string(name) + "/data";
  World world(0);  // its runtime directory is in memory, as it is for most
  paths.runtime_dir = world.paths.runtime_dir + "-of-pods";
  Allocation own = row("own", "/home/user/projects/own");
  auto runtime_lock = InstanceLock::acquire(paths.pod_lock("own"), own.instance_id);
  auto data_lock = InstanceLock::acquire(paths.pod_dir("own") + "/lock", own.instance_id);
  Holdings holdings(own.instance_id, pod::holdings_files(paths, "own"));
  auto first = pod::open_registry(paths);
  std::unique_ptr<Registry> registry;
  for (auto* notes : {static_cast<Holdings*>(nullptr), &holdings}) {
    Times times = measure(
        rounds, [&] { registry.reset(); },
        [&] {
          registry = *pod::open_registry(paths, notes);
          require(registry->register_pod(own));
        },
        [&] { require(registry->release(own.pod_id, own.instance_id)); });
    std::printf("%-40s %8.0f / %-8.0f\n", notes == nullptr ? "a Pod's start: open, register" : "the same, noted on disk", times.median_us,
                times.p99_us);
  }
  auto liveness = lock_liveness(paths.runtime_dir, paths.data_dir);
  Times times = measure(rounds, [] {}, [&] { (void)liveness(own); }, [] {});
  std::printf("%-40s %8.1f / %-8.1f\n", "one look at the locks of a living Pod", times.median_us, times.p99_us);
  registry.reset();
  first = Result<std::unique_ptr<Registry>>(nullptr);
  (void)io::remove_tree(name);
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = argc > 1 ? std::atoi(argv[1]) : 2000;
  std::printf("median / p99 in microseconds\n");
  print_start(rounds);
  std::printf("\n%-40s", "living Pods");
  std::vector<std::unique_ptr<World>> worlds;
  for (int64_t size : {10, 1'000, 10'000}) {
    worlds.push_back(std::make_unique<World>(size));
    std::printf(" %19lld", static_cast<long long>(size));
  }
  std::printf("\n");
  for (auto const& subject : subjects()) {
    std::printf("%-40s", subject.name);
    bool long_one = subject.name == std::string("list (all rows)");
    for (auto& world : worlds) {
      Times times = measure(
          long_one ? std::max(3, rounds / 100) : rounds, [&] { subject.before(*world); }, [&] { subject.measured(*world); },
          [&] { subject.after(*world); });
      std::printf(" %8.0f / %-8.0f", times.median_us, times.p99_us);
    }
    std::printf("\n");
  }
}
