// Pods where the kernel refuses namespaces. Such a place is had in a cell: it refuses them too, and Landlock works in it.
#include "base/io.hh"
#include "cell/landlock.hh"
#include "e2e.hh"

namespace insomnia::e2e {
namespace {

class PodUnderLandlock : public E2e {
 protected:
  void SetUp() override {
    if (cell::landlock_version() < cell::kLandlockFiles) GTEST_SKIP() << "this kernel has no Landlock that is strong enough";
    if (auto probe = home.run({"cell", "--", "true"}); probe.code != 0) GTEST_SKIP() << "no cell can be made here: " << probe.err;
    home.write("left/old.txt", "left\n");
    home.write("src/deep/file", "inside\n");
    home.write("src/.git/hooks/sample", "");
    // The outer cell is not to hide what is insomnia's own: it does not know where that is.
    std::string own_home = *home.environment.get("INSOMNIA_HOME");
    home.launcher = {"/usr/bin/env", "-u", "INSOMNIA_HOME", home.binary, "cell", "--scope", "write:" + home.path(), "--scope", "read:" + io::parent_path(home.binary), "--env", "ANTHROPIC_BASE_URL", "--env", "ANTHROPIC_API_KEY",
                     "--", "/usr/bin/env", "INSOMNIA_HOME=" + own_home};
  }
  testing::ScriptedCall bash(std::string const& id, std::string const& command) const { return {id, "Bash", arguments({{"command", command}})}; }
  testing::ScriptedCall write(std::string const& id, std::string const& path) const { return {id, "Write", arguments({{"file_path", home.file(path)}, {"content", "x\n"}})}; }
};

TEST_F(PodUnderLandlock, CommandsAreHeldAndRefusalsSayWhy) {
  answer_task(server, "LOOK", {tool_reply({bash("b1", "cat deep/file; cat " + home.file("left/old.txt")), bash("b2", "echo x > .git/hooks/pre-commit"), bash("b3", "echo y > new")}),
                               tool_reply({write("w1", "src/new"), write("w2", "left/new")}), tool_reply({bash("b4", "echo z >> new && echo v > deep/new && cat new; cd && pwd")}), text_reply("Done.")});
  auto run = home.run({"run", "LOOK around", "--name", "looker"}, home.file("src"));
  ASSERT_TRUE(ended_with(0, run));
  EXPECT_TRUE(has(run.out, "Landlock alone holds them"));
  auto seen = last_conversation(server, "LOOK");
  EXPECT_TRUE(has(seen.result("b1"), "inside\n"));
  EXPECT_TRUE(has(seen.result("b1"), "Permission denied"));
  EXPECT_TRUE(has(seen.result("b1"), "it is outside this Pod's scope"));
  EXPECT_TRUE(has(seen.result("b2"), "is protected"));
  EXPECT_TRUE(has(seen.result("b3"), "Write makes files and directories there"));
  EXPECT_TRUE(has(seen.result("w2"), "it is outside this Pod's scope"));
  EXPECT_TRUE(has(seen.result("b4"), "x\nz\n"));
  EXPECT_TRUE(has(seen.result("b4"), "/cell/"));
  EXPECT_EQ(home.read("src/.git/hooks/pre-commit"), "<no file>");
  EXPECT_EQ(home.read("left/new"), "<no file>");
}

TEST_F(PodUnderLandlock, ALoanWaitsForCommandsThatRunAndIsTakenFromThoseAfterIt) {
  Reply working = text_reply("child is done");
  answer_task(server, "CHILD", {working});
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    std::string spawn = spawn_arguments("kid", "CHILD", {"write:" + home.file("left")});
    switch (conversation.calls.size()) {
      case 0: return tool_reply({bash("b0", "sleep 1000 > /dev/null 2>&1 & echo $! > src/deep/pid")});
      case 1: return tool_reply({{"s1", "SpawnPod", spawn}});
      case 2: return tool_reply({bash("b1", "pid=$(cat src/deep/pid); kill $pid; while test -d /proc/$pid; do :; done")});
      case 3: return tool_reply({{"s2", "SpawnPod", spawn}, bash("b2", "true")});
    }
    return text_reply("I wait.");
  });
  ASSERT_TRUE(ended_with(0, home.run({"run", "PARENT", "--name", "boss"})));
  auto seen = last_conversation(server, "PARENT");
  EXPECT_TRUE(has(seen.result("s1"), "scope_busy"));
  EXPECT_TRUE(has(seen.result("s1"), "sleep 1000"));
  EXPECT_TRUE(has(seen.result("s2"), "spawned pod `kid`"));
}

}  // namespace
}  // namespace insomnia::e2e
