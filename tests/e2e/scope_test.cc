#include <unistd.h>

#include <boost/json.hpp>

#include "base/text.hh"
#include "e2e.hh"
#include "session/location.hh"

namespace insomnia::e2e {
namespace {

namespace bj = boost::json;

/// `insomnia scope` and `insomnia ps --all`: what people see of scopes and of stored Pods.
class ScopeAndStored : public E2e {
 protected:
  ScopeAndStored() { home.write("left/old.txt", "left\n"); }

  /// A parent `boss` whose child `kid` may write in left/ and whose child `reviewer` may read all. The kid's model answers when the gate
  /// "kid" is opened, the reviewer's when "reviewer" is.
  std::unique_ptr<Program> start_family() {
    answer_with(server, "PARENT", [this](Conversation const& conversation) {
      if (conversation.results.empty()) {
        return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD: work", {"write:" + home.file("left")})},
                           {"s2", "SpawnPod", spawn_arguments("reviewer", "REVIEW it", {"read:" + home.work()})}});
      }
      bool both = conversation.was_told("kid is done") && conversation.was_told("review is done");
      return text_reply(both ? "Both are done." : "I wait.");
    });
    Reply kid = text_reply("kid is done");
    kid.head_gate = "kid";
    Reply reviewer = text_reply("review is done");
    reviewer.head_gate = "reviewer";
    answer_task(server, "CHILD", {kid});
    answer_task(server, "REVIEW", {reviewer});
    auto run = home.start({"run", "PARENT: let them work", "--name", "boss"});
    EXPECT_TRUE(server.wait_for_gate("kid", kPatienceMs)) << run->err() << run->out();
    EXPECT_TRUE(server.wait_for_gate("reviewer", kPatienceMs)) << run->err() << run->out();
    return run;
  }
  void end_family(Program& run) {
    server.open_gate("kid");
    server.open_gate("reviewer");
    ASSERT_TRUE(ended_with(0, run));
    ASSERT_TRUE(home.living().empty());
  }

  bj::value json_of(std::vector<std::string> const& command) {
    auto finished = home.run(command);
    EXPECT_TRUE(ended_with(0, finished));
    auto parsed = json::parse(finished.out);
    EXPECT_TRUE(parsed) << finished.out;
    return parsed ? *parsed : bj::value();
  }
  /// State by name.
  std::map<std::string, std::string> states(std::vector<std::string> const& command) {
    std::map<std::string, std::string> result;
    auto list = json_of(command);
    if (!list.is_array()) return result;
    for (auto const& row : list.as_array()) {
      json::Reader reader(row.as_object());
      result[reader.string("pod_name")] = reader.string("state");
    }
    return result;
  }
};

TEST_F(ScopeAndStored, ProtectedPlacesAreOpenedByPeopleAlone) {
  home.write(".git/hooks/sample", "");
  std::string hook = home.file(".git/hooks/pre-commit");
  answer_with(server, "HOOK", [&](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({{"w1", "Write", arguments({{"file_path", hook}, {"content", "exit 0\n"}})}});
    if (conversation.calls.size() == 2) return text_reply("Done.");
    return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"write:" + home.file(".git/hooks")})}});
  });
  ASSERT_TRUE(ended_with(0, home.run({"run", "HOOK", "--name", "boss"})));
  auto refused = last_conversation(server, "HOOK");
  EXPECT_TRUE(has(refused.result("w1"), home.file(".git/hooks") + " is protected"));
  EXPECT_TRUE(has(refused.result("s1"), "not within"));
  EXPECT_TRUE(has(refused.result("s1"), "is protected"));
  EXPECT_EQ(home.read(".git/hooks/pre-commit"), "<no file>");

  answer_task(server, "CHILD", {text_reply("child is done")});
  auto opened = home.run({"run", "HOOK again", "--name", "other", "--scope", "write:.", "--scope", "write:.git/hooks"});
  ASSERT_TRUE(ended_with(0, opened));
  EXPECT_EQ(home.read(".git/hooks/pre-commit"), "exit 0\n");
  EXPECT_TRUE(has(last_conversation(server, "HOOK again").result("s1"), "spawned pod `kid`"));
}

