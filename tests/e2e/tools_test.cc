#include "e2e.hh"
#include "testing/fifo.hh"

namespace insomnia::e2e {
namespace {

using testing::ScriptedCall;

class Tools : public E2e {};

TEST_F(Tools, TenCallsInSequenceWorkOnRealFiles) {
  home.write("list.txt", "one\ntwo\nthree\n");
  std::string list = home.file("list.txt"), copy = home.file("new/copy.txt");
  std::vector<ScriptedCall> calls = {
      {"c1", "Read", arguments({{"file_path", list}})},
      {"c2", "Edit", arguments({{"file_path", list}, {"old_string", "two"}, {"new_string", "TWO"}})},
      {"c3", "Bash", arguments({{"command", "cat list.txt; pwd"}})},
      {"c4", "Write", arguments({{"file_path", copy}, {"content", "copied\n"}})},
      {"c5", "Read", arguments({{"file_path", copy}})},
      {"c6", "Edit", arguments({{"file_path", copy}, {"old_string", "copied"}, {"new_string", "changed"}})},
      {"c7", "Glob", arguments({{"pattern", "**/*.txt"}})},
      {"c8", "Grep", arguments({{"pattern", "^T[A-Z]+$"}})},
      {"c9", "Bash", arguments({{"command", "echo from bash > bash.txt; echo oops >&2; exit 3"}})},
      {"c10", "Read", arguments({{"file_path", home.file("bash.txt")}})},
  };
  for (auto const& call : calls) server.enqueue(tool_reply({call}));
  server.enqueue(text_reply("All ten done."));

  auto run = home.run({"run", "Work on the files"});
  ASSERT_TRUE(ended_with(0, run));
  EXPECT_TRUE(has(run.out, "All ten done."));
  EXPECT_EQ(home.read("list.txt"), "one\nTWO\nthree\n");
  EXPECT_EQ(home.read("new/copy.txt"), "changed\n");
  EXPECT_EQ(home.read("bash.txt"), "from bash\n");

  auto requests = conversations(server, "Work on the files");
  ASSERT_EQ(requests.size(), 11u);
  for (size_t i = 0; i < calls.size(); ++i) {
    ASSERT_EQ(requests[i + 1].latest_results.size(), 1u);
    EXPECT_EQ(requests[i + 1].latest_results[0].id, calls[i].id);
  }
  auto const& last = requests.back();
  EXPECT_TRUE(has(last.result("c1"), "three"));
  EXPECT_TRUE(has(last.result("c3"), "TWO"));
  EXPECT_TRUE(has(last.result("c3"), home.work()));
  EXPECT_TRUE(has(last.result("c7"), copy));
  EXPECT_TRUE(has(last.result("c8"), list));
  EXPECT_TRUE(has(last.result("c9"), "exit 3"));
  EXPECT_TRUE(has(last.result("c9"), "oops"));
  EXPECT_TRUE(has(last.result("c10"), "from bash"));
}

TEST_F(Tools, ParallelCallsAreAnsweredTogetherInTheirOrder) {
  // The first ends when the third writes into the pipe: they do run at the same time.
  testing::Fifo pipe(home.file("pipe"));
  server.enqueue(tool_reply({{"first", "Bash", arguments({{"command", "head -n1 pipe"}})},
                             {"second", "Write", arguments({{"file_path", home.file("second")}, {"content", "2"}})},
                             {"third", "Bash", arguments({{"command", "echo saw it > pipe"}})}}));
  server.enqueue(text_reply("Done."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Three at once"})));
  auto requests = conversations(server, "Three at once");
  ASSERT_EQ(requests.size(), 2u);
  auto const& results = requests[1].latest_results;
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].id, "first");
  EXPECT_EQ(results[1].id, "second");
  EXPECT_EQ(results[2].id, "third");
  EXPECT_TRUE(has(results[0].text, "saw it"));
  for (auto const& result : results) EXPECT_FALSE(result.is_error) << result.text;
}

TEST_F(Tools, CommandsDoNotSeeTheKey) {
  server.enqueue(tool_reply({{"c1", "Bash", arguments({{"command", "env"}})}}));
  server.enqueue(text_reply("Done."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Look around"})));
  auto conversation = last_conversation(server, "Look around");
  EXPECT_TRUE(has(conversation.result("c1"), "INSOMNIA_POD="));
  EXPECT_FALSE(contains(conversation.result("c1"), "fake-key"));
}

TEST_F(Tools, BadCallsAreAnsweredAndTheRunGoesOn) {
  server.enqueue(tool_reply({{"c1", "Fly", "{}"},
                             {"c2", "Read", R"({"file_path":17})"},
                             {"c3", "Read", arguments({{"file_path", "relative.txt"}})},
                             {"c4", "Read", arguments({{"file_path", home.file("missing.txt")}})},
                             {"c5", "Write", arguments({{"file_path", "/etc/insomnia-e2e"}, {"content", "no"}})},
                             {"c6", "Read", "{\"file_path\":"}}));
  server.enqueue(text_reply("Understood."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Make mistakes"})));
  auto conversation = last_conversation(server, "Make mistakes");
  ASSERT_EQ(conversation.results.size(), 6u);
  for (auto const& result : conversation.results) EXPECT_TRUE(result.is_error) << result.id << ": " << result.text;
  EXPECT_TRUE(has(conversation.result("c1"), "Fly"));
  EXPECT_TRUE(has(conversation.result("c2"), "file_path"));
  EXPECT_TRUE(has(conversation.result("c3"), "relative.txt"));
  EXPECT_TRUE(has(conversation.result("c4"), "missing.txt"));
  EXPECT_TRUE(has(conversation.result("c5"), "outside this Pod's scope"));
  EXPECT_TRUE(has(conversation.result("c5"), home.work()));
}

}  // namespace
}  // namespace insomnia::e2e
