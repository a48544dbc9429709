// How many children a parent starts in a second, one after another and all in one answer of its model, and what each of them waits for.
// The floor is posix_spawn and wait of /bin/true, as many and in the same way. Children live on: the last one is started beside all others.
// Usage: spawn_bench [CHILDREN [AT_ONCE [ROUNDS]]]
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "loop/child.hh"
#include "scene.hh"

namespace insomnia::bench {
namespace {

testing::ScriptedCall spawn_kid(Scene const& scene, std::string const& name) {
  scene.home().write(name + "/a.txt", "one\n");
  return spawn_call(name, scene.home().file(name), "write");
}

/// In groups, so that it shows what grows with the children that live already.
Result<void> bench_one_after_another(size_t count) {
  constexpr size_t kGroup = 25;
  Scene scene;
  TRY(scene.start_parent("root", {"--manifest", scene.manifest_with_children(count)}));
  Driver root(scene, "root");
  TRY(root.start());
  pid_t pid = scene.home().pid_of("root");
  std::string metadata = scene.home().paths().pod_dir("root") + "/metadata.json";
  Samples all, calls, floor;
  double whole_ms = 0;
  std::printf("children one after another; of the parent: processor time for each, by thread\n");
  for (size_t begin = 0; begin < count; begin += kGroup) {
    size_t size = std::min(kGroup, count - begin);
    std::deque<testing::Reply> answers;
    for (size_t i = 0; i < size; ++i) answers.push_back(testing::tool_reply({spawn_kid(scene, "kid" + std::to_string(begin + i))}));
    scene.script("root", std::move(answers));
    auto before = thread_ms(pid);
    TRY(root.run("spawn them"));
    TRY(root.wait_until_settled());
    Samples group;
    for (size_t i = 1; i <= size; ++i) {
      Time answered = scene.answer_of("root", i);
      group.add(ms(answered, TRY(scene.request_of("kid" + std::to_string(begin + i - 1), 1))));
      all.add(ms(answered, TRY(scene.request_of("kid" + std::to_string(begin + i - 1), 1))));
      calls.add(ms(answered, TRY(scene.request_of("root", i + 1))));
      floor.add(spawn_true_ms());
    }
    whole_ms += ms(scene.answer_of("root", 1), TRY(scene.request_of("root", size + 1)));
    std::printf("  beside %3zu: to its first request %6.2f ms;", begin, group.median());
    for (auto const& [name, used] : thread_ms(pid)) std::printf(" %s %.2f ms,", name.c_str(), (used - before[name]) / static_cast<double>(size));
    std::printf(" metadata.json %.0f KiB\n", file_kib(metadata));
  }
  print_rate("children one after another", count, whole_ms);
  print_rate("  floor: /bin/true one after another", count, floor.sum());
  print("  SpawnPod in an answer to the child's first request", all);
  print("  SpawnPod in an answer to the parent's next request", calls);
  print("  floor: spawn and wait of /bin/true", floor);
  TRY(scene.run_ms({"stop", "root", "--tree", "--timeout", "60"}));
  return {};
}

double floor_at_once_ms(size_t count) {
  Time start = now();
  std::vector<loop::Child> children;
  for (size_t i = 0; i < count; ++i) {
    auto child = loop::Child::start({.program = "/bin/true", .argv = {"true"}, .environment = {}});
    if (child) children.push_back(*std::move(child));
  }
  for (auto& child : children) child.wait(10'000);
  return ms(start, now());
}

Result<void> bench_at_once(size_t count, int rounds) {
  Scene scene;
  Samples each, whole, answered, floor;
  for (int round = 0; round < rounds; ++round) {
    std::string name = "root" + std::to_string(round);
    std::vector<testing::ScriptedCall> calls;
    for (size_t i = 0; i < count; ++i) calls.push_back(spawn_kid(scene, "kid" + std::to_string(round) + "-" + std::to_string(i)));
    TRY(scene.start_parent(name, {"--manifest", scene.manifest_with_children(count)}));
    Driver root(scene, name);
    TRY(root.start());
    scene.script(name, {testing::tool_reply(calls)});
    TRY(root.run("spawn them"));
    TRY(root.wait_until_settled());
    Time start = scene.answer_of(name, 1);
    double longest = 0;
    for (size_t i = 0; i < count; ++i) {
      double took = ms(start, TRY(scene.request_of("kid" + std::to_string(round) + "-" + std::to_string(i), 1)));
      each.add(took);
      longest = std::max(longest, took);
    }
    whole.add(longest);
    answered.add(ms(start, TRY(scene.request_of(name, 2))));
    floor.add(floor_at_once_ms(count));
    TRY(scene.run_ms({"stop", name, "--tree"}));
  }
  std::string many = std::to_string(count);
  print_rate(many + " children in one answer, until the last has asked its model", count * whole.count(), whole.sum());
  print_rate("  floor: " + many + " times /bin/true, then wait for all", count * floor.count(), floor.sum());
  print("  the answer to each child's first request", each);
  print("  the answer to the last child's first request", whole);
  print("  the answer to the parent's next request", answered);
  return {};
}

}  // namespace
}  // namespace insomnia::bench

using namespace insomnia::bench;

int main(int argc, char** argv) {
  size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 200;
  size_t at_once = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 50;
  int rounds = argc > 3 ? std::atoi(argv[3]) : 5;
  Conditions conditions;
  print_floors(50);
  bool failed = count > 0 && report(bench_one_after_another(count));
  failed |= at_once > 0 && report(bench_at_once(at_once, rounds));
  return failed ? 1 : 0;
}
