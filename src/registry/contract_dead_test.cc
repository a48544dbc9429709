#include "registry/contract_test.hh"

// The contract of Registry, third part: the dead decide nothing. The table is large, so that they are not
// found by chance.
namespace insomnia::registry {
namespace {

class DeadContract : public RegistryContract {
 protected:
  DeadContract() {
    for (int i = 0; i < 300; ++i) {
      std::string name = "other" + std::to_string(i);
      add(pod(name, {write_rule("/others/" + name)}));
    }
  }
};

TEST_P(DeadContract, WhoRegistersBelowADeadParentIsARoot) {
  add(pod("g", {write_rule("/w")}));
  spawn(child("g", "p", {write_rule("/w/p")}));
  die("p");
  Allocation c = pod("c", {write_rule("/w/p/c")});
  c.delegated_from = "p-id";
  EXPECT_TRUE(failed(registry_->register_pod(c), Code::Conflict, {"'g'"}));
  c.scope_allow = {write_rule("/x")};
  add(c);
  EXPECT_EQ(parent("c"), "");
}

TEST_P(DeadContract, InPlaceOfADeadChildItsChildrenCount) {
  add(pod("r", {write_rule("/w")}));
  spawn(child("r", "c", {read_rule("/w")}));
  spawn(child("c", "d1", {read_rule("/w")}));
  spawn(child("c", "d2", {read_rule("/w")}));
  die("c");
  Limits two{.max_children = 2}, three{.max_children = 3};
  EXPECT_TRUE(failed(registry_->delegate(child("r", "e", {read_rule("/w")}), std::nullopt, two),
                     Code::LimitReached, {"max_children is 2"}));
  EXPECT_TRUE(registry_->delegate(child("r", "e", {read_rule("/w")}), std::nullopt, three));
}

TEST_P(DeadContract, ADeadPodBetweenKeepsNobodyFromComingBack) {
  for (bool writes : {false, true}) {
    std::string base = writes ? "write" : "read";
    auto rule = [&](std::string const& path) {
      return writes ? write_rule("/" + base + path) : read_rule("/" + base + path);
    };
    add(pod(base + "-top", {rule("")}));
    spawn(child(base + "-top", base + "-middle", {rule("/m")}));
    spawn(child(base + "-middle", base + "-leaf", {rule("/m/l")}));
    release(base + "-middle");
    ASSERT_EQ(parent(base + "-leaf"), base + "-top");
    die(base + "-top");
    add(pod(base + "-middle", {rule("/m")}));
    EXPECT_EQ(parent(base + "-leaf"), base + "-middle");
  }
}

TEST_P(DeadContract, ADeadHolderIsNotInTheWay) {
  add(pod("r", {write_rule("/w")}));
  for (auto name : {"a", "b", "c"}) spawn(child("r", name, {write_rule(std::string("/w/") + name)}));
  die("a");
  die("b");
  EXPECT_TRUE(delegate(child("r", "ab", {write_rule("/w/a"), write_rule("/w/b")})));
  EXPECT_TRUE(failed(delegate(child("r", "all", {write_rule("/w")})), Code::Conflict, {"'c'"}));
  die("c");
  EXPECT_TRUE(failed(delegate(child("r", "all", {write_rule("/w")})), Code::Conflict, {"'ab'"}));
}

TEST_P(DeadContract, TheLimitOfAllCountsTheLivingOnly) {
  add(pod("r", {write_rule("/w")}));
  Limits limits{.max_live_pods = 301};
  EXPECT_TRUE(failed(registry_->delegate(child("r", "c", {read_rule("/w")}), std::nullopt, limits),
                     Code::LimitReached, {"max_live_pods is 301"}));
  die("other17");
  EXPECT_TRUE(registry_->delegate(child("r", "c", {read_rule("/w")}), std::nullopt, limits));
  EXPECT_EQ(names().size(), 301u);
}

INSTANTIATE_TEST_SUITE_P(Sqlite, DeadContract,
                         testing::Values(Implementation{
                             "Sqlite",
                             [](std::string const& directory, Liveness liveness) {
                               return *open_sqlite_registry(directory + "/registry.db", std::move(liveness));
                             }}),
                         [](auto const& info) { return info.param.name; });

}  // namespace
}  // namespace insomnia::registry
