#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include <atomic>
#include <thread>

#include "tools/read.hh"
#include "tools/test_bench.hh"

namespace insomnia::tools {
namespace {

using scope::Permission;


// --- Read

TEST(Read, NumbersLinesFromOne) {
  Bench bench;
  auto path = bench.file("a.txt", "one\ntwo\r\nthree");
  Output output = bench.read(path);
  EXPECT_EQ(output, (Output{"Read 3 line(s) from " + path, "     1\tone\n     2\ttwo\n     3\tthree\n", false}));
}

TEST(Read, ShowsAWindowAndSaysWhichOne) {
  Bench bench;
  auto path = bench.file("a.txt", "1\n2\n3\n4\n5\n");
  Output output = bench.read(path, R"(,"offset":1,"limit":2)");
  EXPECT_EQ(output.summary, "Read 2 line(s) [2..3] of 5 from " + path);
  EXPECT_EQ(output.content, "     2\t2\n     3\t3\n");
}

TEST(Read, LimitIsAtLeastOne) {
  Bench bench;
  auto path = bench.file("a.txt", "1\n2\n");
  EXPECT_EQ(bench.read(path, R"(,"limit":0)").content, "     1\t1\n");
}

TEST(Read, EmptyFileHasNoLines) {
  Bench bench;
  auto path = bench.file("empty", "");
  EXPECT_EQ(bench.read(path), (Output{"Read 0 line(s) from " + path, "", false}));
  EXPECT_HAS(bench.edit(path, "a", "b").summary, "string not found in file");
}

TEST(Read, OffsetPastTheEndIsSaid) {
  Bench bench;
  auto path = bench.file("a.txt", "1\n2\n");
  EXPECT_HAS(bench.read(path, R"(,"offset":7)").summary, "offset 7 is past the end, it has 2 line(s)");
}

TEST(Read, UnicodePathAndContent) {
  Bench bench;
  auto path = bench.file("größe-日本.txt", "héllo 🌍\n");
  EXPECT_EQ(bench.read(path).content, "     1\théllo 🌍\n");
}

TEST(Read, MalformedUtf8IsReplacedAndSaid) {
  Bench bench;
  auto path = bench.file("a.txt", "caf\xe9\n");
  Output output = bench.read(path);
  EXPECT_EQ(output.content, "     1\tcaf\uFFFD\n");
  EXPECT_HAS(output.summary, "not valid UTF-8");
}

TEST(Read, BinaryFileIsNamedNotShown) {
  Bench bench;
  auto path = bench.file("a.png", std::string_view("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16));
  Output output = bench.read(path);
  EXPECT_HAS(output.summary, "binary file, not shown");
  EXPECT_HAS(output.summary, "16 bytes, PNG image");
  EXPECT_FALSE(output.content);
}

TEST(Read, MegabyteLineIsOneLineWithinTheLimit) {
  Bench bench;
  auto path = bench.file("long", std::string(1 << 20, 'x'));
  Output output = bench.read(path);
  EXPECT_HAS(output.summary, "Read 1 line(s)");
  EXPECT_HAS(output.summary, "is cut");
  EXPECT_LE(output.content->size(), bench.context().read_bytes);
  EXPECT_GT(output.content->size(), bench.context().read_bytes - 100);
}

TEST(Read, StopsAtTheByteLimitAndSaysHowToGoOn) {
  Bench bench;
  bench.context().read_bytes = 30;
  auto path = bench.file("a.txt", "aaaaaaaa\nbbbbbbbb\ncccccccc\n");
  Output output = bench.read(path);
  EXPECT_EQ(output.content, "     1\taaaaaaaa\n");
  EXPECT_HAS(output.summary, "[1..1] of 3");
  EXPECT_HAS(output.summary, "go on with offset 1");
}

TEST(Read, HugeSparseFileIsNotReadToTheEnd) {
  Bench bench;
  auto path = bench.file("huge", "first\nsecond\n" + std::string(9000, 'x') + "\n");
  ASSERT_EQ(::truncate(path.c_str(), off_t{2} << 30), 0);
  Output output = bench.read(path, R"(,"limit":2)");
  EXPECT_EQ(output.content, "     1\tfirst\n     2\tsecond\n");
  EXPECT_HAS(output.summary, "[1..2] of many");
  ASSERT_EQ(bench.observed().size(), 1u);
  EXPECT_TRUE(bench.observed()[0].sha256.starts_with("stat:2147483648:"));
  EXPECT_FALSE(bench.observed()[0].whole);
}

TEST(Read, SpecialFilesAnswerAtOnce) {
  Bench bench;
  ASSERT_EQ(::mkfifo(bench.path("pipe").c_str(), 0600), 0);
  EXPECT_HAS(bench.read(bench.path("pipe")).summary, "is a FIFO");
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  bench.path("sock").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_HAS(bench.read(bench.path("sock")).summary, "is a socket");
  Bench devices({{{"/dev", Permission::Read, true}}, {}});
  EXPECT_HAS(devices.read("/dev/zero").summary, "is a device");
}

TEST(Read, DirectoryMissingAndRelativePaths) {
  Bench bench;
  EXPECT_HAS(bench.read(bench.work()).summary, "path is a directory");
  EXPECT_HAS(bench.read(bench.path("missing")).summary, "file not found: " + bench.path("missing"));
  Output relative = bench.read("a.txt");
  EXPECT_EQ(relative.summary, "Tool execution failed: Invalid argument: path must be absolute: a.txt");
  EXPECT_TRUE(relative.is_error);
}

TEST(Read, BadInputNamesToolAndField) {
  Bench bench;
  EXPECT_HAS(bench.run("Read", "{").summary, "Invalid argument: invalid Read input: ");
  EXPECT_HAS(bench.run("Read", R"({"file_path":7})").summary, "invalid Read input: file_path: must be a string");
  EXPECT_HAS(bench.run("Read", R"({"file_path":"/a\u0000b"})").summary, "NUL");
  EXPECT_FALSE(bench.read(bench.file("a", "x"), R"(,"unknown":1)").is_error);
  EXPECT_HAS(bench.run("Reed", "{}").summary, "unknown tool: Reed");
}

// --- scope

TEST(ScopeOfFiles, OutsideIsRefusedAndSaysWhatIsAllowed) {
  Bench bench;
  std::string secret = bench.outside() + "/secret";
  ASSERT_TRUE(io::replace_file(secret, "s"));
  Output output = bench.read(secret);
  EXPECT_HAS(output.summary, "path is outside allowed scope: " + secret);
  EXPECT_HAS(output.summary, "readable: " + bench.work());
  EXPECT_HAS(bench.write(bench.outside() + "/new", "x").summary, "path is outside allowed scope");
  EXPECT_FALSE(io::exists(bench.outside() + "/new"));
}

TEST(ScopeOfFiles, DenyRuleIsNamed) {
  Bench bench;
  bench.set_scope({{{bench.work(), Permission::Write, true}}, {{bench.path("src"), Permission::Write, true}}});
  auto path = bench.file("src/a", "old");
  EXPECT_FALSE(bench.read(path).is_error);
  Output output = bench.write(path, "new");
  EXPECT_HAS(output.summary, "path is read-only in this scope: " + path);
  EXPECT_HAS(output.summary, "denied by the rule write:" + bench.path("src"));
  EXPECT_EQ(bench.content(path), "old");
}

TEST(ScopeOfFiles, SymlinkOutIsRefusedForReadAndWrite) {
  Bench bench;
  std::string target = bench.outside() + "/target";
  ASSERT_TRUE(io::replace_file(target, "untouched"));
  ASSERT_EQ(::symlink(target.c_str(), bench.path("link").c_str()), 0);
  Output read = bench.read(bench.path("link"));
  EXPECT_HAS(read.summary, bench.path("link") + " -> " + target);
  EXPECT_HAS(read.summary, "outside allowed read scope");
  Output write = bench.write(bench.path("link"), "x");
  EXPECT_HAS(write.summary, "outside allowed write scope");
  EXPECT_EQ(bench.content(target), "untouched");
}

TEST(ScopeOfFiles, BrokenSymlinkHasItsOwnText) {
  Bench bench;
  ASSERT_EQ(::symlink("nowhere", bench.path("link").c_str()), 0);
  for (auto const& output : {bench.read(bench.path("link")), bench.write(bench.path("link"), "x")}) {
    EXPECT_HAS(output.summary, "broken symlink while resolving " + bench.path("link"));
    EXPECT_HAS(output.summary, "link -> nowhere (target does not exist)");
  }
  EXPECT_FALSE(io::exists(bench.path("nowhere")));
}

TEST(ScopeOfFiles, DotsDoNotLeadOut) {
  Bench bench;
  ASSERT_TRUE(io::replace_file(bench.outside() + "/secret", "s"));
  EXPECT_HAS(bench.read(bench.work() + "/../outside/secret").summary, "outside allowed scope");
  EXPECT_TRUE(bench.write(bench.path("missing/../../outside/x"), "x").is_error);
  EXPECT_FALSE(io::exists(bench.outside() + "/x"));
}

TEST(ScopeOfFiles, ANewScopeHoldsForTheNextCall) {
  Bench bench;
  auto path = bench.file("a", "old");
  bench.read(path);
  bench.set_scope({{{bench.work(), Permission::Read, true}}, {}});
  EXPECT_HAS(bench.write(path, "new").summary, "read-only in this scope");
  EXPECT_HAS(bench.edit(path, "old", "new").summary, "read-only in this scope");
  EXPECT_EQ(bench.content(path), "old");
}

TEST(ScopeOfFiles, SpillDirectoryIsReadableWithoutARule) {
  Bench bench;
  ASSERT_TRUE(io::make_directories(bench.start().spill_dir));
  bench.restart();
  ASSERT_TRUE(io::replace_file(bench.start().spill_dir + "/x.log", "spilled\n"));
  EXPECT_EQ(bench.read(bench.start().spill_dir + "/x.log").content, "     1\tspilled\n");
  EXPECT_TRUE(bench.write(bench.start().spill_dir + "/y", "x").is_error);
}

// --- Write

TEST(Write, CreatesWithParents) {
  Bench bench;
  auto path = bench.path("deep/er/file.txt");
  EXPECT_EQ(bench.write(path, "héllo"), (Output{"Created " + path + " (6 bytes)", std::nullopt, false}));
  EXPECT_EQ(bench.content(path), "héllo");
  EXPECT_FALSE(bench.write(path, "again").is_error) << "what was written is known";
  EXPECT_EQ(bench.content(path), "again");
}

TEST(Write, NewFileRespectsUmask) {
  Bench bench;
  mode_t old = ::umask(027);
  bench.write(bench.path("a"), "x");
  ::umask(old);
  EXPECT_EQ(mode_of(bench.path("a")), 0640u);
}

TEST(Write, LeavesNoTemporaryFile) {
  Bench bench;
  bench.write(bench.path("a"), "x");
  bench.write(bench.path("a"), "y");
  EXPECT_EQ(io::list_directory(bench.work()).value(), std::vector<std::string>{"a"});
}

TEST(Write, UnreadFileIsRefused) {
  Bench bench;
  auto path = bench.file("a", "old");
  Output output = bench.write(path, "new");
  EXPECT_HAS(output.summary, "file has not been read in this session; read it first: " + path);
  EXPECT_TRUE(output.is_error);
  EXPECT_EQ(bench.content(path), "old");
}

TEST(Write, ChangedFileIsRefused) {
  Bench bench;
  auto path = bench.file("a", "old");
  bench.read(path);
  bench.file("a", "changed by somebody");
  EXPECT_HAS(bench.write(path, "new").summary, "file was modified externally after last read: " + path);
  EXPECT_EQ(bench.content(path), "changed by somebody");
  bench.read(path);
  EXPECT_EQ(bench.write(path, "new").summary, "Overwrote " + path + " (3 bytes)");
}

TEST(Write, PartlyReadFileIsRefusedUntilTheRestWasRead) {
  Bench bench;
  auto path = bench.file("a", "1\n2\n3\n");
  bench.read(path, R"(,"limit":1)");
  Output output = bench.write(path, "new");
  EXPECT_HAS(output.summary, "file was only read in part: " + path);
  EXPECT_HAS(output.summary, "offset 1");
  bench.read(path, R"(,"offset":1)");
  EXPECT_FALSE(bench.write(path, "new").is_error);
}

TEST(Write, PartsOfDifferentContentsDoNotAddUp) {
  Bench bench;
  auto path = bench.file("a", "1\n2\n");
  bench.read(path, R"(,"limit":1)");
  bench.file("a", "1\nTWO\n");
  bench.read(path, R"(,"offset":1)");
  EXPECT_HAS(bench.write(path, "new").summary, "only read in part");
}

TEST(Write, KeepsModeAndAttributes) {
  Bench bench;
  auto path = bench.file("script.sh", "old");
  ASSERT_EQ(::chmod(path.c_str(), 0751), 0);
  bool attributes = ::setxattr(path.c_str(), "user.origin", "here", 4, 0) == 0;
  bench.read(path);
  ASSERT_FALSE(bench.write(path, "new").is_error);
  EXPECT_EQ(mode_of(path), 0751u);
  char value[8];
  if (attributes) {
    EXPECT_EQ(::getxattr(path.c_str(), "user.origin", value, sizeof value), 4);
  }
}

TEST(Write, KeepsOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  Bench bench;
  auto path = bench.file("a", "old");
  ASSERT_EQ(::chown(path.c_str(), 1234, 2345), 0);
  bench.read(path);
  ASSERT_FALSE(bench.write(path, "new").is_error);
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 1234u);
  EXPECT_EQ(info.st_gid, 2345u);
}

TEST(Write, SymlinkInScopeStaysASymlink) {
  Bench bench;
  auto path = bench.file("target", "old");
  ASSERT_EQ(::symlink("target", bench.path("link").c_str()), 0);
  bench.read(bench.path("link"));
  ASSERT_FALSE(bench.write(bench.path("link"), "new").is_error);
  EXPECT_EQ(bench.content(path), "new");
  struct stat info{};
  ASSERT_EQ(::lstat(bench.path("link").c_str(), &info), 0);
  EXPECT_TRUE(S_ISLNK(info.st_mode));
}

TEST(Write, HardLinksStayLinked) {
  Bench bench;
  auto path = bench.file("a", "old and longer");
  ASSERT_EQ(::link(path.c_str(), bench.path("b").c_str()), 0);
  bench.read(path);
  ASSERT_FALSE(bench.write(path, "new").is_error);
  EXPECT_EQ(bench.content(bench.path("b")), "new");
  EXPECT_TRUE(io::list_directory(bench.start().spill_dir)->empty()) << "the kept old content is removed";
}

TEST(Write, RuleOnTheFileItselfWritesInPlace) {
  Bench bench;
  auto path = bench.file("only", "old");
  bench.set_scope({{{bench.work(), Permission::Read, true}, {path, Permission::Write, true}}, {}});
  struct stat before{};
  ASSERT_EQ(::stat(path.c_str(), &before), 0);
  bench.read(path);
  ASSERT_FALSE(bench.write(path, "new").is_error);
  struct stat after{};
  ASSERT_EQ(::stat(path.c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_EQ(bench.content(path), "new");
}

TEST(Write, RuleOnAMissingFileCreatesItInPlace) {
  Bench bench;
  bench.set_scope({{{bench.path("new"), Permission::Write, true}}, {}});
  ASSERT_FALSE(bench.write(bench.path("new"), "x").is_error);
  EXPECT_EQ(bench.content(bench.path("new")), "x");
  EXPECT_EQ(io::list_directory(bench.work())->size(), 1u);
}

TEST(Write, DirectoryThatTheKernelForbidsWritesInPlace) {
  if (::geteuid() == 0) GTEST_SKIP() << "root writes into any directory";
  Bench bench;
  auto path = bench.file("closed/a", "old");
  ASSERT_EQ(::chmod(bench.path("closed").c_str(), 0555), 0);
  bench.read(path);
  EXPECT_FALSE(bench.write(path, "new").is_error);
  ::chmod(bench.path("closed").c_str(), 0755);
  EXPECT_EQ(bench.content(path), "new");
}

TEST(Write, ModeThatForbidsWritingIsRespected) {
  if (::geteuid() == 0) GTEST_SKIP() << "root is not held by modes";
  Bench bench;
  auto path = bench.file("a", "old");
  ASSERT_EQ(::chmod(path.c_str(), 0444), 0);
  bench.read(path);
  EXPECT_HAS(bench.write(path, "new").summary, "the mode of the file forbids writing");
  EXPECT_EQ(bench.content(path), "old");
}

TEST(Write, DirectoriesAndSpecialFilesAreRefused) {
  Bench bench;
  EXPECT_HAS(bench.write(bench.work(), "x").summary, "path is a directory");
  ASSERT_EQ(::mkfifo(bench.path("pipe").c_str(), 0600), 0);
  EXPECT_HAS(bench.write(bench.path("pipe"), "x").summary, "is a FIFO");
  bench.file("file", "x");
  EXPECT_TRUE(bench.write(bench.path("file/below"), "x").is_error);
}

TEST(Write, PathOfADirectoryIsRefusedThoughItIsMissing) {
  Bench bench;
  EXPECT_HAS(bench.write(bench.path("new/"), "x").summary, "path is a directory");
  EXPECT_FALSE(io::exists(bench.path("new")));
}

TEST(Write, ParentDirectoriesAreOnlyMadeInScope) {
  Bench bench;
  bench.set_scope({{{bench.path("a/b/c"), Permission::Write, true}}, {}});
  EXPECT_TRUE(bench.write(bench.path("a/b/c/d"), "x").is_error);
  EXPECT_FALSE(io::exists(bench.path("a")));
}

TEST(Write, CancelledCallChangesNothing) {
  Bench bench;
  CallControl control;
  control.cancel();
  Output output = bench.run("Write", R"({"file_path":")" + bench.path("a") + R"(","content":"x"})", control);
  EXPECT_TRUE(output.is_error);
  EXPECT_HAS(output.summary, "cancelled");
  EXPECT_TRUE(io::list_directory(bench.work())->empty());
}

TEST(Write, KnowledgeSurvivesARestart) {
  Bench bench;
  auto whole = bench.file("whole", "old");
  auto part = bench.file("part", "1\n2\n");
  bench.read(whole);
  bench.start().observed = bench.observed();
  bench.read(part, R"(,"limit":1)");
  bench.start().observed.push_back(bench.observed()[0]);
  bench.restart();
  EXPECT_FALSE(bench.write(whole, "new").is_error);
  EXPECT_HAS(bench.write(part, "new").summary, "only read in part");
  EXPECT_FALSE(bench.edit(part, "1", "one").is_error);
}

TEST(Write, TwoCallsOnOnePathDoNotMix) {
  Bench bench;
  auto path = bench.file("a", "0");
  bench.read(path);
  std::vector<std::thread> threads;
  std::atomic<int> done = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      CallControl control;
      Call call{bench.context(), control, {}};
      Output output = run_tool(call, "Write", R"({"file_path":")" + path + R"(","content":")" + std::string(1000, static_cast<char>('a' + i)) + R"("})");
      if (!output.is_error) ++done;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(done, 8);
  std::string content = bench.content(path);
  EXPECT_EQ(content, std::string(1000, content[0]));
}

TEST(LineWindow, FeedsInAnyPieces) {
  std::string text = "one\r\ntwo\n\nfour";
  for (size_t size = 1; size <= text.size(); ++size) {
    LineWindow window(1, 2, 1000);
    for (size_t at = 0; at < text.size(); at += size) window.feed(std::string_view(text).substr(at, size));
    window.finish();
    EXPECT_EQ(window.text(), "     2\ttwo\n     3\t\n");
    EXPECT_EQ(window.lines_seen(), 4u);
  }
}

}  // namespace
}  // namespace insomnia::tools
