#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.hh"
#include "e2e.hh"

namespace insomnia::e2e {
namespace {

/// Files that tools stumble over.
class BadFiles : public E2e {};

TEST_F(BadFiles, OddFilesAreAnsweredAndHangNothing) {
  std::string sparse = home.file("sparse"), fifo = home.file("fifo");
  UniqueFd fd(::open(sparse.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_TRUE(fd);
  if (::ftruncate(fd.get(), off_t{2} << 30) != 0) GTEST_SKIP() << "the file system has no sparse files of this size";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  home.write("binary", std::string("abc\xff\xfe\x80\0xyz\n", 10));
  home.write("latin", "caf\xe9 au lait\n");
  ASSERT_EQ(::symlink("/etc/hostname", home.file("outside").c_str()), 0);
  ASSERT_EQ(::symlink("loop", home.file("loop").c_str()), 0);
  auto read = [&](std::string const& name) { return arguments({{"file_path", home.file(name)}}); };
  auto write = [&](std::string const& name) { return arguments({{"file_path", home.file(name)}, {"content", "new"}}); };
  server.enqueue(tool_reply({{"sparse", "Read", read("sparse")},
                             {"fifo", "Read", read("fifo")},
                             {"binary", "Read", read("binary")},
                             {"latin", "Read", read("latin")},
                             {"outside", "Read", read("outside")},
                             {"loop", "Read", read("loop")},
                             {"directory", "Read", arguments({{"file_path", home.work()}})},
                             {"write-fifo", "Write", write("fifo")},
                             {"write-outside", "Write", write("outside")},
                             {"write-directory", "Write", arguments({{"file_path", home.work()}, {"content", "new"}})},
                             {"grep", "Grep", arguments({{"pattern", "lait"}, {"output_mode", "content"}})},
                             {"cat", "Bash", arguments({{"command", "cat latin binary"}})}}));
  server.enqueue(text_reply("I have seen them."));
  auto run = home.run({"run", "Look at odd files"});
  ASSERT_TRUE(ended_with(0, run));
  for (auto const& request : server.requests()) EXPECT_TRUE(text::is_utf8(request.body));
  auto last = last_conversation(server, "Look at odd files");
  ASSERT_EQ(last.results.size(), 12u);
  for (auto* id : {"fifo", "outside", "loop", "directory", "write-fifo", "write-outside", "write-directory"}) {
    EXPECT_TRUE(has(last.result(id), "failed")) << id;
  }
  EXPECT_LT(last.result("sparse").size(), 100'000u);
  EXPECT_TRUE(has(last.result("fifo"), "fifo"));
  EXPECT_TRUE(has(last.result("outside"), "outside"));
  EXPECT_TRUE(has(last.result("latin"), "au lait"));
  EXPECT_TRUE(has(last.result("cat"), "au lait"));
  struct stat info{};
  ASSERT_EQ(::lstat(fifo.c_str(), &info), 0);
  EXPECT_TRUE(S_ISFIFO(info.st_mode)) << "it was replaced";
}

TEST_F(BadFiles, FileOfAnotherHandIsNotOverwritten) {
  home.write("shared.txt", "mine\n");
  Reply late = tool_reply({{"e1", "Edit", arguments({{"file_path", home.file("shared.txt")}, {"old_string", "mine"}, {"new_string", "Pod's"}})},
                           {"w1", "Write", arguments({{"file_path", home.file("unread.txt")}, {"content", "Pod's"}})}});
  late.head_gate = "after the read";
  home.write("unread.txt", "precious\n");
  server.enqueue(tool_reply({{"r1", "Read", arguments({{"file_path", home.file("shared.txt")}})}}));
  server.enqueue(late);
  server.enqueue(text_reply("Refused."));
  auto run = home.start({"run", "Change it"});
  ASSERT_TRUE(server.wait_for_gate("after the read", kPatienceMs));
  home.write("shared.txt", "mine, changed by somebody\n");
  server.open_gate("after the read");
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_EQ(home.read("shared.txt"), "mine, changed by somebody\n");
  EXPECT_EQ(home.read("unread.txt"), "precious\n");
}

/// A file system of its own that is full soon; in a mount namespace of this process, so that nothing is left behind.
class SmallDisk {
 public:
  SmallDisk(std::string path, std::string const& size) : path_(std::move(path)) {
    mounted_ = ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               io::make_directories(path_) && ::mount("small", path_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(SmallDisk const&) = delete;
  SmallDisk& operator=(SmallDisk const&) = delete;
  bool mounted() const { return mounted_; }
  void fill() const {
    UniqueFd fd(::open((path_ + "/ballast").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    std::string block(4096, 'b');
    while (::write(fd.get(), block.data(), block.size()) > 0) {
    }
  }
  void make_room() const { ::unlink((path_ + "/ballast").c_str()); }

 private:
  std::string path_;
  bool mounted_ = false;
};

TEST_F(BadFiles, PodWhoseStateCannotBeWrittenSaysSoAndEnds) {
  home.write("big.toml", "[worker]\nstop_sequences = [\"" + std::string(1'000'000, 's') + "\"]\n");
  home.launcher = {"/bin/sh", "-c", "ulimit -f 512; exec \"$@\"", "sh"};  // blocks of 512 bytes
  auto pod = home.run({"pod", "--pod", "big", "--manifest", "big.toml", "--model", "anthropic/claude-sonnet-4-6"});
  EXPECT_TRUE(ended_with(1, pod));
  EXPECT_TRUE(has(pod.err, "the Pod's state can't be written, so it ends")) << pod.err;
  EXPECT_TRUE(has(pod.err, "metadata.json")) << pod.err;
  EXPECT_TRUE(home.living().empty());
}

TEST_F(BadFiles, FullDiskLosesNoFile) {
  SmallDisk disk(home.file("disk"), "256k");
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount";
  home.write("disk/old.txt", "old\n");
  disk.fill();
  std::string path = home.file("disk/old.txt");
  server.enqueue(tool_reply({{"r1", "Read", arguments({{"file_path", path}})}}));
  server.enqueue(tool_reply({{"w1", "Write", arguments({{"file_path", path}, {"content", std::string(300'000, 'n')}})},
                             {"w2", "Write", arguments({{"file_path", home.file("disk/new.txt")}, {"content", std::string(300'000, 'n')}})}}));
  server.enqueue(text_reply("Full."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Write much"})));
  auto last = last_conversation(server, "Write much");
  EXPECT_TRUE(has(last.result("w1"), "No space left"));
  EXPECT_TRUE(has(last.result("w2"), "No space left"));
  EXPECT_EQ(home.read("disk/old.txt"), "old\n");
  EXPECT_EQ(io::list_directory(home.file("disk")), (std::vector<std::string>{"ballast", "old.txt"})) << "half a file is left";
}

TEST_F(BadFiles, FullDiskUnderTheSessionStopsTheRunAndKeepsWhatWasSaid) {
  SmallDisk disk(home.path() + "/disk", "4m");
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount";
  home.environment.set("INSOMNIA_HOME", home.path() + "/disk");
  Reply late = text_reply(std::string(200'000, 'x'));
  late.head_gate = "head";
  server.enqueue(late);
  auto run = home.start({"run", "Begin", "--name", "worker"});
  ASSERT_TRUE(server.wait_for_gate("head", kPatienceMs)) << run->err();
  disk.fill();
  server.open_gate("head");
  EXPECT_TRUE(ended_with(1, *run));
  EXPECT_TRUE(has(run->err() + run->out(), "No space left"));
  disk.make_room();
  server.enqueue(text_reply("Room again."));
  auto again = home.run({"run", "Go on", "--name", "worker"});
  ASSERT_TRUE(ended_with(0, again));
  EXPECT_EQ(last_conversation(server, "Begin").said.front(), "Begin");
}

}  // namespace
}  // namespace insomnia::e2e
