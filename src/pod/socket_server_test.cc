#include "pod/socket_server.hh"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

#include "pod/fixture_test.hh"
#include "wire/log_entry.hh"

namespace insomnia::pod {
namespace {

/// A client of which the test decides when it reads.
class RawClient {
 public:
  RawClient(loop::EventLoop& loop, std::string const& path) : loop_(loop), fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  void read_along() {
    watcher_ = std::make_unique<loop::FdWatcher>(loop_, fd_.get(), loop::FdWatcher::kRead, [this](uint32_t) { read_now(); });
  }
  void send(std::string_view text) {
    while (!text.empty()) {
      ssize_t count = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (count > 0) text.remove_prefix(static_cast<size_t>(count));
      else if (errno == EAGAIN) loop_.run_once(10);
      else return;
    }
  }
  void send(wire::Method const& method) { send(wire::encode_method(method) + "\n"); }
  void hang_up() {
    watcher_.reset();
    fd_.reset();
  }

  std::vector<wire::Event> events;
  bool closed = false;

  /// The events of one kind.
  template <class T>
  std::vector<T> all() const {
    std::vector<T> result;
    for (auto const& event : events) {
      if (auto const* body = std::get_if<T>(&event.body)) result.push_back(*body);
    }
    return result;
  }

 private:
  void read_now() {
    char buffer[65536];
    ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (count > 0) {
      reader_.feed({buffer, static_cast<size_t>(count)});
      for (auto line = reader_.next(); line && *line; line = reader_.next()) {
        auto event = wire::decode_event(**line);
        ASSERT_TRUE(event) << event.error().message;
        events.push_back(*event);
      }
    } else if (count == 0 || errno != EAGAIN) {
      closed = true;
      watcher_.reset();
    }
  }

  loop::EventLoop& loop_;
  UniqueFd fd_;
  std::unique_ptr<loop::FdWatcher> watcher_;
  wire::LineReader reader_{wire::kMaxEventLine};
};

class SocketServerTest : public PodTest {
 protected:
  void SetUp() override {
    auto bound = SocketServer::bind(loop, path, {.snapshot =
                                                     [this] {
                                                       wire::SnapshotEvent event;
                                                       event.entries = log;
                                                       return event;
                                                     },
                                                 .on_method = [this](ClientId client, wire::Method const& method) {
                                                   methods.emplace_back(client, method);
                                                   if (on_method) on_method(client, method);
                                                 }});
    ASSERT_TRUE(bound) << bound.error().message;
    server = *std::move(bound);
  }
  std::unique_ptr<RawClient> connect() {
    auto client = std::make_unique<RawClient>(loop, path);
    client->read_along();
    return client;
  }
  /// One that has its snapshot.
  std::unique_ptr<RawClient> attached() {
    auto client = connect();
    run_until([&] { return !client->all<wire::SnapshotEvent>().empty(); });
    return client;
  }
  static wire::EventBody text(std::string text) { return wire::TextDeltaEvent{std::move(text)}; }

