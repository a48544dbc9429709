// Messages between two Pods. Upwards, a child's end: from the moment it is in the child's log (its `run_end`) to the run that it starts at the
// parent (its `invoke_start`, which comes when the letter is in the parent's log). Downwards, SendToPod: from the model's answer with the call
// to the run that it starts at the child. On the way are, besides the two logs, the letter (a file with two syncs) and, downwards, the
// sender's state (the same), so that a number is never used twice.
#include <cstdio>

#include "pod_bench.hh"
#include "scene.hh"

namespace insomnia::bench {
namespace {

Result<void> bench_up(Scene& scene, Driver& root, Driver& kid, int rounds, std::string const& session) {
  Samples committed, whole;
  for (int i = 0; i < rounds; ++i) {
    scene.script("root", {});
    scene.script("kid", {});
    TRY(kid.run("go"));
    size_t begun = root.runs_begun();
    TRY(kid.wait_for_run_end());
    Time ended = now();
    TRY(root.wait_for_run_start(begun + 1));
    committed.add(ms(ended, now()));
    whole.add(ms(scene.answer_of("kid", 1), TRY(scene.request_of("root", 1))));
    TRY(root.wait_until_settled());
  }
  print("child's end to its parent's run, " + session, committed);
  print("  the child's model's answer to the parent's request", whole);
  return {};
}

Result<void> bench_down(Scene& scene, Driver& root, Driver& kid, int rounds, std::string const& session) {
  Samples committed, whole;
  for (int i = 0; i < rounds; ++i) {
    scene.script("root", {testing::tool_reply({{"send" + std::to_string(i), "SendToPod", R"({"name":"kid","message":"go on"})"}})});
    size_t begun = kid.runs_begun();
    TRY(root.run("tell it"));
    TRY(kid.wait_for_run_start(begun + 1));
    Time arrived = now();
    committed.add(ms(scene.answer_of("root", 1), arrived));
    TRY(kid.wait_for_run_end());
    TRY(root.wait_until_settled());
  }
  print("answer with SendToPod to the child's run, " + session, committed);
  return {};
}

}  // namespace

Result<void> bench_messages(int rounds, size_t padding) {
  Scene scene;
  scene.script("root", {testing::tool_reply({spawn_call("kid", scene.home().work(), "read")})});
  TRY(scene.start_parent("root"));
  Driver root(scene, "root");
  Driver kid(scene, "kid");
  TRY(root.start());
  TRY(kid.start());
  TRY(root.run(std::string(padding, 'x')));
  TRY(root.wait_until_settled());
  std::string session = "session of " + std::to_string(padding >> 20) + " MiB";
  TRY(bench_up(scene, root, kid, rounds, session));
  TRY(bench_down(scene, root, kid, rounds, session));
  TRY(scene.run_ms({"stop", "root", "--tree"}));
  return {};
}

}  // namespace insomnia::bench
