#include "cell/landlock_plan.hh"

#include <gtest/gtest.h>

#include "cell/machine_test.hh"

namespace insomnia::cell {
namespace {

std::string plan(PlanRequest const& wanted, std::string_view machine) {
  Machine facts(machine);
  auto mounts = plan_mounts(wanted, facts);
  return mounts ? describe(plan_landlock(*mounts, wanted.scope, facts)) : mounts.error().message;
}

TEST(LandlockPlan, WhatIsOnlyReadIsAllowedAsAWhole) {
  EXPECT_EQ(plan(request({read("/r"), read("/s/f")}), "/r/b/c /s/f /s/g"), "list    /r\nread    /r\nread    /s/f\n");
}

/// The settings that no command may make stand at the target of every write rule.
TEST(LandlockPlan, AtTheTargetOfAWriteRuleNothingCanBeMadeBelowItEverything) {
  EXPECT_EQ(plan(request({write("/w")}), "/w/a/b /w/f"), "list    /w\nread    /w\nwrite   /w/a\nwrite   /w/f\nclosed  /w\n");
  EXPECT_EQ(plan(request({write("/w/f")}), "/w/f"), "read    /w/f\nwrite   /w/f\n");
}

TEST(LandlockPlan, AroundWhatIsLentEveryEntryIsNamed) {
  auto wanted = request({write("/w")}, {{"/w/a/lent", Permission::Write, true}});
  EXPECT_EQ(plan(wanted, "/w/a/lent/x /w/a/mine/ /w/a/f /w/b/c"),
            "list    /w\n"
            "read    /w\n"
            "write   /w/a/f\nwrite   /w/a/mine\nwrite   /w/b\n"
            "closed  /w\nclosed  /w/a\n");
}

TEST(LandlockPlan, WhatIsMissingAndDeniedCannotBeMade) {
  auto wanted = request({write("/w")}, {{"/w/a/later", Permission::Write, true}});
  EXPECT_EQ(plan(wanted, "/w/a/b/"), "list    /w\nread    /w\nwrite   /w/a/b\nclosed  /w\nclosed  /w/a\n");
}

TEST(LandlockPlan, ProtectedPlacesKeepTheDirectoryAroundThemClosed) {
  EXPECT_EQ(plan(request({write("/w")}), "/w/a/ /w/.git/hooks/ /w/.git/config /w/.git/objects/ /w/.git/HEAD"),
            "list    /w\nread    /w\n"
            "write   /w/.git/HEAD\nwrite   /w/.git/objects\nwrite   /w/a\n"
            "closed  /w\nclosed  /w/.git\n");
}

TEST(LandlockPlan, NamesInWhatIsHiddenAreNotListed) {
  EXPECT_EQ(plan(request({read("/r")}, {{"/r/secret", Permission::Read, true}}), "/r/secret/x /r/a/ /r/f"),
            "list    /r/a\nread    /r/a\nread    /r/f\n")
      << "a directory that lists its own would list those below too";
  EXPECT_EQ(plan(request({read("/r")}, {{"/r/secret", Permission::Read, true}}), "/r/secret /r/a/ /r/f"),
            "list    /r\nread    /r/a\nread    /r/f\n")
      << "a file has no names in it";
}

TEST(LandlockPlan, ARuleWithinWhatIsHiddenIsAllowedByItself) {
  auto wanted = request({read("/r"), write("/r/secret/out")}, {{"/r/secret", Permission::Read, true}});
  auto text = plan(wanted, "/r/secret/x /r/secret/out/y /r/a/");
  EXPECT_EQ(text.find("/r/secret/x"), std::string::npos) << text;
  EXPECT_EQ(text.find("read    /r\n"), std::string::npos) << text;
}

TEST(LandlockPlan, LinksAreNotFollowed) {
  EXPECT_EQ(plan(request({write("/w")}), "/w/way->/elsewhere /w/a/").find("way"), std::string::npos);
}

TEST(LandlockPlan, WhatCannotBeListedIsNarrowedToNothing) {
  PlanRequest wanted = request({write("/w")});
  Machine facts("/w/a/ /w/.git/hooks/");
  auto mounts = plan_mounts(wanted, facts);
  ASSERT_TRUE(mounts);
  facts.unreadable = "/w";
  auto planned = plan_landlock(*mounts, wanted.scope, facts);
  EXPECT_EQ(planned.writable, std::vector<std::string>{});
  EXPECT_EQ(planned.closed, std::vector<std::string>{"/w"});
}

TEST(LandlockPlan, ARuleThatIsNotRecursiveIsReadOnlyForCommands) {
  auto text = plan(request({write("/w", false)}), "/w/f /w/sub/x");
  EXPECT_EQ(text, "read    /w/f\n");
}

}  // namespace
}  // namespace insomnia::cell
