#include <gtest/gtest.h>

#include "manifest/manifest.hh"

namespace insomnia::manifest {
namespace {

TEST(Ceilings, GoOneDeeperAndKeepWhatNothingTightens) {
  Ceilings own;
  own.tools = ToolSelection{{"Read"}, {}};
  Ceilings expected = own;
  expected.depth = 1;
  EXPECT_EQ(ceilings_below(own, Config{}), expected);
}

TEST(Ceilings, AreNeverLooserThanEitherSide) {
  Ceilings own;
  own.tools = ToolSelection{{"Read", "Bash"}, {"Write"}};
  own.limits = Limits{3, std::nullopt, 100};
  own.sandbox = Sandbox{"none", std::nullopt, std::nullopt, {}};
  own.budget = Budget{std::nullopt, 2.0, std::nullopt};
  Config config;
  config.tools = ToolSelection{{"Bash", "Edit"}, {"Grep"}};
  config.limits = Limits{5, 4, 50};
  config.sandbox = Sandbox{"full", std::nullopt, true, {}};
  config.budget = Budget{1000, 5.0, std::nullopt};
  Ceilings below = ceilings_below(own, config);
  EXPECT_EQ(below.tools, (ToolSelection{{"Bash"}, {"Write", "Grep"}}));
  EXPECT_EQ(below.limits, (Limits{3, 4, 50}));
  EXPECT_EQ(below.sandbox, (Sandbox{"none", std::nullopt, true, {}}));
  EXPECT_EQ(below.budget, (Budget{1000, 2.0, std::nullopt}));
}

TEST(Ceilings, DisjointToolListsAllowNothing) {
  Ceilings own;
  own.tools = ToolSelection{{"Read"}, {}};
  Config config;
  config.tools = ToolSelection{{"Bash"}, {}};
  Ceilings below = ceilings_below(own, config);
  EXPECT_EQ(below.tools->allow, std::vector<std::string>{kNoTool});
  auto handed_over = ceilings_from_json(ceilings_to_json(below));
  ASSERT_TRUE(handed_over) << handed_over.error().message;
  EXPECT_EQ(*handed_over, below);
}

TEST(Ceilings, EveryAncestorsPolicyStays) {
  Permissions first{PermissionAction::Allow, {{"Bash", "rm *", PermissionAction::Deny}}};
  Permissions second{PermissionAction::Deny, {}};
  Ceilings own;
  own.permissions = {first};
  Config config;
  config.permissions = second;
  EXPECT_EQ(ceilings_below(own, config).permissions, (std::vector<Permissions>{first, second}));
}

}  // namespace
}  // namespace insomnia::manifest
