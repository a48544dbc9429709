#include <boost/json.hpp>

#include "e2e.hh"

namespace insomnia::e2e {
namespace {

/// What calls cost, and what they may cost.
class Usage : public E2e {
 protected:
  std::vector<std::string> run(std::string const& task, std::string const& budget) {
    home.write("m.toml", "[model]\nref = \"anthropic/claude-sonnet-4-6\"\n[worker]\nmax_tokens = 1000\n" + budget);
    return {"run", task, "--name", "boss", "--manifest", home.file("m.toml")};
  }
};

TEST_F(Usage, IsShownByPodModelAndTree) {
  home.write("sub/x", "");
  std::string rule = "read:" + home.file("sub");
  answer_with(server, "BOSS", [rule](Conversation const& so_far) {
    if (so_far.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {rule})}, {"w1", "WaitForPods", "{}"}});
    return text_reply("Done.");
  });
  answer_with(server, "CHILD", [](Conversation const&) { return text_reply("Mine."); });
  ASSERT_TRUE(ended_with(0, home.run(run("BOSS", ""))));
  auto pods = home.run({"usage"});
  EXPECT_TRUE(ended_with(0, pods));
  EXPECT_TRUE(has(pods.out, "boss"));
  EXPECT_TRUE(has(pods.out, "kid"));
  EXPECT_TRUE(has(pods.out, "total"));
  auto tree = json::parse(home.run({"usage", "--by", "tree", "--json"}).out);
  ASSERT_TRUE(tree);
  ASSERT_EQ(tree->as_array().size(), 1u);
  auto const& row = tree->as_array()[0].as_object();
  EXPECT_EQ(row.at("tree"), "boss");
  EXPECT_EQ(row.at("calls").to_number<uint64_t>(), server.requests().size());
  EXPECT_EQ(row.at("input_tokens").to_number<uint64_t>(), 10 * server.requests().size());
  EXPECT_NEAR(row.at("cost").to_number<double>(), static_cast<double>(server.requests().size()) * (10 * 3 + 5 * 15) / 1e6, 1e-9);
  EXPECT_TRUE(has(home.run({"usage", "--by", "model"}).out, "anthropic/claude-sonnet-4-6"));
  EXPECT_TRUE(ended_with(1, home.run({"usage", "--since", "tomorrow"})));
  EXPECT_TRUE(has(home.run({"providers"}).err, "no provider has refused"));
}

TEST_F(Usage, ABudgetRefusesTheNextCallAndSaysWhose) {
  // Every call of the model reads a file again.
  answer_with(server, "READ", [](Conversation const& so_far) {
    return tool_reply({{"r" + std::to_string(so_far.calls.size()), "ListPods", "{}"}});
  });
  auto ended = home.run(run("READ", "[budget]\nmax_cost = 0.2\n"));
  EXPECT_TRUE(ended_with(3, ended));
  EXPECT_TRUE(has(ended.out + ended.err, "the budget of Pod `boss`"));
  size_t calls = server.requests().size();
  EXPECT_GT(calls, 1u);
  auto usage = json::parse(home.run({"usage", "--json"}).out);
  ASSERT_TRUE(usage);
  EXPECT_LE(usage->as_array()[0].at("cost").to_number<double>(), 0.2);
}

TEST_F(Usage, AChildsBudgetIsItsOwnAndItsSpendingIsItsParentsToo) {
  home.write("sub/x", "");
  std::string arguments = R"({"name":"kid","task":"CHILD","scope":[{"target":")" + home.file("sub") + R"(","permission":"read"}],"budget":{"max_tokens":1}})";
  answer_with(server, "BOSS", [arguments](Conversation const& so_far) {
    if (so_far.calls.empty()) return tool_reply({{"s1", "SpawnPod", arguments}, {"w1", "WaitForPods", "{}"}});
    return text_reply("Done.");
  });
  auto ended = home.run(run("BOSS", ""));
  EXPECT_TRUE(ended_with(0, ended));
  EXPECT_TRUE(has(last_conversation(server, "BOSS").result("w1"), "the budget of Pod `kid` has no room"));
  EXPECT_TRUE(conversations(server, "CHILD").empty()) << "its first call was refused already";
}

TEST_F(Usage, OneCallSaysWhatAModelCanDo) {
  server.enqueue(tool_reply({{"t1", "report", R"({"word":"ready"})"}}));
  auto good = home.run({"models", "--check", "anthropic/claude-haiku-4-5"});
  EXPECT_TRUE(ended_with(0, good));
  EXPECT_TRUE(has(good.out, "auth       works\nstreaming  works (first event after "));
  EXPECT_TRUE(has(good.out, "tools      works\nreasoning  not shown\ncost       10 tokens in, 5 out, $0.0000\n"));
  EXPECT_TRUE(has(home.run({"usage"}).out, "models --check"));
  server.enqueue(text_reply("I won't."));
  auto silent = home.run({"models", "--check", "anthropic/claude-haiku-4-5", "--json"});
  EXPECT_TRUE(ended_with(1, silent));
  EXPECT_TRUE(has(silent.out, R"("auth":true,"streaming":true,"tools":false)"));
  server.enqueue(error_reply(401, "authentication_error", "invalid x-api-key"));
  auto refused = home.run({"models", "--check", "anthropic/claude-haiku-4-5"});
  EXPECT_TRUE(ended_with(1, refused));
  EXPECT_TRUE(has(refused.out, "auth       refused"));
  EXPECT_TRUE(has(refused.err, "check the key"));
  EXPECT_FALSE(contains(refused.out + refused.err, "fake-key"));
  EXPECT_TRUE(ended_with(1, home.run({"models", "--check", "nobody/model"})));
}

}  // namespace
}  // namespace insomnia::e2e
