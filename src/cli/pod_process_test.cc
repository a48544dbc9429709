#include "cli/pod_process.hh"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.hh"
#include "registry/liveness.hh"

namespace insomnia::cli {
namespace {

/// A process that holds a Pod's lock, leads its group, and does nothing else.
class Holder {
 public:
  Holder(std::string const& lock, std::string const& instance) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    UniqueFd reader(ends[0]), writer(ends[1]);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::setsid();
      auto held = registry::InstanceLock::acquire(lock, instance);
      if (!held || ::write(writer.get(), "x", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    writer.reset();
    char ready = 0;
    EXPECT_EQ(::read(reader.get(), &ready, 1), 1) << "the lock was not taken";
  }
  ~Holder() {
    ::kill(pid_, SIGKILL);
    reap();
  }
  int reap() {
    int status = 0;
    if (::waitpid(pid_, &status, 0) == pid_) status_ = status;
    return status_;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

struct PodProcessTest : testing::Test {
  PodProcessTest() {
    char name[] = "/tmp/insomnia-process-XXXXXX";
    root = ::mkdtemp(name);
    Environment environment;
    environment.set("INSOMNIA_HOME", root);
    paths = Paths::resolve(environment);
    row.pod_name = "web";
    row.instance_id = "0192f0e8-4d84-7d6e-a000-000000000001";
  }
  ~PodProcessTest() override { (void)io::remove_tree(root); }

  std::string root;
  Paths paths;
  registry::Allocation row;
};

TEST_F(PodProcessTest, OnlyTheHolderOfTheRowsLockIsFound) {
  auto nobody = PodProcess::find(paths, row);
  EXPECT_TRUE(nobody.has_value() && !nobody->has_value());

  Holder holder(paths.pod_lock("web"), row.instance_id);
  auto found = PodProcess::find(paths, row);
  ASSERT_TRUE(found.has_value() && found->has_value());
  EXPECT_EQ((*found)->pid(), holder.pid());
  EXPECT_FALSE((*found)->wait(0));

  row.instance_id = "0192f0e8-4d84-7d6e-a000-000000000002";
  auto another = PodProcess::find(paths, row);
  EXPECT_TRUE(another.has_value() && !another->has_value()) << "the name belongs to another instance now";
}

TEST_F(PodProcessTest, SignalsEndItAndReachNobodyAfterwards) {
  Holder holder(paths.pod_lock("web"), row.instance_id);
  auto found = PodProcess::find(paths, row);
  ASSERT_TRUE(found.has_value() && found->has_value());
  (*found)->signal(SIGTERM);
  EXPECT_TRUE((*found)->wait(60'000));
  EXPECT_EQ(WTERMSIG(holder.reap()), SIGTERM);
  (*found)->kill_group();  // its pid may be anybody's by now
  EXPECT_TRUE((*found)->wait(0));
}

TEST_F(PodProcessTest, AStoppedProcessIsKilledWithItsGroup) {
  Holder holder(paths.pod_lock("web"), row.instance_id);
  auto found = PodProcess::find(paths, row);
  ASSERT_TRUE(found.has_value() && found->has_value());
  (*found)->signal(SIGSTOP);
  EXPECT_FALSE((*found)->wait(0));
  (*found)->kill_group();
  EXPECT_TRUE((*found)->wait(60'000));
  EXPECT_EQ(WTERMSIG(holder.reap()), SIGKILL);
}

}  // namespace
}  // namespace insomnia::cli
