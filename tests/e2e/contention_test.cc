#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <map>
#include <random>

#include "base/io.hh"
#include "e2e.hh"
#include "registry/liveness.hh"
#include "registry/registry.hh"
#include "testing/contender.hh"

namespace insomnia::e2e {
namespace {

using testing::Contender;
using testing::ContenderEnd;
using testing::ContenderEvent;
using testing::ContenderTask;
using Kind = ContenderEvent::Kind;

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) panic("no pipe can be made");
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  UniqueFd read, write;
};

/// Many processes that want the same paths. No thread runs in this process: it forks.
class Contention : public ::testing::Test {
 protected:
  static constexpr auto kDone = static_cast<int>(ContenderEnd::Done);

  Contention() {
    for (auto const& directory : {marks_, home.paths().data_dir, home.paths().runtime_dir}) EXPECT_TRUE(io::make_directories(directory));
  }

  ContenderTask task(int number, std::string root) const {
    return {.paths = home.paths(),
            .number = number,
            .seed = static_cast<unsigned>(number),
            .root = std::move(root),
            .marks = marks_,
            .stop = stop_file_,
            .report_fd = reports_.write.get()};
  }
  /// Wants parts of what others want too. One in four waits for them.
  ContenderTask rival(int number) const {
    ContenderTask result = task(number, "/contended");
    result.waits = number % 4 == 0;
    return result;
  }
  /// Wants what nobody else does.
  ContenderTask loner(int number) const {
    ContenderTask result = task(number, "/own/" + std::to_string(number));
    result.alone = true;
    result.waits = number % 4 == 0;
    return result;
  }
  void start(ContenderTask const& task) { contenders_.emplace(task.number, Contender::start(task)); }

  /// What the next one has to tell; nothing when none has for a minute.
  std::optional<ContenderEvent> next_event() const {
    pollfd entry{reports_.read.get(), POLLIN, 0};
    ContenderEvent event{};
    if (::poll(&entry, 1, testing::kPatienceMs) <= 0 || ::read(reports_.read.get(), &event, sizeof event) != sizeof event) return std::nullopt;
    return event;
  }
  /// Waits for an event of this kind; others are dropped.
  bool wait_for(int number, Kind kind) const {
    while (auto event = next_event()) {
      if (event->number == number && event->kind == kind) return true;
    }
    return false;
  }

  /// Lets all of these contend until they have been granted something `grants` times. They crash, are killed at any moment, and come back.
  void contend(std::vector<ContenderTask> tasks, int grants) {
    for (auto& task : tasks) {
      task.crashes = 40;
      start(task);
    }
    std::mt19937 random(20240229);
    auto replace = [&](ContenderTask& task) {
      Contender old = std::move(contenders_.extract(task.number).mapped());
      old.signal(SIGKILL);
      ASSERT_EQ(old.wait(), -SIGKILL) << "c" << task.number;
      task.seed += 1000;
      start(task);
    };
    while (grants > 0) {
      auto event = next_event();
      ASSERT_TRUE(event) << "nobody is granted anything any more";
      bool current = contenders_.at(event->number).pid() == event->pid;
      if (event->kind == Kind::Crashes && current) {
        ASSERT_NO_FATAL_FAILURE(replace(tasks.at(static_cast<size_t>(event->number))));
      }
      if (event->kind != Kind::Granted) continue;
      --grants;
      if (random() % 20 == 0) {
        ASSERT_NO_FATAL_FAILURE(replace(tasks.at(random() % tasks.size())));
      }
    }
    expect_all_are_granted_what_they_wait_for();
  }
  void stop_asking() const { ASSERT_TRUE(io::replace_file(stop_file_, "")); }
  void expect_all_are_granted_what_they_wait_for() {
    stop_asking();
    for (auto& [number, contender] : contenders_) {
      int end = contender.wait();
      EXPECT_TRUE(end == kDone || end == -SIGKILL) << "c" << number << " ended with " << end << ", a ContenderEnd";
    }
    contenders_.clear();
    // Nobody holds anything, nobody waits for anything.
    auto table = open_table();
    EXPECT_EQ(table->list()->size(), 0u);
    auto all = table->register_pod(everything());
    EXPECT_TRUE(all) << all.error().message;
  }

  std::unique_ptr<registry::Registry> open_table(int64_t busy_limit_ms = testing::kPatienceMs) const {
    Paths paths = home.paths();
    auto table = registry::open_sqlite_registry(paths.registry_db(), registry::lock_liveness(paths.runtime_dir, paths.data_dir),
                                                {.busy_limit_ms = busy_limit_ms});
    if (!table) panic(table.error().message);
    return *std::move(table);
  }
  static registry::Allocation everything() {
    registry::Allocation row;
    row.pod_name = row.pod_id = row.instance_id = "test";
    row.scope_allow = {{"/", scope::Permission::Write, true}};
    return row;
  }