TEST_F(ScopeAndStored, InsomniasOwnDirectoriesAreNobodysScope) {
  std::string state = home.paths().pod_dir("boss") + "/metadata.json";
  answer_with(server, "LOOK", [&](Conversation const& conversation) {
    if (!conversation.calls.empty()) return text_reply("Done.");
    return tool_reply({{"r1", "Read", arguments({{"file_path", state}})},
                       {"w1", "Write", arguments({{"file_path", state}, {"content", "x"}})},
                       {"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"write:" + home.paths().data_dir})},
                       {"b1", "Bash", arguments({{"command", "seq 100000"}})}});
  });
  ASSERT_TRUE(ended_with(0, home.run({"run", "LOOK", "--name", "boss", "--scope", "write:" + home.path()})));
  auto seen = last_conversation(server, "LOOK");
  EXPECT_TRUE(has(seen.result("r1"), "denied by the rule read:" + home.paths().data_dir));
  EXPECT_TRUE(has(seen.result("w1"), "denied by the rule read:" + home.paths().data_dir));
  EXPECT_TRUE(has(seen.result("s1"), "not within"));
  auto refused = home.run({"run", "LOOK", "--name", "inside", "--scope", "write:" + home.paths().data_dir + "/x"});
  EXPECT_TRUE(ended_with(4, refused));
  EXPECT_TRUE(has(refused.err, "where insomnia keeps its own files"));
}

TEST_F(ScopeAndStored, CommandsOfAPodCannotStartPodsPastIt) {
  answer_with(server, "SNEAK", [&](Conversation const& conversation) {
    if (!conversation.calls.empty()) return text_reply("Done.");
    return tool_reply({{"b1", "Bash", arguments({{"command", home.binary + " run more --name sneaked; echo code $?"}})}});
  });
  ASSERT_TRUE(ended_with(0, home.run({"run", "SNEAK", "--name", "boss"})));
  auto seen = last_conversation(server, "SNEAK");
  EXPECT_TRUE(has(seen.result("b1"), "code 4"));
  EXPECT_TRUE(has(seen.result("b1"), "SpawnPod"));
}

using States = std::map<std::string, std::string>;

TEST_F(ScopeAndStored, ScopeTellsTheWriterAndHowItCameByIt) {
  auto run = start_family();
  ASSERT_EQ(::symlink(home.file("left").c_str(), home.file("link").c_str()), 0);
  auto text = home.run({"scope", "link/new.txt"});
  ASSERT_TRUE(ended_with(0, text));
  auto lines = text::split(text::trim(text.out), '\n');
  ASSERT_EQ(lines.size(), 5u) << text.out;
  std::string path = home.file("left/new.txt");
  EXPECT_EQ(lines[0], home.file("link/new.txt") + " leads to " + path);
  EXPECT_TRUE(lines[1].starts_with(path + " is written by `kid` (task: CHILD: work), for ")) << lines[1];
  EXPECT_TRUE(contains(lines[2], "kid   write:" + home.file("left") + "  pid " + std::to_string(home.pid_of("kid")) + " ")) << lines[2];
  EXPECT_TRUE(lines[2].ends_with("  holds it")) << lines[2];
  EXPECT_TRUE(contains(lines[3], "boss  write:" + home.work() + " ")) << lines[3];
  EXPECT_TRUE(contains(lines[3], "pid " + std::to_string(home.pid_of("boss")) + " ")) << lines[3];
  EXPECT_TRUE(lines[3].ends_with("  lent it to kid")) << lines[3];
  EXPECT_EQ(lines[4], "  read by: reviewer (read:" + home.work() + ")");

  auto object = json_of({"scope", path, "--json"});
  EXPECT_EQ(object.at("writer").as_string(), "kid");
  EXPECT_EQ(object.at("path").as_string(), path);
  EXPECT_EQ(object.at("holders").at(1).at("standing").as_string(), "lent");
  EXPECT_EQ(object.at("holders").at(1).at("lent_to").as_string(), "kid");

  auto whole = json_of({"scope", ".", "--json"});
  EXPECT_EQ(whole.at("writer").as_string(), "boss");
  ASSERT_EQ(whole.at("parts").as_array().size(), 1u);
  EXPECT_EQ(whole.at("parts").at(0).at("path").as_string(), home.file("left"));
  EXPECT_EQ(whole.at("parts").at(0).at("pod_name").as_string(), "kid");

  end_family(*run);
  EXPECT_EQ(home.run({"scope", "left"}).out, home.file("left") + " is free: nobody holds it\n");
}

TEST_F(ScopeAndStored, ScopeOfWhatNobodyHoldsAndOfWhatIsNoPath) {
  EXPECT_EQ(home.run({"scope", "/no/such/place"}).out, "/no/such/place is free: nobody holds it\n") << "also without any registry";
  EXPECT_EQ(home.run({"scope", "a\x1b[2J\nb"}).out, "\"" + home.work() + R"(/a\x1b[2J\nb" is free: nobody holds it)" + "\n");
  EXPECT_EQ(json_of({"scope", "a\xff", "--json"}).at("state").as_string(), "free");
  EXPECT_TRUE(ended_with(2, home.run({"scope"})));
  EXPECT_TRUE(ended_with(2, home.run({"scope", ""})));
  EXPECT_TRUE(ended_with(2, home.run({"scope", "a", "b"})));
  ASSERT_EQ(::symlink("loop", home.file("loop").c_str()), 0);
  auto loop = home.run({"scope", "loop"});
  EXPECT_TRUE(ended_with(1, loop));
  EXPECT_TRUE(has(loop.err, "too many symbolic links"));
  EXPECT_EQ(loop.out, "");
}

TEST_F(ScopeAndStored, StoredPodsAreListedBelowTheirParents) {
  auto run = start_family();
  auto while_living = states({"ps", "--all", "--json"});
  EXPECT_EQ(while_living.size(), 3u);
  for (auto const& [name, state] : while_living) EXPECT_TRUE(state == "idle" || state == "running") << name << " is " << state;
  end_family(*run);
  EXPECT_EQ(home.run({"ps"}).out, "");
  EXPECT_EQ(states({"ps", "-a", "--json"}), (States{{"boss", "restorable"}, {"kid", "restorable"}, {"reviewer", "restorable"}}));
  auto tree = home.run({"ps", "-a", "--tree"});
  ASSERT_TRUE(ended_with(0, tree));
  auto lines = text::split(text::trim(tree.out), '\n');
  ASSERT_EQ(lines.size(), 4u) << tree.out;
  EXPECT_TRUE(lines[1].starts_with("boss        restorable  -  ")) << tree.out;
  EXPECT_TRUE(lines[2].starts_with("  kid       restorable  -  ")) << tree.out;
  EXPECT_TRUE(contains(lines[2], "write:" + home.file("left"))) << tree.out;
  EXPECT_TRUE(contains(lines[2], "CHILD: work")) << tree.out;
  EXPECT_TRUE(lines[3].starts_with("  reviewer  restorable")) << tree.out;
}

TEST_F(ScopeAndStored, KeysThatAreMissingAndFilesThatAreDamagedShow) {
  for (auto* name : {"sound", "no-metadata", "no-session"}) {
    server.enqueue(text_reply("Done."));
    ASSERT_TRUE(ended_with(0, home.run({"run", "Work", "--name", name, "--scope", "read:."})));
  }
  server.enqueue(text_reply("Ready."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Stay", "--name", "alive", "--scope", "read:.", "--keep"})));
  Paths paths = home.paths();
  auto list = json_of({"ps", "-a", "--json"});
  for (auto const& row : list.as_array()) {
    if (row.at("pod_name") != "no-session") continue;
    session::Location location{std::string(row.at("session_id").as_string()), std::string(row.at("segment_id").as_string())};
    ASSERT_EQ(::unlink(session::segment_path(paths.sessions_dir(), location).c_str()), 0);
  }
  ASSERT_TRUE(io::replace_file(paths.pod_dir("no-metadata") + "/metadata.json", "{\"pod_na"));
  States expected{{"alive", "idle"}, {"no-metadata", "gone"}, {"no-session", "gone"}, {"sound", "restorable"}};
  EXPECT_EQ(states({"ps", "-a", "--json"}), expected);

  home.environment.unset("ANTHROPIC_API_KEY");
  expected["sound"] = "needs key";
  EXPECT_EQ(states({"ps", "-a", "--json"}), expected);
  list = json_of({"ps", "-a", "--json"});
  auto reason = [&](size_t at) { return std::string(list.at(at).at("reason").as_string()); };
  EXPECT_TRUE(has(reason(1), paths.pod_dir("no-metadata") + "/metadata.json"));
  EXPECT_TRUE(has(reason(2), ".jsonl is missing"));
  EXPECT_TRUE(has(reason(3), "ANTHROPIC_API_KEY"));
  EXPECT_EQ(states({"ps", "--json"}), (States{{"alive", "idle"}}));

  // The states tell the truth: what needs a key does not run without it, and runs with it.
  auto keyless = home.run({"run", "More", "--name", "sound"});
  EXPECT_TRUE(ended_with(1, keyless));
  EXPECT_TRUE(has(keyless.err, "ANTHROPIC_API_KEY"));
  home.environment.set("ANTHROPIC_API_KEY", "fake-key");
  server.enqueue(text_reply("More."));
  EXPECT_TRUE(ended_with(0, home.run({"run", "More", "--name", "sound"})));
  EXPECT_TRUE(ended_with(0, home.run({"stop", "alive"})));
}

}  // namespace
}  // namespace insomnia::e2e
