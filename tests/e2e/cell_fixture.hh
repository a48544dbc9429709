#pragma once

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "e2e.hh"

namespace insomnia::e2e {

/// `insomnia cell` in `in`, which is its scope, beside `out`, which is not. As the user of the tests, or as an ordinary user when that is root.
class CellFixture : public E2e {
 protected:
  void begin(bool ordinary_user) {
    ordinary_user_ = ordinary_user;
    // Not the directory of insomnia's own files, which no cell shows.
    std::filesystem::create_directories(home.path() + "/user");
    home.environment.set("HOME", home.path() + "/user");
    home.write("in/file", "inside\n");
    home.write("out/file", "outside\n");
    home.write("in/.git/hooks/sample", "");
    home.write("in/.git/config", "[core]\n\tbare = false\n");
    home.write("in/.git/HEAD", "ref: refs/heads/main\n");
    std::filesystem::create_directories(home.file("in/.git/objects"));
    std::filesystem::create_directories(home.file("in/.git/refs"));
    if (auto probe = home.run({"cell", "--", "true"}, home.file("in")); probe.code != 0) GTEST_SKIP() << "no cell can be made here: " << probe.err;
    if (!ordinary_user) return;
    if (::geteuid() != 0) GTEST_SKIP() << "the other tests run as an ordinary user already";
    auto const* nobody = ::getpwnam("nobody");
    std::string setpriv = "/usr/bin/setpriv";
    if (nobody == nullptr || ::access(setpriv.c_str(), X_OK) != 0) GTEST_SKIP() << "needs setpriv and the user nobody";
    std::string copy = home.path() + "/insomnia";
    std::filesystem::copy_file(INSOMNIA_BINARY, copy, std::filesystem::copy_options::overwrite_existing);
    give_to(nobody->pw_uid, nobody->pw_gid);
    home.binary = copy;
    home.launcher = {setpriv, "--reuid=nobody", "--regid=" + std::to_string(nobody->pw_gid), "--clear-groups"};
  }
  bool is_root() const { return ::geteuid() == 0 && !ordinary_user_; }

  Finished in_cell(std::string const& script, std::vector<std::string> const& options = {}) {
    std::vector<std::string> command{"cell"};
    command.insert(command.end(), options.begin(), options.end());
    for (auto const* word : {"--", "sh", "-c"}) command.push_back(word);
    command.push_back(script);
    return home.run(command, home.file("in"));
  }
  /// The same without a cell.
  std::unique_ptr<Program> start_outside(std::string const& script, std::string const& cwd) {
    std::vector<std::string> words = home.launcher;
    words.insert(words.end(), {"/bin/sh", "-c", script});
    return std::make_unique<Program>(testing::ProgramStart{.program = words.front(), .arguments = {words.begin() + 1, words.end()}, .environment = home.environment, .cwd = cwd, .input = ""});
  }
  Finished outside(std::string const& script) {
    auto program = start_outside(script, home.file("in"));
    auto code = program->wait();
    return {code, program->out(), program->err()};
  }
  /// After the test has made more files: as long as the tests run as root.
  void give_to_user() {
    if (!ordinary_user_) return;
    if (auto const* nobody = ::getpwnam("nobody")) give_to(nobody->pw_uid, nobody->pw_gid);
  }

 private:
  void give_to(uid_t user, gid_t group) {
    ASSERT_EQ(::chown(home.path().c_str(), user, group), 0);
    for (auto const& entry : std::filesystem::recursive_directory_iterator(home.path())) {
      if (entry.path() == home.path() + "/insomnia") continue;
      ASSERT_EQ(::lchown(entry.path().c_str(), user, group), 0);
    }
  }
  bool ordinary_user_ = false;
};

}  // namespace insomnia::e2e
