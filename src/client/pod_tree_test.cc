#include "client/pod_tree.hh"

#include <set>
#include <vector>

#include "client/fake_pod_test.hh"

namespace insomnia::client {
namespace {

struct PodTreeTest : testing::Test {
  SystemClock clock;
  loop::EventLoop loop{clock};
  SocketDir directory;
  std::vector<std::string> heard;  // "depth pod event"
  std::optional<Error> closed;

  PodTree::Handler recording() {
    return {.on_event =
                [this](PodOrigin const& origin, wire::Event const& event) {
                  heard.push_back(std::to_string(origin.depth) + " " + origin.pod_name + " " +
                                  std::string(wire::event_name(event.body)));
                },
            .on_root_closed = [this](Error const& error) { closed = error; }};
  }
  wire::ChildInfo child(std::string const& name, std::string const& state) {
    return {.pod_name = name, .pod_id = "id-" + name, .socket_path = directory.file(name), .state = state};
  }
  bool has(std::string const& line) const {
    return std::find(heard.begin(), heard.end(), line) != heard.end();
  }
};

TEST_F(PodTreeTest, ChildrenAndGrandchildrenAreFollowedAndTheirEndIsNormal) {
  FakePod root(loop, directory.file("root"));
  FakePod kid(loop, directory.file("kid"));
  FakePod grandkid(loop, directory.file("grandkid"));
  root.prelude = [&](auto& peer) {
    peer.say(wire::SnapshotEvent{});
    peer.say(wire::ChildEvent{child("kid", "running")});
  };
  kid.prelude = [&](auto& peer) { peer.say(wire::SnapshotEvent{.children = {child("grandkid", "idle")}}); };
  grandkid.prelude = [&](auto& peer) {
    peer.say(wire::SnapshotEvent{});
    peer.say(wire::TextDeltaEvent{"deep"});
    peer.say(wire::ShutdownEvent{});
    peer.hang_up();
  };
  PodTree tree(loop, "root", directory.file("root"), true, recording());
  run_until(loop, [&] { return has("2 grandkid shutdown"); });
  EXPECT_TRUE(has("1 kid snapshot"));
  EXPECT_TRUE(has("2 grandkid text_delta"));
  EXPECT_FALSE(closed);
  root.peers.front().hang_up();
  run_until(loop, [&] { return closed.has_value(); });
}

TEST_F(PodTreeTest, AChildThatIsStillStartingIsReachedWhenItRuns) {
  FakePod root(loop, directory.file("root"));
  std::unique_ptr<FakePod> kid;
  root.prelude = [&](auto& peer) {
    peer.say(wire::SnapshotEvent{});
    peer.say(wire::ChildEvent{child("kid", "starting")});
  };
  PodTree tree(loop, "root", directory.file("root"), true, recording());
  run_until(loop, [&] { return has("0 root child"); });
  for (int i = 0; i < 3; ++i) loop.run_once(0);  // the attempt fails: nobody listens yet
  kid = std::make_unique<FakePod>(loop, directory.file("kid"));
  root.peers.front().say(wire::ChildEvent{child("kid", "running")});
  run_until(loop, [&] { return has("1 kid snapshot"); });
}

TEST_F(PodTreeTest, AChildThatListensLateIsTriedAgain) {
  FakePod root(loop, directory.file("root"));
  root.prelude = [&](auto& peer) { peer.say(wire::SnapshotEvent{.children = {child("kid", "running")}}); };
  PodTree tree(loop, "root", directory.file("root"), true, recording());
  run_until(loop, [&] { return has("0 root snapshot"); });
  for (int i = 0; i < 3; ++i) loop.run_once(0);
  FakePod kid(loop, directory.file("kid"));
  run_until(loop, [&] { return has("1 kid snapshot"); });
}

TEST_F(PodTreeTest, WhoWasCutOffForBeingSlowComesBack) {
  FakePod root(loop, directory.file("root"));
  root.prelude = [](auto& peer) {
    peer.say(wire::SnapshotEvent{});
    peer.say(wire::DisconnectEvent{"too slow"});
    peer.hang_up();
  };
  PodTree tree(loop, "root", directory.file("root"), true, recording());
  run_until(loop, [&] { return has("0 root disconnect"); });
  root.prelude = [](auto& peer) {
    peer.say(wire::SnapshotEvent{});
    peer.say(wire::TextDeltaEvent{"again"});
  };
  run_until(loop, [&] { return has("0 root text_delta"); });
  EXPECT_FALSE(closed);
}

TEST_F(PodTreeTest, EndedChildrenAndThoseNotWantedAreNotFollowed) {
  FakePod root(loop, directory.file("root"));
  FakePod kid(loop, directory.file("kid"));
  root.prelude = [&](auto& peer) {
    peer.say(wire::SnapshotEvent{.children = {child("kid", "stopped")}});
    peer.say(wire::TextDeltaEvent{"end"});
  };
  PodTree tree(loop, "root", directory.file("root"), true, recording());
  run_until(loop, [&] { return has("0 root text_delta"); });
  for (int i = 0; i < 3; ++i) loop.run_once(0);
  EXPECT_TRUE(kid.peers.empty());

  heard.clear();
  root.prelude = [&](auto& peer) {
    peer.say(wire::SnapshotEvent{.children = {child("kid", "running")}});
    peer.say(wire::TextDeltaEvent{"end"});
  };
  PodTree alone(loop, "root", directory.file("root"), false, recording());
  run_until(loop, [&] { return has("0 root text_delta"); });
  for (int i = 0; i < 3; ++i) loop.run_once(0);
  EXPECT_TRUE(kid.peers.empty());
}

TEST_F(PodTreeTest, MethodsGoToTheRoot) {
  FakePod root(loop, directory.file("root"));
  std::optional<wire::Method> got;
  root.on_method = [&](auto&, wire::Method const& method) { got = method; };
  PodTree tree(loop, "root", directory.file("root"), true, recording());
  tree.send_to_root({wire::CancelMethod{}});
  run_until(loop, [&] { return got.has_value(); });
  EXPECT_TRUE(tree.flushed());
}

}  // namespace
}  // namespace insomnia::client
