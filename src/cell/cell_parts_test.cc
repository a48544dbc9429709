// Small parts of the cell, as data.
#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/io.hh"
#include "cell/init_protocol.hh"
#include "cell/mount_table.hh"
#include "cell/placeholders.hh"
#include "cell/probe.hh"

namespace insomnia::cell {
namespace {

using scope::Permission;

TEST(CellProtocol, RoundTrips) {
  CellStart start{.scope = {{{"/w", Permission::Write, true}}, {{"/w/lent", Permission::Write, true}}},
                  .own_files = "/run/spill",
                  .masked = {"/run"},
                  .readable = {"/opt/tools"},
                  .privates = {{"/tmp", "/data/tmp"}},
                  .environment = {{"HOME", "/home/u"}},
                  .network = false,
                  .limits = {.processes = 10, .open_files = 20, .cpu_secs = 30, .file_bytes = 40, .memory_bytes = 50}};
  for (CellCommand const& command : {CellCommand(start), CellCommand(CellStart{}), CellCommand(ChangeScope{3, start.scope, true})}) {
    auto decoded = decode_cell_command(encode_cell_command(command));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, command);
  }
  Holder holder{12, "node server.js", "its working directory", "/w/lent"};
  for (CellEvent const& event : {CellEvent(CellBuilt{std::nullopt}), CellEvent(CellBuilt{"no"}), CellEvent(ScopeChanged{1, {holder}}),
                                 CellEvent(ScopeRefused{2, "held", {holder}}), CellEvent(CellNotice{"x"})}) {
    auto decoded = decode_cell_event(encode_cell_event(event));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, event);
  }
  EXPECT_EQ(describe({holder}), "process 12 (node server.js) has /w/lent (its working directory)");
}

TEST(CellProtocol, RubbishIsAnError) {
  for (auto const* line : {"", "{}", "[]", R"({"command":"x"})", R"({"command":"change_scope","id":-1})", R"({"command":"start","own_files":3})"}) {
    EXPECT_FALSE(decode_cell_command(line)) << line;
  }
  for (auto const* line : {"", R"({"event":"x"})", R"({"event":"scope_changed","id":"1"})", R"({"event":"scope_changed","id":1,"killed":[3]})"}) {
    EXPECT_FALSE(decode_cell_event(line)) << line;
  }
}

TEST(MountTable, IsReadAsTheKernelWritesIt) {
  auto table = parse_mount_table(
      "36 35 98:0 /mnt1 /mnt/with\\040blank\\134\\011 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
      "40 36 0:5 / /w/ro ro,nosuid shared:3 master:2 - tmpfs tmpfs rw\n"
      "41 36 0:6 / /proc rw - proc proc rw\n"
      "nonsense\n\n");
  EXPECT_EQ(table, (MountTable{{36, {"/mnt/with blank\\\t", "ext3", false}}, {40, {"/w/ro", "tmpfs", true}}, {41, {"/proc", "proc", false}}}));
}

TEST(CellRemedy, NamesWhatThisDistributionAsksFor) {
  auto has = [](std::string const& text, std::string_view part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(has(cell_remedy("ID=ubuntu\nID_LIKE=debian\n", "make a tmpfs: Permission denied", false), "apparmor_restrict_unprivileged_userns"));
  EXPECT_TRUE(has(cell_remedy("ID=debian\n", "make namespaces: Operation not permitted", false), "unprivileged_userns_clone=1"));
  EXPECT_TRUE(has(cell_remedy("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "make namespaces: Operation not permitted", false), "max_user_namespaces"));
  EXPECT_TRUE(has(cell_remedy("ID=ubuntu\n", "make namespaces: No space left on device", false), "too low"));
  EXPECT_TRUE(has(cell_remedy("ID=debian\n", "mount a proc: Operation not permitted", true), "--security-opt"));
  EXPECT_TRUE(has(cell_remedy("", "x", false), "user.max_user_namespaces"));
}

TEST(Placeholders, GoWithTheLastWhoUsesThemUnlessSomebodyHasPutSomethingThere) {
  char name[] = "/tmp/insomnia-placeholders-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  std::string root = name, a = root + "/a", b = root + "/b";
  {
    auto first = Placeholders::make({a, b});
    ASSERT_TRUE(first);
    {
      auto second = Placeholders::make({a});
      ASSERT_TRUE(second);
    }
    EXPECT_TRUE(io::exists(a)) << "another one uses it";
    ASSERT_TRUE(io::replace_file(b + "/file", "x"));
  }
  EXPECT_FALSE(io::exists(a));
  EXPECT_TRUE(io::exists(b + "/file"));
  ASSERT_TRUE(io::remove_tree(root));
}

}  // namespace
}  // namespace insomnia::cell
