#include "pod/authority.hh"

#include "pod/fixture_test.hh"

namespace insomnia::pod {
namespace {

class Authority : public PodTest {
 protected:
  Authority()
      : sub(directory.directory("work/sub")),
        other(directory.directory("work/other")),
        authority(scope::Scope::from_resolved({{write_rule(work)}, {write_rule(work + "/fixed"), scope::read_rule(work + "/secret")}})) {}
  std::string sub, other;
  ScopeAuthority authority;
};

// Case 78: the spawner keeps read where it lent write.
TEST_F(Authority, LentWriteLeavesRead) {
  authority.lend("c", "kid", {write_rule(sub)});
  EXPECT_FALSE(authority.effective().is_writable(sub + "/f"));
  EXPECT_TRUE(authority.effective().is_readable(sub + "/f"));
  EXPECT_TRUE(authority.effective().is_writable(other + "/f"));
  EXPECT_TRUE(authority.own().is_writable(sub + "/f"));
}

TEST_F(Authority, LentReadTakesNothing) {
  authority.lend("c", "kid", {scope::read_rule(work)});
  EXPECT_EQ(authority.effective(), authority.own());
}

TEST_F(Authority, TakingBackRestoresExactlyThatChildsPart) {
  authority.lend("a", "one", {write_rule(sub)});
  authority.lend("b", "two", {write_rule(sub)});  // the same rule: never removed by value
  authority.take_back("a");
  EXPECT_FALSE(authority.effective().is_writable(sub));
  authority.take_back("b");
  authority.take_back("b");
  authority.take_back("nobody");
  EXPECT_EQ(authority.effective(), authority.own());
}

TEST_F(Authority, LendingAgainReplaces) {
  authority.lend("a", "one", {write_rule(sub)});
  authority.lend("a", "one", {write_rule(other)});
  EXPECT_TRUE(authority.effective().is_writable(sub));
  EXPECT_FALSE(authority.effective().is_writable(other));
}

TEST_F(Authority, AllowedPathsHaveNoRefusal) {
  EXPECT_EQ(authority.refusal(sub + "/new", scope::Permission::Write), "");
  authority.lend("a", "kid", {write_rule(sub)});
  EXPECT_EQ(authority.refusal(sub + "/new", scope::Permission::Read), "");
}

TEST_F(Authority, RefusalOfALentPathNamesRuleHolderAndWayOut) {
  authority.lend("a", "kid", {write_rule(sub)});
  std::string text = authority.refusal(sub + "/new", scope::Permission::Write);
  EXPECT_HAS(text, sub + "/new");
  EXPECT_HAS(text, "write:" + sub);
  EXPECT_HAS(text, "`kid`");
  EXPECT_HAS(text, "SendToPod");
}

TEST_F(Authority, RefusalOutsideSaysWhatIsInside) {
  std::string text = authority.refusal("/etc/passwd", scope::Permission::Write);
  EXPECT_HAS(text, "cannot write /etc/passwd");
  EXPECT_HAS(text, "outside this Pod's scope");
  EXPECT_HAS(text, work);
  EXPECT_HAS(authority.refusal("/etc/passwd", scope::Permission::Read), "cannot read /etc/passwd");
}

TEST_F(Authority, RefusalByADenyNamesTheDeny) {
  std::string text = authority.refusal(work + "/fixed/f", scope::Permission::Write);
  EXPECT_HAS(text, "you may only read it");
  EXPECT_HAS(text, "write:" + work + "/fixed");
  EXPECT_HAS(authority.refusal(work + "/secret/f", scope::Permission::Read), "read:" + work + "/secret");
}

TEST_F(Authority, PathsThatAreNoPathsAreRefused) {
  EXPECT_HAS(authority.refusal("relative", scope::Permission::Read), "absolute");
}

// A link inside the lent part does not lead around the loan.
TEST_F(Authority, LinksAreResolvedBeforeTheyAreJudged) {
  authority.lend("a", "kid", {write_rule(sub)});
  std::string link = directory.link("work/other/link", sub);
  EXPECT_HAS(authority.refusal(link + "/f", scope::Permission::Write), "`kid`");
}

}  // namespace
}  // namespace insomnia::pod
