#include "registry/contract_test.hh"

// The contract of Registry, for every implementation, first part: rows, segments, identity. The numbers are
// those of the conformance cases of the registry.
namespace insomnia::registry {
namespace {

using Names = std::vector<std::string>;

// --- rows ---

TEST_P(RegistryContract, Case37ANewRegistryIsEmpty) {
  EXPECT_EQ(names(), Names{});
  EXPECT_EQ(registry_->find("a").value(), std::nullopt);
  EXPECT_TRUE(registry_->children("a-id")->empty());
  EXPECT_TRUE(registry_->lent("a-id")->empty());
}

TEST_P(RegistryContract, Case39RowsSurviveReopening) {
  Allocation row = pod("a", {write_rule("/w"), read_rule("/r", false)}, {read_rule("/w/secret")});
  row.segment_id = "segment";
  add(row);
  Allocation reservation = child("a", "b", {write_rule("/w/b")});
  ASSERT_TRUE(delegate(reservation));
  registry_.reset();
  registry_ = open();
  EXPECT_EQ(registry_->list().value(), (std::vector<Allocation>{row, reservation}));
}

TEST_P(RegistryContract, TwoRegistriesOnOneDirectorySeeEachOther) {
  auto other = open();
  add(pod("a", {write_rule("/w")}));
  EXPECT_TRUE(other->find("a").value());
  ASSERT_TRUE(other->release("a-id", "a-1"));
  EXPECT_EQ(names(), Names{});
}

TEST_P(RegistryContract, TheListIsOrderedByName) {
  for (auto name : {"c", "a", "b"}) add(pod(name, {read_rule("/")}));
  EXPECT_EQ(names(), (Names{"a", "b", "c"}));
}

TEST_P(RegistryContract, Case53ANameThatIsLiveIsTaken) {
  add(pod("a", {write_rule("/w")}));
  Allocation other = pod("a", {write_rule("/x")});
  other.pod_id = "other-id";
  EXPECT_TRUE(failed(registry_->register_pod(other), Code::AlreadyExists, {"'a'", "choose another name"}));
  add(pod("s", {write_rule("/s")}));
  Allocation reservation = child("s", "a", {write_rule("/s/x")});
  reservation.pod_id = "other-id";
  EXPECT_TRUE(failed(delegate(reservation), Code::AlreadyExists, {"'a'"}));
}

TEST_P(RegistryContract, APodIdIsLiveOnce) {
  add(pod("a", {write_rule("/w")}));
  Allocation twin = pod("twin", {write_rule("/x")});
  twin.pod_id = "a-id";
  EXPECT_TRUE(failed(registry_->register_pod(twin), Code::AlreadyExists, {"a-id", "'a'"}));
}

TEST_P(RegistryContract, ARowThatCannotBeIsRefused) {
  Allocation good = pod("a", {write_rule("/w")});
  auto refused = [&](auto change) {
    Allocation row = good;
    change(row);
    return failed(registry_->register_pod(row), Code::InvalidArgument, {});
  };
  EXPECT_TRUE(refused([](Allocation& row) { row.pod_name = "../x"; }));
  EXPECT_TRUE(refused([](Allocation& row) { row.pod_name = ""; }));
  EXPECT_TRUE(refused([](Allocation& row) { row.pod_id = ""; }));
  EXPECT_TRUE(refused([](Allocation& row) { row.instance_id = ""; }));
  EXPECT_TRUE(refused([](Allocation& row) { row.delegated_from = row.pod_id; }));
  for (auto target : {"", "w", "/w/", "/w/../x", "//w"}) {
    EXPECT_TRUE(refused([&](Allocation& row) { row.scope_allow = {write_rule(target)}; })) << target;
    EXPECT_TRUE(refused([&](Allocation& row) { row.scope_deny = {write_rule(target)}; })) << target;
  }
  EXPECT_EQ(names(), Names{});
}

TEST_P(RegistryContract, AnyBytesInPathsAndTextsAreKept) {
  Allocation row = pod("a", {write_rule("/w/\xff' %_;--"), write_rule("/w/\xc3\xa4 b")});
  row.task = "'); drop table pods; --";
  add(row);
  EXPECT_EQ(get("a"), row);
  EXPECT_TRUE(
      failed(registry_->register_pod(pod("b", {write_rule("/w/\xff' %_;--/x")})), Code::Conflict, {"'a'"}));
}

// --- segments ---

TEST_P(RegistryContract, Case40AReservationHoldsNoSegmentUntilItIsAdopted) {
  add(pod("s", {write_rule("/w")}));
  Allocation reservation = child("s", "a", {write_rule("/w/a")});
  ASSERT_TRUE(delegate(reservation));
  ASSERT_TRUE(delegate(child("s", "b", {write_rule("/w/b")})));
  EXPECT_EQ(get("a").segment_id, "");
  ASSERT_TRUE(registry_->adopt("a-id", "a-1", 12, "seg"));
  EXPECT_EQ(get("a").segment_id, "seg");
}

TEST_P(RegistryContract, Case44ASegmentIsFoundWithItsHolderUntilReleased) {
  Allocation row = pod("a", {write_rule("/w")});
  row.segment_id = "seg";
  add(row);
  EXPECT_EQ(get("a"), row);
  release("a");
  EXPECT_EQ(names(), Names{});
}

TEST_P(RegistryContract, Case45UpdateMovesTheSegment) {
  Allocation row = pod("a", {write_rule("/w")});
  row.segment_id = "old";
  add(row);
  ASSERT_TRUE(registry_->update_segment("a-id", "a-1", "new"));
  EXPECT_EQ(get("a").segment_id, "new");
  ASSERT_TRUE(registry_->update_segment("a-id", "a-1", "new")) << "one's own segment is no conflict";
  Allocation other = pod("b", {write_rule("/x")});
  other.segment_id = "old";
  add(other);
}

TEST_P(RegistryContract, Case46UpdateToASegmentOfAnotherIsRefusedAndNamesIt) {
  Allocation a = pod("a", {write_rule("/a")}), b = pod("b", {write_rule("/b")});
  a.segment_id = "seg-a";
  b.segment_id = "seg-b";
  add(a);
  add(b);
  EXPECT_TRUE(failed(registry_->update_segment("b-id", "b-1", "seg-a"), Code::Conflict,
                     {"seg-a", "'a'", "/run/a/sock"}));
  EXPECT_EQ(get("b").segment_id, "seg-b");
  die("a");
  EXPECT_TRUE(registry_->update_segment("b-id", "b-1", "seg-a")) << "a dead holder holds nothing";
}

TEST_P(RegistryContract, Case64RegisteringWithASegmentOfAnotherIsRefusedAndNamesIt) {
  Allocation first = pod("first", {write_rule("/a")}), second = pod("second", {write_rule("/b")});
  first.segment_id = second.segment_id = "seg";
  add(first);
  EXPECT_TRUE(failed(registry_->register_pod(second), Code::Conflict, {"seg", "'first'"}));
  add(pod("s", {write_rule("/w")}));
  ASSERT_TRUE(delegate(child("s", "c", {write_rule("/w/c")})));
  EXPECT_TRUE(failed(registry_->adopt("c-id", "c-1", 1, "seg"), Code::Conflict, {"'first'"}));
  EXPECT_EQ(get("c").state, AllocationState::Reserved);
}

// --- identity ---

TEST_P(RegistryContract, Case41ReleaseRemovesTheRow) {
  add(pod("a", {write_rule("/w")}));
  release("a");
  EXPECT_EQ(names(), Names{});
  EXPECT_TRUE(failed(registry_->release("a-id", "a-1"), Code::NotFound, {"a-id"}));
}

TEST_P(RegistryContract, Case42AdoptionMakesTheReservationLive) {
  add(pod("s", {write_rule("/w")}));
  Allocation reservation = child("s", "a", {write_rule("/w/a")}, {read_rule("/w/a/x")});
  ASSERT_TRUE(delegate(reservation));
  EXPECT_EQ(get("a"), reservation);
  ASSERT_TRUE(registry_->adopt("a-id", "a-1", 99, "seg"));
  Allocation live = reservation;
  live.state = AllocationState::Live;
  live.pid = 99;
  live.segment_id = "seg";
  EXPECT_EQ(get("a"), live);
  release("a");
  EXPECT_EQ(names(), Names{"s"});
}

TEST_P(RegistryContract, Case43OnlyTheReservationOfExactlyThisInstanceIsAdopted) {
  add(pod("s", {write_rule("/w")}));
  ASSERT_TRUE(delegate(child("s", "a", {write_rule("/w/a")})));
  EXPECT_TRUE(failed(registry_->adopt("b-id", "a-1", 1, ""), Code::NotFound, {"b-id"}));
  EXPECT_TRUE(failed(registry_->adopt("a-id", "a-2", 1, ""), Code::NotFound, {"a-2"}));
  EXPECT_TRUE(failed(registry_->adopt("s-id", "s-1", 1, ""), Code::NotFound, {}))
      << "a live row is no reservation";
  ASSERT_TRUE(registry_->adopt("a-id", "a-1", 1, ""));
  EXPECT_TRUE(failed(registry_->adopt("a-id", "a-1", 1, ""), Code::NotFound, {})) << "adopted once";
}

TEST_P(RegistryContract, AReservationEndsWithItsSpawner) {
  add(pod("s", {write_rule("/w")}));
  ASSERT_TRUE(delegate(child("s", "a", {write_rule("/w/a")})));
  die("s");
  EXPECT_TRUE(failed(registry_->adopt("a-id", "a-1", 1, ""), Code::NotFound, {"spawn again"}));
  EXPECT_EQ(names(), Names{});
}

TEST_P(RegistryContract, AReservationOutlivesNothingElse) {
  add(pod("s", {write_rule("/w")}));
  ASSERT_TRUE(delegate(child("s", "a", {write_rule("/w/a")})));
  die("a");  // nobody has started as a-1 yet, so its life says nothing
  EXPECT_EQ(names(), (Names{"a", "s"}));
}

TEST_P(RegistryContract, R4ReleaseByAForeignInstanceIsRefused) {
  add(pod("a", {write_rule("/w")}));
  EXPECT_TRUE(failed(registry_->release("a-id", "a-2"), Code::NotFound, {"'a'", "a-1", "a-2"}));
  EXPECT_TRUE(failed(registry_->update_segment("a-id", "a-2", "seg"), Code::NotFound, {"a-1"}));
  EXPECT_EQ(names(), Names{"a"});
}

TEST_P(RegistryContract, ALateReleaseOfAnOldInstanceLeavesItsSuccessor) {
  add(pod("a", {write_rule("/w")}));
  die("a");
  Allocation next = pod("a", {write_rule("/w")});
  next.instance_id = "a-2";
  add(next);
  EXPECT_TRUE(failed(registry_->release("a-id", "a-1"), Code::NotFound, {}));
  EXPECT_EQ(get("a"), next);
}

TEST_P(RegistryContract, ANameThatIsUsedAgainMeansTheNewPodAlone) {
  add(pod("s", {write_rule("/w")}));
  Allocation old = child("s", "x", {write_rule("/w/x")});
  spawn(old);
  spawn(child("x", "kid", {write_rule("/w/x/kid")}));
  die("x");
  Allocation next = child("s", "x", {write_rule("/w/y")});
  next.pod_id = "next-id";
  next.instance_id = "next-1";
  ASSERT_TRUE(delegate(next));
  EXPECT_TRUE(failed(registry_->adopt("x-id", "x-1", 7, "seg"), Code::NotFound, {}));
  EXPECT_TRUE(failed(registry_->adopt("next-id", "x-1", 7, "seg"), Code::NotFound, {}));
  EXPECT_EQ(get("x"), next);
  ASSERT_TRUE(registry_->adopt("next-id", "next-1", 8, "own"));
  Allocation live = get("x");
  for (auto const& [pod_id, instance_id] : {std::pair("x-id", "x-1"), std::pair("next-id", "x-1"), std::pair("x-id", "next-1")}) {
    EXPECT_TRUE(failed(registry_->release(pod_id, instance_id), Code::NotFound, {}));
    EXPECT_TRUE(failed(registry_->update_segment(pod_id, instance_id, "seg"), Code::NotFound, {}));
  }
  ASSERT_TRUE(registry_->leave_queue("x-id"));
  EXPECT_EQ(get("x"), live);
  EXPECT_EQ(parent("kid"), "s") << "the children of the old one are not the new one's";
  EXPECT_TRUE(registry_->children("next-id")->empty());
  EXPECT_EQ(lent("s"), (Rules{write_rule("/w/x/kid"), write_rule("/w/y")}));
  EXPECT_TRUE(failed(delegate(child("x", "late", {write_rule("/w/y/z")})), Code::NotFound, {"x-id"})) << "a late spawn of the old one";
}

}  // namespace
}  // namespace insomnia::registry
