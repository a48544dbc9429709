// What many idle Pods cost one machine: memory, descriptors, processes and threads, processor time while nothing happens, and how long commands
// and new Pods take beside them. Families of a root and up to 49 children; each Pod has asked its model once. With `read` each child has also
// used a tool, so that it has hands. The crowd grows in steps and stops growing when memory gets short.
// Usage: crowd_bench [PODS [SECONDS_IDLE [hands]]]
#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "scene.hh"

namespace insomnia::bench {
namespace {

constexpr size_t kFamily = 50;
/// What is left to the machine, and what a new Pod may take, in MiB.
constexpr double kReserve = 2048, kPerPod = 6;
constexpr int kRounds = 15;

class Crowd {
 public:
  explicit Crowd(bool with_hands) : empty_mib_(available_mib()) {
    if (with_hands) scene_.children_call({"look", "Glob", R"({"pattern":"*"})"});
  }

  /// More families until there are `target` Pods.
  Result<void> grow_to(size_t target) {
    Time start = now();
    size_t before = pods_;
    while (pods_ < target) {
      size_t children = std::min(kFamily, target - pods_) - 1;
      TRY(start_family(children));
      pods_ += 1 + children;
    }
    print_rate("Pods started, " + std::to_string(kFamily - 1) + " children at once", pods_ - before, ms(start, now()));
    return {};
  }

  Result<void> measure(int idle_seconds) {
    std::vector<pid_t> pids = scene_.home().processes();
    Cost all;
    for (pid_t pid : pids) all += cost_of(pid);
    auto each = static_cast<double>(pods_);
    std::printf("\n%zu idle Pods\n", pods_);
    std::printf("  processes %zu, threads %zu (%.1f a Pod), descriptors %zu (%.1f a Pod)\n", all.processes, all.threads,
                static_cast<double>(all.threads) / each, all.descriptors, static_cast<double>(all.descriptors) / each);
    std::printf("  PSS %.1f MiB (%.2f a Pod), own memory %.1f MiB (%.2f a Pod), available memory less by %.1f MiB (%.2f a Pod)\n", all.pss_kib / 1024,
                all.pss_kib / 1024 / each, all.own_kib / 1024, all.own_kib / 1024 / each, empty_mib_ - available_mib(),
                (empty_mib_ - available_mib()) / each);
    std::printf("  processor time from start to now: %.1f ms a Pod\n", static_cast<double>(all.ticks) * 10 / each);
    Cost root = cost_of(scene_.home().pid_of("root0"));
    std::printf("  a root with %zu children: %zu descriptors, own memory %.2f MiB\n", std::min(kFamily, pods_) - 1, root.descriptors,
                root.own_kib / 1024);
    print_idle(pids, idle_seconds);
    TRY(print_commands());
    return {};
  }

  /// Ends all as a user would. The scene's end kills what is left.
  Result<void> stop() {
    Time start = now();
    for (size_t family = 0; family < families_; ++family) {
      TRY(scene_.run_ms({"stop", "root" + std::to_string(family), "--tree", "--timeout", "60"}));
    }
    print_rate("Pods stopped, family by family", pods_, ms(start, now()));
    size_t left = scene_.home().living().size();
    std::printf("%zu Pods and %zu processes left\n", left, scene_.home().processes().size());
    return {};
  }

 private:
  Result<void> start_family(size_t children) {
    std::string name = "root" + std::to_string(families_);
    std::string directory = scene_.home().file(name);
    std::vector<testing::ScriptedCall> calls;
    scene_.home().write(name + "/a.txt", "one\n");
    for (size_t i = 0; i < children; ++i) {
      std::string kid = name + "-kid" + std::to_string(i);
      scene_.home().write(name + "/" + kid + "/a.txt", "one\n");
      calls.push_back(spawn_call(kid, directory + "/" + kid, "write", ",\"cwd\":\"" + directory + "/" + kid + "\""));
    }
    if (!calls.empty()) scene_.script(name, {testing::tool_reply(calls)});
    TRY(scene_.start_parent(name, {"--scope", "write:" + directory, "--scope", "read:" + scene_.home().work(), "--cwd", directory}));
    ++families_;
    for (size_t i = 0; i < children; ++i) TRY(scene_.request_of(name + "-kid" + std::to_string(i), 1));
    return {};
  }

  void print_idle(std::vector<pid_t> const& pids, int seconds) {
    auto look = [&] {
      Cost cost;
      for (pid_t pid : pids) cost += activity_of(pid);
      return cost;
    };
    Cost before = look();
    Time start = now();
    ::poll(nullptr, 0, seconds * 1000);
    Cost after = look();
    double took = ms(start, now());
    double run = after.run_ms - before.run_ms;
    std::printf("  in %.0f s: user and system time %llu0 ms, scheduler %.2f ms: %.4f %% of one processor, %llu wake-ups\n", took / 1000,
                static_cast<unsigned long long>(after.ticks - before.ticks), run, run / took * 100,
                static_cast<unsigned long long>(after.wake_ups - before.wake_ups));
    std::fflush(stdout);
  }

  Result<void> print_commands() {
    struct Command {
      char const* what;
      std::vector<std::string> arguments;
    };
    for (auto const& [what, arguments] : {Command{"  floor: insomnia version", {"version"}}, Command{"  insomnia ps", {"ps"}},
                                          Command{"  insomnia ps --tree --json", {"ps", "--tree", "--json"}},
                                          Command{"  insomnia ps -a", {"ps", "-a"}},
                                          Command{"  insomnia scope of a child's directory", {"scope", scene_.home().file("root0/root0-kid0")}}}) {
      Samples samples;
      for (int i = 0; i < kRounds; ++i) samples.add(TRY(scene_.run_ms(arguments)));
      print(what, samples);
    }
    Samples starts;
    for (int i = 0; i < kRounds; ++i) {
      std::string name = "late" + std::to_string(late_++);
      Time start = now();
      TRY(scene_.run_ms({"run", "parent-task " + name + ";", "--name", name, "--scope", "read:" + scene_.home().work()}));
      starts.add(ms(start, TRY(scene_.request_of(name, 1))));
    }
    print("  start of one more `insomnia run` to its first request", starts);
    return {};
  }

  Scene scene_;
  double empty_mib_;
  size_t pods_ = 0, families_ = 0, late_ = 0;
};

Result<void> bench_crowd(size_t pods, int idle_seconds, bool with_hands) {
  Crowd crowd(with_hands);
  for (size_t step : {kFamily, size_t{100}, size_t{300}, size_t{1000}, pods}) {
    if (step > pods) continue;
    double wanted = kReserve + static_cast<double>(step) * kPerPod;
    if (available_mib() < wanted) {
      std::printf("%zu Pods are not tried: %.0f MiB available, %.0f wanted\n", step, available_mib(), wanted);
      break;
    }
    TRY(crowd.grow_to(step));
    TRY(crowd.measure(idle_seconds));
    if (step == pods) break;
  }
  return crowd.stop();
}

}  // namespace
}  // namespace insomnia::bench

using namespace insomnia::bench;

int main(int argc, char** argv) {
  size_t pods = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1000;
  int idle_seconds = argc > 2 ? std::atoi(argv[2]) : 20;
  bool with_hands = argc > 3 && std::string(argv[3]) == "hands";
  Conditions conditions;
  print_floors(kRounds);
  bool failed = report(bench_crowd(pods, idle_seconds, with_hands));
  return failed ? 1 : 0;
}
