#include "pod/fixture_test.hh"
#include "pod/restore.hh"
#include "session/segment_writer.hh"
#include "wire/log_entry.hh"

// Cases of doc/conformance.md about stored Pods that are brought back, or not.
namespace insomnia::pod {
namespace {

constexpr char kSession[] = "0192f0c0-0000-7000-8000-000000000001";
constexpr char kSegment[] = "0192f0c0-0000-7000-8000-000000000002";

class RestoreConformance : public PodTest {
 protected:
  PodState state(std::string const& name) const {
    PodState result;
    result.pod_name = name;
    result.pod_id = name + "-id";
    result.session_id = kSession;
    result.segment_id = kSegment;
    result.cwd = work;
    result.config.pod_name = name;
    result.config.scope.allow = {write_rule(work)};
    result.parent = ParentLink{"boss-id", "boss-instance", "boss", paths.pod_socket("boss")};
    return result;
  }
  void store(PodState const& stored) { ASSERT_TRUE(write_pod_state(paths, stored)); }
  void log(std::string const& content) {
    std::string file = session::segment_path(paths.sessions_dir(), {kSession, kSegment});
    ASSERT_TRUE(io::make_directories(io::parent_path(file)));
    ASSERT_TRUE(io::replace_file(file, content));
  }
  static std::string line(wire::LogRecord record) { return wire::encode_log_entry({1, std::move(record)}) + "\n"; }
  static std::string start_record() { return line(wire::SegmentStart{.session_id = kSession, .system_prompt = "Be good."}); }
  Error refused(std::string const& name, std::string const& pod_id) {
    auto child = read_restorable(paths, name, pod_id);
    EXPECT_FALSE(child);
    return child ? Error{} : child.error();
  }
};

// Case 137.
TEST_F(RestoreConformance, WhoHasNoStateIsMissing) {
  Error error = refused("kid", "kid-id");
  EXPECT_EQ(error.code, Code::NotFound);
  EXPECT_HAS(error.message, "pod state missing");
  EXPECT_HAS(error.message, "`kid`");
}

TEST_F(RestoreConformance, ANameThatIsAnothersByNowIsMissingToo) {
  store(state("kid"));
  EXPECT_HAS(refused("kid", "earlier-id").message, "it is another Pod by now");
  mark_done(paths, "kid", "earlier-id");
  EXPECT_EQ((*read_pod_state(paths, "kid"))->ended, "") << "the end of the earlier one is not the end of this one";
}

// Case 136: a session without a record was started and never given anything to do.
TEST_F(RestoreConformance, APendingSessionComesBackEmpty) {
  PodState pending = state("kid");
  store(pending);
  auto child = read_restorable(paths, "kid", "kid-id");
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_EQ(*child, (RestorableChild{pending, false}));
  pending.segment_id.clear();
  store(pending);
  EXPECT_TRUE(read_restorable(paths, "kid", "kid-id"));
}

// Case 138: the lock says who lives, not the socket.
TEST_F(RestoreConformance, TheLivingAreNotRestoredTheDeadAre) {
  store(state("kid"));
  log(start_record());
  {
    auto lock = registry::InstanceLock::acquire(paths.pod_dir("kid") + "/lock", "kid-instance");
    ASSERT_TRUE(lock);
    Error error = refused("kid", "kid-id");
    EXPECT_EQ(error.code, Code::AlreadyExists);
    EXPECT_HAS(error.message, "process " + std::to_string(::getpid()));
    EXPECT_TRUE(children_to_restore(paths, "boss-id").empty());
    mark_done(paths, "kid", "kid-id");
    EXPECT_EQ((*read_pod_state(paths, "kid"))->ended, "") << "a living one has not ended";
  }
  EXPECT_TRUE(read_restorable(paths, "kid", "kid-id"));
  EXPECT_EQ(children_to_restore(paths, "boss-id").size(), 1u);
  mark_done(paths, "kid", "kid-id");
  EXPECT_TRUE(children_to_restore(paths, "boss-id").empty()) << "it was stopped for good";
  EXPECT_TRUE(read_restorable(paths, "kid", "kid-id")) << "but can be asked for by name";
}

// Case 141.
TEST_F(RestoreConformance, ADamagedSessionIsNamed) {
  store(state("kid"));
  log(start_record() + "{damaged}\n" + start_record());
  Error error = refused("kid", "kid-id");
  EXPECT_EQ(error.code, Code::Unavailable);
  EXPECT_HAS(error.message, kSegment);
  EXPECT_TRUE(children_to_restore(paths, "boss-id").empty()) << "a restore of the parent leaves it out";
}

// Case 141.
TEST_F(RestoreConformance, DamagedStateIsNamedAndKept) {
  std::string file = paths.pod_dir("kid") + "/metadata.json";
  ASSERT_TRUE(io::make_directories(paths.pod_dir("kid")));
  ASSERT_TRUE(io::replace_file(file, "{ torn"));
  EXPECT_HAS(refused("kid", "kid-id").message, file);
  mark_done(paths, "kid", "kid-id");
  EXPECT_EQ(*io::read_file(file), "{ torn");
}

TEST_F(RestoreConformance, AnInterruptedRunGoesOn) {
  store(state("kid"));
  log(start_record() + line(wire::Invoke{"user_send", true}) + line(wire::UserInput{wire::text_segments("work"), std::nullopt}));
  auto child = read_restorable(paths, "kid", "kid-id");
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_TRUE(child->works);
}

// Case 137: children of others are not brought back.
TEST_F(RestoreConformance, OnlyTheOwnChildrenComeBackByName) {
  for (auto* name : {"b", "a"}) store(state(name));
  PodState other = state("other");
  other.parent->pod_id = "another-boss";
  store(other);
  PodState root = state("root");
  root.parent.reset();
  store(root);
  auto children = children_to_restore(paths, "boss-id");
  ASSERT_EQ(children.size(), 2u);
  EXPECT_EQ(children[0].state.pod_name, "a");
  EXPECT_EQ(children[1].state.pod_name, "b");
}

}  // namespace
}  // namespace insomnia::pod
