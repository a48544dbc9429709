#include "pod/grandchildren.hh"

#include <csignal>

#include "pod/children_fixture_test.hh"

namespace insomnia::pod {
namespace {

/// Root with a child `kid`, of Pods below which it hears.
class GrandchildrenTest : public ChildrenTest {
 protected:
  void SetUp() override { kid = start("kid", "pod", directory.directory("work/kid")); }
  wire::ScopeSubDelegated lent(std::string const& name, std::string const& teller = "kid") const {
    return {teller, name, paths.pod_socket(name), {write_rule(work + "/" + name)}, std::nullopt};
  }
  wire::ScopeReturned returned(std::string const& name, std::string const& teller = "kid") const {
    return {teller, name, {write_rule(work + "/" + name)}, std::nullopt};
  }
  /// As the brain does with an event of that process.
  void take(pid_t sender, wire::PodEvent const& event) {
    auto const* child = children->teller(sender, event);
    ASSERT_NE(child, nullptr);
    if (auto const* news = std::get_if<wire::ScopeSubDelegated>(&event)) children->grandchildren().lent(*child, *news);
    if (auto const* news = std::get_if<wire::ScopeReturned>(&event)) children->grandchildren().returned(*child, *news);
  }
  /// Names of those whose end was told to root's own parent.
  std::vector<std::string> told_returned() const {
    std::vector<std::string> names;
    for (auto const& event : told) {
      if (auto const* news = std::get_if<wire::ScopeReturned>(&event)) names.push_back(news->sub_pod);
    }
    return names;
  }
  size_t known() const {
    auto const& records = core->state.spawned_children;
    return static_cast<size_t>(std::count_if(records.begin(), records.end(), [](auto const& record) { return record.grandchild; }));
  }

  pid_t kid = 0;
};

// Case 116, 117.
TEST_F(GrandchildrenTest, AGrandchildIsKnownOnceAndToldOn) {
  take(kid, lent("leaf"));
  take(kid, lent("leaf"));
  EXPECT_EQ(known(), 1u);
  EXPECT_EQ(told.size(), 1u);
  EXPECT_EQ(children->find("leaf")->callback_address, paths.pod_socket("kid"));
  EXPECT_EQ(children->infos().size(), 1u);
  EXPECT_TRUE(stored().spawned_children.at(1).grandchild);
}

// Removal goes up as addition does.
TEST_F(GrandchildrenTest, ItsEndTakesItAwayAndIsToldOn) {
  take(kid, lent("leaf"));
  take(kid, returned("leaf"));
  EXPECT_EQ(children->find("leaf"), nullptr);
  EXPECT_EQ(stored().spawned_children.size(), 1u);
  EXPECT_EQ(told_returned(), std::vector<std::string>{"leaf"});
  take(kid, returned("leaf"));
  take(kid, returned("kid"));
  take(kid, returned("nobody"));
  EXPECT_EQ(told_returned().size(), 1u) << "what is not known is no news";
  EXPECT_NE(children->find("kid"), nullptr);
}

TEST_F(GrandchildrenTest, AChildSpeaksOnlyOfWhatIsBelowItself) {
  pid_t other = start("other", "pod", directory.directory("work/other"));
  take(kid, lent("leaf"));
  take(other, returned("leaf", "other"));
  EXPECT_NE(children->find("leaf"), nullptr);
}

// News from anybody else would be believed, and acted on.
TEST_F(GrandchildrenTest, OnlyTheLivingProcessOfTheChildMaySpeakForIt) {
  pid_t other = start("other", "pod", directory.directory("work/other"));
  EXPECT_NE(children->teller(kid, lent("leaf")), nullptr);
  EXPECT_EQ(children->teller(other, lent("leaf")), nullptr) << "another child";
  EXPECT_EQ(children->teller(::getpid(), lent("leaf")), nullptr) << "no child";
  EXPECT_EQ(children->teller(0, lent("leaf")), nullptr);
  EXPECT_EQ(children->teller(kid, lent("leaf", "nobody")), nullptr);
  EXPECT_EQ(children->teller(kid, wire::UnknownPodEvent{"new"}), nullptr);
  auto event = lent("leaf");
  event.instance_id = "kid-instance";
  EXPECT_NE(children->teller(kid, event), nullptr);
  event.instance_id = "kid-instance-of-before";
  EXPECT_EQ(children->teller(kid, event), nullptr);
  ::kill(kid, SIGKILL);
  run_until([&] { return !children->is_living("kid-id"); });
  EXPECT_EQ(children->teller(kid, lent("leaf")), nullptr);
}

TEST_F(GrandchildrenTest, TheEndOfAChildIsToldToTheParent) {
  (void)call(&ChildTools::stop, R"({"name":"kid"})");
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0], wire::PodEvent(wire::ScopeReturned{"root", "kid", {write_rule(work + "/kid")}, std::nullopt}));
}

