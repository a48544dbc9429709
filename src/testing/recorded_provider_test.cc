#include <gtest/gtest.h>

#include <random>

#include "base/clock.hh"
#include "http/client.hh"
#include "llm/catalogue.hh"
#include "llm/scheme/anthropic.hh"
#include "llm/scheme/gemini.hh"
#include "llm/scheme/openai_chat.hh"
#include "llm/scheme/openai_responses.hh"
#include "testing/fake_llm_server.hh"
#include "testing/recorded_stream.hh"

// Recorded answers over the whole way of a call, in every kind of pieces.
namespace insomnia::testing {
namespace {

struct Recorder : llm::CallHandler {
  explicit Recorder(loop::EventLoop& event_loop) : loop(event_loop) {}
  void on_event(llm::StreamEvent const& event) override { events.push_back(event); }
  void on_end(std::optional<llm::CallFailure> result) override {
    failure = std::move(result);
    loop.stop();
  }
  loop::EventLoop& loop;
  std::vector<llm::StreamEvent> events;
  std::optional<llm::CallFailure> failure;
};

class RecordedProvider : public ::testing::TestWithParam<std::string> {
 protected:
  RecordedProvider() : conversation(recorded_conversation(GetParam())) {
    llm::ModelConfig model;
    model.scheme = conversation.scheme;
    model.provider_id = "recorded";
    model.model_id = "m";
    model.base_url = server.url();
    model.base_url_is_set = true;
    provider = *llm::make_provider(model, {.loop = loop, .http = http, .environment = environment, .self_program = "", .config_dir = ""});
    origin = conversation.scheme + ":recorded";
  }

  std::vector<llm::StreamEvent> expected(std::string const& body) const {
    std::unique_ptr<llm::Scheme> scheme = conversation.scheme == "anthropic"     ? llm::make_anthropic_scheme()
                                          : conversation.scheme == "gemini"      ? llm::make_gemini_scheme()
                                          : conversation.scheme == "openai_chat" ? llm::make_openai_chat_scheme()
                                                                                 : llm::make_openai_responses_scheme();
    http::SseParser parser;
    std::vector<http::SseEvent> events;
    EXPECT_TRUE(parser.feed(body, events));
    auto decoder = scheme->decoder();
    std::vector<llm::StreamEvent> out;
    for (auto const& event : events) EXPECT_FALSE(decoder->decode(event, out));
    decoder->end(out);
    for (auto& event : out) {
      if (auto* reasoning = std::get_if<llm::ReasoningDone>(&event)) reasoning->item.origin = origin;
    }
    return out;
  }

  std::vector<llm::StreamEvent> call(std::vector<size_t> const& cuts, std::string const& body) {
    Reply reply{.status = 200, .headers = {{"Content-Type", "text/event-stream"}}, .pieces = {}};
    size_t from = 0;
    for (size_t cut : cuts) {
      if (cut > from) reply.pieces.push_back(Piece::bytes(body.substr(from, cut - from)));
      from = std::max(from, cut);
    }
    reply.pieces.push_back(Piece::bytes(body.substr(from)));
    server.enqueue(std::move(reply));
    Recorder recorder(loop);
    std::vector<wire::Item> items{wire::user_message("hi")};
    auto running = provider->call({.system_prompt = "", .items = items, .tools = {}, .config = {}, .cache_anchor = {}, .cache_key = ""}, recorder);
    loop::Timer deadline(loop, [&] {
      ADD_FAILURE() << "no end";
      loop.stop();
    });
    deadline.start(20'000);
    loop.run();
    EXPECT_FALSE(recorder.failure) << recorder.failure->error.message;
    return recorder.events;
  }

  SystemClock clock;
  loop::EventLoop loop{clock};
  Environment environment;
  http::Client http{loop, environment};
  FakeLlmServer server;
  RecordedConversation conversation;
  std::unique_ptr<llm::Provider> provider;
  std::string origin;
};

TEST_P(RecordedProvider, GivesTheSameEventsInEveryKindOfPieces) {
  std::mt19937 random(11);
  for (auto const& recorded : conversation.calls) {
    auto whole = expected(recorded.body);
    EXPECT_TRUE(call({}, recorded.body) == whole);
    std::vector<size_t> bytes;
    for (size_t i = 1; i < recorded.body.size(); ++i) bytes.push_back(i);
    EXPECT_TRUE(call(bytes, recorded.body) == whole) << "one byte at a time";
    for (int round = 0; round < 20; ++round) {
      std::vector<size_t> cuts;
      for (int i = 0; i < 12; ++i) cuts.push_back(1 + random() % (recorded.body.size() - 1));
      std::sort(cuts.begin(), cuts.end());
      EXPECT_TRUE(call(cuts, recorded.body) == whole) << round;
    }
  }
  EXPECT_EQ(server.connections(), 1u) << "one connection serves all turns";
}

std::string test_name(::testing::TestParamInfo<std::string> const& info) { return recorded_test_name(info.param); }
INSTANTIATE_TEST_SUITE_P(Vendors, RecordedProvider, ::testing::ValuesIn(recorded_conversations()), test_name);

}  // namespace
}  // namespace insomnia::testing
