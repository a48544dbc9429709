#include <algorithm>
#include <boost/json.hpp>

#include "e2e.hh"

namespace insomnia::e2e {
namespace {

/// A parent (its task says PARENT) in a project with the folders left and right.
class Spawn : public E2e {
 protected:
  Spawn() {
    home.write("left/old.txt", "left\n");
    home.write("left/deep/old.txt", "deep\n");
    home.write("right/old.txt", "right\n");
  }
  std::string write_rule(std::string_view name) const { return "write:" + home.file(name); }
};

TEST_F(Spawn, TwoChildrenWorkAtOnceAndTheirEndsWakeTheParent) {
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (conversation.results.empty()) {
      return tool_reply({{"s1", "SpawnPod", spawn_arguments("left-kid", "LEFT work", {write_rule("left")})},
                         {"s2", "SpawnPod", spawn_arguments("right-kid", "RIGHT work", {write_rule("right")})}});
    }
    bool both = conversation.was_told("left is done") && conversation.was_told("right is done");
    return text_reply(both ? "Both are done." : "I wait.");
  });
  // Each child's answer waits for the other child: only children that run at the same time get there.
  Reply left = text_reply("left is done");
  left.head_gate = "right has written";
  Reply right = text_reply("right is done");
  right.head_gate = "left has written";
  answer_task(server, "LEFT", {tool_reply({{"w1", "Write", arguments({{"file_path", home.file("left/new.txt")}, {"content", "L"}})}}), left});
  answer_task(server, "RIGHT", {tool_reply({{"w1", "Write", arguments({{"file_path", home.file("right/new.txt")}, {"content", "R"}})}}), right});

  auto run = home.start({"run", "PARENT: let two children work", "--name", "boss"});
  ASSERT_TRUE(server.wait_for_gate("right has written", kPatienceMs)) << run->err() << run->out();
  ASSERT_TRUE(server.wait_for_gate("left has written", kPatienceMs)) << run->err() << run->out();
  EXPECT_EQ(home.living(), (std::vector<std::string>{"boss", "left-kid", "right-kid"}));
  server.open_gate("right has written");
  server.open_gate("left has written");
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(has(run->out(), "Both are done."));
  EXPECT_TRUE(has(run->out(), "[left-kid]"));
  EXPECT_EQ(home.read("left/new.txt"), "L");
  EXPECT_EQ(home.read("right/new.txt"), "R");
  EXPECT_TRUE(home.living().empty());
  EXPECT_TRUE(home.processes().empty());

  auto child = last_conversation(server, "LEFT");
  EXPECT_TRUE(has(child.system, "left-kid"));
  EXPECT_EQ(child.task, "LEFT work");
  auto parent = last_conversation(server, "PARENT");
  EXPECT_FALSE(parent.results[0].is_error) << parent.results[0].text;
  EXPECT_FALSE(parent.results[1].is_error) << parent.results[1].text;
}

TEST_F(Spawn, OfTwoOverlappingScopesOneIsGrantedAndTheOtherNamesTheSibling) {
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (conversation.results.empty()) {
      return tool_reply({{"s1", "SpawnPod", spawn_arguments("ann", "CHILD", {write_rule("left")})},
                         {"s2", "SpawnPod", spawn_arguments("bob", "CHILD", {write_rule("left/deep")})}});
    }
    return text_reply(conversation.was_told("child is done") ? "One was refused." : "I wait.");
  });
  answer_with(server, "CHILD", [](Conversation const&) { return text_reply("child is done"); });
  auto run = home.run({"run", "PARENT"});
  ASSERT_TRUE(ended_with(0, run));
  auto parent = last_conversation(server, "PARENT");
  ASSERT_EQ(parent.results.size(), 2u);
  auto refused = std::ranges::find_if(parent.results, [](auto const& result) { return result.is_error; });
  ASSERT_NE(refused, parent.results.end());
  EXPECT_EQ(std::ranges::count_if(parent.results, [](auto const& result) { return result.is_error; }), 1);
  EXPECT_TRUE(has(refused->text, "is refused"));
  EXPECT_TRUE(has(refused->text, refused->id == "s1" ? "'bob'" : "'ann'"));
  EXPECT_EQ(conversations(server, "CHILD").size(), 1u);
}

TEST_F(Spawn, ScopeOutsideTheParentsIsRefused) {
  testing::TempDir elsewhere;
  answer_task(server, "PARENT",
              {tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"write:" + elsewhere.path()})},
                           {"s2", "SpawnPod", spawn_arguments("other-kid", "CHILD", {"write:relative"})},
                           {"s3", "SpawnPod", spawn_arguments("../kid", "CHILD", {write_rule("left")})},
                           {"s4", "SpawnPod", R"({"name":"third-kid"})"}}),
               text_reply("None of them.")});
  ASSERT_TRUE(ended_with(0, home.run({"run", "PARENT"})));
  auto parent = last_conversation(server, "PARENT");
  EXPECT_TRUE(has(parent.result("s1"), "not within"));
  EXPECT_TRUE(has(parent.result("s1"), elsewhere.path()));
  EXPECT_TRUE(has(parent.result("s2"), "relative"));
  EXPECT_TRUE(has(parent.result("s3"), "../kid"));
  EXPECT_TRUE(has(parent.result("s4"), "task"));
  for (auto const& result : parent.results) EXPECT_TRUE(result.is_error) << result.text;
  EXPECT_TRUE(conversations(server, "CHILD").empty());
}

