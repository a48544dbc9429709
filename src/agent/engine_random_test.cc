#include <gtest/gtest.h>

#include <random>
#include <set>

#include "agent/engine_script_test.hh"
#include "agent/history.hh"

// Thousands of legal input sequences from fixed seeds. What is checked after every step stands in Driver; here stands
// what only a whole sequence shows: that a stop ends a run, that every call is answered once over restarts, that report
// numbers have no gap.
namespace insomnia::agent {
namespace {

class World {
 public:
  explicit World(uint32_t seed) : random_(seed), log_breaks_(seed % 3 == 0) { start({}); }

  void step() {
    ++steps_;
    driver_->now_ms += pick(500);
    if (pick(100) < 12) {
      give(from_outside());
      return;
    }
    auto input = from_below();
    give(input ? *input : from_outside());
  }

  /// The process dies: what is being written may or may not reach the disk.
  void crash() {
    auto log = driver_->log();
    size_t written = pick(static_cast<uint32_t>(driver_->open_appends().size()) + 1);
    for (auto const& append : driver_->open_appends()) {
      if (written == 0) break;
      --written;
      log.insert(log.end(), append.records.begin(), append.records.end());
    }
    trace_ += "CRASH\n";
    start(std::move(log));
  }

  /// Stops the run as a user would and lets everything that is under way come to its end.
  void stop_and_settle() {
    for (int runs = 0; driver_->in_run() && runs < 3; ++runs) {
      size_t ends = driver_->ends().size();
      give(pick(2) == 0 ? Input(Cancel{}) : Input(Pause{}));
      for (int i = 0; i < 100 && driver_->ends().size() == ends; ++i) {
        ASSERT_FALSE(driver_->calling()) << "a model call goes on after a stop\n" << trace_;
        auto input = from_below();
        ASSERT_TRUE(input.has_value()) << trace_;
        give(*input);
      }
      ASSERT_EQ(driver_->ends().size(), ends + 1) << "a stop did not end the run\n" << trace_;
      if (driver_->in_run()) continue;  // notices came meanwhile and started the next one
    }
    ASSERT_FALSE(driver_->in_run()) << trace_;
    // Nothing of the old stream changes anything any more.
    auto history = driver_->engine().history();
    for (auto const& late : finished(text_stream("late"))) ASSERT_EQ(driver_->in(late), "");
    ASSERT_EQ(driver_->in(TimerFired{}), "");
    ASSERT_TRUE(driver_->engine().history() == history);
  }

  void check_log() {
    uint64_t last_report = 0;
    std::map<std::string, int> answers;
    for (auto const& record : driver_->log()) {
      std::optional<uint64_t> report;
      if (auto const* completed = std::get_if<wire::RunCompleted>(&record)) report = completed->report;
      if (auto const* errored = std::get_if<wire::RunErrored>(&record)) report = errored->report;
      if (report) {
        EXPECT_EQ(*report, ++last_report);
      }
      auto const* result = std::get_if<wire::ToolResultRecord>(&record);
      if (result == nullptr) continue;
      EXPECT_EQ(++answers[result->item.call_id], 1) << result->item.call_id << "\n" << trace_;
    }
    EXPECT_EQ(unanswered_calls(driver_->engine().history()).size(), 0U) << trace_;
  }

  Driver& driver() { return *driver_; }
  std::string const& trace() const { return trace_; }
  std::map<Outcome, size_t> const& outcomes() const { return outcomes_; }

