#include <gtest/gtest.h>

#include "registry/contract_test.hh"

// A registry that was lost is made anew of what the living hold; a grant that falls into that moment counts
// once.
namespace insomnia::registry {
namespace {

/// What several registries of one process have been told, as the files of living Pods would keep it.
struct Memory {
  std::vector<Holding> held;
  std::vector<std::string> told;  ///< "granted a", "withdrawn a-id"
  std::function<void()> on_granted;
  Result<void> answer;

  SqliteOptions options() {
    SqliteOptions options;
    options.census = [this]() -> Result<std::vector<Holding>> { return held; };
    options.granted = [this](Holding const& holding) -> Result<void> {
      told.push_back("granted " + holding.row.pod_name);
      if (!answer) return answer;
      std::erase_if(held, [&](Holding const& other) { return other.row.pod_id == holding.row.pod_id; });
      held.push_back(holding);
      if (auto then = std::exchange(on_granted, nullptr)) then();
      return {};
    };
    options.withdrawn = [this](std::string const& pod_id, std::string const& instance_id) {
      told.push_back("withdrawn " + pod_id);
      std::erase_if(held, [&](Holding const& other) {
        return other.row.pod_id == pod_id && other.row.instance_id == instance_id;
      });
    };
    return options;
  }
};

class Rebuild : public testing::Test {
 protected:
  std::unique_ptr<Registry> open() {
    auto opened = open_sqlite_registry(file(), instances_.liveness(), memory_.options());
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *std::move(opened) : nullptr;
  }
  std::string file() const { return directory_ / "registry.db"; }
  void lose() {
    for (auto suffix : {"", "-wal", "-shm"}) ASSERT_EQ(::unlink((file() + suffix).c_str()), 0);
  }
  void add(Registry& registry, Allocation const& row) {
    auto added = registry.register_pod(row);
    ASSERT_TRUE(added) << added.error().message;
  }
  void spawn(Registry& registry, Allocation const& row) {
    ASSERT_TRUE(registry.delegate(row, std::nullopt, Limits{}));
    auto adopted = registry.adopt(row.pod_id, row.instance_id, row.pid, row.segment_id);
    ASSERT_TRUE(adopted) << adopted.error().message;
  }
  std::string parent(Registry& registry, std::string const& name) {
    auto found = registry.find(name).value();
    EXPECT_TRUE(found) << name;
    return found ? found->delegated_from : "";
  }

