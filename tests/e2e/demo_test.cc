#include <signal.h>

#include "cell/landlock.hh"
#include "e2e.hh"

namespace insomnia::e2e {
namespace {

class Demo : public E2e {
 protected:
  Demo() {
    // The demo needs neither.
    home.environment.unset("ANTHROPIC_API_KEY");
    home.environment.unset("ANTHROPIC_BASE_URL");
    home.environment.set("TMPDIR", home.work());
  }
};

TEST_F(Demo, RepairsItsProjectAndLeavesNothing) {
  auto demo = home.run({"demo"});
  ASSERT_TRUE(ended_with(0, demo));
  EXPECT_TRUE(has(demo.out, "Refused\n"));
  EXPECT_TRUE(has(demo.out, "cannot write"));
  EXPECT_TRUE(has(demo.out, "make test, built anew: passed"));
  EXPECT_TRUE(home.processes().empty());
  EXPECT_EQ(io::list_directory(home.work()), std::vector<std::string>{}) << "its temporary directory is gone";
}

TEST_F(Demo, TwoAtOnceDoNotDisturbEachOther) {
  auto first = home.start({"demo"});
  auto second = home.start({"demo"});
  EXPECT_TRUE(ended_with(0, *first));
  EXPECT_TRUE(ended_with(0, *second));
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Demo, InterruptedOneLeavesNoProcess) {
  auto demo = home.start({"demo"});
  ASSERT_TRUE(demo->wait_for_out("● SpawnPod")) << demo->err();
  demo->signal(SIGINT);
  auto code = demo->wait();
  EXPECT_TRUE(code == 130 || code == 0) << demo->err();
  EXPECT_TRUE(home.processes().empty());
}

/// Within a cell no further one can be made: as on a machine that allows none.
TEST_F(Demo, RunsWithoutACellAndSaysSo) {
  if (auto probe = home.run({"cell", "--", "true"}); probe.code != 0) GTEST_SKIP() << "no cell can be made here: " << probe.err;
  auto in_cell = [&](std::vector<std::string> const& command) {
    std::vector<std::string> words{"cell", "--scope", "write:.", "--scope", "read:" + home.binary, "--env", "INSOMNIA_HOME", "--", "env", "INSOMNIA_HOME=" + home.work() + "/data", home.binary};
    words.insert(words.end(), command.begin(), command.end());
    return home.run(words);
  };
  auto demo = in_cell({"demo"});
  EXPECT_TRUE(ended_with(0, demo));
  EXPECT_TRUE(has(demo.err, "has no cell for commands"));
  EXPECT_TRUE(has(demo.out, "make test, built anew: passed"));
  if (cell::landlock_version() < cell::kLandlockFiles) return;
  auto held = in_cell({"run", "x", "--model", "rehearsal/demo"});
  EXPECT_TRUE(ended_with(0, held));
  EXPECT_TRUE(has(held.out, "Landlock alone holds them")) << "a Pod of one's own is held all the same";
}

}  // namespace
}  // namespace insomnia::e2e
