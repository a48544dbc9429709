#include "client/connection.hh"

#include <vector>

#include "client/fake_pod_test.hh"

namespace insomnia::client {
namespace {

struct ConnectionTest : testing::Test {
  SystemClock clock;
  loop::EventLoop loop{clock};
  SocketDir directory;
  std::string path = directory.file("sock");

  std::vector<std::string> names;
  std::optional<Error> closed;
  Connection::Handler recording() {
    return {
        .on_event = [this](wire::Event const& event) { names.emplace_back(wire::event_name(event.body)); },
        .on_closed = [this](Error const& error) { closed = error; }};
  }
};

TEST_F(ConnectionTest, EventsArriveInOrderAndMethodsWaitForTheSnapshot) {
  FakePod pod(loop, path);
  std::vector<wire::Method> got;
  pod.prelude = [](auto& peer) {
    peer.say(wire::AlertEvent{"warn", "pod", "old news", 1});
    peer.say(wire::AlertEvent{"warn", "pod", "more", 2});
    peer.say(wire::SnapshotEvent{});
    peer.say_line(R"({"event":"from_the_future","data":{"x":1}})");
    peer.say(wire::TextDeltaEvent{"hi"});
  };
  pod.on_method = [&](auto&, wire::Method const& method) { got.push_back(method); };
  Connection connection(loop, path, recording());
  EXPECT_EQ(connection.peer_pid(), 0);
  connection.send({wire::PauseMethod{}, "a"});
  EXPECT_FALSE(connection.flushed());
  run_until(loop, [&] { return got.size() == 1 && names.size() == 5; });
  EXPECT_EQ(names, (std::vector<std::string>{"alert", "alert", "snapshot", "from_the_future", "text_delta"}));
  EXPECT_EQ(got[0], (wire::Method{wire::PauseMethod{}, "a"}));
  EXPECT_TRUE(connection.flushed());
  EXPECT_EQ(connection.peer_pid(), ::getpid());
}

TEST_F(ConnectionTest, LinesAreGivenAsTheyCame) {
  FakePod pod(loop, path);
  std::string const line = R"({"event":"from_the_future","data":{"x":1}})";
  pod.prelude = [&](auto& peer) { peer.say_line(line); };
  std::string got;
  auto handler = recording();
  handler.on_line = [&](std::string_view text) { got = text; };
  Connection connection(loop, path, std::move(handler));
  run_until(loop, [&] { return !names.empty(); });
  EXPECT_EQ(got, line);
}

TEST_F(ConnectionTest, FlushedIsToldOnce) {
  FakePod pod(loop, path);
  int flushes = 0;
  auto handler = recording();
  handler.on_flushed = [&] { ++flushes; };
  Connection connection(loop, path, std::move(handler));
  connection.send({wire::PokeMethod{}});
  run_until(loop, [&] { return flushes == 1; });
  connection.send({wire::PokeMethod{}});
  run_until(loop, [&] { return flushes == 2; });
}

TEST_F(ConnectionTest, AMissingSocketIsUnavailableAndNamed) {
  Connection connection(loop, path, recording());
  EXPECT_FALSE(closed) << "never before the constructor returned";
  run_until(loop, [&] { return closed.has_value(); });
  EXPECT_EQ(closed->code, Code::Unavailable);
  EXPECT_NE(closed->message.find(path), std::string::npos);
}

TEST_F(ConnectionTest, ADeadSocketFileIsUnavailable) {
  {
    FakePod pod(loop, path);
  }
  Connection connection(loop, path, recording());
  run_until(loop, [&] { return closed.has_value(); });
  EXPECT_EQ(closed->code, Code::Unavailable);
}

TEST_F(ConnectionTest, AnOverlongPathSaysSo) {
  Connection connection(loop, "/tmp/" + std::string(200, 'x'), recording());
  run_until(loop, [&] { return closed.has_value(); });
  EXPECT_EQ(closed->code, Code::InvalidArgument);
  EXPECT_NE(closed->message.find("INSOMNIA_RUNTIME_DIR"), std::string::npos);
}

TEST_F(ConnectionTest, TheReasonOfADisconnectIsPartOfTheEnd) {
  FakePod pod(loop, path);
  pod.prelude = [](auto& peer) {
    peer.say(wire::SnapshotEvent{});
    peer.say(wire::DisconnectEvent{"too slow"});
    peer.hang_up();
  };
  Connection connection(loop, path, recording());
  run_until(loop, [&] { return closed.has_value(); });
  EXPECT_EQ(names, (std::vector<std::string>{"snapshot", "disconnect"}));
  EXPECT_EQ(closed->code, Code::Unavailable);
  EXPECT_NE(closed->message.find("too slow"), std::string::npos);
}

TEST_F(ConnectionTest, WhatIsNoEventEndsTheConnection) {
  FakePod pod(loop, path);
  pod.prelude = [](auto& peer) { peer.say_line("SSH-2.0-whatever"); };
  Connection connection(loop, path, recording());
  run_until(loop, [&] { return closed.has_value(); });
  EXPECT_NE(closed->message.find(path), std::string::npos);
}

TEST_F(ConnectionTest, ACallbackMayDestroyTheConnection) {
  FakePod pod(loop, path);
  pod.prelude = [](auto& peer) {
    peer.say(wire::SnapshotEvent{});
    peer.say(wire::TextDeltaEvent{"never seen"});
  };
  std::optional<Connection> connection;
  int events = 0;
  connection.emplace(loop, path, Connection::Handler{.on_event = [&](wire::Event const&) {
                       ++events;
                       connection.reset();
                       loop.stop();
                     }});
  loop.run();
  EXPECT_EQ(events, 1);

  connection.emplace(loop, directory.file("nobody"), Connection::Handler{.on_closed = [&](Error const&) {
                       connection.reset();
                       loop.stop();
                     }});
  loop.run();
  EXPECT_FALSE(connection);
}

struct RunDeliveryTest : ConnectionTest {
  std::optional<Result<void>> result;
  std::function<void(Result<void>)> keep() {
    return [this](Result<void> got) { result = std::move(got); };
  }
  void finish() {
    run_until(loop, [&] { return result.has_value(); });
  }
};

// Case 99.
TEST_F(RunDeliveryTest, TwoMebibytesEachWayDoNotDeadlock) {
  FakePod pod(loop, path);
  std::string const big(2 << 20, 'x');
  pod.prelude = [&](auto& peer) {
    wire::SnapshotEvent snapshot;
    snapshot.greeting.scope_summary = big;
    peer.say(snapshot);
  };
  std::string got;
  pod.on_method = [&](auto& peer, wire::Method const& method) {
    auto const& run = std::get<wire::RunMethod>(method.body);
    got = wire::flatten(run.input);
    peer.say(wire::Event{.body = wire::UserMessageEvent{run.input}, .id = method.id});
  };
  RunDelivery delivery(loop, path, big, 30'000, keep());
  finish();
  EXPECT_TRUE(result->has_value());
  EXPECT_EQ(got, big);
}

// Case 98, 99: whatever is said before and beside it.
TEST_F(RunDeliveryTest, EachProofOfAcceptanceCounts) {
  for (wire::EventBody const& proof :
       {wire::EventBody{wire::UserMessageEvent{}}, wire::EventBody{wire::InvokeStartEvent{"user_send"}},
        wire::EventBody{wire::TurnStartEvent{}}}) {
    result.reset();
    FakePod pod(loop, path);
    pod.prelude = [](auto& peer) {
      peer.say(wire::AlertEvent{"warn", "pod", "old news", 1});
      peer.say(wire::SnapshotEvent{});
    };
    pod.on_method = [&](auto& peer, wire::Method const&) {
      peer.say(wire::InvokeStartEvent{"notify"});
      peer.say(proof);
    };
    RunDelivery delivery(loop, path, "go", 30'000, keep());
    finish();
    EXPECT_TRUE(result->has_value()) << wire::event_name(proof);
    ::unlink(path.c_str());
  }
}

// Case 100.
TEST_F(RunDeliveryTest, AlreadyRunningIsAConflict) {
  FakePod pod(loop, path);
  pod.on_method = [&](auto& peer, wire::Method const& method) {
    peer.say(wire::Event{.body = wire::ErrorEvent{"already_running", "busy"}, .id = method.id});
  };
  RunDelivery delivery(loop, path, "go", 30'000, keep());
  finish();
  ASSERT_FALSE(result->has_value());
  EXPECT_EQ(result->error().code, Code::Conflict);
  EXPECT_NE(result->error().message.find("already running"), std::string::npos);
}

TEST_F(RunDeliveryTest, AnotherErrorIsARejectionWithItsCode) {
  FakePod pod(loop, path);
  pod.on_method = [&](auto& peer, wire::Method const&) {
    peer.say(wire::ErrorEvent{"invalid_request", "no such workflow"});
  };
  RunDelivery delivery(loop, path, "go", 30'000, keep());
  finish();
  ASSERT_FALSE(result->has_value());
  EXPECT_EQ(result->error().code, Code::InvalidArgument);
  EXPECT_NE(result->error().message.find("invalid_request"), std::string::npos);
  EXPECT_NE(result->error().message.find("no such workflow"), std::string::npos);
}

TEST_F(RunDeliveryTest, AnErrorInThePreludeIsARejection) {
  FakePod pod(loop, path);
  pod.prelude = [](auto& peer) { peer.say(wire::ErrorEvent{"already_running", "busy"}); };
  RunDelivery delivery(loop, path, "go", 30'000, keep());
  finish();
  ASSERT_FALSE(result->has_value());
  EXPECT_EQ(result->error().code, Code::Conflict);
}

TEST_F(RunDeliveryTest, AnswersToOthersAndTheTurnsOfOtherWorkAreSkipped) {
  FakePod pod(loop, path);
  pod.prelude = [](auto& peer) { peer.say(wire::SnapshotEvent{.status = wire::PodStatus::Running}); };
  pod.on_method = [&](auto& peer, wire::Method const& method) {
    peer.say(wire::Event{.body = wire::UserMessageEvent{}, .id = "somebody-else"});
    peer.say(wire::Event{.body = wire::ErrorEvent{"not_paused", "x"}, .id = "somebody-else"});
    peer.say(wire::TurnStartEvent{7});
    peer.say(wire::Event{.body = wire::ErrorEvent{"already_running", "busy"}, .id = method.id});
  };
  RunDelivery delivery(loop, path, "go", 30'000, keep());
  finish();
  ASSERT_FALSE(result->has_value());
  EXPECT_EQ(result->error().code, Code::Conflict);
}

TEST_F(RunDeliveryTest, AServerThatClosesIsUnavailable) {
  FakePod pod(loop, path);
  pod.on_method = [&](auto& peer, wire::Method const&) { peer.hang_up(); };
  RunDelivery delivery(loop, path, "go", 30'000, keep());
  finish();
  ASSERT_FALSE(result->has_value());
  EXPECT_EQ(result->error().code, Code::Unavailable);
}

TEST_F(RunDeliveryTest, OneDeadlineForAll) {
  for (bool answers : {false, true}) {
    result.reset();
    FakePod pod(loop, path);
    if (!answers) pod.prelude = [](auto&) {};
    RunDelivery delivery(loop, path, "go", 20, keep());
    EXPECT_FALSE(result) << "never before the constructor returned";
    finish();
    ASSERT_FALSE(result->has_value());
    EXPECT_EQ(result->error().code, Code::Timeout);
    EXPECT_NE(result->error().message.find(path), std::string::npos);
    ::unlink(path.c_str());
  }
}

TEST_F(RunDeliveryTest, AMessageThatNoPodTakesIsRefusedHere) {
  RunDelivery delivery(loop, path, std::string(wire::kMaxMethodLine, 'x'), 30'000, keep());
  finish();
  ASSERT_FALSE(result->has_value());
  EXPECT_EQ(result->error().code, Code::InvalidArgument);
}

TEST_F(ConnectionTest, OneShotGivesTheSnapshotAndDeliversItsMethod) {
  FakePod pod(loop, path);
  pod.prelude = [](auto& peer) { peer.say(wire::SnapshotEvent{.status = wire::PodStatus::Paused}); };
  std::optional<wire::Method> got;
  bool hung_up = false;
  pod.on_method = [&](auto&, wire::Method const& method) { got = method; };
  pod.on_end = [&] { hung_up = true; };
  std::optional<Result<wire::SnapshotEvent>> result;
  OneShot shot(loop, path, wire::Method{wire::ShutdownMethod{.tree = true}}, 30'000,
               [&](auto snapshot) { result = std::move(snapshot); });
  run_until(loop, [&] { return result && got && hung_up; });
  ASSERT_TRUE(result->has_value());
  EXPECT_EQ((*result)->status, wire::PodStatus::Paused);
  EXPECT_EQ(got->body, wire::MethodBody{wire::ShutdownMethod{.tree = true}});
}

// Case 101, 102, 140.
TEST_F(ConnectionTest, OneShotReadsAlertsAndALargeSnapshotBeforeItSpeaks) {
  FakePod pod(loop, path);
  pod.prelude = [](auto& peer) {
    peer.say(wire::AlertEvent{"warn", "pod", "old news", 1});
    wire::SnapshotEvent snapshot{.status = wire::PodStatus::Running};
    snapshot.greeting.scope_summary = std::string(2 << 20, 'x');
    peer.say(snapshot);
  };
  std::vector<wire::Method> got;
  pod.on_method = [&](auto&, wire::Method const& method) { got.push_back(method); };
  std::optional<Result<wire::SnapshotEvent>> result;
  OneShot shot(loop, path, wire::Method{wire::PokeMethod{}}, 30'000, [&](auto snapshot) { result = std::move(snapshot); });
  run_until(loop, [&] { return result.has_value() && !got.empty(); });
  ASSERT_TRUE(result->has_value()) << result->error().message;
  EXPECT_EQ((*result)->status, wire::PodStatus::Running);
  EXPECT_EQ((*result)->greeting.scope_summary.size(), size_t{2} << 20);
  EXPECT_EQ(got, std::vector{wire::Method{wire::PokeMethod{}}});
}

TEST_F(ConnectionTest, OneShotIsTakenByAPodThatIsJustSpeaking) {
  FakePod pod(loop, path);
  pod.prelude = [](auto& peer) { peer.say(wire::SnapshotEvent{}); };
  bool got = false;
  pod.on_method = [&](auto& peer, wire::Method const&) {
    peer.say(wire::TextDeltaEvent{"and on"});  // fails when the client has closed already
    EXPECT_FALSE(peer.broken());
    got = true;
  };
  std::optional<Result<wire::SnapshotEvent>> result;
  OneShot shot(loop, path, wire::Method{wire::PokeMethod{}}, 30'000,
               [&](auto snapshot) { result = std::move(snapshot); });
  run_until(loop, [&] { return result.has_value(); });
  EXPECT_TRUE(got);
  EXPECT_TRUE(result->has_value());
}

TEST_F(ConnectionTest, OneShotWithoutMethodIsAProbeAndHasADeadline) {
  FakePod pod(loop, path);
  std::optional<Result<wire::SnapshotEvent>> result;
  auto keep = [&](Result<wire::SnapshotEvent> snapshot) { result = std::move(snapshot); };
  OneShot probe(loop, path, std::nullopt, 30'000, keep);
  run_until(loop, [&] { return result.has_value(); });
  EXPECT_TRUE(result->has_value());

  result.reset();
  pod.prelude = [](auto&) {};
  OneShot late(loop, path, std::nullopt, 10, keep);
  run_until(loop, [&] { return result.has_value(); });
  ASSERT_FALSE(result->has_value());
  EXPECT_EQ(result->error().code, Code::Timeout);
}

}  // namespace
}  // namespace insomnia::client
