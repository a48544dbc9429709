#include <algorithm>
#include <boost/json.hpp>

#include "base/text.hh"
#include "e2e.hh"

namespace insomnia::e2e {
namespace {

class Answer : public E2e {};

TEST_F(Answer, TheFirstRequestIsSmallAndItsPromptCanBeLookedAt) {
  home.write("AGENTS.md", "Speak plainly.");
  server.enqueue(text_reply("Yes."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Hello", "--name", "work"})));
  ASSERT_EQ(server.requests().size(), 1u);
  EXPECT_LT(server.requests()[0].body.size(), 12'000u) << "tools included";
  auto shown = home.run({"prompt", "show"});
  ASSERT_TRUE(ended_with(0, shown));
  std::string system = read_conversation(server.requests()[0]).system;
  // The time is another one.
  auto without_digits = [](std::string text) {
    std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
    return text;
  };
  EXPECT_EQ(without_digits(shown.out), without_digits(system + "\n"));
  EXPECT_TRUE(has(shown.out, "Speak plainly."));
  EXPECT_TRUE(has(shown.err, "The prompt has "));
  auto tools = home.run({"prompt", "show", "--tools"});
  EXPECT_TRUE(has(tools.out, "\n## SpawnPod\n"));
  home.write("own.toml", "worker.instruction_text = 'I am short.'\ntools.allow = ['Read']");
  auto own = home.run({"prompt", "show", "--profile", "./own.toml", "--tools"});
  ASSERT_TRUE(ended_with(0, own));
  EXPECT_TRUE(own.out.starts_with("I am short.\n\n## Working boundaries"));
  EXPECT_TRUE(has(own.out, "\n## Read\n"));
  EXPECT_FALSE(contains(own.out, "\n## SpawnPod\n"));
  EXPECT_TRUE(ended_with(1, home.run({"prompt", "show", "--profile", "none"})));
}

TEST_F(Answer, IsPrintedAndThePodIsGone) {
  server.enqueue(text_reply("Forty-two."));
  auto run = home.run({"run", "What is the answer?", "--name", "oracle"});
  EXPECT_TRUE(ended_with(0, run));
  EXPECT_TRUE(has(run.out, "Forty-two.\n"));
  EXPECT_EQ(run.out.find('\x1b'), std::string::npos) << "colours without a terminal";
  EXPECT_TRUE(home.living().empty());
  EXPECT_TRUE(home.processes().empty());

  auto requests = server.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].path, "/v1/messages");
  EXPECT_EQ(requests[0].header("x-api-key"), "fake-key");
  EXPECT_TRUE(requests[0].header("anthropic-version"));
  auto conversation = read_conversation(requests[0]);
  EXPECT_EQ(conversation.task, "What is the answer?");
  EXPECT_TRUE(has(conversation.system, "oracle"));
  EXPECT_TRUE(has(conversation.system, home.work()));
  EXPECT_EQ(conversation.tools, (std::vector<std::string>{"Bash", "Edit", "Glob", "Grep", "ListPods", "Read", "ReadPodOutput", "RestorePod", "SendToPod", "SpawnPod",
                                                          "StopPod", "TaskCreate", "TaskGet", "TaskList", "TaskUpdate", "WaitForPods", "Write"}));
}

TEST_F(Answer, ComesAsEventsWithJson) {
  server.enqueue(stream_reply(AnthropicStream().thinking("hm", "sig").text_pieces({"Forty", "-two."}).whole(), 7));
  auto run = home.run({"run", "What is the answer?", "--json"});
  ASSERT_TRUE(ended_with(0, run));
  ASSERT_TRUE(run.out.ends_with('\n'));
  std::vector<std::string> kinds;
  std::string text;
  int64_t last_seq = -1;
  for (auto line : text::split(std::string_view(run.out).substr(0, run.out.size() - 1), '\n')) {
    auto object = json::parse_object(line);
    ASSERT_TRUE(object) << line;
    json::Reader reader(*object);
    kinds.push_back(reader.string("event"));
    int64_t seq = reader.optional_integer("seq").value_or(last_seq + 1);
    EXPECT_GT(seq, last_seq) << line;
    last_seq = seq;
    if (kinds.back() == "text_done") text = json::Reader(*reader.object("data")).string("text");
  }
  EXPECT_EQ(text, "Forty-two.");
  for (auto* kind : {"snapshot", "user_message", "turn_start", "thinking_done", "text_delta", "text_done", "usage", "run_end", "status"}) {
    EXPECT_EQ(std::ranges::count(kinds, kind) > 0, true) << kind;
  }
  EXPECT_EQ(kinds.front(), "snapshot");
}

TEST_F(Answer, TaskComesFromStandardInput) {
  server.enqueue(text_reply("Read it."));
  auto run = home.run({"run", "-"}, "", "a task\nof two lines\n");
  EXPECT_TRUE(ended_with(0, run));
  EXPECT_EQ(last_conversation(server, "").task, "a task\nof two lines\n");
}

TEST_F(Answer, TurnLimitEndsTheRunWithItsOwnCode) {
  home.write("a.txt", "alpha\n");
  for (int i = 0; i < 3; ++i) {
    server.enqueue(tool_reply({{"c" + std::to_string(i), "Read", arguments({{"file_path", home.file("a.txt")}})}}));
  }
  auto run = home.run({"run", "Read on and on", "--max-turns", "2"});
  EXPECT_TRUE(ended_with(3, run));
  EXPECT_EQ(server.requests().size(), 2u);
  EXPECT_TRUE(home.living().empty());
}

}  // namespace
}  // namespace insomnia::e2e