  scope::TestDirectory directory_;
  Instances instances_;
  Memory memory_;
};

TEST_F(Rebuild, TheNewFileHasTheRowsOfTheLiving) {
  auto registry = open();
  Allocation root = pod("a", {write_rule("/w"), read_rule("/r", false)}, {write_rule("/w/no")});
  root.segment_id = "segment";
  add(*registry, root);
  spawn(*registry, child("a", "b", {write_rule("/w/b")}));
  ASSERT_TRUE(registry->delegate(child("b", "c", {write_rule("/w/b/c")}), std::nullopt, Limits{}));
  auto before = registry->list().value();
  lose();
  EXPECT_EQ(registry->list().value(), before) << "also what is reserved";
  EXPECT_EQ(registry->lent("a-id").value(), Rules{write_rule("/w/b")});
  EXPECT_TRUE(failed(registry->register_pod(pod("thief", {write_rule("/w/b/c/x")})), Code::Conflict,
                     {"'c'", "starting"}));
  EXPECT_TRUE(failed(registry->register_pod(pod("b", {read_rule("/")})), Code::AlreadyExists, {"'b'"}));
  Allocation same = pod("same", {read_rule("/")});
  same.segment_id = "segment";
  EXPECT_TRUE(failed(registry->register_pod(same), Code::Conflict, {"'a'"}));
  EXPECT_TRUE(registry->adopt("c-id", "c-1", 1, "")) << "a spawn under way goes on";
  ASSERT_TRUE(registry->release("b-id", "b-1"));
  EXPECT_EQ(parent(*registry, "c"), "a-id");
}

TEST_F(Rebuild, OfTheAncestorsTheNearestThatLivesIsTheParent) {
  auto registry = open();
  add(*registry, pod("g", {write_rule("/w")}));
  spawn(*registry, child("g", "p", {write_rule("/w/p")}));
  spawn(*registry, child("p", "c", {write_rule("/w/p/c")}));
  ASSERT_TRUE(registry->release("p-id", "p-1"));
  lose();
  EXPECT_EQ(parent(*registry, "c"), "g-id");
  Allocation restored = pod("p", {write_rule("/w/p")});
  restored.delegated_from = "g-id";
  add(*registry, restored);
  EXPECT_EQ(parent(*registry, "c"), "p-id") << "it remembers its parent";
}

TEST_F(Rebuild, FilesThatNameEachOtherAsAncestorsEndNowhere) {
  memory_.held = {
      {pod("a", {}), {"b-id", "c-id"}}, {pod("b", {}), {"a-id"}}, {pod("c", {}), {"c-id", "b-id"}}};
  auto registry = open();
  EXPECT_EQ(registry->list()->size(), 3u);
  EXPECT_EQ(registry->lent("a-id").value(), Rules{});
}

TEST_F(Rebuild, WithoutACensusNothingIsMade) {
  SqliteOptions options = memory_.options();
  options.census = []() -> Result<std::vector<Holding>> {
    return fail(Code::Unavailable, "Pod `x` says nothing");
  };
  auto refused = open_sqlite_registry(file(), instances_.liveness(), options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unavailable);
  EXPECT_EQ(refused.error().message, "Pod `x` says nothing");
  EXPECT_FALSE(io::exists(file()));
  EXPECT_TRUE(open());
}

TEST_F(Rebuild, TwoLivingPodsOfOneNameAreNotGuessedAbout) {
  Allocation twin = pod("a", {});
  twin.pod_id = "twin-id";
  memory_.held = {{pod("a", {}), {}}, {twin, {}}};
  auto refused = open_sqlite_registry(file(), instances_.liveness(), memory_.options());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unavailable);
}

TEST_F(Rebuild, EveryGrantIsToldAndEveryRelease) {
  auto registry = open();
  add(*registry, pod("a", {write_rule("/w")}));
  spawn(*registry, child("a", "b", {write_rule("/w/b")}));
  ASSERT_TRUE(registry->update_segment("a-id", "a-1", "next"));
  ASSERT_TRUE(registry->release("b-id", "b-1"));
  ASSERT_FALSE(registry->register_pod(pod("c", {write_rule("/w")})));
  EXPECT_EQ(memory_.told,
            (std::vector<std::string>{"granted a", "granted b", "granted b", "granted a", "withdrawn b-id"}));
  ASSERT_EQ(memory_.held.size(), 1u);
  EXPECT_EQ(memory_.held[0].row, registry->find("a").value().value());
}

TEST_F(Rebuild, AGrantThatCannotBeNotedIsNone) {
  auto registry = open();
  memory_.answer = fail(Code::NoSpace, "no room");
  EXPECT_TRUE(failed(registry->register_pod(pod("a", {write_rule("/w")})), Code::NoSpace, {"no room"}));
  EXPECT_TRUE(registry->list()->empty());
  memory_.answer = {};
  add(*registry, pod("b", {write_rule("/w")}));
}

TEST_F(Rebuild, AGrantInAFileThatIsLostAtThatMomentIsMadeAgain) {
  auto registry = open();
  add(*registry, pod("a", {write_rule("/a")}));
  // Somebody else makes the new file when the grant is noted already ...
  memory_.on_granted = [&] {
    lose();
    EXPECT_EQ(open()->list()->size(), 2u);
  };
  add(*registry, pod("b", {write_rule("/b")}));
  EXPECT_EQ(open()->list()->size(), 2u);
  // ... or before it was.
  memory_.on_granted = [&] {
    memory_.held.pop_back();
    lose();
    EXPECT_EQ(open()->list()->size(), 2u);
  };
  spawn(*registry, child("a", "c", {write_rule("/a/c")}));
  EXPECT_EQ(open()->list()->size(), 3u);
  memory_.on_granted = [&] { lose(); };
  spawn(*registry, child("a", "d", {write_rule("/a/d")}));
  EXPECT_EQ(open()->list()->size(), 4u);
  EXPECT_EQ(memory_.held.size(), 4u);
}

TEST_F(Rebuild, AGrantInALostFileIsNoneWhenAnotherWasFaster) {
  auto registry = open();
  memory_.on_granted = [&] {
    memory_.held.clear();  // the new file was made before it was noted
    lose();
    add(*open(), pod("fast", {write_rule("/w/x")}));
  };
  EXPECT_TRUE(failed(registry->register_pod(pod("slow", {write_rule("/w")})), Code::Conflict, {"'fast'"}));
  ASSERT_EQ(memory_.held.size(), 1u);
  EXPECT_EQ(memory_.held[0].row.pod_name, "fast");
}

TEST_F(Rebuild, AReleaseInALostFileIsARelease) {
  auto registry = open();
  add(*registry, pod("a", {write_rule("/w")}));
  lose();
  EXPECT_TRUE(failed(registry->release("a-id", "a-1"), Code::NotFound, {})) << "it is not noted any more";
  EXPECT_TRUE(registry->list()->empty());
}

TEST_F(Rebuild, AdoptionInALostFileIsMadeAgain) {
  auto registry = open();
  add(*registry, pod("a", {write_rule("/w")}));
  ASSERT_TRUE(registry->delegate(child("a", "b", {write_rule("/w/b")}), std::nullopt, Limits{}));
  auto reserved = memory_.held;
  memory_.on_granted = [&] {
    memory_.held = reserved;  // the child's note came too late for the new file
    lose();
    EXPECT_EQ(open()->list()->size(), 2u);
  };
  ASSERT_TRUE(registry->adopt("b-id", "b-1", 7, "seg"));
  EXPECT_EQ(registry->find("b").value()->state, AllocationState::Live);
  EXPECT_TRUE(failed(registry->adopt("b-id", "b-1", 7, "seg"), Code::NotFound, {})) << "once";
}

TEST_F(Rebuild, APartOfTheFilesIsNotEnough) {
  for (auto missing : {"-wal", "-shm"}) {
    auto registry = open();
    add(*registry, pod("a", {write_rule("/w")}));
    ASSERT_EQ(::unlink((file() + missing).c_str()), 0);
    EXPECT_TRUE(failed(open()->register_pod(pod("thief", {write_rule("/w")})), Code::Conflict, {"'a'"}))
        << missing;
    EXPECT_TRUE(failed(registry->register_pod(pod("thief", {write_rule("/w")})), Code::Conflict, {"'a'"}))
        << missing;
    ASSERT_TRUE(registry->release("a-id", "a-1"));
  }
}

}  // namespace
}  // namespace insomnia::registry
