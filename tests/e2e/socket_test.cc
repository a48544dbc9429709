#include "e2e.hh"

namespace insomnia::e2e {
namespace {

/// Clients of a Pod's socket, well-behaved and not.
class Socket : public E2e {
 protected:
  void SetUp() override {
    server.enqueue(text_reply("Ready."));
    ASSERT_TRUE(ended_with(0, home.run({"run", "Get ready", "--name", "worker", "--keep"})));
  }
  void TearDown() override {
    // Whatever a client did: the Pod works.
    server.enqueue(text_reply("Still at work."));
    PodClient client(home.paths().pod_socket("worker"));
    ASSERT_TRUE(client.wait_for_kind<wire::SnapshotEvent>());
    ASSERT_TRUE(client.send(wire::RunMethod{wire::text_segments("Are you there?")}));
    auto text = client.wait_for_kind<wire::TextDoneEvent>();
    ASSERT_TRUE(text);
    EXPECT_EQ(text->text, "Still at work.");
    EXPECT_TRUE(ended_with(0, home.run({"stop", "worker"})));
    EXPECT_TRUE(home.processes().empty());
  }
  std::string path() const { return home.paths().pod_socket("worker"); }
};

TEST_F(Socket, EndlessLineEndsTheConnectionWithAReason) {
  PodClient client(path());
  ASSERT_TRUE(client.wait_for_kind<wire::SnapshotEvent>());
  std::string piece(1 << 20, 'a');
  int sent = 0;
  while (sent < 100 && client.send_bytes(piece)) ++sent;
  EXPECT_LT(sent, 100);
  auto error = client.wait_for_kind<wire::ErrorEvent>();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "invalid_request");
  auto disconnect = client.wait_for_kind<wire::DisconnectEvent>();
  ASSERT_TRUE(disconnect);
  EXPECT_TRUE(has(disconnect->reason, "line too long"));
  EXPECT_TRUE(client.wait_for_end());
}

TEST_F(Socket, RubbishIsAnsweredAndTheConnectionStays) {
  PodClient client(path());
  ASSERT_TRUE(client.wait_for_kind<wire::SnapshotEvent>());
  for (std::string line : {std::string("rubbish"), std::string("{\"method\":\"fly\"}"), std::string("\xff\xfe\0\x01", 4),
                           "{\"method\":\"run\",\"params\":" + std::string(10'000, '['), std::string("[]"), std::string("{\"method\":17}")}) {
    ASSERT_TRUE(client.send_bytes(line + "\n"));
    auto error = client.wait_for_kind<wire::ErrorEvent>();
    ASSERT_TRUE(error) << line;
    EXPECT_EQ(error->code, "invalid_request");
    EXPECT_TRUE(has(error->message, "invalid method"));
  }
  ASSERT_TRUE(client.send(wire::ListPodsMethod{}, "mine"));
  auto reply = client.wait_for([](wire::Event const& event) { return std::holds_alternative<wire::PodsListedEvent>(event.body); });
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->id, "mine");
}

TEST_F(Socket, ClientThatNeverReadsIsDisconnected) {
  for (int i = 0; i < 100; ++i) home.write(std::string(200, 'f') + std::to_string(i), "");
  PodClient client(path());
  std::string request = wire::encode_method({wire::ListCompletionsMethod{wire::CompletionKind::File, ""}, std::nullopt}) + "\n";
  int sent = 0;
  while (sent < 20'000 && client.send_bytes(request)) ++sent;
  EXPECT_LT(sent, 20'000) << "it was never disconnected";
}

TEST_F(Socket, LateClientGetsWhatIsUnderWay) {
  Reply half = stream_reply(AnthropicStream().text("Half of it").without_end());
  half.pieces.push_back(Piece::gate("middle"));
  server.enqueue(half);
  PodClient first(path());
  ASSERT_TRUE(first.wait_for_kind<wire::SnapshotEvent>());
  ASSERT_TRUE(first.send(wire::RunMethod{wire::text_segments("Begin")}));
  ASSERT_TRUE(first.wait_for_kind<wire::TextDeltaEvent>());
  PodClient second(path());
  auto snapshot = second.wait_for_kind<wire::SnapshotEvent>();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->status, wire::PodStatus::Running);
  ASSERT_TRUE(snapshot->in_flight);
  EXPECT_EQ(snapshot->in_flight->text, "Half of it");
  ASSERT_TRUE(second.send(wire::RunMethod{wire::text_segments("Me too")}, "late"));
  auto refused = second.wait_for([](wire::Event const& event) { return event.id == "late"; });
  ASSERT_TRUE(refused);
  EXPECT_EQ(std::get<wire::ErrorEvent>(refused->body).code, "already_running");
  ASSERT_TRUE(second.send(wire::CancelMethod{}));
  auto end = first.wait_for_kind<wire::RunEndEvent>();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->result, "cancelled");
  ASSERT_TRUE(first.wait_for([](wire::Event const& event) {
    auto const* status = std::get_if<wire::StatusEvent>(&event.body);
    return status != nullptr && status->settled;
  }));
}

TEST_F(Socket, ManyClientsSeeTheSameEvents) {
  constexpr int kClients = 20;
  std::vector<std::unique_ptr<PodClient>> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<PodClient>(path()));
    ASSERT_TRUE(clients.back()->wait_for_kind<wire::SnapshotEvent>());
  }
  server.enqueue(text_reply("For all of you."));
  ASSERT_TRUE(clients[0]->send(wire::RunMethod{wire::text_segments("Speak")}));
  std::vector<std::string> first;
  for (auto& client : clients) {
    std::vector<std::string> lines;
    while (auto event = client->next()) {
      lines.push_back(wire::encode_event(*event));
      if (auto const* status = std::get_if<wire::StatusEvent>(&event->body); status != nullptr && status->settled) break;
    }
    if (first.empty()) first = lines;
    EXPECT_EQ(lines, first);
  }
  EXPECT_GT(first.size(), 5u);
}

}  // namespace
}  // namespace insomnia::e2e
