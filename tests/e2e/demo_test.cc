#include <signal.h>

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

}  // namespace
}  // namespace insomnia::e2e
