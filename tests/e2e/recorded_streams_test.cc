#include <boost/json.hpp>

#include "base/io.hh"
#include "base/text.hh"
#include "e2e.hh"
#include "http/sse.hh"
#include "testing/recorded_stream.hh"

namespace insomnia::e2e {
namespace {

/// A Pod whose model is a real service's recording.
class RecordedPod : public E2e, public ::testing::WithParamInterface<std::string> {};

/// What the last answer says, read from the recorded lines.
std::string text_of(testing::RecordedConversation const& conversation) {
  http::SseParser parser;
  std::vector<http::SseEvent> events;
  EXPECT_TRUE(parser.feed(conversation.calls.back().body, events));
  std::string text;
  for (auto const& event : events) {
    auto json = json::parse(event.data);
    if (!json) continue;
    boost::system::error_code error;
    for (auto const* pointer : {"/delta/text", "/choices/0/delta/content", "/delta", "/candidates/0/content/parts/0/text"}) {
      auto const* value = json->find_pointer(pointer, error);
      bool of_text = event.event != "response.reasoning_summary_text.delta" && event.event != "response.function_call_arguments.delta";
      auto const* thought = json->find_pointer("/candidates/0/content/parts/0/thought", error);
      if (value != nullptr && value->is_string() && of_text && thought == nullptr) text += std::string(value->get_string());
    }
  }
  return text;
}

TEST_P(RecordedPod, MakesTheToolCallsAndSaysTheLastAnswer) {
  auto conversation = testing::recorded_conversation(GetParam());
  home.write("m.toml", "[model]\nscheme = \"" + conversation.scheme + "\"\nbase_url = \"" + server.url() + "\"\nmodel_id = \"m\"\nauth = { kind = \"none\" }\n");
  for (auto const& call : conversation.calls) server.enqueue(stream_reply(call.body, 777));
  auto ran = home.run({"run", "What's the weather?", "--manifest", home.file("m.toml")});
  ASSERT_TRUE(ended_with(0, ran));
  std::string answer = text_of(conversation);
  ASSERT_FALSE(answer.empty());
  for (auto const& line : text::split(answer, '\n')) EXPECT_TRUE(has(ran.out, line));
  auto requests = server.requests();
  ASSERT_EQ(requests.size(), conversation.calls.size());
  std::string path = conversation.calls[0].url.substr(conversation.calls[0].url.rfind(conversation.scheme == "gemini" ? "/v1beta" : "/v1"));
  if (conversation.scheme == "gemini") path = "/v1beta/models/m:streamGenerateContent?alt=sse";
  EXPECT_EQ(requests[0].path, path);
  EXPECT_TRUE(requests.size() == 1 || has(requests[1].body, "Tool 'weather' not found")) << "the call was made, and its answer sent";
}

std::string test_name(::testing::TestParamInfo<std::string> const& info) { return testing::recorded_test_name(info.param); }
INSTANTIATE_TEST_SUITE_P(Vendors, RecordedPod, ::testing::ValuesIn(testing::recorded_conversations()), test_name);

/// One session on a model of each wire format after the other.
TEST_F(E2e, ASessionGoesOnWithAModelOfAnotherVendor) {
  // Providers of our own, so that --model can choose among them.
  std::string providers;
  std::vector<std::string> schemes{"gemini", "openai_responses", "openai_chat", "anthropic"};
  for (auto const& scheme : schemes) {
    providers += "[[provider]]\nid = \"my-" + scheme + "\"\nscheme = \"" + scheme + "\"\nbase_url = \"" + server.url() + "\"\nauth_hint = { kind = \"none\" }\n";
  }
  ASSERT_TRUE(io::make_directories(home.paths().config_dir));
  ASSERT_TRUE(io::replace_file(home.paths().config_dir + "/providers.toml", providers));
  std::vector<std::string> files{"gemini/GoogleThinking__gemini-3-pro-preview__thinking-streaming.json", "openai_responses/OpenAIResponsesWithSummaryThinking__openai-gpt-5__thinking-streaming.json",
                                 "openai_chat/OpenRouterThinking__anthropic__thinking-streaming.json", "anthropic/AnthropicThinking__claude-sonnet-4__thinking-streaming.json"};
  for (size_t i = 0; i < schemes.size(); ++i) {
    for (auto const& call : testing::recorded_conversation(files[i]).calls) server.enqueue(stream_reply(call.body));
    ASSERT_TRUE(ended_with(0, home.run({"run", "Question " + std::to_string(i), "--name", "traveller", "--model", "my-" + schemes[i] + "/gemini-3-pro"})));
  }
  std::string last = server.requests().back().body;
  for (size_t i = 0; i < schemes.size(); ++i) EXPECT_TRUE(has(last, "Question " + std::to_string(i)));
  EXPECT_FALSE(contains(last, "thoughtSignature"));
  EXPECT_FALSE(contains(last, "encrypted_content"));
  EXPECT_TRUE(has(last, "\"signature\"")) << "its own reasoning goes back";
}

}  // namespace
}  // namespace insomnia::e2e
