#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "cell/control_group.hh"
#include "cell/hands_fixture_test.hh"
#include "cell/probe.hh"

namespace insomnia::cell {

/// Hands in a cell, on directories lent, a/b/c and other.
class CellHands : public HandsTest {
 protected:
  void SetUp() override {
    // In a process of its own: the probe needs one thread.
    pid_t pid = ::fork();
    if (pid == 0) ::_exit(try_cell() ? 0 : 1);
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (status != 0) GTEST_SKIP() << "this machine has no cell for this user";
    for (auto const* name : {"/data/home", "/data/tmp", "/work/lent/deep", "/work/a/b/c", "/work/other"}) ASSERT_TRUE(io::make_directories(root_ + name, 0755));
    write("lent/file", "old\n");
    write("a/b/c/file", "old\n");
    ASSERT_TRUE(io::make_directories(config_.start.spill_dir));
    config_.start.environment["HOME"] = "/home/somebody";
    config_.cell = HandsCell{.start = {.own_files = config_.start.spill_dir, .masked = {root_ + "/data"}, .privates = {{"/tmp", root_ + "/data/tmp"}, {"/home/somebody", root_ + "/data/home"}}},
                             .locks = nullptr,
                             .kill_on_lend = false};
    config_.notice = [this](std::string text) { notices_.push_back(std::move(text)); };
  }

  std::string path(std::string_view name) const { return work() + "/" + std::string(name); }
  void write(std::string_view name, std::string_view content) const { EXPECT_TRUE(io::replace_file(path(name), content, 0644)); }
  std::string read(std::string_view name) const { return io::read_file(path(name)).value_or("<no file>"); }
  /// A script may hold anything but the mark of raw strings; it comes to bash by a file.
  tools::Output script(std::string const& text) {
    std::string name = "other/script-" + std::to_string(++scripts_);
    write(name, text);
    return bash("bash " + path(name));
  }

  std::vector<std::string> notices_;
  int scripts_ = 0;
};

}  // namespace insomnia::cell
