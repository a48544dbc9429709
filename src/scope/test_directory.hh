#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/io.hh"
#include "scope/rule.hh"

namespace insomnia::scope {

/// A fresh directory for one test, removed with all that is in it. For tests of the low layers.
class TestDirectory {
 public:
  TestDirectory() {
    char name[] = "/tmp/insomnia-test-XXXXXX";
    if (!::mkdtemp(name)) std::abort();
    path_ = *io::real_path(name);
  }
  TestDirectory(TestDirectory const&) = delete;
  TestDirectory& operator=(TestDirectory const&) = delete;
  ~TestDirectory() { (void)io::remove_tree(path_); }

  std::string const& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

  std::string directory(std::string_view name) const {
    std::string path = *this / name;
    EXPECT_TRUE(io::make_directories(path));
    return path;
  }
  std::string file(std::string_view name) const {
    std::string path = *this / name;
    EXPECT_TRUE(io::replace_file(path, "content"));
    return path;
  }
  std::string link(std::string_view name, std::string const& target) const {
    std::string path = *this / name;
    EXPECT_EQ(::symlink(target.c_str(), path.c_str()), 0);
    return path;
  }

 private:
  std::string path_;
};

inline ScopeRule read_rule(std::string target, bool recursive = true) {
  return {std::move(target), Permission::Read, recursive};
}
inline ScopeRule write_rule(std::string target, bool recursive = true) {
  return {std::move(target), Permission::Write, recursive};
}

}  // namespace insomnia::scope
