#include "manifest/permission.hh"

#include <gtest/gtest.h>

namespace insomnia::manifest {
namespace {

Permissions policy(PermissionAction fallback, std::vector<PermissionRule> rules) {
  return {fallback, std::move(rules)};
}

TEST(Permission, FirstMatchingRuleDecides) {
  auto permissions = policy(PermissionAction::Deny, {{"Bash", "git push*", PermissionAction::Ask},
                                                     {"Bash", "git *", PermissionAction::Allow},
                                                     {"Bash", "git push*", PermissionAction::Allow}});
  EXPECT_EQ(decide(permissions, "Bash", R"({"command":"git push origin"})").action, PermissionAction::Ask);
  EXPECT_TRUE(decide(permissions, "Bash", R"({"command":"git status"})").allowed());
  EXPECT_EQ(decide(permissions, "Bash", R"({"command":"ls"})").action, PermissionAction::Deny);
}

TEST(Permission, DefaultAppliesWhenNothingMatches) {
  EXPECT_TRUE(decide(policy(PermissionAction::Allow, {}), "Read", "{}").allowed());
  EXPECT_FALSE(decide(policy(PermissionAction::Deny, {{"Write", "*", PermissionAction::Allow}}), "Read", "{}")
                   .allowed());
  EXPECT_FALSE(decide(Permissions{}, "Read", "{}").allowed()) << "a policy without default is closed";
}

TEST(Permission, ToolNamesIgnoreCase) {
  EXPECT_FALSE(decide(policy(PermissionAction::Allow, {{"bASH", "*", PermissionAction::Deny}}), "Bash", "{}")
                   .allowed());
  EXPECT_TRUE(decide(policy(PermissionAction::Allow, {{"Bas", "*", PermissionAction::Deny}}), "Bash", "{}")
                  .allowed());
}

TEST(Permission, RefusalsAreTextsForTheModel) {
  auto denied = decide(policy(PermissionAction::Allow, {{"Bash", "rm *", PermissionAction::Deny}}), "Bash",
                       R"({"command":"rm x"})");
  EXPECT_TRUE(denied.refusal.starts_with(
      "permission denied: tool `Bash` arguments matched the manifest permission policy"));
  EXPECT_NE(denied.refusal.find("rule 1, pattern `rm *`"), std::string::npos);
  auto ask = decide(policy(PermissionAction::Ask, {}), "Write", R"({"file_path":"/x"})");
  EXPECT_FALSE(ask.allowed());
  EXPECT_TRUE(ask.refusal.starts_with("permission ask unsupported: tool `Write` requires approval"));
  EXPECT_NE(ask.refusal.find("denied fail-closed"), std::string::npos);
  EXPECT_EQ(decide(policy(PermissionAction::Allow, {}), "Write", "{}").refusal, "");
}

TEST(Permission, TargetPrefersKnownKeysInTheirOrder) {
  EXPECT_EQ(permission_target(R"({"url":"u","path":"p","command":"c"})"), "c");
  EXPECT_EQ(permission_target(R"({"pattern":"x","path":"p"})"), "p");
  EXPECT_EQ(permission_target(R"({"command":7,"query":"q"})"), "q") << "only strings count";
  EXPECT_EQ(permission_target(R"({"b":1,"a":{"d":[{"z":1,"y":2}],"c":null}})"),
            R"({"a":{"c":null,"d":[{"y":2,"z":1}]},"b":1})");
  EXPECT_EQ(permission_target("[1, 2]"), "[1,2]");
  EXPECT_EQ(permission_target("not json"), "not json");
}

TEST(Permission, Wildcards) {
  EXPECT_TRUE(wildcard_match("*", ""));
  EXPECT_TRUE(wildcard_match("", ""));
  EXPECT_FALSE(wildcard_match("", "a"));
  EXPECT_TRUE(wildcard_match("a*c", "a/b\nc"));
  EXPECT_FALSE(wildcard_match("a*c", "a/b\ncd")) << "the whole text is compared";
  EXPECT_FALSE(wildcard_match("A", "a"));
  EXPECT_TRUE(wildcard_match("*.cc", "x.cc.cc"));
  EXPECT_TRUE(wildcard_match("a?c", "abc"));
  EXPECT_FALSE(wildcard_match("a?c", "ac"));
  EXPECT_TRUE(wildcard_match("a?c", "a漢c")) << "a character, not a byte";
  EXPECT_FALSE(wildcard_match("a??c", "a漢c"));
  EXPECT_TRUE(wildcard_match("*??", "é漢"));
  EXPECT_TRUE(wildcard_match("[a]\\*", "[a]\\x")) << "no classes, no escapes";
}

TEST(Permission, HostilePatternsStayFast) {
  std::string pattern, text(20000, 'a');
  for (int i = 0; i < 200; ++i) pattern += "*a";
  EXPECT_FALSE(wildcard_match(pattern + "b", text));
}

}  // namespace
}  // namespace insomnia::manifest
