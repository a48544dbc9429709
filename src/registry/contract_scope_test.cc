#include <algorithm>

#include "registry/contract_test.hh"

// The contract of Registry, second part: who may write where. The numbers are those of the conformance cases
// of the registry.
namespace insomnia::registry {
namespace {

using Names = std::vector<std::string>;

// --- write scopes ---

TEST_P(RegistryContract, Case49TheDeepestOwnerIsBlamedWithItsRuleAndTask) {
  add(pod("a", {write_rule("/src")}));
  spawn(child("a", "b", {write_rule("/src/core")}));
  EXPECT_TRUE(failed(registry_->register_pod(pod("c", {write_rule("/src/core/x")})), Code::Conflict,
                     {"write:/src/core/x", "'b'", "write:/src/core ", "task of b"}));
  EXPECT_TRUE(failed(registry_->register_pod(pod("c", {write_rule("/src")})), Code::Conflict, {"'b'"}));
  EXPECT_TRUE(failed(registry_->register_pod(pod("c", {write_rule("/src/doc")})), Code::Conflict, {"'a'"}));
  EXPECT_EQ(names(), (Names{"a", "b"}));
}

TEST_P(RegistryContract, Case50ADenyThatCoversTheRequestHidesItsOwner) {
  add(pod("parent", {write_rule("/src")}, {write_rule("/src/core")}));
  add(pod("child", {write_rule("/src/core")}));
  EXPECT_EQ(names(), (Names{"child", "parent"}));
}

TEST_P(RegistryContract, ADenyOfReadHidesItsOwnerToo) {
  add(pod("parent", {write_rule("/src")}, {read_rule("/src/core")}));
  add(pod("child", {write_rule("/src/core/x")}));
}

TEST_P(RegistryContract, Case51APartialDenyDoesNotHideItsOwner) {
  add(pod("parent", {write_rule("/src")}, {write_rule("/src/core")}));
  EXPECT_TRUE(failed(registry_->register_pod(pod("x", {write_rule("/src")})), Code::Conflict,
                     {"'parent'", "write:/src "}));
}

TEST_P(RegistryContract, ADenyHidesItsOwnerButNotTheOwnersChildren) {
  add(pod("root", {write_rule("/ws")}, {write_rule("/ws/wt")}));
  Allocation coder = child("root", "coder", {write_rule("/ws/wt/t")});
  ASSERT_TRUE(registry_->delegate(coder, scope::ScopeConfig{{write_rule("/ws/wt")}, {}}, Limits{}));
  EXPECT_TRUE(
      failed(registry_->register_pod(pod("x", {write_rule("/ws/wt/t")})), Code::Conflict, {"'coder'"}));
  add(pod("y", {write_rule("/ws/wt/u")}));
}

TEST_P(RegistryContract, Case52RegisteringBelowSomeonesScopeIsRefused) {
  add(pod("a", {write_rule("/src")}));
  EXPECT_TRUE(failed(registry_->register_pod(pod("b", {read_rule("/"), write_rule("/src/core")})),
                     Code::Conflict, {"'a'"}));
  EXPECT_TRUE(failed(registry_->register_pod(pod("b", {write_rule("/")})), Code::Conflict, {"'a'"}));
  add(pod("b", {write_rule("/srcs"), write_rule("/sr")}));
}

TEST_P(RegistryContract, TheWholeFileSystemConflictsWithEverything) {
  add(pod("root", {write_rule("/")}));
  EXPECT_TRUE(failed(registry_->register_pod(pod("b", {write_rule("/x/y", false)})), Code::Conflict,
                     {"'root'", "write:/ "}));
}

TEST_P(RegistryContract, NonRecursiveRulesConflictOnWhatTheyShare) {
  add(pod("flat", {write_rule("/src", false)}));
  add(pod("deep", {write_rule("/src/a/b")}));
  EXPECT_TRUE(failed(registry_->register_pod(pod("x", {write_rule("/src/a", false)})), Code::Conflict,
                     {"'flat'", "[non-recursive]"}));
  EXPECT_TRUE(failed(registry_->register_pod(pod("x", {write_rule("/src/a/b/c", false)})), Code::Conflict,
                     {"'deep'"}));
  EXPECT_TRUE(failed(registry_->register_pod(pod("x", {write_rule("/")})), Code::Conflict, {}));
  add(pod("x", {write_rule("/", false)}, {write_rule("/src", false)}));
}

TEST_P(RegistryContract, ANewPodsOwnDeniesExcuseTheOwnersThatTheyCover) {
  add(pod("child", {write_rule("/src/core")}));
  EXPECT_TRUE(failed(registry_->register_pod(pod("parent", {write_rule("/src")}, {write_rule("/src/other")})),
                     Code::Conflict, {"'child'"}));
  add(pod("parent", {write_rule("/src")}, {write_rule("/src/core")}));
}

TEST_P(RegistryContract, EveryOwnerMustBeExcusedNotOnlyTheDeepest) {
  add(pod("a", {write_rule("/src")}));
  spawn(child("a", "b", {write_rule("/src/core")}));
  EXPECT_TRUE(failed(registry_->register_pod(pod("x", {write_rule("/src")}, {write_rule("/src/core")})),
                     Code::Conflict, {"'a'"}));
}

TEST_P(RegistryContract, Case61ReadNeverConflicts) {
  add(pod("a", {write_rule("/src")}));
  add(pod("b", {read_rule("/src"), read_rule("/")}));
  add(pod("c", {read_rule("/src/core")}));
}

TEST_P(RegistryContract, Case62ReleaseReopensTheScope) {
  add(pod("a", {write_rule("/src")}));
  release("a");
  add(pod("b", {write_rule("/src/core")}));
}

// --- delegation ---

TEST_P(RegistryContract, Case54DelegatingOutsideIsNotWithin) {
  add(pod("a", {write_rule("/src"), read_rule("/doc")}));
  EXPECT_TRUE(failed(delegate(child("a", "b", {write_rule("/other")})), Code::PermissionDenied,
                     {"write:/other", "not within", "'a'"}));
  EXPECT_TRUE(failed(delegate(child("a", "b", {write_rule("/")})), Code::PermissionDenied, {"not within"}));
  EXPECT_TRUE(
      failed(delegate(child("a", "b", {write_rule("/doc")})), Code::PermissionDenied, {"not within"}));
  EXPECT_TRUE(failed(delegate(child("a", "b", {read_rule("/doc"), read_rule("/d")})), Code::PermissionDenied,
                     {"read:/d "}));
  EXPECT_EQ(names(), Names{"a"});
}

TEST_P(RegistryContract, Case54OneRuleMustCoverTheRequest) {
  add(pod("a", {write_rule("/src", false), write_rule("/src/a"), write_rule("/src/b")}));
  EXPECT_TRUE(
      failed(delegate(child("a", "b", {write_rule("/src")})), Code::PermissionDenied, {"not within"}));
  EXPECT_TRUE(failed(delegate(child("a", "b", {write_rule("/src/c", false)})), Code::PermissionDenied,
                     {"not within"}));
  EXPECT_TRUE(delegate(child("a", "b", {write_rule("/src", false)})));
}

TEST_P(RegistryContract, Case55DelegatingInsideLendsExactlyThatPart) {
  add(pod("a", {write_rule("/src")}));
  ASSERT_TRUE(
      delegate(child("a", "b", {read_rule("/src"), write_rule("/src/core"), write_rule("/src/doc", false)})));
  EXPECT_EQ(lent("a"), (Rules{write_rule("/src/core"), write_rule("/src/doc", false)}));
  EXPECT_EQ(get("a").scope_allow, Rules{write_rule("/src")}) << "what is lent is derived, not subtracted";
  EXPECT_EQ(registry_->children("a-id").value(), std::vector<Allocation>{get("b")});
}

TEST_P(RegistryContract, Case56ASiblingsPartIsAConflictThatNamesIt) {
  add(pod("a", {write_rule("/src")}));
  spawn(child("a", "b", {write_rule("/src/core")}));
  for (auto target : {"/src/core", "/src/core/x", "/src"}) {
    EXPECT_TRUE(failed(delegate(child("a", "c", {write_rule(target)})), Code::Conflict,
                       {"'b'", "write:/src/core ", "task of b"}));
  }
  EXPECT_TRUE(delegate(child("a", "c", {write_rule("/src/other"), read_rule("/src/core")})));
}

TEST_P(RegistryContract, AReservationHoldsItsScopeLikeALivePod) {
  add(pod("a", {write_rule("/src")}));
  ASSERT_TRUE(delegate(child("a", "b", {write_rule("/src/core")})));
  EXPECT_TRUE(
      failed(delegate(child("a", "c", {write_rule("/src/core")})), Code::Conflict, {"'b'", "starting"}));
}

TEST_P(RegistryContract, OnlyTheLiveInstanceDelegates) {
  add(pod("a", {write_rule("/src")}));
  EXPECT_TRUE(failed(delegate(child("ghost", "b", {write_rule("/src/b")})), Code::NotFound, {"ghost-id"}));
  Allocation foreign = child("a", "b", {write_rule("/src/b")});
  foreign.spawner_instance = "a-2";
  EXPECT_TRUE(failed(delegate(foreign), Code::NotFound, {"'a'", "a-1", "a-2"}));
  ASSERT_TRUE(delegate(child("a", "b", {write_rule("/src/b")})));
  EXPECT_TRUE(failed(delegate(child("b", "c", {write_rule("/src/b/c")})), Code::NotFound, {"b-id"}))
      << "a reservation cannot delegate";
}

TEST_P(RegistryContract, ADenyInsideTheRequestTravelsOneOverItForbids) {
  add(pod("a", {write_rule("/ws")}, {read_rule("/ws/secret"), write_rule("/ws/frozen")}));
  auto refused = [&](scope::ScopeRule rule) {
    return failed(delegate(child("a", "b", {rule})), Code::PermissionDenied, {"not within", "deny"});
  };
  EXPECT_TRUE(refused(read_rule("/ws/secret")));
  EXPECT_TRUE(refused(write_rule("/ws/secret/x")));
  EXPECT_TRUE(refused(write_rule("/ws/frozen")));
  ASSERT_TRUE(delegate(child("a", "b", {read_rule("/ws/frozen"), write_rule("/ws")},
                             {read_rule("/ws/secret"), write_rule("/ws/frozen")})));
}

TEST_P(RegistryContract, Case65ADelegationScopeAloneDecides) {
  add(pod("orchestrator", {read_rule("/ws")}));
  scope::ScopeConfig delegation{{read_rule("/ws"), write_rule("/ws/wt")}, {write_rule("/ws/wt/keep")}};
  auto ask = [&](Rules rules) {
    return registry_->delegate(child("orchestrator", "coder", rules), delegation, Limits{});
  };
  EXPECT_TRUE(failed(ask({write_rule("/ws")}), Code::PermissionDenied,
                     {"outside this Pod's delegation scope grant", "write:/ws "}));
  EXPECT_TRUE(failed(ask({write_rule("/ws/wt")}), Code::PermissionDenied,
                     {"outside this Pod's delegation scope grant"}));
  EXPECT_TRUE(ask({read_rule("/ws"), write_rule("/ws/wt/t")}));
  EXPECT_EQ(get("coder").delegated_from, "orchestrator-id");
  EXPECT_EQ(lent("orchestrator"), Rules{write_rule("/ws/wt/t")});
  EXPECT_TRUE(
      failed(registry_->register_pod(pod("x", {write_rule("/ws/wt/t/x")})), Code::Conflict, {"'coder'"}));
}

TEST_P(RegistryContract, AnEmptyDelegationScopeForbids) {
  add(pod("a", {write_rule("/ws")}));
  EXPECT_TRUE(failed(
      registry_->delegate(child("a", "b", {read_rule("/ws")}), scope::ScopeConfig{}, Limits{}),
      Code::PermissionDenied,
      {"outside this Pod's delegation scope grant", "no delegation scope grant", "direct filesystem scope"}));
}

TEST_P(RegistryContract, ADelegationScopeDoesNotReachIntoWhatAnAncestorStillWrites) {
  add(pod("root", {write_rule("/ws")}));
  spawn(child("root", "middle", {read_rule("/ws"), write_rule("/ws/a")}));
  scope::ScopeConfig delegation{{write_rule("/ws")}, {}};
  EXPECT_TRUE(
      failed(registry_->delegate(child("middle", "leaf", {write_rule("/ws/b")}), delegation, Limits{}),
             Code::Conflict, {"'root'"}));
  EXPECT_TRUE(failed(registry_->delegate(child("middle", "leaf", {write_rule("/ws")}), delegation, Limits{}),
                     Code::Conflict, {"'root'"}));
  EXPECT_TRUE(registry_->delegate(child("middle", "leaf", {write_rule("/ws/a")}), delegation, Limits{}));
}

TEST_P(RegistryContract, LimitsAreCheckedWithTheGrant) {
  add(pod("r", {write_rule("/w")}));
  auto ask = [&](std::string const& spawner, std::string const& name, Limits limits) {
    return registry_->delegate(child(spawner, name, {read_rule("/w")}), std::nullopt, limits);
  };
  EXPECT_TRUE(failed(ask("r", "c1", {.max_depth = 0}), Code::LimitReached, {"max_depth is 0"}));
  spawn(child("r", "c1", {read_rule("/w")}));
  EXPECT_TRUE(failed(ask("c1", "d1", {.max_depth = 1}), Code::LimitReached, {"max_depth is 1"}));
  EXPECT_TRUE(ask("c1", "d1", {.max_depth = 2}));
  EXPECT_TRUE(failed(ask("r", "c2", {.max_children = 1}), Code::LimitReached, {"max_children is 1"}));
  EXPECT_TRUE(ask("r", "c2", {.max_children = 2}));
  EXPECT_TRUE(failed(ask("r", "c3", {.max_live_pods = 4}), Code::LimitReached, {"max_live_pods is 4"}));
  die("c1");
  EXPECT_TRUE(ask("r", "c3", {.max_live_pods = 3})) << "c1 is dead and its reservation with it";
}

// --- the tree ---

TEST_P(RegistryContract, Case57ReleaseGivesTheChildrenToTheGrandparent) {
  add(pod("g", {write_rule("/w")}));
  spawn(child("g", "p", {write_rule("/w/p")}));
  spawn(child("p", "c", {write_rule("/w/p/c")}));
  release("p");
  EXPECT_EQ(parent("c"), "g");
  EXPECT_EQ(lent("g"), Rules{write_rule("/w/p/c")});
  release("g");
  EXPECT_EQ(parent("c"), "");
}

TEST_P(RegistryContract, Case58And63WhatWasLentReturnsWithTheRelease) {
  add(pod("a", {write_rule("/src")}, {write_rule("/src/core")}));
  spawn(child("a", "b", {write_rule("/src/doc")}));
  EXPECT_EQ(lent("a"), Rules{write_rule("/src/doc")});
  release("b");
  EXPECT_EQ(lent("a"), Rules{});
  EXPECT_EQ(get("a").scope_deny, Rules{write_rule("/src/core")}) << "a Pod's own denies are not touched";
  EXPECT_TRUE(delegate(child("a", "c", {write_rule("/src/doc/x")})));
}

TEST_P(RegistryContract, Case59ReleasingAChildThatIsGoneChangesNothing) {
  add(pod("a", {write_rule("/src")}));
  EXPECT_TRUE(failed(registry_->release("b-id", "b-1"), Code::NotFound, {}));
  EXPECT_EQ(names(), Names{"a"});
}

TEST_P(RegistryContract, Case60TheDeadAreReclaimedAndTheirChildrenMoveUp) {
  add(pod("g", {write_rule("/w")}));
  spawn(child("g", "p", {write_rule("/w/p")}));
  spawn(child("p", "c", {write_rule("/w/p/c")}));
  spawn(child("c", "d", {write_rule("/w/p/c/d")}));
  die("p");
  die("c");
  EXPECT_EQ(names(), (Names{"d", "g"}));
  EXPECT_EQ(parent("d"), "g");
  EXPECT_EQ(lent("g"), Rules{write_rule("/w/p/c/d")});
  EXPECT_TRUE(delegate(child("g", "e", {write_rule("/w/p/x")})));
}

TEST_P(RegistryContract, EveryReadSeesTheTreeWithoutTheDead) {
  auto prepare = [&](std::string const& base) {
    add(pod(base + "g", {write_rule("/" + base)}));
    spawn(child(base + "g", base + "p", {write_rule("/" + base + "/p")}));
    spawn(child(base + "p", base + "c", {write_rule("/" + base + "/p/c")}));
    die(base + "p");
  };
  prepare("find");
  EXPECT_EQ(registry_->find("findp").value(), std::nullopt);
  prepare("up");
  EXPECT_EQ(parent("upc"), "upg");
  prepare("children");
  EXPECT_EQ(registry_->children("childreng-id").value(), std::vector<Allocation>{get("childrenc")});
  prepare("lent");
  EXPECT_EQ(lent("lentg"), Rules{write_rule("/lent/p/c")});
}

TEST_P(RegistryContract, TheDeadHoldNoNameScopeOrSegment) {
  Allocation row = pod("a", {write_rule("/w")});
  row.segment_id = "seg";
  add(row);
  die("a");
  row.instance_id = "a-2";
  add(row);
}

TEST_P(RegistryContract, LentNamesWhatTheLineDoesNotCover) {
  add(pod("g", {write_rule("/w")}, {write_rule("/w/wt")}));
  scope::ScopeConfig delegation{{write_rule("/w/p"), write_rule("/w/wt")}, {}};
  spawn(child("g", "p", {read_rule("/w"), write_rule("/w/p")}));
  ASSERT_TRUE(registry_->delegate(child("p", "c", {write_rule("/w/wt/t"), write_rule("/w/p/c")}), delegation,
                                  Limits{}));
  EXPECT_EQ(lent("p"), (Rules{write_rule("/w/wt/t"), write_rule("/w/p/c")}));
  EXPECT_EQ(lent("g"), (Rules{write_rule("/w/p"), write_rule("/w/wt/t")}));
}

// --- coming back ---

TEST_P(RegistryContract, ARestoredChildIsAChildAgain) {
  add(pod("p", {write_rule("/w")}));
  Allocation c = child("p", "c", {write_rule("/w/c")});
  spawn(c);
  die("c");
  c.instance_id = "c-2";
  c.state = AllocationState::Live;
  add(c);
  EXPECT_EQ(get("c"), c);
  EXPECT_EQ(lent("p"), Rules{write_rule("/w/c")});
}

TEST_P(RegistryContract, ARestoredChildDoesNotGetWhatASiblingHoldsNow) {
  add(pod("p", {write_rule("/w")}));
  Allocation c = child("p", "c", {write_rule("/w/c")});
  spawn(c);
  release("c");
  spawn(child("p", "d", {write_rule("/w/c/x")}));
  EXPECT_TRUE(failed(registry_->register_pod(c), Code::Conflict, {"'d'"}));
}

TEST_P(RegistryContract, ARestoredParentGetsItsLivingChildrenBack) {
  add(pod("p", {write_rule("/w")}));
  spawn(child("p", "c", {write_rule("/w/c")}));
  spawn(child("c", "d", {write_rule("/w/c/d")}));
  die("p");
  EXPECT_EQ(parent("c"), "");
  Allocation p = pod("p", {write_rule("/w")});
  p.instance_id = "p-2";
  add(p);
  EXPECT_EQ(parent("c"), "p");
  EXPECT_EQ(parent("d"), "c");
  EXPECT_EQ(lent("p"), Rules{write_rule("/w/c")});
}

TEST_P(RegistryContract, AFamilyComesBackInAnyOrderIfTheRefusedTryAgain) {
  std::vector<Allocation> family{pod("g", {write_rule("/w")}), child("g", "p", {write_rule("/w/p")}),
                                 child("p", "c", {write_rule("/w/p/c")})};
  std::vector<int> order{0, 1, 2};
  do {
    std::vector<int> waiting = order;
    for (int round = 0; round < 3 && !waiting.empty(); ++round) {
      std::erase_if(waiting, [&](int index) {
        return registry_->register_pod(family[static_cast<size_t>(index)]).has_value();
      });
    }
    ASSERT_TRUE(waiting.empty());
    EXPECT_EQ(parent("g"), "");
    EXPECT_EQ(parent("p"), "g");
    EXPECT_EQ(parent("c"), "p");
    for (auto name : {"g", "p", "c"}) release(name);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_P(RegistryContract, ARestoredMiddleComesBackBetweenItsFamily) {
  add(pod("g", {write_rule("/w")}));
  Allocation p = child("g", "p", {write_rule("/w/p")});
  spawn(p);
  spawn(child("p", "c", {write_rule("/w/p/c")}));
  die("p");
  EXPECT_EQ(parent("c"), "g");
  p.instance_id = "p-2";
  spawn(p);
  EXPECT_EQ(parent("c"), "p");
  EXPECT_EQ(parent("p"), "g");
}

TEST_P(RegistryContract, AStrangerDoesNotGetAnothersChildren) {
  add(pod("p", {write_rule("/w")}));
  spawn(child("p", "c", {write_rule("/w/c")}));
  release("p");
  EXPECT_TRUE(failed(registry_->register_pod(pod("stranger", {write_rule("/w")})), Code::Conflict, {"'c'"}));
}

}  // namespace
}  // namespace insomnia::registry
