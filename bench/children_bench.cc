// What finished children cost their parent: after 0, 100, 300 and 1,000 of them, how long the next spawn takes, a child's report and the list
// of Pods, how large the parent's files are, and what memory and descriptors it holds. Children end by themselves when they have reported. For
// comparison: a parent without children whose session is as long.
// Usage: children_bench [CHILDREN [ROUNDS]]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "pod/store.hh"
#include "scene.hh"
#include "session/log.hh"

namespace insomnia::bench {
namespace {

/// At most so many at once; a parent may have 64.
constexpr size_t kBatch = 25;

double session_kib(Paths const& paths, std::string const& pod) {
  auto state = pod::read_pod_state(paths, pod);
  if (!state || !*state) return 0;
  return file_kib(session::segment_path(paths.sessions_dir(), {(*state)->session_id, (*state)->segment_id}));
}

class Family {
 public:
  Family(Scene& scene, std::string parent) : scene_(scene), parent_(std::move(parent)), driver_(scene, parent_) {}

  Result<void> start() { return driver_.start(); }

  /// Children in one answer of the parent's model; returns when all have ended and the parent has heard of it.
  Result<void> spawn(size_t count) {
    std::vector<testing::ScriptedCall> calls;
    kids_.clear();
    for (size_t i = 0; i < count; ++i) {
      kids_.push_back(parent_ + "-" + std::to_string(finished_ + i));
      std::string directory = parent_ + "/" + std::to_string(i);
      scene_.home().write(directory + "/a.txt", "one\n");
      calls.push_back(spawn_call(kids_.back(), scene_.home().file(directory), "write", ",\"end_when_done\":true"));
    }
    scene_.script(parent_, {testing::tool_reply(calls)});
    TRY(driver_.run("spawn"));
    finished_ += count;
    return driver_.wait_until_settled(finished_);
  }

  Result<void> grow_to(size_t count) {
    while (finished_ < count) TRY(spawn(std::min(kBatch, count - finished_)));
    return {};
  }

  /// Calls of SpawnPod that are refused at once and make the parent's session longer, by as much as children do.
  Result<void> refuse(size_t count) {
    for (size_t done = 0; done < count; done += kBatch) {
      std::vector<testing::ScriptedCall> calls;
      for (size_t i = done; i < std::min(done + kBatch, count); ++i) {
        calls.push_back(spawn_call("no/name" + std::to_string(i), scene_.home().work(), "write", ",\"cwd\":\"" + std::string(300, 'x') + "\""));
      }
      scene_.script(parent_, {testing::tool_reply(calls)});
      TRY(driver_.run("spawn"));
      TRY(driver_.wait_until_settled());
    }
    return {};
  }

  Result<void> measure(size_t rounds) {
    Samples spawns, calls, lists;
    size_t bytes = 0;
    size_t before = finished_;
    for (size_t i = 0; i < rounds; ++i) {
      TRY(spawn(1));
      Time answered = scene_.answer_of(parent_, 1);
      spawns.add(ms(answered, TRY(scene_.request_of(kids_.front(), 1))));
      calls.add(ms(answered, TRY(scene_.request_of(parent_, 2))));
      Time asked = now();
      TRY(driver_.list_pods(bytes));
      lists.add(ms(asked, now()));
    }
    std::printf("\n%zu finished children of %s\n", before, parent_.c_str());
    print("  SpawnPod in an answer to the child's first request", spawns);
    print("  SpawnPod in an answer to the parent's next request", calls);
    print("  ListPods (" + std::to_string(bytes) + " bytes)", lists);
    print_holdings();
    return {};
  }

  std::string const& name() const { return parent_; }

 private:
  void print_holdings() {
    Paths paths = scene_.home().paths();
    Cost cost = cost_of(scene_.home().pid_of(parent_));
    std::printf("  metadata.json %.1f KiB, session %.0f KiB, registry %.0f KiB, its log %.0f KiB\n",
                file_kib(paths.pod_dir(parent_) + "/metadata.json"), session_kib(paths, parent_), file_kib(paths.registry_db()),
                file_kib(paths.registry_db() + "-wal"));
    std::printf("  the parent: own memory %.2f MiB, %zu descriptors, %zu threads\n", cost.own_kib / 1024, cost.descriptors,
                cost.threads);
    std::fflush(stdout);
  }

  Scene& scene_;
  std::string parent_;
  Driver driver_;
  std::vector<std::string> kids_;
  size_t finished_ = 0;
};

Result<void> print_commands(Scene& scene) {
  Samples version, ps, all;
  for (int i = 0; i < 10; ++i) {
    version.add(TRY(scene.run_ms({"version"})));
    ps.add(TRY(scene.run_ms({"ps"})));
    all.add(TRY(scene.run_ms({"ps", "-a"})));
  }
  print("  floor: insomnia version", version);
  print("  insomnia ps", ps);
  print("  insomnia ps -a", all);
  return {};
}

/// The parent is stopped and goes on in a new process.
Result<void> print_continuing(Scene& scene, std::string const& name) {
  Samples starts;
  for (int i = 0; i < 5; ++i) {
    TRY(scene.run_ms({"stop", name, "--tree"}));
    scene.script(name, {});
    Time start = now();
    TRY(scene.run_ms({"run", "go on", "--name", name, "--keep"}));
    starts.add(ms(start, TRY(scene.request_of(name, 1))));
  }
  print("  " + name + " stopped, `insomnia run` to its first request", starts);
  return {};
}

Result<void> bench_children(size_t count, size_t rounds) {
  Scene scene;
  TRY(scene.start_parent("root"));
  Family family(scene, "root");
  TRY(family.start());
  for (size_t step : {size_t{0}, size_t{100}, size_t{300}, size_t{1000}, count}) {
    if (step > count) continue;
    TRY(family.grow_to(step));
    TRY(family.measure(rounds));
    TRY(print_commands(scene));
    if (step == count) break;
  }
  TRY(print_continuing(scene, "root"));
  TRY(scene.run_ms({"stop", "root", "--tree"}));

  TRY(scene.start_parent("talker"));
  Family control(scene, "talker");
  TRY(control.start());
  TRY(control.refuse(count));
  TRY(control.measure(rounds));
  TRY(print_continuing(scene, "talker"));
  TRY(scene.run_ms({"stop", "talker", "--tree"}));
  return {};
}

}  // namespace
}  // namespace insomnia::bench

using namespace insomnia::bench;

int main(int argc, char** argv) {
  size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1000;
  size_t rounds = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 20;
  Conditions conditions;
  print_floors(20);
  bool failed = report(bench_children(count, rounds));
  return failed ? 1 : 0;
}
