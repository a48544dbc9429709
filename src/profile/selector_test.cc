#include "profile/selector.hh"

#include <gtest/gtest.h>

namespace insomnia::profile {
namespace {

using Kind = Selector::Kind;

Selector named(std::string name, std::optional<Source> source = std::nullopt) {
  return {Kind::Named, source, std::move(name), ""};
}
Selector path(std::string text) {
  return {Kind::Path, std::nullopt, "", std::move(text)};
}

std::string spawn_error(std::string const& text) {
  auto selector = parse_spawn_selector(text);
  return selector ? "no error: " + selector->label() : selector.error().message;
}

TEST(CliSelector, Forms) {
  EXPECT_EQ(parse_cli_selector("default").kind, Kind::Default);
  EXPECT_EQ(parse_cli_selector("path:x"), path("x"));
  EXPECT_EQ(parse_cli_selector("./x.lua"), path("./x.lua"));
  EXPECT_EQ(parse_cli_selector("a/b"), path("a/b"));
  EXPECT_EQ(parse_cli_selector("x.lua"), path("x.lua"));
  EXPECT_EQ(parse_cli_selector(".hidden"), path(".hidden"));
  EXPECT_EQ(parse_cli_selector("project:coder"), named("coder", Source::Project));
  EXPECT_EQ(parse_cli_selector("user:a:b"), named("a:b", Source::User));
  EXPECT_EQ(parse_cli_selector("builtin:default"), named("default", Source::Builtin));
  EXPECT_EQ(parse_cli_selector("coder"), named("coder"));
  EXPECT_EQ(parse_cli_selector("foo:bar"), named("foo:bar"));
}

// Case 97.
TEST(SpawnSelector, Forms) {
  EXPECT_EQ(parse_spawn_selector(std::nullopt)->kind, Kind::Default);
  EXPECT_EQ(parse_spawn_selector("")->kind, Kind::Default);
  EXPECT_EQ(parse_spawn_selector("  \n")->kind, Kind::Default);
  EXPECT_EQ(parse_spawn_selector("default")->kind, Kind::Default);
  EXPECT_EQ(parse_spawn_selector(" inherit ")->kind, Kind::Inherit);
  EXPECT_EQ(*parse_spawn_selector("project:x"), named("x", Source::Project));
  EXPECT_EQ(*parse_spawn_selector("user:x"), named("x", Source::User));
  EXPECT_EQ(*parse_spawn_selector("coder"), named("coder"));
}

// Case 96.
TEST(SpawnSelector, PathsAreRefused) {
  for (char const* text :
       {"path:x", "/abs/x.lua", "./x", "../x", "a/b", "x.lua", "x.nix", "project:a/b", "user:../x"}) {
    EXPECT_NE(spawn_error(text).find("registry selectors only"), std::string::npos) << spawn_error(text);
  }
}

TEST(SpawnSelector, WrongSourceOrEmptyName) {
  EXPECT_NE(spawn_error("system:x").find("must be builtin, user, project or claude"), std::string::npos);
  EXPECT_NE(spawn_error(":x").find("must be builtin, user, project or claude"), std::string::npos);
  EXPECT_NE(spawn_error("project:").find("is empty"), std::string::npos);
}

TEST(Selector, Labels) {
  EXPECT_EQ(parse_cli_selector("default").label(), "default");
  EXPECT_EQ(parse_cli_selector("./x.lua").label(), "./x.lua");
  EXPECT_EQ(parse_cli_selector("project:coder").label(), "project:coder");
  EXPECT_EQ(parse_cli_selector("coder").label(), "coder");
  EXPECT_EQ(parse_spawn_selector("inherit")->label(), "inherit");
}

}  // namespace
}  // namespace insomnia::profile
