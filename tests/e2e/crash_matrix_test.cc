#include "crash_matrix.hh"

namespace insomnia::e2e {
namespace {

/// Who is killed while one process stands still at a step of a spawn, a stop or an end.
enum class Victims { Itself, TheOther, All };

struct Case {
  std::string at;  ///< "<pod>:<fault point>"
  Victims victims;
};

std::string name_of(Case const& example) {
  char const* killed[] = {"KillsItself", "KillsTheOther", "KillsAll"};
  return identifier(example.at) + "_" + killed[static_cast<int>(example.victims)];
}

/// The test's name must not have the bytes of the case in it, which differ from run to run.
void PrintTo(Case const& example, std::ostream* out) { *out << name_of(example); }

/// `boss` spawns `kid` on a directory that does not exist yet; kid writes a file and reports; boss stops it and is done. A kid that crashed is
/// spawned anew.
class CrashOfTwo : public CrashMatrix, public ::testing::WithParamInterface<Case> {};

TEST_P(CrashOfTwo, NothingIsLostAndNothingIsLeft) {
  home.write("left/old.txt", "left\n");
  Manager boss{.child = "kid", .task = "CHILD", .scope = home.file("left/new"), .report = "child is done", .done = "All done."};
  answer_with(server, "PARENT", [&](Conversation const& conversation) { return next_of_manager(boss, conversation); });
  answer_as_worker("CHILD", "left/new/x.txt", "child is done");
  ASSERT_NO_FATAL_FAILURE(run_to(GetParam().at));
  bool of_boss = GetParam().at.starts_with("boss:");
  std::string itself = of_boss ? "boss" : "kid", other = of_boss ? "kid" : "boss";
  kill(GetParam().victims == Victims::All ? std::set{itself, other} : std::set{GetParam().victims == Victims::Itself ? itself : other});
  expect_work_gets_done();
  EXPECT_EQ(home.read("left/new/x.txt"), "x");
  expect_told_once("PARENT", "child is done");
  expect_nothing_is_left();
}

std::vector<Case> all_cases() {
  std::vector<Case> result;
  for (auto const* at : {"boss:spawn.recorded", "boss:spawn.reserved", "boss:spawn.made", "boss:spawn.demoted", "kid:start.handed_over",
                         "kid:start.registered", "kid:start.before_ready", "kid:start.ready", "boss:spawn.ready", "boss:spawn.live",
                         "boss:spawn.delivered", "kid:run.ended", "kid:report.posted", "boss:stop.asked", "kid:leave.stored",
                         "kid:leave.released", "boss:end.noticed", "boss:end.released", "boss:end.recorded"}) {
    for (auto victims : {Victims::Itself, Victims::TheOther, Victims::All}) result.push_back({at, victims});
  }
  return result;
}

INSTANTIATE_TEST_SUITE_P(SpawnAndStop, CrashOfTwo, ::testing::ValuesIn(all_cases()), [](auto const& info) { return name_of(info.param); });

}  // namespace
}  // namespace insomnia::e2e
