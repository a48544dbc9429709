#include "registry/liveness.hh"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "registry/contract_test.hh"

namespace insomnia::registry {
namespace {

class LivenessTest : public testing::Test {
 protected:
  std::string path(std::string const& name) const { return directory_ / (name + "/lock"); }
  InstanceLock take(std::string const& name, std::string const& instance_id) {
    auto lock = InstanceLock::acquire(path(name), instance_id);
    EXPECT_TRUE(lock) << lock.error().message;
    return std::move(*lock);
  }
  std::string holder(std::string const& name) {
    auto found = lock_holder(path(name)).value();
    return found ? found->instance_id : "(nobody)";
  }

  scope::TestDirectory directory_;
};

TEST_F(LivenessTest, TheLockIsHeldUntilTheLastCopyOfItsDescriptorIsClosed) {
  UniqueFd copy;
  {
    InstanceLock lock = take("a", "a-1");
    EXPECT_EQ(holder("a"), "a-1");
    copy.reset(::fcntl(lock.fd(), F_DUPFD_CLOEXEC, 0));
  }
  EXPECT_EQ(holder("a"), "a-1") << "a helper with a copy counts as the instance";
  copy.reset();
  EXPECT_EQ(holder("a"), "(nobody)");
  EXPECT_TRUE(io::exists(path("a"))) << "the file is never unlinked";
}

TEST_F(LivenessTest, TheFileSaysWhoHoldsIt) {
  InstanceLock lock = take("a", "a-1");
  auto found = lock_holder(path("a")).value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->pid, ::getpid());
  EXPECT_GT(found->start_time, 0u);
  EXPECT_EQ(io::read_file(path("a")).value(),
            "a-1 " + std::to_string(::getpid()) + " " + std::to_string(found->start_time) + "\n");
}

TEST_F(LivenessTest, FileAndDirectoryAreForTheUserAloneAndNotInherited) {
  InstanceLock lock = take("a", "a-1");
  struct stat info{};
  ASSERT_EQ(::stat(path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat((directory_ / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  EXPECT_TRUE(::fcntl(lock.fd(), F_GETFD) & FD_CLOEXEC);
}

TEST_F(LivenessTest, ASecondInstanceIsRefusedAndTheFirstNamed) {
  InstanceLock lock = take("a", "a-1");
  auto second = InstanceLock::acquire(path("a"), "a-2");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::AlreadyExists);
  for (auto const& word : {std::string("a-1"), std::to_string(::getpid()), path("a")}) {
    EXPECT_NE(second.error().message.find(word), std::string::npos) << second.error().message;
  }
  EXPECT_EQ(holder("a"), "a-1") << "the refused one has changed nothing";
}

TEST_F(LivenessTest, ASuccessorWritesItsOwnId) {
  {
    InstanceLock lock = take("a", "a-very-long-first-id");
  }
  InstanceLock lock = take("a", "a-2");
  EXPECT_EQ(holder("a"), "a-2");
}

TEST_F(LivenessTest, AnIdThatTheFileCannotHoldIsRefused) {
  for (auto const& id : {std::string(), std::string("a b"), std::string("a\n"), std::string(200, 'x')}) {
    auto refused = InstanceLock::acquire(path("a"), id);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::InvalidArgument);
  }
}

TEST_F(LivenessTest, NobodyHoldsALockFileThatIsMissing) {
  EXPECT_EQ(holder("missing"), "(nobody)");
  ASSERT_TRUE(io::replace_file(directory_ / "file", ""));
  EXPECT_EQ(lock_holder(directory_ / "file/lock").value(), std::nullopt);
}

TEST_F(LivenessTest, ALockOnAFileThatWasReplacedIsNotTheLockOfThePath) {
  InstanceLock old = take("a", "a-1");
  ASSERT_EQ(::rename(path("a").c_str(), (path("a") + ".gone").c_str()), 0);
  EXPECT_EQ(holder("a"), "(nobody)");
  InstanceLock next = take("a", "a-2");
  EXPECT_EQ(holder("a"), "a-2");
}

TEST_F(LivenessTest, ALinkInPlaceOfTheLockIsRefused) {
  ASSERT_TRUE(io::make_directories(directory_ / "a"));
  directory_.link("a/lock", directory_ / "elsewhere");
  EXPECT_FALSE(InstanceLock::acquire(path("a"), "a-1"));
  EXPECT_FALSE(io::exists(directory_ / "elsewhere"));
}

TEST_F(LivenessTest, ALiveRowIsAliveWhileItsInstanceHoldsItsLock) {
  auto liveness = lock_liveness(directory_.path(), "");
  Allocation row = pod("a", {});
  EXPECT_FALSE(liveness(row));
  {
    InstanceLock lock = take("a", "a-1");
    EXPECT_TRUE(liveness(row));
    row.instance_id = "a-0";
    EXPECT_FALSE(liveness(row)) << "a successor with the same name proves nothing";
    row.instance_id = "a-1";
  }
  EXPECT_FALSE(liveness(row));
}

TEST_F(LivenessTest, AReservationIsAliveWhileItsSpawnerIs) {
  auto liveness = lock_liveness(directory_.path(), "");
  Allocation row = child("s", "a", {});
  InstanceLock own = take("a", "a-1");
  EXPECT_FALSE(liveness(row)) << "the child's own lock says nothing before it is adopted";
  {
    InstanceLock spawner = take("s", "s-1");
    EXPECT_TRUE(liveness(row));
    row.spawner_instance = "s-0";
    EXPECT_FALSE(liveness(row));
    row.spawner_instance = "s-1";
    row.spawner_name = "";
    EXPECT_FALSE(liveness(row));
    row.spawner_name = "s";
  }
  EXPECT_FALSE(liveness(row));
}

TEST_F(LivenessTest, EitherOfTheTwoLocksIsEnough) {
  auto liveness = lock_liveness(directory_ / "run", directory_ / "data");
  Allocation row = pod("a", {});
  EXPECT_FALSE(liveness(row));
  auto data = InstanceLock::acquire(directory_ / "data/pods/a/lock", "a-1");
  ASSERT_TRUE(data);
  EXPECT_TRUE(liveness(row)) << "the runtime directory has vanished under it";
  row.instance_id = "a-0";
  EXPECT_FALSE(liveness(row));
  row.instance_id = "a-1";
  auto intruder = InstanceLock::acquire(directory_ / "run/a/lock", "a-2");
  ASSERT_TRUE(intruder);
  EXPECT_TRUE(liveness(row)) << "another instance that tries to start does not end it";
  data = InstanceLock::acquire(directory_ / "data/pods/b/lock", "b-1");
  EXPECT_FALSE(liveness(row));
  Allocation reserved = child("b", "c", {});
  EXPECT_TRUE(liveness(reserved)) << "by the lock of its spawner";
}

TEST_F(LivenessTest, WhoHasLeftHadTheLock) {
  EXPECT_FALSE(has_left(path("a"), "a-1").value());
  {
    InstanceLock lock = take("a", "a-1");
    EXPECT_FALSE(has_left(path("a"), "a-1").value());
  }
  EXPECT_TRUE(has_left(path("a"), "a-1").value());
  EXPECT_FALSE(has_left(path("a"), "a-2").value());
}

TEST_F(LivenessTest, ALockKnowsWhetherItsFileIsThere) {
  InstanceLock lock = take("a", "a-1");
  EXPECT_TRUE(lock.is_at(path("a")));
  ASSERT_TRUE(io::remove_tree(directory_ / "a"));
  EXPECT_FALSE(lock.is_at(path("a")));
  InstanceLock again = take("a", "a-1");
  EXPECT_FALSE(lock.is_at(path("a")));
  EXPECT_TRUE(again.is_at(path("a")));
}

TEST_F(LivenessTest, WhatCannotBeFoundOutCountsAsAlive) {
  auto liveness = lock_liveness(directory_.path(), "");
  InstanceLock lock = take("a", "a-1");
  ASSERT_EQ(::truncate(path("a").c_str(), 0), 0);
  EXPECT_TRUE(liveness(pod("a", {}))) << "held, and the file does not say by whom";
  ASSERT_TRUE(io::make_directories(directory_ / "b"));
  ASSERT_EQ(::symlink("lock", path("b").c_str()), 0);
  EXPECT_TRUE(liveness(pod("b", {}))) << "the lock cannot be looked at";
}

}  // namespace
}  // namespace insomnia::registry