  std::string path = directory / "sock";
  std::vector<std::string> log;
  std::vector<std::pair<ClientId, wire::Method>> methods;
  std::function<void(ClientId, wire::Method const&)> on_method;
  std::unique_ptr<SocketServer> server;
};

TEST_F(SocketServerTest, TheSocketIsPrivateAndGoesWithTheServer) {
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  server.reset();
  EXPECT_FALSE(io::exists(path));
}

TEST_F(SocketServerTest, AStaleSocketFileIsReplaced) {
  server.reset();
  ASSERT_TRUE(io::replace_file(path, "left over"));
  SetUp();
  attached();
}

TEST_F(SocketServerTest, AVanishedSocketFileIsBoundAgainAndClientsStay) {
  auto before = attached();
  auto knocking = connect();  // not accepted yet
  ASSERT_EQ(::unlink(path.c_str()), 0);
  ASSERT_TRUE(server->bind_again());
  auto after = attached();
  server->broadcast(text("to all"));
  for (auto* client : {before.get(), knocking.get(), after.get()}) {
    run_until([&] { return !client->all<wire::TextDeltaEvent>().empty(); });
  }
  EXPECT_EQ(server->clients(), 3u);
  EXPECT_EQ(before->events.front().seq, after->events.front().seq) << "one lane";
}

TEST_F(SocketServerTest, AFileThatIsThereIsNotBoundAgain) {
  struct stat before{}, after{};
  ASSERT_EQ(::stat(path.c_str(), &before), 0);
  ASSERT_TRUE(server->bind_again());
  ASSERT_EQ(::stat(path.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  server->close(0, [] {});
  ASSERT_TRUE(server->bind_again());
  EXPECT_FALSE(io::exists(path)) << "it is closing";
}

TEST_F(SocketServerTest, APathThatIsTooLongIsRefusedWithTheWayOut) {
  auto bound = SocketServer::bind(loop, directory / std::string(120, 'x'), {});
  ASSERT_FALSE(bound);
  EXPECT_HAS(bound.error().message, "INSOMNIA_RUNTIME_DIR");
}

TEST_F(SocketServerTest, PreludeIsAlertsThenOneSnapshot) {
  server->alert({"warn", "pod", "one", 1});
  server->alert({"error", "pod", "two", 2});
  auto client = attached();
  ASSERT_EQ(client->events.size(), 3u);
  EXPECT_EQ(std::get<wire::AlertEvent>(client->events[0].body).message, "one");
  EXPECT_EQ(std::get<wire::AlertEvent>(client->events[1].body).message, "two");
  EXPECT_TRUE(std::holds_alternative<wire::SnapshotEvent>(client->events[2].body));
}

TEST_F(SocketServerTest, OnlyTheLast512AlertsAreKept) {
  for (int i = 0; i < 600; ++i) server->alert({"warn", "pod", std::to_string(i), 1});
  auto client = attached();
  auto alerts = client->all<wire::AlertEvent>();
  ASSERT_EQ(alerts.size(), 512u);
  EXPECT_EQ(alerts.front().message, "88");
}

TEST_F(SocketServerTest, EventsComeInOneOrderedLane) {
  auto client = attached();
  for (int i = 1; i <= 50; ++i) server->broadcast(text(std::to_string(i)));
  run_until([&] { return client->all<wire::TextDeltaEvent>().size() == 50; });
  uint64_t last = *client->events.front().seq;
  for (size_t i = 1; i < client->events.size(); ++i) {
    EXPECT_EQ(*client->events[i].seq, last + i);
    EXPECT_EQ(std::get<wire::TextDeltaEvent>(client->events[i].body).text, std::to_string(i));
  }
}

TEST_F(SocketServerTest, WhoComesInTheMiddleSeesTheSnapshotThenExactlyWhatFollows) {
  auto first = attached();
  server->broadcast(text("before"));
  log.push_back(R"({"kind":"turn_end","ts":1,"turn_count":1})");
  auto second = attached();
  server->broadcast(text("after"));
  run_until([&] { return !second->all<wire::TextDeltaEvent>().empty() && first->all<wire::TextDeltaEvent>().size() == 2; });
  ASSERT_EQ(second->events.size(), 2u);
  EXPECT_EQ(std::get<wire::SnapshotEvent>(second->events[0].body).entries.size(), 1u);
  EXPECT_EQ(*second->events[0].seq + 1, *second->events[1].seq);
  EXPECT_EQ(second->events[1].seq, first->events.back().seq);
}

TEST_F(SocketServerTest, RepliesGoToOneClientAndEchoItsRequest) {
  auto asking = attached();
  auto other = attached();
  on_method = [&](ClientId client, wire::Method const& method) {
    server->reply(client, wire::ErrorEvent{"not_running", "no"}, method.id);
    server->broadcast(text("to all"));
  };
  asking->send(wire::Method{wire::CancelMethod{}, "request-7"});
  run_until([&] { return asking->events.size() == 3 && other->events.size() == 2; });
  EXPECT_EQ(asking->events[1].id, "request-7");
  EXPECT_TRUE(other->all<wire::ErrorEvent>().empty());
  EXPECT_EQ(server->peer_pid(methods.at(0).first), ::getpid());
}

// Case 133.
TEST_F(SocketServerTest, AnInvalidMethodIsAnErrorAndTheConnectionStays) {
  auto client = attached();
  for (auto* line : {"not json\n", "{\"method\":\"fly\"}\n", "{\"method\":\"run\",\"params\":5}\n", "\n  \n", "\xff\xfe\n"}) client->send(line);
  client->send(wire::Method{wire::PauseMethod{}, std::nullopt});
  run_until([&] { return !methods.empty(); });
  run_until([&] { return client->all<wire::ErrorEvent>().size() >= 4; });
  auto errors = client->all<wire::ErrorEvent>();
  ASSERT_EQ(errors.size(), 4u) << "blank lines are skipped";
  for (auto const& error : errors) {
    EXPECT_EQ(error.code, "invalid_request");
    EXPECT_HAS(error.message, "invalid method");
  }
  EXPECT_FALSE(client->closed);
}

TEST_F(SocketServerTest, SeveralMethodsInOneWriteAndOneInManyAreAllTaken) {
  auto client = attached();
  std::string line = wire::encode_method({wire::CancelMethod{}, std::nullopt}) + "\n";
  client->send(line + line + line.substr(0, 5));
  run_until([&] { return methods.size() == 2; });
  client->send(line.substr(5));
  run_until([&] { return methods.size() == 3; });
}

TEST_F(SocketServerTest, ALineThatIsTooLongIsAnErrorAndTheEnd) {
  auto client = attached();
  client->send(std::string(wire::kMaxMethodLine + 100'000, 'x'));
  run_until([&] { return client->closed; });
  ASSERT_EQ(client->all<wire::ErrorEvent>().size(), 1u);
  ASSERT_EQ(client->all<wire::DisconnectEvent>().size(), 1u);
  EXPECT_HAS(client->all<wire::DisconnectEvent>()[0].reason, "line too long");
  EXPECT_EQ(server->clients(), 0u);
}

TEST_F(SocketServerTest, ASlowClientIsDisconnectedWithAReasonWhileOthersGoOn) {
  server->max_backlog = 1 << 20;
  auto good = attached();
  RawClient slow(loop, path);
  run_until([&] { return server->clients() == 2; });
  std::string piece(64 << 10, 'x');
  int sent = 0;
  for (; sent < 200 && server->clients() == 2; ++sent) {
    server->broadcast(text(piece));
    run_until([&] { return good->all<wire::TextDeltaEvent>().size() == static_cast<size_t>(sent + 1); });
  }
  EXPECT_EQ(server->clients(), 1u);
  EXPECT_LT(sent, 200);
  server->broadcast(text("still here"));
  run_until([&] { return good->all<wire::TextDeltaEvent>().back().text == "still here"; });
  // The slow one reads whole lines and then the end.
  slow.read_along();
  run_until([&] { return slow.closed; });
  EXPECT_EQ(slow.all<wire::SnapshotEvent>().size(), 1u);
}

// Case 99: a snapshot that is larger than all buffers is no backlog.
TEST_F(SocketServerTest, ALargeSnapshotIsNoBacklog) {
  server->max_backlog = 1 << 16;
  for (int i = 0; i < 40; ++i) {
    log.push_back(wire::encode_log_entry({1, wire::AssistantItem{wire::assistant_message(std::string(100'000, 'a'))}}));
  }
  auto client = std::make_unique<RawClient>(loop, path);
  run_until([&] { return server->clients() == 1; });
  server->broadcast(text("after"));
  client->read_along();
  run_until([&] { return !client->all<wire::TextDeltaEvent>().empty(); });
  EXPECT_EQ(client->all<wire::SnapshotEvent>()[0].entries.size(), 40u);
}

// Case 133.
TEST_F(SocketServerTest, PeersMayGoAtAnyTime) {
  auto silent = attached();
  silent->hang_up();
  run_until([&] { return server->clients() == 0; });
  auto torn = attached();
  torn->send("{\"method\":");
  torn->hang_up();
  run_until([&] { return server->clients() == 0; });
  server->broadcast(text("to nobody"));
  EXPECT_TRUE(methods.empty());
}

// A poke or a shutdown whose sender has hung up must not be lost because the server was just speaking to it.
TEST_F(SocketServerTest, WhatAClientSaidBeforeItHungUpCountsAlsoWhenTheServerSpeaksFirst) {
  auto client = attached();
  client->send({wire::PokeMethod{}, std::nullopt});
  client->hang_up();
  server->broadcast(text("nobody hears this"));
  run_until([&] { return methods.size() == 1; });
  run_until([&] { return server->clients() == 0; });
}

TEST_F(SocketServerTest, AClientThatSendsWithoutEndLetsTheOthersSpeak) {
  auto flood = attached();
  auto other = attached();
  std::string line = wire::encode_method({wire::PokeMethod{}, std::nullopt}) + "\n";
  std::string many;
  for (int i = 0; i < 5000; ++i) many += line;
  on_method = [&](ClientId client, wire::Method const& method) {
    if (std::holds_alternative<wire::CancelMethod>(method.body)) server->reply(client, wire::ErrorEvent{"not_running", ""}, method.id);
  };
  flood->send(many);
  other->send(wire::Method{wire::CancelMethod{}, std::nullopt});
  run_until([&] { return methods.size() == 5001; });
  run_until([&] { return other->all<wire::ErrorEvent>().size() == 1; });
}

TEST_F(SocketServerTest, CloseFlushesThenCallsBack) {
  auto client = attached();
  std::string large(4 << 20, 'x');
  server->broadcast(text(large));
  server->broadcast(wire::ShutdownEvent{});
  bool closed = false;
  server->close(60'000, [&] { closed = true; });
  EXPECT_FALSE(io::exists(path)) << "nobody comes any more";
  run_until([&] { return closed; });
  server.reset();
  run_until([&] { return client->closed; });
  EXPECT_EQ(client->all<wire::TextDeltaEvent>().at(0).text.size(), large.size());
  EXPECT_EQ(client->all<wire::ShutdownEvent>().size(), 1u);
}

TEST_F(SocketServerTest, CloseDoesNotWaitForClientsThatDoNotRead) {
  RawClient slow(loop, path);
  run_until([&] { return server->clients() == 1; });
  server->broadcast(text(std::string(4 << 20, 'x')));
  bool closed = false;
  server->close(10, [&] { closed = true; });
  run_until([&] { return closed; });
}

TEST_F(SocketServerTest, DestroyedWhileClosingItCallsNobody) {
  server->close(10, [] { FAIL() << "the server is gone"; });
  server.reset();
  loop.run_once(0);
}

// The handler may end the server's world: a method that disconnects everybody.
TEST_F(SocketServerTest, AMethodMayCloseTheServer) {
  auto client = attached();
  bool closed = false;
  on_method = [&](ClientId, wire::Method const&) { server->close(10, [&] { closed = true; }); };
  std::string line = wire::encode_method({wire::ShutdownMethod{}, std::nullopt}) + "\n";
  client->send(line);
  run_until([&] { return closed; });
}

}  // namespace
}  // namespace insomnia::pod
