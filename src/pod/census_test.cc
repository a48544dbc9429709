#include "pod/census.hh"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>

#include "pod/fixture_test.hh"

namespace insomnia::pod {
namespace {

using registry::Allocation;
using registry::AllocationState;
using registry::Holding;
using registry::Holdings;
using registry::InstanceLock;

Allocation row_of(std::string const& name, std::vector<scope::ScopeRule> allow) {
  Allocation row;
  row.pod_name = name;
  row.pod_id = name + "-id";
  row.instance_id = name + "-1";
  row.socket = "/run/" + name + "/sock";
  row.pid = ::getpid();
  row.since_ms = 1000;
  row.scope_allow = std::move(allow);
  return row;
}

Allocation reserved_by(std::string const& spawner, std::string const& name, std::vector<scope::ScopeRule> allow) {
  Allocation row = row_of(name, std::move(allow));
  row.state = AllocationState::Reserved;
  row.delegated_from = spawner + "-id";
  row.spawner_instance = spawner + "-1";
  row.spawner_name = spawner;
  return row;
}

/// As much of a living Pod as others see: its locks and what it notes.
struct Resident {
  Resident(Paths const& paths, std::string const& name)
      : runtime_lock(*InstanceLock::acquire(paths.pod_lock(name), name + "-1")),
        data_lock(*InstanceLock::acquire(paths.pod_dir(name) + "/lock", name + "-1")),
        holdings(name + "-1", holdings_files(paths, name)) {}
  InstanceLock runtime_lock, data_lock;
  Holdings holdings;
};

class Census : public PodTest {
 protected:
  std::vector<std::string> names(int64_t patience_ms = 5'000) {
    auto living = living_pods(paths, patience_ms);
    EXPECT_TRUE(living) << living.error().message;
    std::vector<std::string> result;
    for (auto const& holding : living ? *living : std::vector<Holding>()) result.push_back(holding.row.pod_name);
    return result;
  }
};

using Names = std::vector<std::string>;

TEST_F(Census, WhereNobodyHasLivedNobodyLives) {
  EXPECT_EQ(names(), Names{});
  EXPECT_EQ(any_living_pod(paths).value(), "");
  EXPECT_FALSE(pod_holder(paths, "a").value());
}

TEST_F(Census, TellsWhatTheLivingHoldParentsFirst) {
  Resident child(paths, "a-child"), top(paths, "top");
  Holding own{row_of("top", {write_rule("/w")}), {}};
  Holding below{row_of("a-child", {write_rule("/w/c")}), {"top-id"}};
  ASSERT_TRUE(top.holdings.add(own));
  ASSERT_TRUE(child.holdings.add(below));
  EXPECT_EQ(living_pods(paths).value(), (std::vector<Holding>{own, below}));
  EXPECT_EQ(any_living_pod(paths).value(), "a-child");
  EXPECT_EQ(pod_holder(paths, "top")->value().instance_id, "top-1");
  EXPECT_FALSE(pod_holder(paths, "top", "top-2").value());
}

TEST_F(Census, AVanishedRuntimeDirectoryHidesNobody) {
  Resident pod(paths, "a");
  ASSERT_TRUE(pod.holdings.add({row_of("a", {write_rule("/w")}), {}}));
  ASSERT_TRUE(io::remove_tree(paths.runtime_dir));
  EXPECT_EQ(names(), Names{"a"});
  EXPECT_EQ(pod_holder(paths, "a", "a-1")->value().instance_id, "a-1");
}

TEST_F(Census, TheDeadHoldNothing) {
  {
    Resident pod(paths, "a");
    ASSERT_TRUE(pod.holdings.add({row_of("a", {write_rule("/w")}), {}}));
  }
  EXPECT_EQ(names(), Names{});
  EXPECT_EQ(any_living_pod(paths).value(), "");
}

TEST_F(Census, WhoHasNotBeenGrantedAnythingYetHoldsNothing) {
  {
    Resident earlier(paths, "a");
    ASSERT_TRUE(earlier.holdings.add({row_of("a", {write_rule("/w")}), {}}));
  }
  auto lock = InstanceLock::acquire(paths.pod_dir("a") + "/lock", "a-2");
  EXPECT_EQ(names(0), Names{}) << "nobody is waited for, and what an earlier instance left does not count";
}

TEST_F(Census, WhatASpawnerHasReservedIsHeldUntilTheChildHasComeAndGone) {
  Resident spawner(paths, "s");
  ASSERT_TRUE(spawner.holdings.add({row_of("s", {write_rule("/w")}), {}}));
  ASSERT_TRUE(spawner.holdings.add({reserved_by("s", "kid", {write_rule("/w/k")}), {"s-id"}}));
  EXPECT_EQ(living_pods(paths)->back().row.state, AllocationState::Reserved);
  {
    Resident kid(paths, "kid");
    EXPECT_EQ(living_pods(paths)->back().row.state, AllocationState::Reserved) << "it has not adopted yet";
    ASSERT_TRUE(kid.holdings.add({row_of("kid", {write_rule("/w/k")}), {"s-id"}}));
    EXPECT_EQ(names(), (Names{"s", "kid"}));
    EXPECT_EQ(living_pods(paths)->back().row.state, AllocationState::Live);
  }
  EXPECT_EQ(names(), Names{"s"});
}

TEST_F(Census, ALockThatDoesNotSayWhoseItIsIsWaitedForAndThenNamed) {
  Resident pod(paths, "mute");
  std::string file = paths.pod_dir("mute") + "/lock";
  ASSERT_EQ(::truncate(file.c_str(), 0), 0);
  auto refused = living_pods(paths, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unavailable);
  EXPECT_HAS(refused.error().message, "`mute`");
}

TEST_F(Census, DamagedHoldingsOfALivingPodAreNotGuessedAbout) {
  Resident pod(paths, "a");
  ASSERT_TRUE(io::replace_file(holdings_files(paths, "a")[0], "{"));
  auto refused = living_pods(paths, 0);
  ASSERT_FALSE(refused);
  EXPECT_HAS(refused.error().message, "`a`");
  EXPECT_HAS(refused.error().message, holdings_files(paths, "a")[0]);
}

TEST_F(Census, PodsOfAnotherDataDirectoryAreFoundByTheRuntimeDirectory) {
  Paths other = paths;
  other.data_dir = directory / "other-data";
  Resident pod(other, "a");
  ASSERT_TRUE(pod.holdings.add({row_of("a", {write_rule("/w")}), {}}));
  EXPECT_EQ(names(), Names{"a"});
}

TEST_F(Census, TheRegistryIsMadeAnewOfIt) {
  Resident top(paths, "top"), kid(paths, "kid");
  auto own = *open_registry(paths, &top.holdings);
  auto child = *open_registry(paths, &kid.holdings);
  ASSERT_TRUE(own->register_pod(row_of("top", {write_rule("/w")})));
  Allocation reserved = reserved_by("top", "kid", {write_rule("/w/k")});
  ASSERT_TRUE(own->delegate(reserved, std::nullopt, {}));
  ASSERT_TRUE(child->adopt("kid-id", "kid-1", 1, "seg"));
  auto before = own->list().value();
  ASSERT_TRUE(io::remove_tree(paths.runtime_dir));
  auto thief = *open_registry(paths);
  auto refused = thief->register_pod(row_of("thief", {write_rule("/w/k/x")}));
  ASSERT_FALSE(refused);
  EXPECT_HAS(refused.error().message, "'kid'");
  EXPECT_EQ(thief->list().value(), before);
}

// ---- Waking

/// A process that lives as `name` and waits for SIGUSR1, which it has blocked or not; ends with 7 when it came.
class Sleeper {
 public:
  Sleeper(Paths const& paths, std::string const& name, bool takes_signal) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    UniqueFd ready(ends[0]), writer(ends[1]);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      sigset_t look;
      sigemptyset(&look);
      sigaddset(&look, SIGUSR1);
      ::pthread_sigmask(takes_signal ? SIG_BLOCK : SIG_UNBLOCK, &look, nullptr);
      Resident resident(paths, name);
      if (::write(writer.get(), "x", 1) != 1) ::_exit(1);
      UniqueFd signals(::signalfd(-1, &look, SFD_CLOEXEC));
      signalfd_siginfo info{};
      if (takes_signal && ::read(signals.get(), &info, sizeof info) == sizeof info) ::_exit(7);
      for (;;) ::pause();
    }
    char byte = 0;
    writer.reset();
    EXPECT_EQ(::read(ready.get(), &byte, 1), 1);
  }
  ~Sleeper() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  bool is_there() const { return ::waitpid(pid_, nullptr, WNOHANG) == 0; }

