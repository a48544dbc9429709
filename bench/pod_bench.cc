// Times what a user waits for, against one scripted server on loopback, and the floors of this machine in the same run:
//   start of `insomnia run` to its first request (floor: curl doing the same), one Read call between two requests, the answer with
//   SpawnPod to the child's first request (floor: posix_spawn of /bin/true), messages between two Pods (floor: the syncs of this disk),
//   memory of a few idle Pods.
// Usage: pod_bench [ROUNDS [floors|start|read|spawn|message|memory]]
#include "pod_bench.hh"

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "scene.hh"

namespace insomnia::bench {
namespace {

Result<void> bench_first_request(int rounds) {
  Samples samples;
  Scene scene;
  for (int i = 0; i < rounds; ++i) {
    std::string name = "b" + std::to_string(i);
    Time start = now();
    TRY(scene.run_ms({"run", "parent-task " + name + ";", "--name", name}));
    samples.add(ms(start, TRY(scene.request_of(name, 1))));
  }
  print("start of `insomnia run` to its first request", samples);
  return {};
}

Result<void> bench_read_call(size_t calls) {
  Samples samples;
  Scene scene;
  std::deque<testing::Reply> replies;
  for (size_t i = 0; i < calls; ++i) {
    replies.push_back(testing::tool_reply({{"t" + std::to_string(i), "Read", R"({"file_path":")" + scene.home().file("a.txt") + R"("})"}}));
  }
  scene.script("reader", std::move(replies));
  TRY(scene.run_ms({"run", "parent-task reader;", "--name", "reader"}));
  for (size_t i = 2; i <= calls; ++i) {  // the first call also starts the hands
    samples.add(ms(scene.answer_of("reader", i), TRY(scene.request_of("reader", i + 1))));
  }
  print("answer with one Read to the next request", samples);
  return {};
}

Result<void> bench_spawn(int rounds) {
  Samples samples;
  Scene scene;
  for (int i = 0; i < rounds; ++i) {
    std::string name = "p" + std::to_string(i);
    std::string kid = "kid" + std::to_string(i);
    scene.script(name, {testing::tool_reply({spawn_call(kid, scene.home().work(), "write")})});
    TRY(scene.run_ms({"run", "parent-task " + name + ";", "--name", name}));
    samples.add(ms(scene.answer_of(name, 1), TRY(scene.request_of(kid, 1))));
  }
  print("answer with SpawnPod to the child's first request", samples);
  return {};
}

Result<void> bench_memory(int children) {
  Scene scene;
  std::vector<testing::ScriptedCall> calls;
  for (int i = 0; i < children; ++i) {
    std::string name = "kid" + std::to_string(i);
    calls.push_back(spawn_call(name, scene.home().file(name), "write"));
  }
  scene.script("root", {testing::tool_reply(calls)});
  TRY(scene.start_parent("root"));
  Cost all;
  for (auto const& name : scene.home().living()) {
    Cost cost = cost_of(scene.home().pid_of(name));
    if (name == "root" || name == "kid0") std::printf("idle Pod %-6s private %6.0f KiB   PSS %6.0f KiB\n", name.c_str(), cost.private_kib, cost.pss_kib);
    all += cost;
  }
  std::printf("%zu Pods together: PSS %.1f MiB\n", all.processes, all.pss_kib / 1024);
  TRY(scene.run_ms({"stop", "root", "--tree"}));
  return {};
}

}  // namespace
}  // namespace insomnia::bench

using namespace insomnia::bench;

int main(int argc, char** argv) {
  int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  std::string only = argc > 2 ? argv[2] : "";
  auto wanted = [&](char const* name) { return only.empty() || only == name; };
  struct stat info{};
  if (::stat(INSOMNIA_BINARY, &info) == 0) std::printf("binary: %.1f MiB\n", static_cast<double>(info.st_size) / (1 << 20));
  Conditions conditions;
  print_floors(rounds);
  bool failed = false;
  if (wanted("start")) failed |= report(bench_first_request(rounds));
  if (wanted("read")) failed |= report(bench_read_call(static_cast<size_t>(rounds) * 5));
  if (wanted("spawn")) failed |= report(bench_spawn(rounds));
  if (wanted("message")) {
    failed |= report(bench_messages(rounds, 1 << 10));
    failed |= report(bench_messages(rounds, 10u << 20));
  }
  if (wanted("memory")) failed |= report(bench_memory(8));
  return failed ? 1 : 0;
}
