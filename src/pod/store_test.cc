#include "pod/store.hh"

#include <sys/stat.h>

#include "pod/fixture_test.hh"

namespace insomnia::pod {
namespace {

PodState full() {
  PodState state;
  state.pod_name = "root";
  state.pod_id = "root-id";
  state.session_id = "s";
  state.segment_id = "g";
  state.cwd = "/w";
  state.workspace_root = "/w";
  state.task = "do it";
  state.profile = "builtin:default";
  state.parent = ParentLink{"pp", "pi", "top", "/run/top/sock"};
  state.config.pod_name = "root";
  state.config.scope.allow = {write_rule("/w")};
  state.ceilings.depth = 1;
  ChildRecord child;
  child.pod_name = "kid";
  child.pod_id = "kid-id";
  child.instance_id = "kid-1";
  child.socket_path = "/run/kid/sock";
  child.callback_address = "/run/root/sock";
  child.state = "live";
  child.task = "dig";
  child.profile = "inherit";
  child.scope_delegated = {write_rule("/w/sub"), read_rule("/w", false)};
  child.scope_deny = {write_rule("/w/sub/x")};
  child.mail_seq = 3;
  child.mail_awaited = 2;
  child.work_open = true;
  child.for_parent = true;
  child.taken_over = true;
  child.grandchild = true;
  child.read_segment = "seg";
  child.read_index = 7;
  state.spawned_children = {child};
  state.last_mail = 9;
  state.reclaimed_children = {{.pod_name = "old", .pod_id = "old-id", .instance_id = "old-1", .scope_delegated = {read_rule("/w/old")}}};
  return state;
}

class Store : public PodTest {};

// Case 73, 75, 76, 77.
TEST_F(Store, RoundTripOnDisk) {
  ASSERT_TRUE(write_pod_state(paths, full()));
  auto back = read_pod_state(paths, "root");
  ASSERT_TRUE(back) << back.error().message;
  ASSERT_TRUE(*back);
  EXPECT_EQ(**back, full());
}

// Case 136: a session without a segment is pending.
TEST_F(Store, PendingSegmentRoundTrips) {
  PodState state = full();
  state.segment_id.clear();
  auto back = decode_pod_state(encode_pod_state(state));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, state);
  EXPECT_EQ(encode_pod_state(state).find("segment_id"), std::string::npos);
}

// Case 74: nothing is written outside the Pod's own folder.
TEST_F(Store, WritesOnePrivateFile) {
  ASSERT_TRUE(write_pod_state(paths, full()));
  EXPECT_EQ(*io::list_directory(paths.data_dir), std::vector<std::string>{"pods"});
  EXPECT_EQ(*io::list_directory(paths.pod_dir("root")), std::vector<std::string>{"metadata.json"});
  struct stat info{};
  ASSERT_EQ(::stat((paths.pod_dir("root") + "/metadata.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(Store, UnknownPodHasNoState) {
  auto state = read_pod_state(paths, "nobody");
  ASSERT_TRUE(state);
  EXPECT_FALSE(*state);
}

TEST_F(Store, NamesThatAreNoNamesAreRefused) {
  for (auto* name : {"", "..", "a/b", ".x"}) EXPECT_FALSE(read_pod_state(paths, name)) << name;
}

TEST_F(Store, DamageNamesTheFileAndTheWayOut) {
  std::string file = paths.pod_dir("root") + "/metadata.json";
  ASSERT_TRUE(io::make_directories(paths.pod_dir("root")));
  for (auto* text : {"", "{", "[]", "{}", R"({"pod_name":"root","pod_id":"p"})", R"({"pod_name":1,"pod_id":"p","resolved_manifest_snapshot":{}})",
                     R"({"pod_name":"root","pod_id":"p","resolved_manifest_snapshot":{},"spawned_children":[{"pod_name":"k","scope_delegated":[{"target":"/","permission":"own"}]}]})"}) {
    ASSERT_TRUE(io::replace_file(file, text));
    auto state = read_pod_state(paths, "root");
    ASSERT_FALSE(state) << text;
    EXPECT_EQ(state.error().code, Code::Corrupt);
    EXPECT_HAS(state.error().message, file);
    EXPECT_HAS(state.error().message, "`root`");
    EXPECT_HAS(state.error().message, "move the file away");
  }
}

TEST_F(Store, ListsPodsThatHaveStateByName) {
  for (auto* name : {"b", "a"}) {
    PodState state = full();
    state.pod_name = name;
    ASSERT_TRUE(write_pod_state(paths, state));
  }
  ASSERT_TRUE(io::make_directories(paths.pod_dir("empty")));
  EXPECT_EQ(*list_pod_states(paths), (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace insomnia::pod
