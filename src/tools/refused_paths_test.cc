#include "tools/refused_paths.hh"

#include <gtest/gtest.h>

namespace insomnia::tools {
namespace {

using Paths = std::vector<std::string>;

TEST(RefusedPaths, AreFoundInWhatProgramsSay) {
  struct Case {
    std::string_view output;
    Paths read_only, missing, denied = {};
  };
  for (auto const& [output, read_only, missing, denied] : std::initializer_list<Case>{
           {"bash: line 1: /w/f: Read-only file system\n", {"/w/f"}, {}},
           {"touch: cannot touch 'lent/x': Read-only file system", {"/w/lent/x"}, {}},
           {"mkdir: cannot create directory \u2018/w/a b\u2019: Read-only file system", {"/w/a b"}, {}},
           {"mv: cannot move 'a' to 'b/a': Read-only file system", {"/w/a", "/w/b/a"}, {}},
           {"fatal: Unable to create '/w/.git/index.lock': Read-only file system", {"/w/.git/index.lock"}, {}},
           {"OSError: [Errno 30] Read-only file system: '/w/f'", {"/w/f"}, {}},
           {"Error: EROFS: read-only file system, open '/w/f'", {"/w/f"}, {}},
           {"cat: /v/f: No such file or directory\ncat: /v/f: No such file or directory", {}, {"/v/f"}},
           {"gcc: error: x.c: No such file or directory", {}, {"/w/x.c"}},
           {"ls: cannot access '/v': No such file or directory\ntouch: cannot touch '/u': Read-only file system", {"/u"}, {"/v"}},
           {"touch: cannot touch 'x': Permission denied\nbash: line 1: y: Permission denied", {}, {}, {"/w/x", "/w/y"}},
           {"PermissionError: [Errno 13] Permission denied: '/v/f'", {}, {}, {"/v/f"}},
           {"the disk is a Read-only file system today", {}, {}},
           {"all is well\n", {}, {}},
       }) {
    EXPECT_EQ(refused_paths(output, "/w"), (RefusedPaths{read_only, missing, denied})) << output;
  }
}

TEST(RefusedPaths, OnlyAFewAndOnlyOfTheEnd) {
  std::string output = "rm: cannot remove '/early': Read-only file system\n" + std::string(20'000, 'x') + "\n";
  for (char name : {'a', 'b', 'c', 'd', 'e'}) output += std::string("rm: cannot remove '/") + name + "': Read-only file system\n";
  EXPECT_EQ(refused_paths(output, "/w").read_only, (Paths{"/a", "/b", "/c"}));
}

}  // namespace
}  // namespace insomnia::tools
