#include "scope/geometry.hh"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "scope/scope.hh"
#include "scope/test_directory.hh"

namespace insomnia::scope {
namespace {

TEST(Geometry, BelowIsByComponents) {
  EXPECT_TRUE(is_below("/a", "/a"));
  EXPECT_TRUE(is_below("/a/b", "/a"));
  EXPECT_TRUE(is_below("/a", "/"));
  EXPECT_TRUE(is_below("/", "/"));
  EXPECT_FALSE(is_below("/ab", "/a"));
  EXPECT_FALSE(is_below("/", "/a"));
  EXPECT_FALSE(is_below("/a", "/a/b"));
}

TEST(Geometry, Case47RecursiveRulesOverlapByPrefixBothWays) {
  EXPECT_TRUE(rules_overlap(write_rule("/src"), write_rule("/src/core")));
  EXPECT_TRUE(rules_overlap(write_rule("/src/core"), write_rule("/src")));
  EXPECT_TRUE(rules_overlap(write_rule("/src"), read_rule("/src")));
  EXPECT_FALSE(rules_overlap(write_rule("/src"), write_rule("/srcs")));
  EXPECT_FALSE(rules_overlap(write_rule("/src"), write_rule("/doc")));
}

TEST(Geometry, Case48ANonRecursiveRuleReachesItsDirectChildren) {
  EXPECT_FALSE(rules_overlap(write_rule("/src", false), write_rule("/src/a/b")));
  EXPECT_TRUE(rules_overlap(write_rule("/src", false), write_rule("/src/child", false)));
  EXPECT_TRUE(rules_overlap(write_rule("/src", false), write_rule("/src/child")));
  EXPECT_TRUE(rules_overlap(write_rule("/src"), write_rule("/src/a/b", false)));
  EXPECT_FALSE(rules_overlap(write_rule("/src/a", false), write_rule("/src/b", false)));
}

// Every answer is compared with the sets of paths spelled out on a small tree.
class AllRules : public testing::Test {
 protected:
  AllRules() {
    std::vector<std::string> level{""};
    paths_ = {"/"};
    for (int depth = 0; depth < 4; ++depth) {
      std::vector<std::string> next;
      for (auto const& base : level) {
        for (auto name : {"/a", "/ab"}) next.push_back(base + name);
      }
      paths_.insert(paths_.end(), next.begin(), next.end());
      level = next;
    }
    // Rules stop two levels above the deepest paths, so that what they reach is on the tree.
    for (auto const& path : paths_) {
      if (std::count(path.begin(), path.end(), '/') > 2) continue;
      for (bool recursive : {true, false}) rules_.push_back(write_rule(path, recursive));
    }
  }
  std::set<std::string> reach(ScopeRule const& rule) const {
    std::set<std::string> result;
    for (auto const& path : paths_) {
      if (matches(rule, path)) result.insert(path);
    }
    return result;
  }
  std::vector<std::string> paths_;
  std::vector<ScopeRule> rules_;
};

TEST_F(AllRules, MatchTheirTargetAndWhatIsBelow) {
  for (auto const& rule : rules_) {
    for (auto const& path : paths_) {
      bool direct = path != "/" && io::parent_path(path) == rule.target;
      bool deep = path == rule.target || rule.target == "/" || path.starts_with(rule.target + "/");
      EXPECT_EQ(matches(rule, path), rule.recursive ? deep : direct || path == rule.target)
          << rule.target << " " << path;
    }
  }
}

TEST_F(AllRules, OverlapAndCoverLikeTheSetsOfTheirPaths) {
  for (auto const& a : rules_) {
    for (auto const& b : rules_) {
      auto in_a = reach(a), in_b = reach(b);
      std::set<std::string> both;
      std::set_intersection(in_a.begin(), in_a.end(), in_b.begin(), in_b.end(),
                            std::inserter(both, both.end()));
      EXPECT_EQ(rules_overlap(a, b), !both.empty()) << describe_rules({a, b});
      EXPECT_EQ(covers_fully(a, b), both == in_b) << describe_rules({a, b});

      auto shared = shared_paths(paths_of(a), paths_of(b));
      std::set<std::string> found;
      for (auto const& path : paths_) {
        if (shared && contains(*shared, {path, PathSet::Kind::Point})) found.insert(path);
      }
      EXPECT_EQ(found, both) << describe_rules({a, b});
    }
  }
}

TEST(Geometry, ACoverNeedsAtLeastThePermission) {
  EXPECT_FALSE(covers_fully(read_rule("/a"), write_rule("/a/b")));
  EXPECT_TRUE(covers_fully(write_rule("/a"), read_rule("/a/b")));
}

TEST(Delegation, Case20ANonRecursiveGrantRefusesADirectChild) {
  EXPECT_FALSE(delegation_allows({{write_rule("/src", false)}, {}}, write_rule("/src/a", false)));
}

TEST(Delegation, Case21ANonRecursiveGrantAllowsItself) {
  EXPECT_TRUE(delegation_allows({{write_rule("/src", false)}, {}}, write_rule("/src", false)));
  EXPECT_FALSE(delegation_allows({{write_rule("/src", false)}, {}}, write_rule("/src")));
}

TEST(Delegation, Case22ARecursiveGrantAllowsANonRecursiveChild) {
  EXPECT_TRUE(delegation_allows({{write_rule("/src")}, {}}, write_rule("/src/a", false)));
}

TEST(Delegation, Case23ANonRecursiveDenyBlocksARecursiveRequestOnADirectChild) {
  EXPECT_FALSE(delegation_allows({{write_rule("/src")}, {write_rule("/src", false)}}, write_rule("/src/a")));
  EXPECT_TRUE(delegation_allows({{write_rule("/src")}, {write_rule("/src", false)}}, write_rule("/src/a/b")));
}

TEST(Delegation, Case24ReadTheRootAndWriteTheWorktrees) {
  ScopeConfig delegation{{read_rule("/ws"), write_rule("/ws/.worktree")}, {}};
  EXPECT_TRUE(delegation_allows(delegation, read_rule("/ws")));
  EXPECT_TRUE(delegation_allows(delegation, write_rule("/ws/.worktree/t")));
  EXPECT_FALSE(delegation_allows(delegation, write_rule("/ws")));
}

TEST(Delegation, DenyingWriteLeavesReadAndDenyingReadTakesBoth) {
  EXPECT_TRUE(delegation_allows({{write_rule("/ws")}, {write_rule("/ws/a")}}, read_rule("/ws")));
  EXPECT_FALSE(delegation_allows({{write_rule("/ws")}, {write_rule("/ws/a")}}, write_rule("/ws")));
  EXPECT_FALSE(delegation_allows({{write_rule("/ws")}, {read_rule("/ws/a")}}, write_rule("/ws")));
  EXPECT_FALSE(delegation_allows({{write_rule("/ws")}, {read_rule("/ws/a")}}, read_rule("/ws")));
}

TEST(Delegation, AnEmptyGrantAllowsNothing) {
  EXPECT_FALSE(delegation_allows({}, read_rule("/ws")));
}

}  // namespace
}  // namespace insomnia::scope
