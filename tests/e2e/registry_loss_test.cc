#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <map>

#include "e2e.hh"
#include "testing/fifo.hh"

namespace insomnia::e2e {
namespace {

/// The registry, or the whole runtime directory, is lost while a parent and its child live.
class Registry : public E2e {
 protected:
  Registry() {
    home.write("team/left/old.txt", "left\n");
    Reply gated = text_reply("child is done");
    gated.head_gate = "child";
    Reply told = text_reply("child was told");
    answer_task(server, "CHILD", {gated, told});
    answer_with(server, "PARENT", [this](Conversation const& conversation) {
      if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"write:" + home.file("team/left")})}});
      return text_reply(conversation.was_told("pod `kid`") ? "Now I know." : "I wait.");
    });
    answer_with(server, "ELSEWHERE", [](Conversation const&) { return text_reply("Done elsewhere."); });
  }

  void start_family() {
    run_ = home.start({"run", "PARENT", "--name", "boss"}, home.file("team"));
    ASSERT_TRUE(server.wait_for_gate("child", kPatienceMs)) << run_->err();
    ASSERT_TRUE(run_->wait_for_out("I wait.")) << run_->err();
    before_ = pods();
    ASSERT_EQ(before_.size(), 2u);
    EXPECT_TRUE(has(before_["kid"], R"("parent":"boss")"));
  }
  /// What `ps` tells, by name; what a Pod does at the moment is left out.
  std::map<std::string, std::string> pods() {
    auto listed = home.run({"ps", "--json"});
    EXPECT_TRUE(ended_with(0, listed));
    std::map<std::string, std::string> result;
    auto list = json::parse(listed.out);
    if (!list || !list->is_array()) {
      ADD_FAILURE() << listed.out;
      return result;
    }
    for (auto const& member : list->as_array()) {
      boost::json::object pod = member.as_object();
      EXPECT_NE(pod["state"], "starting") << listed.out;
      pod.erase("state");
      result[std::string(pod["pod_name"].as_string())] = json::dump(pod);
    }
    return result;
  }
  /// A run that asks for a part of what the child holds.
  std::unique_ptr<Program> start_thief(std::string const& name, std::string const& target = "") {
    return home.start({"run", "STEAL", "--name", name, "--scope", "read:" + home.work(), "--scope", "write:" + home.file("team/left" + target)});
  }
  static void expect_refused(Program& thief) {
    EXPECT_TRUE(ended_with(4, thief));
    EXPECT_TRUE(has(thief.err(), "Pod 'kid' holds"));
  }
  void expect_refused_for_kid() {
    expect_refused(*start_thief("thief"));
    expect_refused(*start_thief("thief", "/deeper"));
  }
  void expect_all_as_before() { EXPECT_EQ(pods(), before_); }
  void expect_normal_end() {
    auto sent = home.run({"send", "kid", "hurry"});
    EXPECT_TRUE(ended_with(0, sent));
    PodClient client(home.paths().pod_socket("boss"));
    EXPECT_TRUE(client.wait_for_kind<wire::SnapshotEvent>()) << "a new client is served";
    server.open_gate("child");
    ASSERT_TRUE(ended_with(0, *run_)) << "the client that was connected before hears the end";
    EXPECT_TRUE(has(run_->out(), "Now I know."));
    EXPECT_TRUE(home.processes().empty());
    EXPECT_TRUE(pods().empty());
  }

  std::string file(std::string const& suffix = "") const { return home.paths().registry_db() + suffix; }
  /// In place: the files stay the same.
  void damage() const {
    for (auto const* suffix : {"", "-wal"}) {
      UniqueFd fd(::open(file(suffix).c_str(), O_WRONLY | O_CLOEXEC));
      struct stat info{};
      ASSERT_TRUE(fd && ::fstat(fd.get(), &info) == 0);
      std::string garbage(static_cast<size_t>(info.st_size), '\xA5');
      ASSERT_EQ(::pwrite(fd.get(), garbage.data(), garbage.size(), 0), info.st_size);
    }
  }
  void remove(std::initializer_list<char const*> suffixes) const {
    for (auto const* suffix : suffixes) ASSERT_EQ(::unlink(file(suffix).c_str()), 0) << suffix;
  }
  void remove_runtime_dir() const { ASSERT_TRUE(io::remove_tree(home.paths().runtime_dir)); }

  void lose(int way) const {
    if (way == 0) damage();
    else if (way == 1) remove({"", "-wal", "-shm"});
    else remove_runtime_dir();
  }

  std::unique_ptr<Program> run_;
  std::map<std::string, std::string> before_;
};

TEST_F(Registry, DamagedFileIsRebuiltFromTheLiving) {
  ASSERT_NO_FATAL_FAILURE(start_family());
  ASSERT_NO_FATAL_FAILURE(damage());
  expect_refused_for_kid();
  expect_all_as_before();
  expect_normal_end();
}

TEST_F(Registry, RemovedFilesAreRebuiltFromTheLiving) {
  ASSERT_NO_FATAL_FAILURE(start_family());
  for (auto const& suffixes : {std::initializer_list<char const*>{"", "-wal", "-shm"}, {""}, {"-wal"}, {"-shm"}}) {
    ASSERT_NO_FATAL_FAILURE(remove(suffixes));
    expect_refused_for_kid();
    expect_all_as_before();
  }
  expect_normal_end();
}

