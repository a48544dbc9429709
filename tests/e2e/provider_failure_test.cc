#include <memory>

#include "e2e.hh"

namespace insomnia::e2e {
namespace {

/// What goes wrong between a Pod and its model.
class ProviderFailure : public E2e {};

TEST_F(ProviderFailure, NobodyAtThePort) {
  std::string url = "http://127.0.0.1:" + std::to_string(testing::dead_port());
  home.environment.set("ANTHROPIC_BASE_URL", url);
  auto run = home.run({"run", "Try", "--name", "worker"});
  EXPECT_TRUE(ended_with(1, run));
  EXPECT_TRUE(has(run.err + run.out, url));
  EXPECT_TRUE(home.processes().empty());
  // Nothing is lost: when the other side is back, the Pod goes on.
  home.environment.set("ANTHROPIC_BASE_URL", server.url());
  server.enqueue(text_reply("Here again."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Try again", "--name", "worker"})));
  EXPECT_EQ(last_conversation(server, "Try").said.back(), "Try again");
}

TEST_F(ProviderFailure, HostThatDoesNotExist) {
  home.environment.set("ANTHROPIC_BASE_URL", "http://nobody.invalid:8080");
  auto run = home.start({"run", "Try"});
  auto code = run->wait(150'000);  // name servers may be slow to say no
  EXPECT_EQ(code, 1) << run->err();
  EXPECT_TRUE(has(run->err() + run->out(), "nobody.invalid"));
}

TEST_F(ProviderFailure, TooManyRequestsAreRepeatedWhenTheServerSays) {
  server.enqueue(error_reply(429, "rate_limit_error", "slow down", "0"));
  server.enqueue(error_reply(429, "rate_limit_error", "slow down", "1"));
  server.enqueue(error_reply(529, "overloaded_error", "busy", "0"));
  server.enqueue(text_reply("In the end."));
  auto run = home.run({"run", "Try"});
  ASSERT_TRUE(ended_with(0, run));
  EXPECT_TRUE(has(run.out, "In the end."));
  EXPECT_TRUE(has(run.out + run.err, "slow down"));
  EXPECT_EQ(server.requests().size(), 4u);
}

TEST_F(ProviderFailure, RefusedKeyIsNotTriedAgain) {
  server.enqueue(error_reply(401, "authentication_error", "invalid x-api-key"));
  auto run = home.run({"run", "Try"});
  EXPECT_TRUE(ended_with(1, run));
  EXPECT_TRUE(has(run.err + run.out, "invalid x-api-key"));
  EXPECT_FALSE(contains(run.err + run.out, "fake-key"));
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(ProviderFailure, OverloadInMidStreamIsContinued) {
  server.enqueue(stream_reply(AnthropicStream().text("Hello wor").error("overloaded_error", "busy").without_end()));
  server.enqueue(text_reply("ld."));
  auto run = home.run({"run", "Greet", "--name", "worker"});
  ASSERT_TRUE(ended_with(0, run));
  auto second = last_conversation(server, "Greet");
  ASSERT_FALSE(second.answers.empty());
  EXPECT_EQ(second.answers.back(), "Hello wor");
  EXPECT_TRUE(has(run.out, "Hello wor"));
  EXPECT_TRUE(has(run.out, "ld."));
}

TEST_F(ProviderFailure, StreamCutAnywhereIsMadeGood) {
  auto whole = [&](size_t turn) {
    return AnthropicStream()
        .thinking("let me see", "signed")
        .text("Turn " + std::to_string(turn))
        .tool("c" + std::to_string(turn), "TaskList", "{}")
        .whole();
  };
  size_t turns = static_cast<size_t>(soak(12, 200));
  auto cut_once = std::make_shared<std::vector<bool>>(turns + 1);
  answer_with(server, "Cut", [=](Conversation const& conversation) {
    size_t turn = conversation.results.size();
    if (turn >= turns) return text_reply("All there.");
    std::string stream = whole(turn);
    if ((*cut_once)[turn]) return stream_reply(stream);
    (*cut_once)[turn] = true;
    Reply reply = stream_reply(std::string_view(stream).substr(0, stream.size() * (turn + 1) / (turns + 1)));
    reply.pieces.push_back(Piece::cut());
    return reply;
  });
  auto run = home.start({"run", "Cut me short"});
  auto code = run->wait(soak(1, 5) * kPatienceMs);
  ASSERT_EQ(code, 0) << run->out() << run->err();
  auto last = last_conversation(server, "Cut");
  ASSERT_EQ(last.results.size(), turns);
  for (size_t i = 0; i < turns; ++i) {
    EXPECT_EQ(last.calls[i], "c" + std::to_string(i));
    EXPECT_EQ(last.count_results(last.calls[i]), 1u);
  }
  EXPECT_TRUE(has(run->out(), "All there."));
}

TEST_F(ProviderFailure, RubbishInsteadOfAStreamIsAnError) {
  server.answer_all([](testing::RecordedRequest const&) {
    return Reply{.status = 200, .headers = {{"Content-Type", "text/html"}}, .pieces = {Piece::bytes("<html>Please log in</html>")}};
  });
  auto run = home.run({"run", "Try"});
  EXPECT_TRUE(ended_with(1, run));
  EXPECT_TRUE(has(run.err + run.out, "text/html"));
}

}  // namespace
}  // namespace insomnia::e2e
