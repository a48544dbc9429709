#include <gtest/gtest.h>

#include "scope/scope.hh"
#include "scope/test_directory.hh"

namespace insomnia::scope {
namespace {

using Rules = std::vector<ScopeRule>;

std::string refusal(Rules const& requested) {
  auto result = canonical_request(requested);
  EXPECT_FALSE(result);
  if (result) return "";
  EXPECT_EQ(result.error().code, Code::InvalidArgument);
  return result.error().message;
}

bool has(std::string const& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(Request, AnEmptyListIsRefused) {
  EXPECT_TRUE(has(refusal({}), "scope must not be empty"));
}

TEST(Request, ARelativeTargetIsRefused) {
  std::string message = refusal({read_rule("/ok"), read_rule("src/x")});
  EXPECT_TRUE(has(message, "must be absolute"));
  EXPECT_TRUE(has(message, "src/x"));
}

TEST(Request, R1ParentComponentsAreRefusedAlsoWhereTheyWouldResolve) {
  TestDirectory root;
  root.directory("ws");
  for (auto const& target : {root / "ws/../etc", root / "ws/..", std::string("/.."), root / "missing/../x"}) {
    std::string message = refusal({write_rule(target)});
    EXPECT_TRUE(has(message, "'..'")) << message;
    EXPECT_TRUE(has(message, target)) << message;
  }
  EXPECT_TRUE(canonical_request({write_rule(root / "ws/..name")}));
}

TEST(Request, R1ALinkThatLeavesTheWorkspaceBecomesItsTarget) {
  TestDirectory ws, outside;
  ws.link("out", outside.path());
  EXPECT_EQ(canonical_request({write_rule(ws / "out/x")}).value(), Rules{write_rule(outside / "x")});
}

TEST(Request, TargetsBecomeCanonicalAndKeepTheirOrder) {
  TestDirectory root;
  root.directory("real");
  root.link("link", "real");
  EXPECT_EQ(canonical_request(
                {read_rule(root / "./"), write_rule(root / "link/new/"), read_rule(root / "f", false)})
                .value(),
            (Rules{read_rule(root.path()), write_rule(root / "real/new"), read_rule(root / "f", false)}));
}

TEST(Request, RulesOnOneTargetBecomeOne) {
  EXPECT_EQ(canonical_request({read_rule("/a"), read_rule("/b"), write_rule("/a/"), read_rule("/a"),
                               read_rule("/a", false)})
                .value(),
            (Rules{write_rule("/a"), read_rule("/b"), read_rule("/a", false)}));
}

TEST(Request, ATargetThatCannotBeResolvedIsRefused) {
  TestDirectory root;
  root.link("circle", "circle");
  EXPECT_TRUE(has(refusal({read_rule(root / "circle")}), root / "circle"));
  EXPECT_TRUE(has(refusal({read_rule(std::string("/a\0b", 4))}), "NUL"));
}

TEST(Request, R2TheSpawnersDeniesThatTouchTheRequestTravel) {
  ScopeRule secret = read_rule("/ws/secret"), hooks = write_rule("/ws/.git/hooks"), far = write_rule("/far"),
            above = write_rule("/ws");
  EXPECT_EQ(travelling_denies({secret, hooks, far}, {write_rule("/ws")}), (Rules{secret, hooks}));
  EXPECT_EQ(travelling_denies({secret, hooks, far}, {read_rule("/ws/src")}), Rules{});
  EXPECT_EQ(travelling_denies({above}, {read_rule("/ws/src")}), Rules{above});
  EXPECT_EQ(travelling_denies({}, {write_rule("/")}), Rules{});

  Scope child = Scope::from_resolved(
      {{write_rule("/ws")}, travelling_denies({secret, hooks, far}, {write_rule("/ws")})});
  EXPECT_FALSE(child.is_readable("/ws/secret/key"));
  EXPECT_EQ(child.permission_at("/ws/.git/hooks/x"), Permission::Read);
}

TEST(Request, RulesAreDescribedForPeople) {
  EXPECT_EQ(describe_rules({write_rule("/p", false), read_rule("/q")}), "write:/p [non-recursive], read:/q");
  EXPECT_EQ(describe_rules({}), "(none)");
}

TEST(ParseRule, ReadAndWriteWithAnAbsoluteOrRelativePath) {
  EXPECT_EQ(parse_rule("read:/a/b", "/base").value(), read_rule("/a/b"));
  EXPECT_EQ(parse_rule("write:src", "/base").value(), write_rule("/base/src"));
  EXPECT_EQ(parse_rule("write:.", "/base").value(), write_rule("/base"));
  EXPECT_EQ(parse_rule("read:a:b", "/base").value(), read_rule("/base/a:b"));
  EXPECT_EQ(parse_rule("read:./~", "/base").value(), read_rule("/base/~"));
}

TEST(ParseRule, AnythingElseIsRefusedAndNamed) {
  for (auto text : {"", "/a", "read", "read:", "Write:/a", "all:/a", "write:~/x", "read:~"}) {
    auto refused = parse_rule(text, "/base");
    ASSERT_FALSE(refused) << text;
    EXPECT_TRUE(has(refused.error().message, "'" + std::string(text) + "'")) << refused.error().message;
    EXPECT_TRUE(has(refused.error().message, "read:PATH or write:PATH"));
  }
}

}  // namespace
}  // namespace insomnia::scope