  PodHome home{INSOMNIA_BINARY};
  std::string marks_ = home.file("marks");
  std::string stop_file_ = home.file("stop");
  Pipe reports_;
  std::map<int, Contender> contenders_;
};

TEST_F(Contention, NoPathHasTwoHoldersWhoeverIsKilled) {
  std::vector<ContenderTask> tasks;
  for (int i = 0; i < 64; ++i) tasks.push_back(rival(i));
  contend(tasks, soak(500, 12'000));
}

TEST_F(Contention, WhoWantsWhatNobodyElseWantsNeverWaits) {
  std::vector<ContenderTask> tasks;
  for (int i = 0; i < 64; ++i) tasks.push_back(i % 2 == 0 ? loner(i) : rival(i));
  contend(tasks, soak(500, 12'000));
}

TEST_F(Contention, StoppedHolderDelaysOnlyWhoWantsItsPath) {
  Pipe go;
  ContenderTask holder = rival(0);
  holder.go_fd = go.read.get();
  start(holder);
  ASSERT_TRUE(wait_for(0, Kind::Granted));
  contenders_.at(0).signal(SIGSTOP);
  ASSERT_TRUE(testing::wait_for_stop(contenders_.at(0).pid()));
  std::map<int, int> grants_left, waits_left;
  for (int i = 1; i < 24; ++i) {
    ContenderTask task = i % 4 == 0 ? rival(i) : loner(i);
    (i % 4 == 0 ? waits_left : grants_left)[i] = i % 4 == 0 ? 1 : 5;
    start(task);
  }
  auto count_down = [](std::map<int, int>& left, int number) {
    if (auto found = left.find(number); found != left.end() && --found->second == 0) left.erase(found);
  };
  while (!grants_left.empty() || !waits_left.empty()) {
    auto event = next_event();
    ASSERT_TRUE(event) << grants_left.size() << " that want other paths are not granted them";
    if (event->kind == Kind::Granted) {
      ASSERT_NE(event->number % 4, 0) << "c" << event->number << " was granted what the stopped one holds";
    }
    count_down(event->kind == Kind::Granted ? grants_left : waits_left, event->number);
  }
  stop_asking();
  contenders_.at(0).signal(SIGCONT);
  ASSERT_EQ(::write(go.write.get(), "!", 1), 1);
  expect_all_are_granted_what_they_wait_for();
}

TEST_F(Contention, HolderStoppedInsideATransactionIsNamedAndDelaysNobodyLongerThanTheLimit) {
  contenders_.emplace(0, Contender::start_that_stops_inside_a_transaction(rival(0)));
  ASSERT_TRUE(wait_for(0, Kind::StandsInside));
  pid_t stopped = contenders_.at(0).pid();
  ASSERT_TRUE(testing::wait_for_stop(stopped));
  for (int i = 1; i < 16; ++i) start(loner(i));
  auto impatient = open_table(200);
  auto refused = impatient->register_pod(everything());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Timeout);
  EXPECT_TRUE(has(refused.error().message, "timed out waiting for the pod registry " + home.paths().registry_db() + " (held by process " +
                                               std::to_string(stopped) + ", Pod 'c0')"));
  EXPECT_TRUE(impatient->find("c0").value()) << "reading goes on";
  contenders_.at(0).signal(SIGCONT);
  for (int i = 1; i < 16; ++i) EXPECT_TRUE(wait_for(i, Kind::Granted)) << "c" << i;
  expect_all_are_granted_what_they_wait_for();
}

TEST_F(Contention, ARunIsToldWhoStandsStillInsideTheRegistry) {
  contenders_.emplace(0, Contender::start_that_stops_inside_a_transaction(rival(0)));
  ASSERT_TRUE(wait_for(0, Kind::StandsInside));
  pid_t stopped = contenders_.at(0).pid();
  ASSERT_TRUE(testing::wait_for_stop(stopped));
  home.environment.set("ANTHROPIC_API_KEY", "fake-key");
  auto run = home.run({"run", "Begin", "--name", "late"});
  EXPECT_TRUE(ended_with(1, run));
  EXPECT_TRUE(has(run.err, "held by process " + std::to_string(stopped) + ", Pod 'c0'"));
  EXPECT_TRUE(home.processes().empty());
}

}  // namespace
}  // namespace insomnia::e2e