TEST_F(GrandchildrenTest, WhatEndedWithTheChildAboveItGoesWithIt) {
  take(kid, lent("leaf"));  // the registry does not know it
  ::kill(kid, SIGKILL);
  run_until([&] { return told_returned().size() == 2; });
  EXPECT_EQ(told_returned(), (std::vector<std::string>{"leaf", "kid"}));
  EXPECT_TRUE(core->state.spawned_children.empty());
}

TEST_F(GrandchildrenTest, WhatOutlivesTheChildAboveItStays) {
  loop::Child leaf = start_below("kid", "leaf", directory.directory("work/kid/leaf"));
  loop::Child tip = start_below("leaf", "tip", directory.directory("work/kid/leaf/tip"));
  take(kid, lent("leaf"));
  take(kid, lent("tip"));
  ::kill(kid, SIGKILL);
  run_until([&] { return told_returned().size() == 1; });
  EXPECT_EQ(told_returned(), std::vector<std::string>{"kid"});
  ASSERT_NE(children->find("leaf"), nullptr);
  EXPECT_FALSE(children->find("leaf")->grandchild) << "it is a child now";
  ASSERT_NE(children->find("tip"), nullptr);
  EXPECT_EQ(children->find("tip")->callback_address, paths.pod_socket("leaf"));
  // And the child that it has become is heard.
  take(leaf.pid(), returned("tip", "leaf"));
  EXPECT_EQ(children->find("tip"), nullptr);
  ::kill(leaf.pid(), SIGKILL);
  run_until([&] { return children->is_living("tip-id"); });
}

TEST_F(GrandchildrenTest, ThoseThatTheRegistryDoesNotListGoAtTheStart) {
  loop::Child leaf = start_below("kid", "leaf", directory.directory("work/kid/leaf"));
  take(kid, lent("leaf"));
  take(kid, lent("gone"));
  told.clear();
  restart_children();
  run_until([&] { return known() == 1; });
  EXPECT_NE(children->find("leaf"), nullptr);
  EXPECT_EQ(told_returned(), std::vector<std::string>{"gone"});
  core->log_worker.drain();
  EXPECT_EQ(stored().spawned_children.size(), 2u);
}

TEST_F(GrandchildrenTest, WhenThereAreManyTheDeadAreDropped) {
  loop::Child leaf = start_below("kid", "leaf", directory.directory("work/kid/leaf"));
  take(kid, lent("leaf"));
  for (int i = 0; i < 64; ++i) take(kid, lent("gone-" + std::to_string(i)));
  run_until([&] { return known() == 1; });
  EXPECT_NE(children->find("leaf"), nullptr);
}

TEST_F(GrandchildrenTest, ANameThatIsGivenToAChildIsNoGrandchildsAnyMore) {
  take(kid, lent("leaf"));  // and its end got lost
  start("leaf", "pod", directory.directory("work/other"));
  EXPECT_EQ(known(), 0u);
  EXPECT_FALSE(children->find("leaf")->grandchild);
}

}  // namespace
}  // namespace insomnia::pod
