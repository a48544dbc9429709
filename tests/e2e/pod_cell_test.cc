// Pods and the cells of their hands, with the product's own processes.
#include <signal.h>
#include <unistd.h>

#include "base/io.hh"
#include "base/text.hh"
#include "e2e.hh"

namespace insomnia::e2e {
namespace {

class PodCell : public E2e {
 protected:
  void SetUp() override {
    home.write("left/old.txt", "left\n");
      if (auto probe = home.run({"cell", "--", "true"}); probe.code != 0) GTEST_SKIP() << "no cell can be made here: " << probe.err;
  }
  testing::ScriptedCall bash(std::string const& id, std::string const& command) const { return {id, "Bash", arguments({{"command", command}})}; }
  std::string spawn_kid() const { return spawn_arguments("kid", "CHILD", {"write:" + home.file("left")}); }
};

TEST_F(PodCell, CommandsSeeTheScopeAndRefusalsSayWhy) {
  home.write("in/file", "inside\n");
  // Not in /tmp, of which every Pod has its own.
  std::string out = "/var/tmp/insomnia-out-" + std::to_string(::getpid());
  ASSERT_TRUE(io::make_directories(out, 0755));
  ASSERT_TRUE(io::replace_file(out + "/file", "outside\n"));
  home.write("in/.git/hooks/sample", "");
  answer_task(server, "LOOK", {tool_reply({bash("b1", "cat file; cat " + out + "/file"), bash("b2", "echo x > .git/hooks/pre-commit"), bash("b3", "echo y > new; cat new")}), text_reply("Done.")});
  ASSERT_TRUE(ended_with(0, home.run({"run", "LOOK around", "--name", "looker"}, home.file("in"))));
  auto seen = last_conversation(server, "LOOK");
  EXPECT_TRUE(has(seen.result("b1"), "inside\n"));
  EXPECT_TRUE(has(seen.result("b1"), "it is outside this Pod's scope"));
  EXPECT_TRUE(has(seen.result("b2"), "is protected"));
  EXPECT_TRUE(has(seen.result("b3"), "y"));
  ASSERT_TRUE(io::remove_tree(out));
  EXPECT_EQ(home.read("in/.git/hooks/pre-commit"), "<no file>");
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(PodCell, WhatIsLentIsTakenFromCommandsAndComesBack) {
  Reply working = text_reply("child is done");
  working.head_gate = "child";
  answer_task(server, "CHILD", {working});
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    switch (conversation.calls.size()) {
      case 0: return tool_reply({bash("b0", "echo mine > left/new.txt")});
      case 1: return tool_reply({{"s1", "SpawnPod", spawn_kid()}});
      case 2: return tool_reply({bash("b1", "echo not mine > left/new.txt; echo x > free.txt && echo free")});
    }
    if (!conversation.was_told("child is done")) return text_reply("I wait.");
    if (conversation.calls.size() == 3) return tool_reply({bash("b2", "echo mine again > left/new.txt && echo written")});
    return text_reply("All done.");
  });
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  ASSERT_TRUE(run->wait_for_out("I wait.")) << run->err();
  EXPECT_EQ(home.read("left/new.txt"), "mine\n");
  server.open_gate("child");
  // The child's end is told before its process has ended: until then its scope is its own.
  ASSERT_TRUE(ended_with(0, *run));
  auto seen = last_conversation(server, "PARENT");
  EXPECT_TRUE(has(seen.result("b1"), "is lent to Pod `kid`"));
  EXPECT_TRUE(has(seen.result("b1"), "free\n"));
}

TEST_F(PodCell, WhoHoldsWhatIsToBeLentIsNamed) {
  answer_task(server, "CHILD", {text_reply("child is done")});
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    switch (conversation.calls.size()) {
      case 0: return tool_reply({bash("b0", "cd left; sleep 1000 > /dev/null 2>&1 & echo begun")});
      case 1: return tool_reply({{"s1", "SpawnPod", spawn_kid()}});
      case 2: return tool_reply({bash("b1", "pkill sleep; while pgrep sleep; do :; done; true")});
      case 3: return tool_reply({{"s2", "SpawnPod", spawn_kid()}});
    }
    return text_reply("I wait.");
  });
  ASSERT_TRUE(ended_with(0, home.run({"run", "PARENT", "--name", "boss"})));
  auto seen = last_conversation(server, "PARENT");
  EXPECT_TRUE(has(seen.result("s1"), "scope_busy"));
  EXPECT_TRUE(has(seen.result("s1"), "sleep 1000"));
  EXPECT_TRUE(has(seen.result("s1"), home.file("left") + " (its working directory)"));
  EXPECT_TRUE(has(seen.result("s2"), "spawned pod `kid`"));
}

