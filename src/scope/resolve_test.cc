#include <gtest/gtest.h>

#include "scope/geometry.hh"
#include "scope/scope.hh"
#include "scope/test_directory.hh"

namespace insomnia::scope {
namespace {

TEST(ResolvePath, RelativeAndEmptyPathsAreNothing) {
  EXPECT_EQ(resolve_path(""), std::nullopt);
  EXPECT_EQ(resolve_path("a/b"), std::nullopt);
  EXPECT_EQ(resolve_path("./a"), std::nullopt);
}

TEST(ResolvePath, TheRootIsItself) {
  for (auto path : {"/", "//", "/.", "/..", "/../..", "///./"}) EXPECT_EQ(resolve_path(path), "/") << path;
}

TEST(ResolvePath, SlashesAndDotsAreDropped) {
  TestDirectory root;
  std::string sub = root.directory("sub");
  EXPECT_EQ(resolve_path(root / "sub/"), sub);
  EXPECT_EQ(resolve_path(root / "/./sub//."), sub);
  EXPECT_EQ(resolve_path(root / "sub/missing/"), sub + "/missing");
}

TEST(ResolvePath, LinksAreFollowedWhereverTheyStand) {
  TestDirectory root;
  std::string real = root.directory("real/deep");
  root.link("absolute", root / "real");
  root.link("relative", "real/deep");
  root.link("chain", "absolute/../relative");
  root.link("slash", "real/");
  EXPECT_EQ(resolve_path(root / "absolute/deep/f"), real + "/f");
  EXPECT_EQ(resolve_path(root / "relative"), real);
  EXPECT_EQ(resolve_path(root / "chain/f"), real + "/f");
  EXPECT_EQ(resolve_path(root / "slash/deep/"), real);
  EXPECT_EQ(resolve_path(root / "relative/.."), root / "real")
      << "'..' leaves the link's target, not the link";
}

TEST(ResolvePath, ADanglingLinkIsItsTarget) {
  TestDirectory root;
  root.link("gone", "nowhere/f");
  root.link("out", "/nowhere-at-all/f");
  root.link("bad", "nowhere/../f");
  EXPECT_EQ(resolve_path(root / "gone"), root / "nowhere/f");
  EXPECT_EQ(resolve_path(root / "gone/tail"), root / "nowhere/f/tail");
  EXPECT_EQ(resolve_path(root / "out"), "/nowhere-at-all/f");
  EXPECT_EQ(resolve_path(root / "bad"), std::nullopt);
}

TEST(ResolvePath, CirclesAreNothing) {
  TestDirectory root;
  root.link("a", "b");
  root.link("b", "a");
  root.link("self", "self/x");
  EXPECT_EQ(resolve_path(root / "a"), std::nullopt);
  EXPECT_EQ(resolve_path(root / "a/f"), std::nullopt);
  EXPECT_EQ(resolve_path(root / "self"), std::nullopt);
}

TEST(ResolvePath, ParentComponentsNeedSomethingThatExists) {
  TestDirectory root;
  root.directory("sub");
  root.file("file");
  EXPECT_EQ(resolve_path(root / "sub/../x"), root / "x");
  EXPECT_EQ(resolve_path(root / "sub/.."), root.path());
  EXPECT_EQ(resolve_path(root / "missing/.."), std::nullopt);
  EXPECT_EQ(resolve_path(root / "missing/../../etc"), std::nullopt);
  EXPECT_EQ(resolve_path(root / "file/.."), std::nullopt);
  EXPECT_EQ(resolve_path(root / "file/x"), root / "file/x");
}

TEST(ResolvePath, LongPathsAreNothingAndCostNothing) {
  std::string deep;
  while (deep.size() + 2 < 4095) deep += "/a";
  EXPECT_EQ(resolve_path(deep), deep);
  EXPECT_EQ(resolve_path(deep + "/aa"), std::nullopt);
  EXPECT_EQ(resolve_path("/" + std::string(255, 'n')), "/" + std::string(255, 'n'));
  EXPECT_EQ(resolve_path("/" + std::string(256, 'n')), std::nullopt);
  EXPECT_EQ(resolve_path("/tmp/missing-" + std::string(10, 'x') + "/" + std::string(256, 'n')), std::nullopt);
  EXPECT_EQ(resolve_path("/" + std::string(10 << 20, '/')), std::nullopt);
}

TEST(ResolvePath, ALinkCannotMakeThePathTooLong) {
  TestDirectory root;
  std::string target;
  while (target.size() < 4000) target += "/a";
  root.link("long", target);
  EXPECT_EQ(resolve_path(root / "long"), target);
  EXPECT_EQ(resolve_path(root / "long" + target.substr(0, 200)), std::nullopt);
}

TEST(ResolvePath, ANulByteIsRefused) {
  EXPECT_EQ(resolve_path(std::string("/tmp\0/x", 7)), std::nullopt);
  auto refused = canonical_path(std::string("/tmp\0/x", 7));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "resolve /tmp: the path has a NUL byte");
}

TEST(ResolvePath, BytesThatAreNotTextAreKept) {
  EXPECT_EQ(resolve_path("/missing/\xff\xfe"), "/missing/\xff\xfe");
}

TEST(ResolvePath, ResolvingTwiceIsResolvingOnce) {
  TestDirectory root;
  root.link("l", "x/y");
  for (auto const& path : {root / "l", root / "a/b/", root.path(), std::string("/")}) {
    auto once = resolve_path(path);
    ASSERT_TRUE(once);
    EXPECT_EQ(resolve_path(*once), once);
    EXPECT_TRUE(is_canonical_form(*once));
  }
}

TEST(CanonicalForm, HasNoOtherSpelling) {
  for (auto good : {"/", "/a", "/a/b", "/a/...", "/a/..b"}) EXPECT_TRUE(is_canonical_form(good)) << good;
  for (auto bad : {"", "a", "/a/", "//", "/a//b", "/a/.", "/./a", "/a/..", "/../a"})
    EXPECT_FALSE(is_canonical_form(bad)) << bad;
  EXPECT_FALSE(is_canonical_form(std::string_view("/a\0b", 4)));
}

}  // namespace
}  // namespace insomnia::scope
