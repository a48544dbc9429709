#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "e2e.hh"

namespace insomnia::e2e {
namespace {

/// When the tests run as root: the same as somebody who is not, with a copy of the program that everybody can reach.
class OrdinaryUser : public E2e {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "the other tests run as an ordinary user already";
    auto const* nobody = ::getpwnam("nobody");
    std::string setpriv = "/usr/bin/setpriv";
    if (nobody == nullptr || ::access(setpriv.c_str(), X_OK) != 0) GTEST_SKIP() << "needs setpriv and the user nobody";
    std::string copy = home.path() + "/insomnia";
    auto bytes = io::read_file(INSOMNIA_BINARY, 1u << 30);
    ASSERT_TRUE(bytes);
    ASSERT_TRUE(io::replace_file(copy, *bytes, 0755));
    for (auto const& path : {home.path(), home.path() + "/home", home.work()}) {
      ASSERT_EQ(::chown(path.c_str(), nobody->pw_uid, nobody->pw_gid), 0);
    }
    home.binary = copy;
    home.launcher = {setpriv, "--reuid=nobody", "--regid=" + std::to_string(nobody->pw_gid), "--clear-groups", "--no-new-privs"};
    home.environment.set("USER", "nobody");
    home.environment.set("TMPDIR", home.work());
  }
};

TEST_F(OrdinaryUser, RunsTheDemo) {
  auto demo = home.run({"demo"});
  EXPECT_TRUE(ended_with(0, demo));
  EXPECT_TRUE(has(demo.out, "make test, built anew: passed"));
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(OrdinaryUser, WorksOnItsFilesAndNotOnOthers) {
  home.write("closed.txt", "root's\n");
  ASSERT_EQ(::chmod(home.file("closed.txt").c_str(), 0600), 0);
  server.enqueue(tool_reply({{"w1", "Write", arguments({{"file_path", home.file("mine.txt")}, {"content", "mine\n"}})},
                             {"r1", "Read", arguments({{"file_path", home.file("closed.txt")}})},
                             {"b1", "Bash", arguments({{"command", "id -un"}})}}));
  server.enqueue(text_reply("Done."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Work", "--name", "worker"})));
  auto last = last_conversation(server, "Work");
  EXPECT_EQ(home.read("mine.txt"), "mine\n");
  EXPECT_TRUE(has(last.result("r1"), "Permission denied"));
  EXPECT_TRUE(has(last.result("b1"), "nobody"));
  struct stat info{};
  ASSERT_EQ(::stat(home.file("mine.txt").c_str(), &info), 0);
  EXPECT_NE(info.st_uid, 0u);
}

TEST_F(OrdinaryUser, DirectoryThatCannotBeEnteredIsAnError) {
  home.write("closed/file", "");
  ASSERT_EQ(::chmod(home.file("closed").c_str(), 0700), 0);
  auto run = home.run({"run", "Work", "--cwd", "closed"});
  EXPECT_TRUE(ended_with(4, run));
  EXPECT_TRUE(has(run.err, home.file("closed")));
  EXPECT_TRUE(home.processes().empty());
}

}  // namespace
}  // namespace insomnia::e2e
