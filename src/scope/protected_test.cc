#include "scope/protected.hh"

#include <gtest/gtest.h>

#include "scope/scope.hh"

namespace insomnia::scope {
namespace {

TEST(Protected, TheInnermostPlaceIsFound) {
  struct Case {
    std::string_view path, place;
  };
  for (auto const& [path, place] : std::initializer_list<Case>{
           {"/", ""},
           {"/w/src/a.cc", ""},
           {"/w/.git", "/w/.git"},
           {"/w/.git/HEAD", ""},
           {"/w/.git/hooks", "/w/.git/hooks"},
           {"/w/.git/hooks/pre-commit", "/w/.git/hooks"},
           {"/w/.git/config", "/w/.git/config"},
           {"/w/.git/config.worktree", "/w/.git/config.worktree"},
           {"/w/.git/refs/heads/hooks", ""},
           {"/w/.git/worktrees/t/config.worktree", "/w/.git/worktrees/t/config.worktree"},
           {"/w/.git/worktrees/hooks/HEAD", ""},
           {"/w/.git/modules/lib/config", "/w/.git/modules/lib/config"},
           {"/w/.git/modules/a/b/hooks/x", "/w/.git/modules/a/b/hooks"},
           {"/w/.git/modules/a/refs/heads/config", ""},
           {"/w/hooks/config", ""},
           {"/w/x.git/hooks", ""},
           {"/w/.claude", "/w/.claude"},
           {"/w/.claude/agents/a.md", "/w/.claude"},
           {"/w/deep/er/.vscode/tasks.json", "/w/deep/er/.vscode"},
           {"/w/.codex/x", "/w/.codex"},
           {"/w/.insomnia/profiles", "/w/.insomnia"},
           {"/w/.claude/repo/.git/hooks/x", "/w/.claude/repo/.git/hooks"},
           {"/w/.claudes/x", ""},
       }) {
    EXPECT_EQ(protected_place(path), place) << path;
  }
}

ScopeRule write(std::string target) { return {std::move(target), Permission::Write, true}; }

TEST(Protected, ARuleAboveLeavesThemReadable) {
  auto scope = Scope::from_resolved({{write("/w")}, {}});
  EXPECT_EQ(scope.decide_resolved("/w/a").permission, Permission::Write);
  auto decision = scope.decide_resolved("/w/.git/hooks/pre-commit");
  EXPECT_EQ(decision.permission, Permission::Read);
  EXPECT_EQ(decision.protected_place, "/w/.git/hooks");
  EXPECT_EQ(decision.denied_by, std::nullopt);
}

TEST(Protected, ARuleOnThePlaceOrInItOpensThatMuch) {
  auto scope = Scope::from_resolved({{write("/w"), write("/w/.claude/agents"), write("/w/.git/hooks")}, {}});
  EXPECT_EQ(scope.decide_resolved("/w/.claude/agents/a.md").permission, Permission::Write);
  EXPECT_EQ(scope.decide_resolved("/w/.claude/settings.json").permission, Permission::Read);
  EXPECT_EQ(scope.decide_resolved("/w/.git/hooks/x").permission, Permission::Write);
  EXPECT_EQ(scope.decide_resolved("/w/.git/config").permission, Permission::Read);
  auto none = Scope::from_resolved({{{"/w", Permission::Read, true}, write("/w/.git")}, {}});
  EXPECT_EQ(none.decide_resolved("/w/.git/HEAD").permission, Permission::Write);
  EXPECT_EQ(none.decide_resolved("/w/.git/hooks/x").permission, Permission::Read);
}

TEST(Protected, ADenyStillCounts) {
  auto scope = Scope::from_resolved({{write("/w")}, {{"/w/.claude", Permission::Read, true}}});
  auto decision = scope.decide_resolved("/w/.claude/x");
  EXPECT_EQ(decision.permission, std::nullopt);
  EXPECT_TRUE(decision.denied_by.has_value());
}

TEST(Protected, WhoHoldsTheDirectoryAboveCannotHandThePlaceOn) {
  EXPECT_TRUE(covers_fully(write("/w"), write("/w/src")));
  EXPECT_FALSE(covers_fully(write("/w"), write("/w/.claude")));
  EXPECT_FALSE(covers_fully(write("/w"), write("/w/.claude/agents")));
  EXPECT_TRUE(covers_fully(write("/w"), {"/w/.claude", Permission::Read, true}));
  EXPECT_TRUE(covers_fully(write("/w/.claude"), write("/w/.claude/agents")));
  EXPECT_TRUE(covers_fully(write("/w"), write("/w/.git/objects")));
  EXPECT_FALSE(covers_fully(write("/w"), write("/w/.git"))) << "it may be a file that says where the hooks are";
}

}  // namespace
}  // namespace insomnia::scope