 private:
  pid_t pid_;
};

TEST_F(Census, ALivingPodIsWoken) {
  Sleeper pod(paths, "a", true);
  EXPECT_EQ(wake_pods(paths, {row_of("a", {})}), 1u);
  EXPECT_EQ(pod.wait(), 7);
  EXPECT_EQ(wake_pods(paths, {row_of("a", {})}), 0u) << "it has ended";
}

TEST_F(Census, AnotherInstanceIsNotWoken) {
  Sleeper pod(paths, "a", true);
  Allocation row = row_of("a", {});
  row.instance_id = "a-0";
  EXPECT_EQ(wake_pods(paths, {row}), 0u);
  EXPECT_EQ(wake_pods(paths, {reserved_by("s", "a", {})}), 0u);
  EXPECT_TRUE(pod.is_there());
}

TEST_F(Census, WhomTheSignalWouldEndIsNotWoken) {
  Sleeper pod(paths, "a", false);
  EXPECT_EQ(wake_pods(paths, {row_of("a", {})}), 0u);
  EXPECT_TRUE(pod.is_there());
}

TEST_F(Census, AProcessThatHasTheNumberOfThePodIsNotWoken) {
  Sleeper pod(paths, "a", true);
  std::string file = paths.pod_lock("a");
  auto holder = registry::lock_holder(file)->value();
  for (auto const& lock : {file, paths.pod_dir("a") + "/lock"}) {
    UniqueFd fd(::open(lock.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
    ASSERT_TRUE(io::write_all(fd.get(), "a-1 " + std::to_string(holder.pid) + " " + std::to_string(holder.start_time + 1) + "\n", lock));
  }
  EXPECT_EQ(wake_pods(paths, {row_of("a", {})}), 0u) << "it was started at another time";
  EXPECT_TRUE(pod.is_there());
}

// ---- Under fire

/// Asks for overlapping scopes without end, and marks what it was granted; 3 when another one has marked it too.
class Striver {
 public:
  static constexpr int kParts = 3;
  Striver(Paths const& paths, std::string const& marks, int number) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
    progress_.reset(ends[0]);
    UniqueFd writer(ends[1]);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::_exit(strive(paths, marks, number, writer.get()));
    }
  }
  ~Striver() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  /// Until it has been granted something once more; false when it has ended.
  bool wait_for_grant() const {
    char byte = 0;
    return ::read(progress_.get(), &byte, 1) == 1;
  }
  int end() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  static int strive(Paths const& paths, std::string const& marks, int number, int progress) {
    std::string name = "p" + std::to_string(number);
    Resident resident(paths, name);
    auto registry = open_registry(paths, &resident.holdings);
    std::mt19937 random(static_cast<unsigned>(number));
    auto part = [](int i) { return "/w/" + std::to_string(i); };
    while (!io::exists(marks + "/stop")) {
      if (!registry) registry = open_registry(paths, &resident.holdings);
      if (!registry) continue;  // lost again and again at the moment
      unsigned wanted = 1 + random() % 7;
      Allocation row = row_of(name, {});
      for (int i = 0; i < kParts; ++i) {
        if ((wanted >> i & 1) != 0) row.scope_allow.push_back(write_rule(part(i)));
      }
      if (wanted == 7) row.scope_allow = {write_rule("/w")};
      if (!(*registry)->register_pod(row)) continue;
      for (int i = 0; i < kParts; ++i) {
        if ((wanted >> i & 1) == 0) continue;
        UniqueFd mark(::open((marks + "/" + std::to_string(i)).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!mark) return 3;
      }
      // It need not be read: the pipe may be full.
      (void)!::write(progress, "x", 1);
      for (int i = 0; i < kParts; ++i) {
        if ((wanted >> i & 1) != 0) ::unlink((marks + "/" + std::to_string(i)).c_str());
      }
      (void)(*registry)->release(row.pod_id, row.instance_id);
      if (random() % 8 == 0) registry = open_registry(paths, &resident.holdings);
    }
    return 0;
  }

  UniqueFd progress_;
  pid_t pid_;
};

void damage(std::string const& path) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  struct stat info{};
  if (!fd || ::fstat(fd.get(), &info) != 0) return;
  std::string garbage(static_cast<size_t>(info.st_size), '\xA5');
  (void)!::pwrite(fd.get(), garbage.data(), garbage.size(), 0);
}

