#pragma once

#include <stdlib.h>

#include <string>
#include <string_view>

#include "base/error.hh"
#include "base/io.hh"

namespace insomnia::testing {

/// A fresh directory with a short name, so that sockets fit below it; removed with all that is in it.
class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/ie-XXXXXX";
    if (::mkdtemp(name) == nullptr) panic("no temporary directory can be made in /tmp");
    path_ = name;
  }
  ~TempDir() { (void)io::remove_tree(path_); }
  TempDir(TempDir const&) = delete;
  TempDir& operator=(TempDir const&) = delete;

  std::string const& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

}  // namespace insomnia::testing
