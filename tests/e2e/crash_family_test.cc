#include "crash_matrix.hh"

namespace insomnia::e2e {
namespace {

struct Case {
  std::string at;                 ///< "<pod>:<fault point>"
  std::set<std::string> victims;  ///< killed while that process stands still there
};

std::string name_of(Case const& example) {
  std::string name = identifier(example.at) + "_Kills";
  for (auto const& pod : example.victims) name += "_" + pod;
  return name;
}

/// The test's name must not have the bytes of the case in it, which differ from run to run.
void PrintTo(Case const& example, std::ostream* out) { *out << name_of(example); }

/// `boss` spawns `kid` on left/, which spawns `grandkid` on a directory in it that does not exist yet; grandkid writes a file and reports; kid
/// stops it and reports; boss stops kid and is done. Who crashed is restored.
class CrashOfThree : public CrashMatrix, public ::testing::WithParamInterface<Case> {};

TEST_P(CrashOfThree, NothingIsLostAndNothingIsLeft) {
  home.write("left/old.txt", "left\n");
  Manager boss{.child = "kid", .task = "CHILD", .scope = home.file("left"), .report = "child is done", .done = "All done.", .restores = true};
  Manager kid{.child = "grandkid", .task = "SMALL", .scope = home.file("left/new"), .report = "small is done", .done = "", .restores = true};
  answer_with(server, "PARENT", [&](Conversation const& conversation) { return next_of_manager(boss, conversation); });
  answer_with(server, "CHILD", [&](Conversation const& conversation) {
    kid.done = numbered("child is done", conversation);
    return next_of_manager(kid, conversation);
  });
  answer_as_worker("SMALL", "left/new/x.txt", "small is done");
  ASSERT_NO_FATAL_FAILURE(run_to(GetParam().at));
  kill(GetParam().victims);
  expect_work_gets_done();
  EXPECT_EQ(home.read("left/new/x.txt"), "x");
  expect_told_once("PARENT", "child is done");
  expect_told_once("CHILD", "small is done");
  expect_nothing_is_left();
}

/// All steps with INSOMNIA_SOAK, else those at which most changes hands.
std::vector<Case> all_cases() {
  std::vector<std::string> steps{"kid:spawn.reserved", "grandkid:start.registered", "kid:spawn.live", "grandkid:report.posted",
                                 "grandkid:leave.stored", "kid:end.released"};
  if (soak(0, 1) == 1) {
    for (auto const* at : {"kid:spawn.recorded", "kid:spawn.made", "kid:spawn.demoted", "grandkid:start.handed_over", "grandkid:start.before_ready",
                           "grandkid:start.ready", "kid:spawn.ready", "kid:spawn.delivered", "grandkid:run.ended", "kid:stop.asked",
                           "grandkid:leave.released", "kid:end.noticed", "kid:end.recorded"}) {
      steps.push_back(at);
    }
  }
  std::vector<Case> result;
  for (auto const& at : steps) {
    for (auto const& victims : std::vector<std::set<std::string>>{{"boss"}, {"kid"}, {"grandkid"}, {"boss", "kid"}, {"boss", "grandkid"},
                                                                  {"kid", "grandkid"}, {"boss", "kid", "grandkid"}}) {
      result.push_back({at, victims});
    }
  }
  return result;
}

INSTANTIATE_TEST_SUITE_P(SpawnAndStop, CrashOfThree, ::testing::ValuesIn(all_cases()), [](auto const& info) { return name_of(info.param); });

}  // namespace
}  // namespace insomnia::e2e