 private:
  uint32_t pick(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

  void start(std::vector<wire::LogRecord> log) {
    EngineSettings settings = test_settings();
    if (pick(2) == 0) settings.max_turns = 1 + pick(2);
    settings.max_continuations = pick(3);
    settings.max_notices = 4;
    driver_.emplace(std::move(settings), std::move(log));
    streaming_blocks_.clear();
    started_.clear();
  }

  void give(Input const& input) {
    bool was_calling = driver_->calling();
    size_t ends = driver_->ends().size();
    std::string printed = driver_->in(input);
    for (; ends < driver_->ends().size(); ++ends) ++outcomes_[driver_->ends()[ends].outcome];
    trace_ += "-- input " + std::to_string(input.index()) + "\n" + printed;
    if (trace_.size() > 20'000) trace_.erase(0, 10'000);
    if (driver_->calling() && !was_calling) streaming_blocks_.clear();
    for (auto const& [id, call] : driver_->running_tools()) {
      if (!started_.insert(call.call_id).second) continue;
      EXPECT_TRUE(ever_started_.insert(call.call_id).second) << "run twice: " << call.call_id;
    }
  }

  Input from_outside() {
    switch (pick(8)) {
      case 0:
      case 1:
        return pick(2) == 0 ? say("do " + std::to_string(steps_)) : say_delegated("work " + std::to_string(steps_));
      case 2:
      case 3: return notice("news " + std::to_string(steps_));
      case 4: return notice_delegated("more work " + std::to_string(steps_));
      case 5: return Resume{};
      case 6: return Cancel{};
      default: return Pause{};
    }
  }

  /// One of the things that are under way reports.
  std::optional<Input> from_below() {
    std::vector<int> ready;
    if (!driver_->open_appends().empty()) ready.push_back(0);
    if (driver_->calling()) ready.insert(ready.end(), 3, 1);
    if (!driver_->running_tools().empty()) ready.push_back(2);
    if (driver_->timer_set()) ready.push_back(3);
    if (ready.empty()) return std::nullopt;
    switch (ready[pick(static_cast<uint32_t>(ready.size()))]) {
      case 0: {
        uint64_t ticket = driver_->open_appends().front().ticket;
        return log_breaks_ && pick(12) == 0 ? append_failed(ticket) : append_done(ticket);
      }
      case 1: return from_model();
      case 2: {
        auto it = driver_->running_tools().begin();
        std::advance(it, pick(static_cast<uint32_t>(driver_->running_tools().size())));
        return tool_done(it->first, "did " + std::to_string(it->first));
      }
      default: return TimerFired{};
    }
  }

  Input from_model() {
    switch (pick(14)) {
      case 0: return model(llm::Started{"id", "m"});
      case 1:
      case 2:
      case 3: return start_block();
      case 4:
      case 5:
        return streaming_blocks_.empty()
                   ? start_block()
                   : model(llm::BlockDelta{pick_block(), pick(4) == 0 ? "" : "t" + std::to_string(steps_)});
      case 6:
      case 7: return streaming_blocks_.empty() ? start_block() : model(llm::BlockStop{pick_block()});
      case 8: return model(llm::ReasoningDone{{.text = "thought " + std::to_string(steps_)}});
      case 9:
        return model(llm::Usage{.input_tokens = pick(2) == 0 ? std::optional<uint64_t>(pick(1000)) : std::nullopt,
                                .output_tokens = pick(100)});
      case 10: return model(llm::Stopped{static_cast<llm::StopReason>(pick(8))});
      case 11: return model(llm::Completed{});
      case 12: return model_ended();
      default: return model_failed_with("broken", pick(3) != 0, 503);
    }
  }

  Input start_block() {
    size_t index = streaming_blocks_.size();
    auto type = static_cast<llm::BlockType>(pick(3));
    streaming_blocks_.push_back(index);
    std::string id = type == llm::BlockType::ToolUse ? "c" + std::to_string(steps_) : "";
    return model(llm::BlockStart{index, type, id, id.empty() ? "" : "Tool"});
  }
  size_t pick_block() { return streaming_blocks_[pick(static_cast<uint32_t>(streaming_blocks_.size()))]; }

  std::mt19937 random_;
  bool log_breaks_;
  std::optional<Driver> driver_;
  std::vector<size_t> streaming_blocks_;
  std::set<std::string> started_;
  std::set<std::string> ever_started_;
  std::string trace_;
  uint64_t steps_ = 0;
  std::map<Outcome, size_t> outcomes_;
};

TEST(EngineRandom, HoldsItsPromisesOverThousandsOfSequences) {
  std::map<Outcome, size_t> outcomes;
  for (uint32_t seed = 0; seed < 1'000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 60; ++i) {
        world.step();
        if (::testing::Test::HasFailure()) FAIL() << world.trace();
      }
      if (seed % 2 == 0) {
        world.crash();
      } else {
        world.stop_and_settle();
        if (::testing::Test::HasFailure()) FAIL() << world.trace();
      }
    }
    world.stop_and_settle();
    // The next run answers what a crash or a broken log left open.
    if (!world.driver().in_run()) world.driver().go(say("last"));
    world.check_log();
    if (::testing::Test::HasFailure()) FAIL() << world.trace();
    for (auto const& [outcome, count] : world.outcomes()) outcomes[outcome] += count;
  }
  for (auto outcome : {Outcome::Finished, Outcome::Failed, Outcome::Paused, Outcome::Cancelled, Outcome::LimitReached,
                       Outcome::RolledBack}) {
    EXPECT_GT(outcomes[outcome], 100U) << "the sequences do not get everywhere: " << static_cast<int>(outcome);
  }
}

}  // namespace
}  // namespace insomnia::agent
