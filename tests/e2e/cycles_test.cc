#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <set>

#include "base/io.hh"
#include "e2e.hh"
#include "registry/allocation_table.hh"
#include "registry/liveness.hh"
#include "registry/registry_file.hh"

namespace insomnia::e2e {
namespace {

/// Hundreds of families that live and die in one home. Whatever is killed when, nothing of a family is left when the next one comes.
class Cycles : public E2e, public ::testing::WithParamInterface<unsigned> {
 protected:
  /// `boss` spawns `kid` on left/ and `late` on the same, which waits until kid has ended. Both end when they are done. So does everybody that
  /// is brought back.
  Cycles() {
    home.write("left/old.txt", "left\n");
    answer_with(server, "PARENT", [this](Conversation const& conversation) {
      if (!conversation.calls.empty()) return text_reply("I wait.");
      return tool_reply({{"s1", "SpawnPod", spawn("kid", R"("end_when_done":true)")},
                         {"s2", "SpawnPod", spawn("late", R"("end_when_done":true,"wait_for_scope_ms":60000)")}});
    });
    for (std::string task : {"KID", "LATE"}) {
      answer_with(server, task, [this, task](Conversation const& conversation) {
        size_t to_do = (task == "KID" ? 2 : 1) - std::min<size_t>(conversation.calls.size(), task == "KID" ? 2 : 1);
        if (to_do == 2) return tool_reply({{"b", "Bash", arguments({{"command", "sleep 1000 >/dev/null 2>&1 & echo begun"}})}});
        if (to_do == 1) return tool_reply({{"w", "Write", arguments({{"file_path", home.file("left/" + task)}, {"content", "x"}})}});
        return text_reply("done");
      });
    }
  }
  std::string spawn(std::string const& name, std::string const& more) const {
    std::string result = spawn_arguments(name, name == "kid" ? "KID" : "LATE", {"write:" + home.file("left")});
    result.pop_back();
    return result + "," + more + "}";
  }

  unsigned number(unsigned below) { return static_cast<unsigned>(random_() % below); }

  void cycle() {
    std::vector<std::vector<std::string>> const all_victims{{}, {"boss"}, {"kid"}, {"late"}, {"boss", "kid"}, {"kid", "boss"}, {"boss", "kid", "late"}};
    auto victims = all_victims[number(all_victims.size())];
    size_t after = 1 + number(7);  // a family that nobody disturbs makes at least so many requests
    unsigned delay_ms = number(20);
    bool restores = number(2) == 0;
    std::string what = "after request " + std::to_string(after) + " and " + std::to_string(delay_ms) + " ms dies:";
    for (auto const& name : victims) what += " " + name;
    SCOPED_TRACE(what + (restores ? ", restored" : ""));

    auto run = home.start({"run", "PARENT", "--name", "boss"});
    ASSERT_TRUE(server.wait_for_requests(requests_ + after, kPatienceMs)) << run->out() << run->err();
    ::poll(nullptr, 0, static_cast<int>(delay_ms));  // any moment will do
    for (auto const& name : victims) {
      if (pid_t pid = home.pid_of(name); pid > 0) ::kill(pid, SIGKILL);
    }
    if (restores) expect_in_time(home.run({"restore", "--all"}));
    auto code = run->wait();
    expect_in_time({code, run->out(), run->err()});
    expect_all_end();
    expect_nothing_is_left();
    // The next family begins anew. What runs is not touched: nothing does.
    ASSERT_TRUE(io::remove_tree(home.paths().pods_dir()));
    requests_ = server.requests().size();
  }

  static void expect_in_time(Finished const& finished) {
    EXPECT_TRUE(finished.code.has_value()) << "it did not end";
    expect_in_time(finished.out + finished.err);
  }
  static void expect_in_time(std::string const& text) {
    for (auto const* late : {"timed out", "did not get ready", "did not appear", "did not answer"}) {
      EXPECT_FALSE(contains(text, late)) << text;
    }
  }
  /// Nobody kills them: their work is done, or what they lived for is gone.
  void expect_all_end() const {
    for (auto left = home.processes(); !left.empty(); left = home.processes()) {
      ASSERT_TRUE(testing::wait_for_death(left.front())) << "process " << left.front() << " is left: "
                                                         << io::read_file("/proc/" + std::to_string(left.front()) + "/cmdline").value_or("");
    }
  }
  void expect_nothing_is_left() const {
    EXPECT_EQ(home.run({"ps", "--json"}).out, "[]\n");
    auto file = registry::open_registry_file(home.paths().registry_db(), {});
    ASSERT_TRUE(file) << file.error().message;
    registry::AllocationTable table(**file);
    EXPECT_LE(table.count().value(), 3) << "rows of the dead stay until somebody looks, but not in number";
    EXPECT_LE(table.waiters()->size(), 1u);
    expect_only_known_files();
  }
  void expect_only_known_files() const {
    static std::set<std::string> const known{"lock",       "stderr.log", "sock",        "poke",        "status.json",     "manifest.toml",
                                             "holds.json", "hands.log",  "bash-output", "registry.db", "registry.db-wal", "registry.db-shm",
                                             "registry.db.lock", "cell-level"};
    int bells = 0;
    for (auto const& entry : std::filesystem::recursive_directory_iterator(home.paths().runtime_dir)) {
      std::string path = std::filesystem::relative(entry.path(), home.paths().runtime_dir);
      bool of_pod = entry.is_directory() && (path == "boss" || path == "kid" || path == "late");
      if (of_pod || known.contains(entry.path().filename()) || was_being_written(entry.path())) continue;
      EXPECT_TRUE(path.starts_with("boss/bell.") && ++bells == 1) << path << " is left in the runtime directory";
    }
  }
  /// By the last instance of a Pod: the next one removes it.
  static bool was_being_written(std::filesystem::path const& path) {
    std::string name = path.filename();
    size_t at = name.find(".tmp.");
    if (at == std::string::npos) return false;
    std::string pid = name.substr(at + 5, name.find('.', at + 5) - at - 5);
    return contains(io::read_file(path.parent_path() / "lock").value_or(""), " " + pid + " ");
  }

  std::mt19937 random_;
  size_t requests_ = 0;
};

TEST_P(Cycles, WhateverIsKilledWhenNothingIsLeft) {
  unsigned seed = GetParam() + 1000 * static_cast<unsigned>(GTEST_FLAG_GET(random_seed));  // others: --gtest_random_seed=N
  random_.seed(seed);
  for (int i = 0; i < soak(25, 250) && !HasFailure(); ++i) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", cycle " + std::to_string(i));
    ASSERT_NO_FATAL_FAILURE(cycle());
  }
  for (auto const& request : server.requests()) {
    for (auto const& result : read_conversation(request).results) expect_in_time(result.text);
  }
}

INSTANTIATE_TEST_SUITE_P(Seed, Cycles, ::testing::Range(1u, 5u));

}  // namespace
}  // namespace insomnia::e2e