TEST_F(Spawn, GrandchildWorksInAPartOfTheChildsScope) {
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (conversation.results.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {write_rule("left")})}});
    return text_reply(conversation.was_told("child is done") ? "The family is done." : "I wait.");
  });
  answer_with(server, "CHILD", [&](Conversation const& conversation) {
    if (conversation.results.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("grandkid", "SMALL", {write_rule("left/deep")})}});
    return text_reply(conversation.was_told("small one is done") ? "child is done" : "I wait for the small one.");
  });
  Reply small = text_reply("small one is done");
  small.head_gate = "small one";
  answer_task(server, "SMALL", {tool_reply({{"w1", "Write", arguments({{"file_path", home.file("left/deep/new.txt")}, {"content", "G"}})},
                                            {"w2", "Write", arguments({{"file_path", home.file("left/new.txt")}, {"content", "no"}})}}),
                                small});
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  ASSERT_TRUE(server.wait_for_gate("small one", kPatienceMs)) << run->err() << run->out();

  auto ps = home.run({"ps", "--json"});
  ASSERT_TRUE(ended_with(0, ps));
  auto rows = json::parse(ps.out);
  ASSERT_TRUE(rows && rows->is_array()) << ps.out;
  std::map<std::string, std::string> parents;
  for (auto const& row : rows->as_array()) {
    json::Reader reader(row.as_object());
    parents[reader.string("pod_name")] = reader.string_or("parent", "");
  }
  EXPECT_EQ(parents, (std::map<std::string, std::string>{{"boss", ""}, {"kid", "boss"}, {"grandkid", "kid"}}));

  server.open_gate("small one");
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(has(run->out(), "The family is done."));
  EXPECT_EQ(home.read("left/deep/new.txt"), "G");
  EXPECT_EQ(home.read("left/new.txt"), "<no file>");
  EXPECT_TRUE(has(last_conversation(server, "SMALL").result("w2"), "kid")) << "who holds the path";
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Spawn, MessageToAnIdleChildMakesItWorkAgain) {
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {write_rule("left")})}});
    if (conversation.was_told("second answer")) return text_reply("Two answers.");
    if (conversation.was_told("first answer") && conversation.calls.size() == 1) {
      return tool_reply({{"m1", "SendToPod", arguments({{"name", "kid"}, {"message", "Once more, please."}})}});
    }
    return text_reply("I wait.");
  });
  answer_task(server, "CHILD", {text_reply("first answer"), text_reply("second answer")});
  auto run = home.run({"run", "PARENT"});
  ASSERT_TRUE(ended_with(0, run));
  EXPECT_TRUE(has(run.out, "Two answers."));
  auto child = last_conversation(server, "CHILD");
  EXPECT_EQ(child.said, (std::vector<std::string>{"CHILD", "Once more, please."}));
  EXPECT_EQ(child.answers, (std::vector<std::string>{"first answer"}));
}

TEST_F(Spawn, StoppedChildGivesItsScopeBack) {
  std::string path = home.file("left/parent.txt");
  auto write = [&](std::string id) { return tool_reply({{id, "Write", arguments({{"file_path", path}, {"content", "mine again"}})}}); };
  answer_task(server, "PARENT", {tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {write_rule("left")})}}), write("w1"),
                                 tool_reply({{"x1", "StopPod", arguments({{"name", "kid"}})}}), write("w2"), text_reply("Taken back.")});
  Reply endless = stream_reply(AnthropicStream().text("I think").without_end());
  endless.pieces.push_back(Piece::stall());
  answer_task(server, "CHILD", {endless});
  auto run = home.run({"run", "PARENT"});
  ASSERT_TRUE(ended_with(0, run));
  auto parent = last_conversation(server, "PARENT");
  EXPECT_TRUE(has(parent.result("w1"), "is lent to Pod `kid`"));
  EXPECT_TRUE(has(parent.result("x1"), "scope back"));
  EXPECT_EQ(home.read("left/parent.txt"), "mine again") << parent.result("w2");
}

TEST_F(Spawn, ReadOutputAndListShowTheChild) {
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"read:" + home.work()})}});
    if (!conversation.was_told("child is done")) return text_reply("I wait.");
    if (conversation.calls.size() == 1) {
      return tool_reply({{"r1", "ReadPodOutput", arguments({{"name", "kid"}})}, {"l1", "ListPods", "{}"},
                         {"r2", "ReadPodOutput", arguments({{"name", "nobody-here"}})}});
    }
    return text_reply("Seen.");
  });
  answer_task(server, "CHILD", {text_reply("child is done")});
  ASSERT_TRUE(ended_with(0, home.run({"run", "PARENT"})));
  auto parent = last_conversation(server, "PARENT");
  EXPECT_TRUE(has(parent.result("r1"), "child is done"));
  EXPECT_TRUE(has(parent.result("l1"), "\"kid\""));
  EXPECT_TRUE(has(parent.result("r2"), "nobody-here"));
}

}  // namespace
}  // namespace insomnia::e2e
