#include "testing/fake_llm_server.hh"

#include <gtest/gtest.h>

#include <array>

#include "base/clock.hh"
#include "http/client.hh"
#include "testing/anthropic_stream.hh"

// The HTTP client against the fake server: each is the other's test.
namespace insomnia::testing {
namespace {

/// Records one transfer; `on_piece` may act in the middle.
struct Recorder : http::Handler {
  explicit Recorder(loop::EventLoop& event_loop) : loop(event_loop) {}
  void on_response(http::Response const& got) override { response = got; }
  void on_body(std::string_view bytes) override {
    body += bytes;
    if (on_piece) on_piece();
  }
  void on_done(std::optional<http::Failure> result) override {
    done = true;
    failure = std::move(result);
    loop.stop();
  }
  loop::EventLoop& loop;
  std::function<void()> on_piece;
  http::Response response;
  std::string body;
  bool done = false;
  std::optional<http::Failure> failure;
};

class HttpClientTest : public ::testing::Test {
 protected:
  /// Runs until stop() or the deadline, which fails the test.
  void run() {
    bool late = false;
    loop::Timer deadline(loop, [&] {
      late = true;
      loop.stop();
    });
    deadline.start(20'000);
    loop.run();
    EXPECT_FALSE(late) << "the deadline has passed";
  }
  std::unique_ptr<http::Transfer> start(http::Handler& handler, http::TimeLimits limits = {}, std::string body = "{}") {
    return client->start({.url = server.url() + "/v1/messages", .headers = {}, .body = std::move(body), .limits = limits},
                         handler);
  }

  SystemClock clock;
  loop::EventLoop loop{clock};
  FakeLlmServer server;
  Environment environment;
  std::unique_ptr<http::Client> client = std::make_unique<http::Client>(loop, environment);
  Recorder recorder{loop};
};

TEST_F(HttpClientTest, DeliversEachPieceWhenItArrives) {
  server.enqueue({.headers = {{"Content-Type", "text/event-stream"}, {"X-Thing", "a b"}},
                  .pieces = {Piece::bytes("one "), Piece::gate("go"), Piece::bytes("two")}});
  recorder.on_piece = [&] {
    if (recorder.body == "one ") server.open_gate("go");
  };
  auto transfer = start(recorder);
  run();
  EXPECT_FALSE(recorder.failure);
  EXPECT_EQ(recorder.body, "one two");
  EXPECT_EQ(recorder.response.status, 200);
  EXPECT_EQ(recorder.response.content_type, "text/event-stream");
  EXPECT_EQ(recorder.response.header("x-thing"), "a b");
}

TEST_F(HttpClientTest, SendsMethodHeadersAndBodyAndNothingOfItsOwnThatMatters) {
  server.enqueue({});
  auto transfer = client->start({.url = server.url() + "/p?q=1", .headers = {{"X-One", "1"}, {"X-Empty", ""}}, .body = "text"}, recorder);
  run();
  auto requests = server.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].path, "/p?q=1");
  EXPECT_EQ(requests[0].body, "text");
  EXPECT_EQ(requests[0].header("x-one"), "1");
  EXPECT_EQ(requests[0].header("x-empty"), "");
  EXPECT_EQ(requests[0].header("user-agent"), "insomnia");
  EXPECT_EQ(requests[0].header("expect"), std::nullopt);
}

TEST_F(HttpClientTest, ALargeBodyArrivesWhole) {
  server.enqueue({});
  std::string body(5 << 20, 'x');
  body += "end";
  auto transfer = start(recorder, {}, body);
  run();
  ASSERT_EQ(server.requests().size(), 1u);
  EXPECT_EQ(server.requests()[0].body, body);
}

TEST_F(HttpClientTest, AnErrorStatusIsAResponse) {
  server.enqueue(error_reply(503, "api_error", "later", "7"));
  auto transfer = start(recorder);
  run();
  EXPECT_FALSE(recorder.failure);
  EXPECT_EQ(recorder.response.status, 503);
  EXPECT_EQ(recorder.response.header("retry-after"), "7");
  EXPECT_NE(recorder.body.find("later"), std::string::npos);
}

TEST_F(HttpClientTest, RedirectsAreNotFollowed) {
  server.enqueue({.status = 302, .headers = {{"Location", server.url() + "/other"}}});
  auto transfer = start(recorder);
  run();
  EXPECT_EQ(recorder.response.status, 302);
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(HttpClientTest, ACutBodyIsAFailureOfTheBody) {
  server.enqueue({.pieces = {Piece::bytes("half"), Piece::cut()}});
  auto transfer = start(recorder);
  run();
  EXPECT_EQ(recorder.body, "half");
  ASSERT_TRUE(recorder.failure);
  EXPECT_EQ(recorder.failure->phase, http::Phase::Body);
  EXPECT_FALSE(recorder.failure->timeout);
  EXPECT_EQ(recorder.failure->error.code, Code::Unavailable);
}

TEST_F(HttpClientTest, ABodyThatStandsStillIsGivenUp) {
  server.enqueue({.pieces = {Piece::bytes("half"), Piece::stall()}});
  auto transfer = start(recorder, {.idle_ms = 50});
  run();
  ASSERT_TRUE(recorder.failure);
  EXPECT_TRUE(recorder.failure->timeout);
  EXPECT_EQ(recorder.failure->phase, http::Phase::Body);
  EXPECT_EQ(recorder.body, "half");
  EXPECT_NE(recorder.failure->error.message.find("stood still for 50 ms"), std::string::npos) << recorder.failure->error.message;
}

TEST_F(HttpClientTest, AnAnswerThatDoesNotComeIsGivenUp) {
  server.enqueue({.head_gate = "never"});
  auto transfer = start(recorder, {.first_byte_ms = 50});
  run();
  ASSERT_TRUE(recorder.failure);
  EXPECT_TRUE(recorder.failure->timeout);
  EXPECT_EQ(recorder.failure->phase, http::Phase::FirstByte);
}

TEST_F(HttpClientTest, SlowHeadersAreWaitedFor) {
  server.enqueue({.pieces = {Piece::bytes("x")}, .head_gate = "head"});
  auto transfer = start(recorder);
  while (!server.wait_for_gate("head", 0)) loop.run_once(10);
  EXPECT_EQ(recorder.response.status, 0);
  server.open_gate("head");
  run();
  EXPECT_FALSE(recorder.failure);
  EXPECT_EQ(recorder.body, "x");
}

TEST_F(HttpClientTest, AConnectionIsUsedAgain) {
  for (int i = 0; i < 3; ++i) {
    server.enqueue({.pieces = {Piece::bytes("x")}});
    auto transfer = start(recorder);
    run();
  }
  EXPECT_EQ(server.requests().size(), 3u);
  EXPECT_EQ(server.connections(), 1u);
}

TEST_F(HttpClientTest, AKeptConnectionThatDiedIsReplacedSilently) {
  server.enqueue({.pieces = {Piece::bytes("x")}});
  { auto transfer = start(recorder); run(); }
  server.enqueue({.pieces = {Piece::bytes("y")}, .keep_alive = false});
  { auto transfer = start(recorder); run(); }
  ASSERT_TRUE(server.wait_for_no_connections());
  server.enqueue({.pieces = {Piece::bytes("z")}});
  auto transfer = start(recorder);
  run();
  EXPECT_FALSE(recorder.failure);
  EXPECT_EQ(recorder.body, "xyz");
}

TEST_F(HttpClientTest, ManyRequestsRunAtOnce) {
  constexpr size_t kCount = 40;
  server.answer_all([](RecordedRequest const& request) {
    return Reply{.pieces = {Piece::bytes(request.body), Piece::gate("all"), Piece::bytes("!")}};
  });
  std::vector<std::unique_ptr<Recorder>> recorders;
  std::vector<std::unique_ptr<http::Transfer>> transfers;
  for (size_t i = 0; i < kCount; ++i) {
    recorders.push_back(std::make_unique<Recorder>(loop));
    transfers.push_back(start(*recorders.back(), {}, std::to_string(i)));
  }
  while (!server.wait_for_requests(kCount, 0)) loop.run_once(10);
  server.open_gate("all");
  for (size_t i = 0; i < kCount; ++i) {
    while (!recorders[i]->done) run();
    EXPECT_EQ(recorders[i]->body, std::to_string(i) + "!");
  }
}

TEST_F(HttpClientTest, DestroyingATransferClosesItAndSilencesTheHandler) {
  server.enqueue({.pieces = {Piece::bytes("half"), Piece::stall()}});
  auto transfer = start(recorder);
  recorder.on_piece = [&] { loop.stop(); };
  run();
  transfer.reset();
  EXPECT_TRUE(server.wait_for_no_connections());
  loop.run_once(0);
  EXPECT_FALSE(recorder.done);
}

TEST_F(HttpClientTest, AHandlerMayDestroyItsTransferOrTheClient) {
  server.enqueue({.pieces = {Piece::bytes("half"), Piece::stall()}});
  std::unique_ptr<http::Transfer> transfer = start(recorder);
  recorder.on_piece = [&] {
    transfer.reset();
    loop.stop();
  };
  run();
  server.enqueue({.pieces = {Piece::bytes("half"), Piece::stall()}});
  transfer = start(recorder);
  recorder.on_piece = [&] {
    client.reset();
    loop.stop();
  };
  run();
  EXPECT_FALSE(recorder.done);
  transfer.reset();
  EXPECT_TRUE(server.wait_for_no_connections());
}

/// gzip of `text` in one stored block; `last` ends the stream.
std::string gzip_block(std::string_view text, bool last) {
  auto size = static_cast<uint16_t>(text.size());
  auto inverted = static_cast<uint16_t>(~size);
  std::string out(1, last ? '\1' : '\0');
  for (uint16_t number : {size, inverted}) {
    out += static_cast<char>(number & 0xff);
    out += static_cast<char>(number >> 8);
  }
  return out + std::string(text);
}

std::string little_endian(uint32_t value) {
  std::string out;
  for (int i = 0; i < 4; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

uint32_t crc32(std::string_view text) {
  uint32_t crc = ~0u;
  for (char c : text) {
    crc ^= static_cast<uint8_t>(c);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
  }
  return ~crc;
}

TEST_F(HttpClientTest, GzipIsDecodedWhileItStreams) {
  std::string head("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10);
  server.enqueue({.headers = {{"Content-Encoding", "gzip"}},
                  .pieces = {Piece::bytes(head + gzip_block("one ", false)), Piece::gate("go"),
                             Piece::bytes(gzip_block("two", true) + little_endian(crc32("one two")) + little_endian(7))}});
  recorder.on_piece = [&] {
    if (recorder.body == "one ") server.open_gate("go");
  };
  auto transfer = start(recorder);
  run();
  EXPECT_FALSE(recorder.failure) << recorder.failure->error.message;
  EXPECT_EQ(recorder.body, "one two");
}

TEST_F(HttpClientTest, AProxyOfTheEnvironmentValueIsUsedButNotForLoopback) {
  environment.set("http_proxy", server.url());
  http::Client proxied(loop, environment);
  server.enqueue({.pieces = {Piece::bytes("by proxy")}});
  auto transfer = proxied.start({.url = "http://model.invalid/v1/messages"}, recorder);
  run();
  EXPECT_EQ(recorder.body, "by proxy");
  EXPECT_EQ(server.requests().at(0).path, "http://model.invalid/v1/messages");
  server.enqueue({});
  transfer = proxied.start({.url = server.url() + "/direct"}, recorder);
  run();
  EXPECT_EQ(server.requests().at(1).path, "/direct");
}

TEST(FakeLlmServer, RulesComeBeforeTheQueueAndTheQueueBeforeTheHandler) {
  SystemClock clock;
  loop::EventLoop loop(clock);
  Environment environment;
  http::Client client(loop, environment);
  FakeLlmServer server;
  auto bytes = [](char const* text) { return Reply{.pieces = {Piece::bytes(text)}}; };
  server.enqueue_for("child", bytes("rule 1"));
  server.enqueue_for("child", bytes("rule 2"));
  server.enqueue(bytes("queue"));
  server.answer([](RecordedRequest const& request) { return request.path == "/special"; },
                [](RecordedRequest const& request) { return Reply{.pieces = {Piece::bytes("matched " + request.body)}}; });
  auto ask = [&](std::string path, std::string body) {
    Recorder recorder(loop);
    auto transfer = client.start({.url = server.url() + path, .headers = {}, .body = std::move(body)}, recorder);
    loop.run();
    return std::to_string(recorder.response.status) + " " + recorder.body;
  };
  EXPECT_EQ(ask("/", "the child's task"), "200 rule 1");
  EXPECT_EQ(ask("/", "other"), "200 queue");
  EXPECT_EQ(ask("/", "child"), "200 rule 2");
  EXPECT_EQ(ask("/special", "x"), "200 matched x");
  EXPECT_EQ(ask("/", "child"), "500 the fake server has no reply for this request");
  server.answer_all([&](RecordedRequest const&) { return bytes("handler"); });
  EXPECT_EQ(ask("/", "child"), "200 handler");
}

}  // namespace
}  // namespace insomnia::testing
