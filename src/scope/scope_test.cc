#include "scope/scope.hh"

#include <gtest/gtest.h>

#include "scope/test_directory.hh"

// The numbers are those of the conformance cases of the scope.
namespace insomnia::scope {
namespace {

using Rules = std::vector<ScopeRule>;

Scope make(Rules allow, Rules deny = {}) {
  return *Scope::create({std::move(allow), std::move(deny)});
}

TEST(Scope, Case01WritableGivesReadAndWriteInsideTheRootAndNothingOutside) {
  TestDirectory root, other;
  Scope scope = *Scope::writable(root.path());
  EXPECT_TRUE(scope.is_readable(root.file("f")));
  EXPECT_TRUE(scope.is_writable(root / "f"));
  EXPECT_TRUE(scope.is_writable(root.path()));
  EXPECT_FALSE(scope.is_readable(other.file("f")));
}

TEST(Scope, WritableRefusesARootThatIsMissingOrAFile) {
  TestDirectory root;
  EXPECT_EQ(Scope::writable(root / "missing").error().code, Code::NotFound);
  auto refused = Scope::writable(root.file("f"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("is not a directory"), std::string::npos);
}

TEST(Scope, Case02AllowWriteMeansPermissionWrite) {
  TestDirectory root;
  EXPECT_EQ(make({write_rule(root.path())}).permission_at(root / "f"), Permission::Write);
}

TEST(Scope, Case03AllowReadIsReadableNotWritable) {
  TestDirectory root;
  Scope scope = make({read_rule(root.path())});
  EXPECT_TRUE(scope.is_readable(root / "f"));
  EXPECT_FALSE(scope.is_writable(root / "f"));
}

TEST(Scope, Case04DenyWriteLeavesReadBelowAndWriteElsewhere) {
  TestDirectory root;
  std::string sub = root.directory("sub");
  Scope scope = make({write_rule(root.path())}, {write_rule(sub)});
  EXPECT_EQ(scope.permission_at(sub + "/f"), Permission::Read);
  EXPECT_EQ(scope.permission_at(root / "f"), Permission::Write);
}

TEST(Scope, Case05DenyReadOnAFileLeavesNothing) {
  TestDirectory root;
  std::string secret = root.file("secret");
  Scope scope = make({write_rule(root.path())}, {read_rule(secret)});
  EXPECT_EQ(scope.permission_at(secret), std::nullopt);
  EXPECT_EQ(scope.permission_at(root / "secret2"), Permission::Write);
}

TEST(Scope, Case06OverlappingAllowsTakeTheMaximumInAnyOrder) {
  TestDirectory root;
  std::string sub = root.directory("sub");
  for (auto const& rules :
       {Rules{read_rule(root.path()), write_rule(sub)}, Rules{write_rule(sub), read_rule(root.path())}}) {
    Scope scope = make(rules);
    EXPECT_EQ(scope.permission_at(sub + "/f"), Permission::Write);
    EXPECT_EQ(scope.permission_at(root / "f"), Permission::Read);
  }
}

TEST(Scope, Case07NonRecursiveWriteReachesDirectChildrenOnly) {
  TestDirectory root;
  root.directory("sub");
  Scope scope = make({write_rule(root.path(), false)});
  EXPECT_TRUE(scope.is_writable(root.path()));
  EXPECT_TRUE(scope.is_writable(root / "f"));
  EXPECT_FALSE(scope.is_readable(root / "sub/f"));
}

TEST(Scope, Case08NoAllowRuleIsAnError) {
  auto refused = Scope::create({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(),
            (Error{Code::InvalidArgument, "scope must declare at least one [[scope.allow]] rule"}));
}

TEST(Scope, Case09ARelativeTargetIsAnErrorThatNamesIt) {
  for (auto const& config :
       {ScopeConfig{{read_rule("src")}, {}}, ScopeConfig{{read_rule("/")}, {read_rule("src")}}}) {
    auto refused = Scope::create(config);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "scope target must be absolute: src");
  }
}

TEST(Scope, ATargetThatCannotBeResolvedIsAnErrorThatNamesIt) {
  TestDirectory root;
  auto refused = Scope::create({{read_rule(root / "missing/../x")}, {}});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("failed to resolve scope target"), std::string::npos);
  EXPECT_NE(refused.error().message.find(root / "missing/../x"), std::string::npos);
}

TEST(Scope, Case10ClimbingOutOfTheRootIsNotReadable) {
  TestDirectory root;
  EXPECT_FALSE(Scope::writable(root.path())->is_readable(root / "../../../etc/passwd"));
}

TEST(Scope, Case11ADeepMissingFileUnderTheRootIsWritable) {
  TestDirectory root;
  EXPECT_TRUE(Scope::writable(root.path())->is_writable(root / "a/b/c/d.txt"));
}

TEST(Scope, ASymbolicLinkThatLeavesTheRootIsNotReadable) {
  TestDirectory root, outside;
  Scope scope = *Scope::writable(root.path());
  root.link("there", outside.directory("d"));
  root.link("missing", outside / "to-be-made");
  EXPECT_FALSE(scope.is_readable(root / "there/f"));
  EXPECT_FALSE(scope.is_readable(root / "missing"));
}

TEST(Scope, Case12TheSummaryListsCanonicalPathsInTwoGroups) {
  TestDirectory root;
  std::string src = root.directory("src");
  Scope scope = make({read_rule(root / "src/../"), write_rule(src)});
  EXPECT_EQ(scope.summary(), "Readable:\n  - " + root.path() + "\n  - " + src + "\nWritable:\n  - " + src);
  EXPECT_EQ(make({read_rule(src)}).summary(), "Readable:\n  - " + src);
}

TEST(Scope, Case13TheSummaryOmitsDenies) {
  TestDirectory root;
  Scope scope = make({write_rule(root.path())}, {read_rule(root / "secret")});
  EXPECT_EQ(scope.summary().find("secret"), std::string::npos);
}

TEST(Scope, Case14TheSummaryMarksNonRecursiveRulesOnly) {
  TestDirectory root;
  Scope scope = make({read_rule(root / "flat", false), read_rule(root / "tree")});
  EXPECT_EQ(scope.summary(), "Readable:\n  - " + root / "flat" + " [non-recursive]\n  - " + root / "tree");
}

TEST(Scope, TheSummaryKeepsARuleOnOneLine) {
  EXPECT_EQ(Scope::from_resolved({{read_rule("/a\nWritable:\n  - /")}, {}}).summary(),
            "Readable:\n  - /a Writable:   - /");
}

TEST(Scope, Case15ReadablePathsHoldTheWritableOnes) {
  Scope scope = make({read_rule("/r"), write_rule("/w")});
  EXPECT_EQ(scope.readable_paths(), (std::vector<std::string>{"/r", "/w"}));
  EXPECT_EQ(scope.writable_paths(), (std::vector<std::string>{"/w"}));
}

TEST(Scope, Case16AnAddedAllowRuleExtendsAndKeepsTheOld) {
  TestDirectory a, b;
  Scope scope = *Scope::writable(a.path())->with_added_allow_rules({read_rule(b.path())});
  EXPECT_TRUE(scope.is_writable(a / "f"));
  EXPECT_EQ(scope.permission_at(b / "f"), Permission::Read);
  EXPECT_FALSE(scope.with_added_allow_rules({read_rule("relative")}));
}

TEST(Scope, Case17AnAddedDenyRuleDemotesThatSubtreeOnly) {
  TestDirectory root;
  Scope scope = *Scope::writable(root.path())->with_added_deny_rules({write_rule(root / "sub")});
  EXPECT_EQ(scope.permission_at(root / "sub/f"), Permission::Read);
  EXPECT_EQ(scope.permission_at(root / "subway"), Permission::Write);
}

TEST(Scope, Case18EqualDenyLayersPeelOneAtATime) {
  TestDirectory root;
  ScopeRule lent = write_rule(root.directory("lent"));
  Scope plain = *Scope::writable(root.path());
  Scope once = *plain.with_added_deny_rules({lent});
  Scope twice = *once.with_added_deny_rules({lent});
  EXPECT_EQ(twice.with_removed_deny_rules({lent}), once);
  EXPECT_EQ(twice.with_removed_deny_rules({lent, lent}), plain);
  EXPECT_EQ(plain.with_removed_deny_rules({lent}), plain);
  EXPECT_EQ(once.with_removed_deny_rules({write_rule(root / "lent", false), read_rule(root / "lent")}), once);
  EXPECT_EQ(once.with_removed_deny_rules({write_rule(root / "./lent/"), read_rule("relative")}), plain);
}

TEST(Scope, Case19ASharedScopeGivesTheValueOfTheMomentToEverybody) {
  SharedScope shared(make({write_rule("/w")}));
  SharedScope& clone = shared;
  auto before = shared.load();
  clone.store(make({read_rule("/w")}));
  EXPECT_EQ(before->permission_at("/w"), Permission::Write);
  EXPECT_EQ(shared.load()->permission_at("/w"), Permission::Read);
  EXPECT_EQ(*clone.load(), *shared.load());
}

TEST(Scope, ADecisionNamesTheRuleThatLoweredIt) {
  ScopeRule tree = write_rule("/w/a"), leaf = write_rule("/w/a/b"), secret = read_rule("/w/a/b/s");
  Scope scope =
      Scope::from_resolved({{write_rule("/w"), read_rule("/r")}, {tree, leaf, secret, write_rule("/r")}});
  auto decision = [&](char const* path) { return scope.decide_resolved(path); };
  EXPECT_EQ(decision("/w/x").denied_by, std::nullopt);
  EXPECT_EQ(decision("/w/a/x").denied_by, tree);
  EXPECT_EQ(decision("/w/a/b/x").denied_by, leaf);
  EXPECT_EQ(decision("/w/a/b/s").denied_by, secret);
  EXPECT_EQ(decision("/w/a/b/s").permission, std::nullopt);
  EXPECT_EQ(decision("/r/x").permission, Permission::Read);
  EXPECT_EQ(decision("/r/x").denied_by, std::nullopt) << "a write deny takes nothing from a reader";
  EXPECT_EQ(decision("/elsewhere").permission, std::nullopt);
}

TEST(Scope, ScopesAreComparedByTheirRules) {
  EXPECT_EQ(make({write_rule("/w/")}), make({write_rule("/w")}));
  EXPECT_NE(make({write_rule("/w")}), make({write_rule("/w", false)}));
}

}  // namespace
}  // namespace insomnia::scope
