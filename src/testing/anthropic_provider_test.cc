#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/clock.hh"
#include "base/json.hh"
#include "http/client.hh"
#include "llm/catalogue.hh"
#include "testing/anthropic_stream.hh"
#include "testing/fake_llm_server.hh"

// The whole way of a call: provider, HTTP client and a real server.
namespace insomnia::testing {
namespace {

using llm::BlockDelta;
using llm::BlockStart;
using llm::BlockStop;
using llm::BlockType;
using llm::StreamEvent;

struct Recorder : llm::CallHandler {
  explicit Recorder(loop::EventLoop& event_loop) : loop(event_loop) {}
  void on_event(StreamEvent const& event) override {
    EXPECT_FALSE(ended);
    events.push_back(event);
    if (act) act(event);
  }
  void on_end(std::optional<llm::CallFailure> result) override {
    EXPECT_FALSE(ended);
    ended = true;
    failure = std::move(result);
    loop.stop();
  }
  bool completed() const { return !events.empty() && std::holds_alternative<llm::Completed>(events.back()); }
  std::string text() const {
    std::string out;
    for (auto const& event : events) {
      if (auto const* delta = std::get_if<BlockDelta>(&event)) out += delta->text;
    }
    return out;
  }
  loop::EventLoop& loop;
  std::function<void(StreamEvent const&)> act;
  std::vector<StreamEvent> events;
  bool ended = false;
  std::optional<llm::CallFailure> failure;
};

class AnthropicProviderTest : public ::testing::Test {
 protected:
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
  std::unique_ptr<llm::Provider> provider(llm::StreamLimits limits = {}) {
    environment.set("ANTHROPIC_BASE_URL", base_url.empty() ? server.url() : base_url);
    environment.set("ANTHROPIC_API_KEY", kKey);
    auto model = llm::Catalogue::load("")->resolve({.ref = "anthropic/claude-haiku-4-5"});
    auto made = llm::make_provider(*model, {.loop = loop,
                                            .http = http,
                                            .environment = environment,
                                            .self_program = "",
                                            .config_dir = "",
                                            .limits = limits});
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  std::unique_ptr<llm::Call> start(llm::Provider& with) {
    std::vector<wire::Item> items{wire::user_message("hello")};
    auto call = with.call({.system_prompt = "sys", .items = items}, recorder);
    EXPECT_TRUE(recorder.events.empty() && !recorder.ended) << "the handler was called before call() returned";
    return call;
  }
  /// One call from start to end.
  void call(llm::StreamLimits limits = {}) {
    auto made = provider(limits);
    auto under_way = start(*made);
    run();
  }
  void expect_failure(bool retryable, std::string const& part) {
    ASSERT_TRUE(recorder.failure);
    EXPECT_EQ(recorder.failure->retryable, retryable) << recorder.failure->error.message;
    EXPECT_NE(recorder.failure->error.message.find(part), std::string::npos) << recorder.failure->error.message;
    EXPECT_EQ(recorder.failure->error.message.find(kKey), std::string::npos) << "the key is in the error";
  }

  static constexpr char const* kKey = "sk-secret-0123456789";
  std::string base_url;
  SystemClock clock;
  loop::EventLoop loop{clock};
  FakeLlmServer server;
  Environment environment;
  http::Client http{loop, environment};
  Recorder recorder{loop};
};

TEST_F(AnthropicProviderTest, ATextAnswer) {
  server.enqueue(stream_reply(AnthropicStream().usage(7, 3).ping().text_pieces({"Hel", "lo"}).whole()));
  call();
  EXPECT_FALSE(recorder.failure);
  EXPECT_EQ(recorder.events,
            (std::vector<StreamEvent>{llm::Started{"msg_fake", "fake-model"}, llm::Usage{7, 1, 0, 0}, llm::Ping{},
                                      BlockStart{0, BlockType::Text, "", ""}, BlockDelta{0, "Hel"}, BlockDelta{0, "lo"}, BlockStop{0},
                                      llm::Usage{{}, 3, {}, {}}, llm::Stopped{llm::StopReason::EndTurn}, llm::Completed{}}));
}

TEST_F(AnthropicProviderTest, TheRequestHasKeyVersionAndBody) {
  server.enqueue(text_reply("x"));
  call();
  auto requests = server.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].path, "/v1/messages");
  EXPECT_EQ(requests[0].header("x-api-key"), kKey);
  EXPECT_EQ(requests[0].header("anthropic-version"), "2023-06-01");
  EXPECT_EQ(requests[0].header("content-type"), "application/json");
  EXPECT_EQ(requests[0].header("accept"), "text/event-stream");
  auto body = json::parse_object(requests[0].body);
  ASSERT_TRUE(body);
  EXPECT_EQ(body->at("model").as_string(), "claude-haiku-4-5");
  EXPECT_TRUE(body->at("stream").as_bool());
}

TEST_F(AnthropicProviderTest, ABaseUrlWithVersionIsTheSame) {
  base_url = server.url() + "/v1/";
  server.enqueue(text_reply("x"));
  call();
  EXPECT_EQ(server.requests().at(0).path, "/v1/messages");
}

TEST_F(AnthropicProviderTest, ParallelToolCallsAndThinking) {
  server.enqueue(stream_reply(AnthropicStream()
                                  .thinking("hm", "sig")
                                  .tool("t1", "Read", R"({"path":"ä"})")
                                  .tool("t2", "Grep", R"({"p":"x"})")
                                  .whole(),
                              1));
  call();
  EXPECT_TRUE(recorder.completed());
  std::vector<BlockStart> starts;
  std::string arguments[3];
  for (auto const& event : recorder.events) {
    if (auto const* block = std::get_if<BlockStart>(&event)) starts.push_back(*block);
    if (auto const* delta = std::get_if<BlockDelta>(&event)) arguments[delta->index] += delta->text;
  }
  EXPECT_EQ(starts, (std::vector<BlockStart>{{0, BlockType::Thinking, "", ""},
                                             {1, BlockType::ToolUse, "t1", "Read"},
                                             {2, BlockType::ToolUse, "t2", "Grep"}}));
  EXPECT_EQ(arguments[1], R"({"path":"ä"})");
  EXPECT_EQ(arguments[2], R"({"p":"x"})");
  auto reasoning = std::find_if(recorder.events.begin(), recorder.events.end(), [](auto const& event) { return std::holds_alternative<llm::ReasoningDone>(event); });
  ASSERT_TRUE(reasoning != recorder.events.end());
  EXPECT_EQ(std::get<llm::ReasoningDone>(*reasoning).item.signature, "sig");
  EXPECT_TRUE(std::get<llm::ReasoningDone>(*reasoning).item.origin.starts_with("anthropic:")) << "who understands it";
}

TEST_F(AnthropicProviderTest, EventsComeWhileTheStreamIsStillOpen) {
  std::string stream = AnthropicStream().text("early").whole();
  size_t middle = stream.find("event: content_block_stop");
  server.enqueue({.headers = {{"Content-Type", "text/event-stream"}},
                  .pieces = {Piece::bytes(stream.substr(0, middle)), Piece::gate("go"), Piece::bytes(stream.substr(middle))}});
  recorder.act = [&](StreamEvent const& event) {
    if (std::holds_alternative<BlockDelta>(event)) server.open_gate("go");
  };
  call();
  EXPECT_TRUE(recorder.completed());
}

TEST_F(AnthropicProviderTest, OneRequestPerCallAndAnErrorStatusIsAFailure) {
  for (int status : {429, 500, 503, 529}) {
    recorder.ended = false;
    server.enqueue(error_reply(status, "some_error", "Busy", "3"));
    call();
    expect_failure(true, "API error (status: " + std::to_string(status) + ") [some_error]: Busy");
    EXPECT_EQ(recorder.failure->status, status);
    EXPECT_EQ(recorder.failure->api_code, "some_error");
    EXPECT_EQ(recorder.failure->retry_after_ms, 3'000);
    EXPECT_FALSE(recorder.failure->mid_stream);
  }
  EXPECT_EQ(server.requests().size(), 4u);
}

TEST_F(AnthropicProviderTest, ARefusedKeyIsNotRetriedAndNeverShown) {
  server.enqueue(error_reply(401, "authentication_error", std::string("invalid x-api-key ") + kKey));
  call();
  expect_failure(false, "check the key");
  EXPECT_EQ(recorder.failure->error.code, Code::PermissionDenied);
}

TEST_F(AnthropicProviderTest, AnAnswerThatIsNoStreamIsTold) {
  server.enqueue({.headers = {{"Content-Type", "text/html"}}, .pieces = {Piece::bytes("<html>Log in</html>")}});
  call();
  expect_failure(false, "text/html");
}

TEST_F(AnthropicProviderTest, AnEmptyStreamMayBeTriedAgain) {
  server.enqueue(stream_reply(""));
  call();
  expect_failure(true, "before its first event");
  EXPECT_FALSE(recorder.failure->mid_stream);
}

TEST_F(AnthropicProviderTest, AnErrorEventEndsTheCallMidStream) {
  server.enqueue(stream_reply(AnthropicStream().text("part").error("overloaded_error", "Overloaded").text("never").without_end()));
  call();
  expect_failure(true, "[overloaded_error]: Overloaded");
  EXPECT_TRUE(recorder.failure->mid_stream);
  EXPECT_EQ(recorder.text(), "part");
}

TEST_F(AnthropicProviderTest, AStreamThatEndsWithoutItsTerminalEventIsNotCompleted) {
  server.enqueue(stream_reply(AnthropicStream().text("part").without_end()));
  call();
  EXPECT_FALSE(recorder.failure);
  EXPECT_FALSE(recorder.completed());
  EXPECT_EQ(recorder.text(), "part");
}

TEST_F(AnthropicProviderTest, ACutConnectionIsARetryableFailureMidStream) {
  Reply reply = stream_reply(AnthropicStream().text("part").without_end());
  reply.pieces.push_back(Piece::cut());
  server.enqueue(reply);
  call();
  expect_failure(true, "/v1/messages");
  EXPECT_TRUE(recorder.failure->mid_stream);
  EXPECT_FALSE(recorder.completed());
}

TEST_F(AnthropicProviderTest, AStreamThatStandsStillIsGivenUp) {
  Reply reply = stream_reply(AnthropicStream().text("part").without_end());
  reply.pieces.push_back(Piece::stall());
  server.enqueue(reply);
  call({.idle_ms = 50});
  expect_failure(true, "stood still for 50 ms");
  EXPECT_TRUE(recorder.failure->mid_stream);
  EXPECT_EQ(recorder.failure->error.code, Code::Timeout);
  EXPECT_TRUE(server.wait_for_no_connections());
}

TEST_F(AnthropicProviderTest, AFirstEventThatDoesNotComeIsGivenUp) {
  server.enqueue({.headers = {{"Content-Type", "text/event-stream"}}, .pieces = {Piece::bytes(": hello\n\n"), Piece::stall()}});
  call({.first_event_ms = 50});
  expect_failure(true, "no event of the stream within 50 ms");
  EXPECT_FALSE(recorder.failure->mid_stream);
}

TEST_F(AnthropicProviderTest, APingCountsAsLife) {
  server.enqueue(stream_reply(AnthropicStream().ping().whole()));
  call({.first_event_ms = 20'000, .idle_ms = 20'000});
  EXPECT_TRUE(recorder.completed());
}

TEST_F(AnthropicProviderTest, AConnectionThatStaysOpenAfterTheEndDoesNotHoldTheCall) {
  Reply reply = text_reply("done");
  reply.pieces.push_back(Piece::stall());
  server.enqueue(reply);
  call();
  EXPECT_FALSE(recorder.failure);
  EXPECT_TRUE(recorder.completed());
}

TEST_F(AnthropicProviderTest, ADeadServerMayBeTriedAgain) {
  base_url = "http://127.0.0.1:" + std::to_string(dead_port());
  call();
  expect_failure(true, base_url);
  EXPECT_EQ(recorder.failure->status, std::nullopt);
}

TEST_F(AnthropicProviderTest, CancellingIsSilentAndClosesTheConnection) {
  Reply reply = stream_reply(AnthropicStream().text("part").without_end());
  reply.pieces.push_back(Piece::stall());
  server.enqueue(reply);
  auto made = provider();
  auto under_way = start(*made);
  recorder.act = [&](StreamEvent const& event) {
    if (!std::holds_alternative<BlockDelta>(event)) return;
    under_way.reset();
    loop.stop();
  };
  run();
  size_t count = recorder.events.size();
  EXPECT_TRUE(server.wait_for_no_connections());
  loop.run_once(0);
  EXPECT_EQ(recorder.events.size(), count) << "events after the end of the call";
  EXPECT_FALSE(recorder.ended);
}

TEST_F(AnthropicProviderTest, CallsAfterEachOtherShareOneConnection) {
  auto made = provider();
  for (int i = 0; i < 3; ++i) {
    recorder.ended = false;
    recorder.events.clear();
    server.enqueue(text_reply("x"));
    auto under_way = start(*made);
    run();
  }
  EXPECT_EQ(server.connections(), 1u);
}

TEST_F(AnthropicProviderTest, AKeyThatVanishedFailsTheCallAndNotTheProgram) {
  auto made = provider();
  environment.unset("ANTHROPIC_API_KEY");
  auto under_way = start(*made);
  run();
  expect_failure(false, "ANTHROPIC_API_KEY");
}

TEST_F(AnthropicProviderTest, AManifestsBaseUrlIsNotReplacedByTheEnvironment) {
  environment.set("ANTHROPIC_BASE_URL", "http://127.0.0.1:" + std::to_string(dead_port()));
  environment.set("ANTHROPIC_API_KEY", kKey);
  server.enqueue(text_reply("x"));
  auto model = llm::Catalogue::load("")->resolve({.ref = "anthropic/claude-haiku-4-5", .base_url = server.url()});
  auto made = llm::make_provider(
      *model, {.loop = loop, .http = http, .environment = environment, .self_program = "", .config_dir = ""});
  ASSERT_TRUE(made);
  auto under_way = start(**made);
  run();
  EXPECT_TRUE(recorder.completed());
}

}  // namespace
}  // namespace insomnia::testing
