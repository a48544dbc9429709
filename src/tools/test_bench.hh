#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/io.hh"
#include "tools/context.hh"

namespace insomnia::tools {

/// A fresh directory, removed with all that is in it.
class TestDirectory {
 public:
  TestDirectory() {
    char name[] = "/tmp/insomnia-tools-XXXXXX";
    if (::mkdtemp(name) == nullptr) std::abort();
    path_ = *io::real_path(name);
  }
  TestDirectory(TestDirectory const&) = delete;
  TestDirectory& operator=(TestDirectory const&) = delete;
  ~TestDirectory() { (void)io::remove_tree(path_); }
  std::string const& path() const { return path_; }

 private:
  std::string path_;
};

/// The tools of a Pod in this process: a workspace that it may write, a spill directory beside it, and a place outside.
class Bench {
 public:
  explicit Bench(scope::ScopeConfig scope = {}) {
    for (auto const& directory : {work(), outside()}) EXPECT_TRUE(io::make_directories(directory, 0755));
    start_.cwd = work();
    start_.spill_dir = root_.path() + "/spill";
    start_.environment = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"GREETING", "hello"}};
    start_.scope = scope.allow.empty() ? scope::ScopeConfig{{{work(), scope::Permission::Write, true}}, scope.deny} : scope;
    context_ = std::make_unique<ToolContext>(start_);
  }

  std::string work() const { return root_.path() + "/work"; }
  std::string outside() const { return root_.path() + "/outside"; }
  std::string path(std::string_view name) const { return work() + "/" + std::string(name); }
  HandsStart& start() { return start_; }
  ToolContext& context() { return *context_; }
  /// As after a restart of the hands: only `start` is known.
  void restart() { context_ = std::make_unique<ToolContext>(start_); }
  void set_scope(scope::ScopeConfig config) {
    context_->gate.change(scope::Scope::from_resolved(std::move(config)), [] {});
  }

  /// Writes a file behind the tools' back.
  std::string file(std::string_view name, std::string_view content) const {
    std::string full = path(name);
    EXPECT_TRUE(io::make_directories(io::parent_path(full), 0755));
    EXPECT_TRUE(io::replace_file(full, content, 0644));
    return full;
  }
  static std::string content(std::string const& path) { return io::read_file(path).value_or("<missing>"); }

  Output run(std::string_view tool, std::string const& arguments) {
    CallControl control;
    return run(tool, arguments, control);
  }
  Output run(std::string_view tool, std::string const& arguments, CallControl& control) {
    Call call{*context_, control, {}};
    Output output = run_tool(call, tool, arguments);
    observed_ = std::move(call.observed);
    return output;
  }
  /// What the last call has read or written.
  std::vector<Observed> const& observed() const { return observed_; }

  Output read(std::string const& path, std::string const& more = "") {
    return run("Read", R"({"file_path":")" + path + "\"" + more + "}");
  }
  Output write(std::string const& path, std::string const& content) {
    return run("Write", R"({"file_path":")" + path + R"(","content":")" + content + R"("})");
  }
  Output edit(std::string const& path, std::string const& from, std::string const& to, std::string const& more = "") {
    return run("Edit", R"({"file_path":")" + path + R"(","old_string":")" + from + R"(","new_string":")" + to + "\"" + more + "}");
  }
  Output bash(std::string const& command, std::string const& more = "") {
    return run("Bash", R"({"command":")" + command + "\"" + more + "}");
  }

 private:
  TestDirectory root_;
  HandsStart start_;
  std::unique_ptr<ToolContext> context_;
  std::vector<Observed> observed_;
};

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

#define EXPECT_HAS(text, part) EXPECT_PRED2(::insomnia::tools::contains, text, part)

inline unsigned mode_of(std::string const& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

}  // namespace insomnia::tools