TEST_F(Census, NoPathHasTwoWritersWhateverHappensToTheRegistry) {
  std::string marks = directory.directory("marks");
  std::vector<std::unique_ptr<Striver>> strivers;
  for (int i = 0; i < 5; ++i) strivers.push_back(std::make_unique<Striver>(paths, marks, i));
  std::mt19937 random(20240229);
  int rounds = std::getenv("INSOMNIA_SOAK") != nullptr ? 3000 : 60;
  for (int round = 0; round < rounds; ++round) {
    ASSERT_TRUE(strivers[random() % strivers.size()]->wait_for_grant()) << "round " << round;
    std::string file = paths.registry_db();
    switch (random() % 6) {
      case 0:
        damage(file);
        damage(file + "-wal");
        break;
      case 1:
        for (auto const* suffix : {"", "-wal", "-shm"}) ::unlink((file + suffix).c_str());
        break;
      case 2: ::unlink((file + "-wal").c_str()); break;
      case 3: ::unlink((file + "-shm").c_str()); break;
      case 4: ::unlink(file.c_str()); break;
      default: (void)io::remove_tree(paths.runtime_dir);
    }
  }
  ASSERT_TRUE(io::replace_file(marks + "/stop", ""));
  for (auto& striver : strivers) EXPECT_EQ(striver->end(), 0) << "3: a path had two writers";
}

}  // namespace
}  // namespace insomnia::pod
