#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include <csignal>

#include "registry/allocation_table.hh"
#include "registry/contract_test.hh"
#include "registry/liveness.hh"
#include "registry/registry_file.hh"

// Several processes on one registry. Children end with _exit and use nothing that the parent opened.
namespace insomnia::registry {
namespace {

/// Both ends of a pipe.
struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  UniqueFd read, write;
};

/// Blocks until a byte comes or the other side closes.
bool wait_for_byte(int fd) {
  char byte = 0;
  return ::read(fd, &byte, 1) == 1;
}
void send_byte(int fd) {
  if (::write(fd, "x", 1) != 1) ::_exit(99);
}

/// A forked process, killed and reaped at the latest by the destructor.
class Forked {
 public:
  explicit Forked(std::function<int()> const& body) : pid_(::fork()) {
    if (pid_ == 0) ::_exit(body());
  }
  Forked(Forked&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ~Forked() {
    if (pid_ > 0) kill();
  }
  void kill() {
    ::kill(pid_, SIGKILL);
    (void)wait();
  }
  int wait() {
    int status = 0;
    EXPECT_EQ(::waitpid(std::exchange(pid_, -1), &status, 0) > 0, true);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

constexpr int kWon = 0, kRefused = 1, kBroken = 2;

class Processes : public testing::Test {
 protected:
  std::string file() const { return directory_ / "registry.db"; }
  std::unique_ptr<Registry> open() const {
    auto opened = open_sqlite_registry(file(), [](Allocation const&) { return true; });
    if (!opened) ADD_FAILURE() << opened.error().message;
    return opened ? std::move(*opened) : nullptr;
  }
  std::unique_ptr<Registry> open_with_locks() const {
    return *open_sqlite_registry(file(), lock_liveness(directory_.path(), ""));
  }

  /// Runs `attempt` in `count` processes at once; the number of those that won. All others must have been
  /// refused with `refusal`.
  int race(int count, Code refusal, std::function<Result<void>(Registry&, int)> const& attempt) {
    Pipe start;
    std::vector<Forked> racers;
    for (int i = 0; i < count; ++i) {
      racers.emplace_back([&, i] {
        start.write.reset();
        wait_for_byte(start.read.get());
        auto registry = open();
        if (!registry) return kBroken;
        auto result = attempt(*registry, i);
        if (result) return kWon;
        if (result.error().code == refusal) return kRefused;
        std::fprintf(stderr, "racer %d: %s\n", i, result.error().message.c_str());
        return kBroken;
      });
    }
    start.write.reset();
    int won = 0;
    for (auto& racer : racers) {
      int status = racer.wait();
      EXPECT_TRUE(status == kWon || status == kRefused) << status;
      won += status == kWon ? 1 : 0;
    }
    return won;
  }

  scope::TestDirectory directory_;
};

// The first opens race as well: the file does not exist yet.
TEST_F(Processes, R10OneOfManyGetsTheName) {
  for (int round = 0; round < 3; ++round) {
    (void)io::remove_tree(directory_.path());
    EXPECT_EQ(race(6, Code::AlreadyExists,
                   [](Registry& registry, int i) {
                     Allocation row = pod("same", {write_rule("/w/" + std::to_string(i))});
                     row.pod_id += std::to_string(i);
                     return registry.register_pod(row);
                   }),
              1);
    EXPECT_EQ(open()->list()->size(), 1u);
  }
}

TEST_F(Processes, R9OneOfManyGetsTheScope) {
  ASSERT_TRUE(open()->register_pod(pod("s", {write_rule("/w")})));
  std::vector<std::string> targets{"/w/a", "/w/a/b", "/w", "/w/a/b/c"};
  EXPECT_EQ(race(4, Code::Conflict,
                 [&](Registry& registry, int i) {
                   return registry.delegate(child("s", "c" + std::to_string(i), {write_rule(targets[i])}),
                                            std::nullopt, {});
                 }),
            1);
  EXPECT_EQ(
      race(4, Code::Conflict,
           [&](Registry& registry, int i) {
             return registry.register_pod(pod("r" + std::to_string(i), {write_rule("/x" + targets[i])}));
           }),
      1);
}

TEST_F(Processes, DisjointScopesAllWin) {
  EXPECT_EQ(race(6, Code::Conflict,
                 [&](Registry& registry, int i) {
                   return registry.register_pod(
                       pod("p" + std::to_string(i), {write_rule("/w/" + std::to_string(i))}));
                 }),
            6);
  EXPECT_EQ(open()->list()->size(), 6u);
}

TEST_F(Processes, ManyFindTheDamageOneSetsItAside) {
  ASSERT_TRUE(io::replace_file(file(), std::string(9000, 'x')));
  EXPECT_EQ(race(5, Code::Conflict,
                 [&](Registry& registry, int i) {
                   return registry.register_pod(
                       pod("p" + std::to_string(i), {write_rule("/w/" + std::to_string(i))}));
                 }),
            5);
  EXPECT_EQ(open()->list()->size(), 5u) << "all are in the one new file";
}

TEST_F(Processes, R3AKilledTransactionLeavesNothingBehind) {
  ASSERT_TRUE(open()->register_pod(pod("a", {write_rule("/a")})));
  Pipe ready;
  Forked victim([&] {
    auto database = open_registry_file(file(), {});
    if (!database) return kBroken;
    Transaction transaction(**database);
    AllocationTable table(**database);
    if (!transaction.begin(Transaction::Kind::Write) || !table.insert(pod("b", {write_rule("/b")}), nullptr))
      return kBroken;
    send_byte(ready.write.get());
    ::pause();
    return kBroken;
  });
  ASSERT_TRUE(wait_for_byte(ready.read.get()));
  EXPECT_EQ(open()->list()->size(), 1u) << "what is not committed is not seen";
  victim.kill();
  auto registry = open();
  ASSERT_TRUE(registry->register_pod(pod("c", {write_rule("/b")})));
  EXPECT_EQ(registry->list()->size(), 2u);
}

TEST_F(Processes, R3KillsAtAnyMomentLeaveAWholeRegistry) {
  for (int kill_after = 1; kill_after <= 12; ++kill_after) {
    Pipe progress;
    Forked victim([&] {
      auto registry = open();
      if (!registry) return kBroken;
      for (int i = 0;; ++i) {
        Allocation row = pod("v", {write_rule("/v/" + std::to_string(i)), write_rule("/u")});
        row.instance_id = "v-" + std::to_string(kill_after);
        if (!registry->register_pod(row) || !registry->release(row.pod_id, row.instance_id)) return kBroken;
        send_byte(progress.write.get());
      }
    });
    progress.write.reset();
    for (int i = 0; i < kill_after; ++i) ASSERT_TRUE(wait_for_byte(progress.read.get()));
    victim.kill();
    auto registry = open();
    if (registry->find("v").value()) {
      ASSERT_TRUE(registry->release("v-id", "v-" + std::to_string(kill_after)));
    }
    ASSERT_TRUE(registry->register_pod(pod("w", {write_rule("/u"), write_rule("/v")})));
    ASSERT_TRUE(registry->release("w-id", "w-1"));
  }
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(file().c_str(), &connection), SQLITE_OK);
  std::string verdict;
  auto collect = [](void* out, int, char** values, char**) {
    *static_cast<std::string*>(out) += values[0];
    return 0;
  };
  ASSERT_EQ(sqlite3_exec(connection, "pragma integrity_check; select count(*) from rules", collect, &verdict,
                         nullptr),
            SQLITE_OK);
  sqlite3_close(connection);
  EXPECT_EQ(verdict, "ok0") << "no rule without its Pod";
}

TEST_F(Processes, AKilledPodIsReclaimedThroughItsLock) {
  Pipe ready;
  Forked holder([&] {
    auto lock = InstanceLock::acquire(directory_ / "a/lock", "a-1");
    auto registry = open_with_locks();
    if (!lock || !registry->register_pod(pod("a", {write_rule("/w")}))) return kBroken;
    if (!registry->delegate(child("a", "b", {write_rule("/w/b")}), std::nullopt, {})) return kBroken;
    send_byte(ready.write.get());
    ::pause();
    return kBroken;
  });
  ASSERT_TRUE(wait_for_byte(ready.read.get()));
  auto registry = open_with_locks();
  EXPECT_EQ(registry->list()->size(), 2u);
  EXPECT_TRUE(failed(registry->register_pod(pod("c", {write_rule("/w/c")})), Code::Conflict, {"'a'"}));
  holder.kill();
  EXPECT_EQ(registry->list()->size(), 0u) << "the Pod and its reservation";
  EXPECT_TRUE(registry->register_pod(pod("c", {write_rule("/w/c")})));
}

}  // namespace
}  // namespace insomnia::registry
