#include "cell/view_layers.hh"

#include <gtest/gtest.h>

namespace insomnia::cell {
namespace {

using Kind = MountStep::Kind;

MountStep rw(std::string path) { return {Kind::ReadWrite, path, path}; }
MountStep ro(std::string path) { return {Kind::ReadOnly, path, path}; }
MountStep mask(std::string path) { return {Kind::MaskDirectory, std::move(path), ""}; }

std::vector<MountStep> shown(ViewLayers const& layers) {
  std::vector<MountStep> result;
  for (auto const& [path, each] : layers.shown()) result.push_back(each.step);
  return result;
}

TEST(ViewLayers, WhatIsLentIsCoveredAndUncoveredAgain) {
  std::vector<MountStep> base{rw("/w"), mask("/w/secret")}, lent{rw("/w"), ro("/w/lent"), mask("/w/secret")};
  ViewLayers layers(base);
  auto change = layers.change_to(lent);
  ASSERT_TRUE(change);
  EXPECT_EQ(*change, (ViewChange{{}, {{"/w/lent", {ro("/w/lent")}}}}));
  EXPECT_EQ(shown(layers), lent);
  layers.set_mount("/w/lent", 7);
  change = layers.change_to(base);
  ASSERT_TRUE(change);
  EXPECT_EQ(*change, (ViewChange{{{"/w/lent", 7}}, {}}));
  EXPECT_EQ(shown(layers), base);
}

TEST(ViewLayers, WhatLiesBelowACoverIsMountedAnew) {
  ViewLayers layers({rw("/w"), ro("/w/.git/hooks"), mask("/w/secret")});
  auto change = layers.change_to({ro("/w"), mask("/w/secret")});
  ASSERT_TRUE(change);
  EXPECT_EQ(*change, (ViewChange{{}, {{"/w", {ro("/w"), mask("/w/secret")}}}}));
  change = layers.change_to({rw("/w"), ro("/w/.git/hooks"), mask("/w/secret")});
  ASSERT_TRUE(change);
  EXPECT_EQ(change->uncover.size(), 1u);
  EXPECT_TRUE(change->cover.empty());
}

TEST(ViewLayers, SeveralComeAndGoInAnyOrder) {
  ViewLayers layers({rw("/w")});
  ASSERT_TRUE(layers.change_to({rw("/w"), ro("/w/a")}));
  ASSERT_TRUE(layers.change_to({rw("/w"), ro("/w/a"), ro("/w/b")}));
  auto change = layers.change_to({rw("/w"), ro("/w/b")});
  ASSERT_TRUE(change);
  EXPECT_EQ(*change, (ViewChange{{{"/w/a", 0}}, {}}));
}

TEST(ViewLayers, AWiderOneTakesThePlaceOfThoseWithinIt) {
  ViewLayers layers({rw("/w")});
  ASSERT_TRUE(layers.change_to({rw("/w"), ro("/w/a")}));
  auto change = layers.change_to({ro("/w")});
  ASSERT_TRUE(change);
  EXPECT_EQ(*change, (ViewChange{{{"/w/a", 0}}, {{"/w", {ro("/w")}}}}));
  change = layers.change_to({rw("/w")});
  ASSERT_TRUE(change);
  EXPECT_EQ(*change, (ViewChange{{{"/w", 0}}, {}}));
  EXPECT_EQ(shown(layers), std::vector<MountStep>{rw("/w")});
}

TEST(ViewLayers, OneWithinAnotherGoesFirst) {
  ViewLayers layers({rw("/w")});
  ASSERT_TRUE(layers.change_to({ro("/w")}));
  ASSERT_TRUE(layers.change_to({ro("/w"), rw("/w/a")}));
  auto change = layers.change_to({rw("/w")});
  ASSERT_TRUE(change);
  EXPECT_EQ(*change, (ViewChange{{{"/w/a", 0}, {"/w", 0}}, {}}));
}

TEST(ViewLayers, WhatWasReadOnlyFromTheBeginningIsCoveredByAWritableCopy) {
  ViewLayers layers({rw("/w"), ro("/w/a")});
  auto change = layers.change_to({rw("/w")});
  ASSERT_TRUE(change);
  EXPECT_EQ(*change, (ViewChange{{}, {{"/w/a", {rw("/w/a")}}}}));
}

TEST(ViewLayers, WhatStandsInNoMountNeedsANewView) {
  ViewLayers layers({{Kind::Directory, "/v", ""}, ro("/v/a")});
  auto before = shown(layers);
  EXPECT_EQ(layers.change_to({{Kind::Directory, "/v", ""}}).error().code, Code::Unsupported);
  EXPECT_EQ(shown(layers), before) << "an error changes nothing";
}

TEST(ViewLayers, ALostMountIsMountedAgain) {
  std::vector<MountStep> lent{rw("/w"), ro("/w/a"), mask("/w/a/b")};
  ViewLayers layers(lent);
  layers.forget("/w/a");
  EXPECT_EQ(shown(layers), std::vector<MountStep>{rw("/w")});
  auto change = layers.change_to(lent);
  ASSERT_TRUE(change);
  EXPECT_EQ(*change, (ViewChange{{}, {{"/w/a", {ro("/w/a"), mask("/w/a/b")}}}}));
}

}  // namespace
}  // namespace insomnia::cell
