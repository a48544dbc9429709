// Small parts of the cell, as data.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/clock.hh"
#include "base/descriptor_passing.hh"
#include "base/io.hh"
#include "cell/control_socket.hh"
#include "cell/exec_protocol.hh"
#include "cell/host.hh"
#include "cell/init_protocol.hh"
#include "cell/line_channel.hh"
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
  for (CellCommand const& command : {CellCommand(start), CellCommand(CellStart{}), CellCommand(ChangeScope{3, start.scope, true}), CellCommand(RunExec{"/w", {{"A", "b"}}})}) {
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

TEST(ExecProtocol, RoundTrips) {
  for (ExecMessage const& message : {ExecMessage(ExecRequest{{"make", "-j", ""}, "/w/src", {{"TERM", "xterm"}}, true}), ExecMessage(ExecRequest{{"true"}, std::nullopt, {}, false}),
                                     ExecMessage(ExecSignal{15})}) {
    auto decoded = decode_exec_message(encode_exec_message(message));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, message);
  }
  for (ExecEvent const& event : {ExecEvent(ExecStarted{12}), ExecEvent(ExecEnded{130}), ExecEvent(ExecRefused{"no\ncell"})}) {
    auto decoded = decode_exec_event(encode_exec_event(event));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, event);
  }
}

TEST(ExecProtocol, RubbishIsAnError) {
  for (auto const* line : {"", "{}", R"({"message":"x"})", R"({"message":"run","argv":[]})", R"({"message":"run","argv":[""]})", R"({"message":"run","argv":["a\u0000b"]})",
                           R"({"message":"run","argv":["true"],"cwd":"src"})", R"({"message":"run","argv":["true"],"environment":{"A":1}})", R"({"message":"signal","number":0})",
                           R"({"message":"signal","number":65})", R"({"message":"signal"})"}) {
    EXPECT_FALSE(decode_exec_message(line)) << line;
  }
  for (auto const* line : {"", "[]", R"({"event":"x"})", R"({"event":"ended"})", R"({"event":"started","pid":"1"})"}) EXPECT_FALSE(decode_exec_event(line)) << line;
}

TEST(ControlSocket, EachExecGetsTheDescriptorsThatCameWithIt) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd brain(ends[0]), cell(ends[1]);
  ControlSocket control(cell.get());
  auto send = [&](CellCommand const& command, std::vector<std::string> const& names) {
    std::vector<UniqueFd> made;
    std::vector<int> raw;
    for (auto const& name : names) raw.push_back(made.emplace_back(::memfd_create(name.c_str(), MFD_CLOEXEC)).get());
    std::string line = encode_cell_command(command) + "\n";
    // In pieces, as a full socket would have it.
    ASSERT_EQ(base::send_with_descriptors(brain.get(), line.substr(0, 5), raw, 0), 5);
    ASSERT_EQ(::send(brain.get(), line.data() + 5, line.size() - 5, 0), static_cast<ssize_t>(line.size() - 5));
  };
  send(CellStart{}, {});
  send(RunExec{"/a", {}}, {"a0", "a1", "a2", "a3"});
  send(ChangeScope{7, {}, false}, {});
  send(RunExec{"/b", {}}, {"b0", "b1", "b2", "b3"});
  ASSERT_TRUE(control.read_start());
  std::vector<std::string> seen;
  auto name_of = [](UniqueFd const& fd) { return HostFacts().link_text("/proc/self/fd/" + std::to_string(fd.get())); };
  ControlSocket::Handler handler{.change = [&](ChangeScope const& change) { seen.push_back("change " + std::to_string(change.id)); },
                                 .exec = [&](RunExec exec, std::vector<UniqueFd> descriptors) {
                                   ASSERT_EQ(descriptors.size(), kExecDescriptors);
                                   seen.push_back(exec.cwd + " " + name_of(descriptors.front()) + " " + name_of(descriptors.back()));
                                 }};
  for (int i = 0; i < 100 && seen.size() < 3; ++i) ASSERT_TRUE(control.receive(handler));
  EXPECT_EQ(seen, (std::vector<std::string>{"/a /memfd:a0 (deleted) /memfd:a3 (deleted)", "change 7", "/b /memfd:b0 (deleted) /memfd:b3 (deleted)"}));
  send(RunExec{"/c", {}}, {"c0"});
  bool sane = true;
  for (int i = 0; i < 100 && sane; ++i) sane = control.receive(handler);
  EXPECT_FALSE(sane) << "without its descriptors it makes no sense";
}

TEST(LineChannel, DescriptorsComeWithTheirLineAlsoWhenTheSocketWasFull) {
  SystemClock clock;
  loop::EventLoop loop(clock);
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd far(ends[1]);
  LineChannel channel(loop, UniqueFd(ends[0]), 1 << 20, [] {});
  std::string long_line(3'000'000, 'x');
  UniqueFd given(::memfd_create("given", MFD_CLOEXEC));
  struct stat wanted{};
  ASSERT_EQ(::fstat(given.get(), &wanted), 0);
  channel.send(long_line);
  std::vector<UniqueFd> one;
  one.push_back(std::move(given));
  channel.send("with", std::move(one));
  channel.send("after");
  std::string text;
  std::vector<UniqueFd> received;
  std::string const awaited = long_line + "\nwith\nafter\n";
  std::vector<char> buffer(1 << 20);
  while (text.size() < awaited.size()) {
    ssize_t count = base::receive_with_descriptors(far.get(), buffer, MSG_DONTWAIT, received);
    if (count < 0) {
      ASSERT_EQ(errno, EAGAIN);
      loop.run_once(0);
      continue;
    }
    text.append(buffer.data(), static_cast<size_t>(count));
    ASSERT_EQ(received.empty(), text.size() <= long_line.size() + 1) << "they come with the first byte of their line";
  }
  EXPECT_TRUE(text == awaited);
  ASSERT_EQ(received.size(), 1u);
  struct stat got{};
  ASSERT_EQ(::fstat(received.front().get(), &got), 0);
  EXPECT_EQ(got.st_ino, wanted.st_ino);
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