TEST_F(Registry, SurvivesALookAtItWithoutAnythingChanged) {
  ASSERT_NO_FATAL_FAILURE(start_family());
  struct stat sock{}, lock{}, sock_after{}, lock_after{};
  ASSERT_EQ(::stat(home.paths().pod_socket("boss").c_str(), &sock), 0);
  ASSERT_EQ(::stat(home.paths().pod_lock("boss").c_str(), &lock), 0);
  for (auto const* name : {"boss", "kid"}) ASSERT_EQ(::kill(home.pid_of(name), SIGUSR1), 0);
  expect_all_as_before();
  ASSERT_EQ(::stat(home.paths().pod_socket("boss").c_str(), &sock_after), 0);
  ASSERT_EQ(::stat(home.paths().pod_lock("boss").c_str(), &lock_after), 0);
  EXPECT_EQ(sock.st_ino, sock_after.st_ino);
  EXPECT_EQ(lock.st_ino, lock_after.st_ino);
  expect_normal_end();
}

TEST_F(Registry, VanishedRuntimeDirectoryIsRestoredByTheLiving) {
  ASSERT_NO_FATAL_FAILURE(start_family());
  ASSERT_NO_FATAL_FAILURE(remove_runtime_dir());
  expect_refused_for_kid();
  expect_all_as_before();
  EXPECT_EQ(home.living(), (std::vector<std::string>{"boss", "kid"}));
  expect_normal_end();
}

TEST_F(Registry, VanishedRuntimeDirectoryIsRestoredForWhoeverLooks) {
  ASSERT_NO_FATAL_FAILURE(start_family());
  ASSERT_NO_FATAL_FAILURE(remove_runtime_dir());
  expect_all_as_before();
  ASSERT_NO_FATAL_FAILURE(remove_runtime_dir());
  auto sent = home.run({"send", "kid", "hurry"});
  EXPECT_TRUE(ended_with(0, sent));
  ASSERT_NO_FATAL_FAILURE(remove_runtime_dir());
  expect_normal_end();
}

TEST_F(Registry, VanishedFolderOfOnePodIsRestored) {
  ASSERT_NO_FATAL_FAILURE(start_family());
  ASSERT_TRUE(io::remove_tree(home.paths().pod_runtime_dir("kid")));
  expect_refused_for_kid();
  expect_all_as_before();
  ASSERT_EQ(::unlink(home.paths().pod_socket("kid").c_str()), 0);
  expect_normal_end();
}

TEST_F(Registry, NoSecondRuntimeDirectoryWhileTheFirstHasVanished) {
  ASSERT_NO_FATAL_FAILURE(start_family());
  ASSERT_NO_FATAL_FAILURE(remove_runtime_dir());
  Environment own = home.environment;
  home.environment.set("INSOMNIA_RUNTIME_DIR", home.path() + "/elsewhere");
  auto other = home.run({"run", "ELSEWHERE", "--name", "other", "--scope", "write:" + home.work()});
  EXPECT_TRUE(ended_with(1, other));
  EXPECT_TRUE(has(other.err, "lives in the runtime directory"));
  home.environment = own;
  expect_all_as_before();
  expect_normal_end();
}

TEST_F(Registry, VanishedDirectoryUnderAPodThatStartsIsRestoredBeforeItIsReady) {
  for (auto const* point : {"start.handed_over", "start.registered"}) {
    testing::Fifo fifo(home.file(std::string("fault-") + point));
    home.environment.set("INSOMNIA_FAULT", std::string("starter:") + point);
    home.environment.set("INSOMNIA_FAULT_FIFO", fifo.path());
    auto run = home.start({"run", "ELSEWHERE", "--name", "starter"}, home.file("team"));
    auto line = fifo.read_line(kPatienceMs);
    ASSERT_TRUE(line) << run->err();
    pid_t pid = std::stoi(*line);
    ASSERT_TRUE(testing::wait_for_stop(pid));
    home.environment.unset("INSOMNIA_FAULT");
    ASSERT_NO_FATAL_FAILURE(remove_runtime_dir());
    // It must not end a Pod, however early it comes.
    ASSERT_EQ(::kill(pid, SIGUSR1), 0);
    if (point == std::string("start.registered")) {
      auto thief = start_thief("thief");
      EXPECT_TRUE(ended_with(4, *thief));
      EXPECT_TRUE(has(thief->err(), "Pod 'starter' holds"));
    }
    ASSERT_EQ(::kill(pid, SIGCONT), 0);
    EXPECT_TRUE(ended_with(0, *run));
    EXPECT_TRUE(has(run->out(), "Done elsewhere."));
    EXPECT_TRUE(home.processes().empty());
  }
}

TEST_F(Registry, ManyAtOnceFindItLostAndNoneGetsWhatIsHeld) {
  ASSERT_NO_FATAL_FAILURE(start_family());
  for (int round = 0; round < soak(3, 50); ++round) {
    ASSERT_NO_FATAL_FAILURE(lose(round % 3));
    std::vector<std::unique_ptr<Program>> thieves, others;
    for (int i = 0; i < 4; ++i) {
      std::string number = std::to_string(i);
      home.write("free" + number + "/file", "");
      thieves.push_back(start_thief("thief" + number));
      others.push_back(home.start({"run", "ELSEWHERE", "--name", "other" + number}, home.file("free" + number)));
    }
    for (auto& thief : thieves) expect_refused(*thief);
    for (auto& other : others) EXPECT_TRUE(ended_with(0, *other));
    expect_all_as_before();
  }
  expect_normal_end();
}

}  // namespace
}  // namespace insomnia::e2e
