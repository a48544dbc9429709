#include "pod/cell_choice.hh"

#include <gtest/gtest.h>

#include "base/io.hh"
#include "testing/temp_dir.hh"

namespace insomnia::pod {
namespace {

using cell::Isolation;

class CellChoiceTest : public ::testing::Test {
 protected:
  CellChoiceTest() {
    environment_.set("INSOMNIA_HOME", directory_.path() + "/home");
    environment_.set("HOME", "/home/somebody");
    environment_.set("PATH", "/usr/bin");
    state_.pod_name = "site";
    state_.pod_id = "id";
    state_.cwd = directory_.path();
    state_.config.scope = {{{directory_.path(), scope::Permission::Write, true}}, {}};
  }
  Result<CellChoice> choose(Isolation isolation, std::optional<bool> required = std::nullopt, std::string network = "") {
    manifest::Manifest manifest;
    manifest.config.sandbox.emplace();
    manifest.config.sandbox->required = required;
    if (!network.empty()) manifest.config.sandbox->network = network;
    cell::Level level{isolation, isolation == Isolation::Cell ? "" : "the kernel said no"};
    return choose_cell(level, Paths::resolve(environment_), state_, manifest, environment_, directory_.path() + "/spill", nullptr);
  }

  insomnia::testing::TempDir directory_;
  Environment environment_;
  PodState state_;
};

TEST_F(CellChoiceTest, TheStrongestThatThereIs) {
  auto whole = choose(Isolation::Cell);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->isolation, Isolation::Cell);
  EXPECT_EQ(whole->cell->start.isolation, Isolation::Cell);
  EXPECT_EQ(whole->warning, "");
  auto held = choose(Isolation::Landlock);
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_EQ(held->isolation, Isolation::Landlock);
  EXPECT_EQ(held->cell->start.isolation, Isolation::Landlock);
  EXPECT_NE(held->warning.find("the kernel said no"), std::string::npos);
  EXPECT_EQ(held->environment["HOME"], held->own_directories[1].target);
  EXPECT_EQ(held->environment["TMPDIR"], held->own_directories[0].target);
  EXPECT_TRUE(io::exists(held->environment["TMPDIR"]));
}

TEST_F(CellChoiceTest, WithNothingAPodIsRefusedUnlessItWaivesThat) {
  auto refused = choose(Isolation::None);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("the kernel said no"), std::string::npos);
  EXPECT_NE(refused.error().message.find("required = false"), std::string::npos);
  for (auto weaker : {Isolation::None, Isolation::Landlock}) {
    auto waived = choose(weaker, false);
    ASSERT_TRUE(waived);
    EXPECT_EQ(waived->isolation, Isolation::None) << "who waives a cell wants commands to do what they do anywhere";
    EXPECT_FALSE(waived->cell);
    EXPECT_NE(waived->warning, "");
    EXPECT_FALSE(choose(weaker, false, "none")) << "without a network nobody could hold";
  }
  EXPECT_EQ(choose(Isolation::Cell, false)->isolation, Isolation::Cell);
}

}  // namespace
}  // namespace insomnia::pod