TEST_F(PodCell, HomeAndTmpAreOneForAllToolsAndOutliveTheProcess) {
  home.environment.set("HOME", home.path() + "/user");
  std::string file = home.path() + "/user/note";
  answer_with(server, "FIRST", [&](Conversation const& conversation) {
    switch (conversation.calls.size()) {
      case 0: return tool_reply({bash("b1", "echo from bash > ~/note; echo x > /tmp/scratch"), {"w1", "Write", arguments({{"file_path", "/tmp/by-tool"}, {"content", "tool\n"}})}});
      case 2: return tool_reply({{"r1", "Read", arguments({{"file_path", file}})}, {"w2", "Write", arguments({{"file_path", file}, {"content", "x"}})}});
      case 4: return conversation.was_told("go on") ? tool_reply({bash("b2", "cat ~/note /tmp/scratch /tmp/by-tool")}) : text_reply("Done.");
    }
    return text_reply("Done.");
  });
  ASSERT_TRUE(ended_with(0, home.run({"run", "FIRST", "--name", "worker"})));
  auto first = last_conversation(server, "FIRST");
  EXPECT_TRUE(has(first.result("r1"), "from bash"));
  EXPECT_TRUE(has(first.result("w2"), "you may only read it")) << "who has a file written in HOME means the user's";
  EXPECT_FALSE(io::exists(file)) << "the user's own is another one";
  EXPECT_FALSE(io::exists("/tmp/by-tool"));
  ASSERT_TRUE(ended_with(0, home.run({"run", "go on", "--name", "worker"})));
  EXPECT_TRUE(has(last_conversation(server, "FIRST").result("b2"), "from bash\nx\ntool\n"));
}

TEST_F(PodCell, AFileBesideTheScopeIsNotWrittenWhereNobodyLooks) {
  home.write("in/file", "inside\n");
  answer_task(server, "BESIDE", {tool_reply({bash("b1", "true")}),
                                 tool_reply({{"w1", "Write", arguments({{"file_path", home.file("beside")}, {"content", "x"}})},
                                             {"w2", "Write", arguments({{"file_path", home.file("left/new")}, {"content", "x"}})},
                                             {"r1", "Read", arguments({{"file_path", home.file("left/old.txt")}})}}),
                                 text_reply("Done.")});
  ASSERT_TRUE(ended_with(0, home.run({"run", "BESIDE", "--name", "worker"}, home.file("in"))));
  auto seen = last_conversation(server, "BESIDE");
  for (auto const* call : {"w1", "w2", "r1"}) EXPECT_TRUE(has(seen.result(call), "it is outside this Pod's scope")) << call;
}

TEST_F(PodCell, APartOfARepositoryReadsItsHistoryAndCannotCommit) {
  home.write("part/file", "a\n");
  testing::Program git({.program = "/bin/sh", .arguments = {"-c", "git init -q . && git add part && git -c user.name=x -c user.email=x@example.invalid commit -qm first"},
                        .environment = home.environment, .cwd = home.work(), .input = ""});
  ASSERT_TRUE(ended_with(0, git));
  answer_task(server, "PART", {tool_reply({bash("b1", "git log --oneline; git status --short . && echo x >> file && git diff --stat . && git commit -qam second; echo ended $?")}), text_reply("Done.")});
  ASSERT_TRUE(ended_with(0, home.run({"run", "PART", "--name", "worker"}, home.file("part"))));
  auto seen = last_conversation(server, "PART");
  EXPECT_TRUE(has(seen.result("b1"), "first"));
  EXPECT_TRUE(has(seen.result("b1"), "1 file changed"));
  EXPECT_TRUE(has(seen.result("b1"), "index.lock': Read-only file system"));
  EXPECT_TRUE(has(seen.result("b1"), "outside this Pod's scope"));
}

TEST_F(PodCell, AKilledPodTakesItsCellWithItBeforeItsNameIsFree) {
  answer_with(server, "LONG", [&](Conversation const& conversation) {
    if (conversation.was_told("Go on")) {
      return conversation.calls.size() == 1 ? tool_reply({bash("b2", "wc -c < grows; sleep 0.1; wc -c < grows")}) : text_reply("Done.");
    }
    if (conversation.calls.empty()) return tool_reply({bash("b1", "setsid sh -c 'while :; do echo x >> grows; done' > /dev/null 2>&1 & echo begun")});
    Reply waiting = text_reply("never");
    waiting.head_gate = "never";
    return waiting;
  });
  auto run = home.start({"run", "LONG", "--name", "worker"});
  ASSERT_TRUE(server.wait_for_gate("never", kPatienceMs)) << run->err();
  ::kill(home.pid_of("worker"), SIGKILL);
  run->wait();
  ASSERT_TRUE(ended_with(0, home.run({"run", "Go on", "--name", "worker"})));
  std::string counted = last_conversation(server, "LONG").result("b2");
  auto lines = text::split(counted, '\n');
  ASSERT_GE(lines.size(), 3u);
  EXPECT_EQ(lines[1], lines[2]) << "nothing of the one that was killed writes on";
}

}  // namespace
}  // namespace insomnia::e2e
