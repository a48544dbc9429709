#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/io.hh"
#include "base/text.hh"
#include "cell/hands.hh"

namespace insomnia::cell {

using scope::Permission;

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }
#define EXPECT_HAS(text, part) EXPECT_PRED2(contains, text, part)

/// Hands in a directory of their own. The program that is started as hands, and as a cell, is this very test (main() in hands_test.cc).
class HandsTest : public testing::Test {
 protected:
  HandsTest() {
    char name[] = "/tmp/insomnia-hands-XXXXXX";
    if (::mkdtemp(name) == nullptr) std::abort();
    root_ = *io::real_path(name);
    EXPECT_TRUE(io::make_directories(work(), 0755));
    config_.program = "/proc/self/exe";
    config_.stderr_path = root_ + "/stderr.log";
    config_.start.cwd = work();
    config_.start.spill_dir = root_ + "/spill";
    // What a sanitizer prints must not go to the Pod's log unseen.
    config_.start.environment = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"LANG", "C"}};
    config_.start.scope = {{{work(), Permission::Write, true}}, {}};
  }
  ~HandsTest() override {
    hands_.reset();
    EXPECT_EQ(io::read_file(config_.stderr_path).value_or(""), expected_stderr_);
    (void)io::remove_tree(root_);
  }

  std::string work() const { return root_ + "/work"; }
  Hands& hands() {
    if (!hands_) hands_ = std::make_unique<Hands>(loop_, config_);
    return *hands_;
  }

  uint64_t start(std::string const& tool, std::string const& arguments) {
    uint64_t id = next_id_++;
    hands().call(id, tool, arguments, [this, id](tools::ToolFinished finished) {
      EXPECT_EQ(finished.id, id);
      EXPECT_TRUE(answers_.emplace(id, std::move(finished)).second) << "answered twice";
    });
    EXPECT_FALSE(answers_.contains(id)) << "answered before call() returned";
    return id;
  }
  /// Runs the loop until the condition holds, at most thirty seconds.
  template <class Condition>
  bool until(Condition condition) {
    int64_t deadline = clock_.steady_ms() + 30'000;
    while (!condition() && clock_.steady_ms() < deadline) loop_.run_once(100);
    return condition();
  }
  tools::ToolFinished finish(uint64_t id) {
    EXPECT_TRUE(until([&] { return answers_.contains(id); }));
    return answers_[id];
  }
  tools::Output run(std::string const& tool, std::string const& arguments) { return finish(start(tool, arguments)).output; }
  tools::Output bash(std::string const& command) { return run("Bash", R"({"command":")" + command + R"("})"); }
  Result<void> set_scope(scope::ScopeConfig scope) {
    std::optional<Result<void>> result;
    hands().set_scope(std::move(scope), [&](Result<void> done) { result = std::move(done); });
    EXPECT_FALSE(result);
    EXPECT_TRUE(until([&] { return result.has_value(); }));
    return result.value_or(Result<void>{});
  }

  SystemClock clock_;
  loop::EventLoop loop_{clock_};
  std::string root_;
  HandsConfig config_;
  std::string expected_stderr_;
  std::unique_ptr<Hands> hands_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, tools::ToolFinished> answers_;
};

}  // namespace insomnia::cell
