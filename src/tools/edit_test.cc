#include "tools/edit.hh"

#include <sys/stat.h>

#include "tools/test_bench.hh"
#include "tools/tracker.hh"

namespace insomnia::tools {
namespace {

using scope::Permission;

TEST(Edit, ReplacesOneOccurrenceAndShowsIt) {
  Bench bench;
  auto path = bench.file("a", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
  bench.read(path);
  Output output = bench.edit(path, "5", "five");
  EXPECT_EQ(output.summary, "Edited " + path + " (1 replacement)");
  EXPECT_EQ(output.content, "     2\t2\n     3\t3\n     4\t4\n     5\tfive\n     6\t6\n     7\t7\n     8\t8\n");
  EXPECT_EQ(bench.content(path), "1\n2\n3\n4\nfive\n6\n7\n8\n9\n");
}

TEST(Edit, AmbiguousStringIsRefusedWithItsCount) {
  Bench bench;
  auto path = bench.file("a", "x x x");
  bench.read(path);
  EXPECT_HAS(bench.edit(path, "x", "y").summary, "string is not unique in file (3 occurrences)");
  Output all = bench.edit(path, "x", "y", R"(,"replace_all":true)");
  EXPECT_EQ(all.summary, "Edited " + path + " (3 replacements)");
  EXPECT_EQ(bench.content(path), "y y y");
}

TEST(Edit, RefusesEmptyAndIdenticalStrings) {
  Bench bench;
  auto path = bench.file("a", "x");
  bench.read(path);
  EXPECT_HAS(bench.edit(path, "", "y").summary, "invalid Edit input: old_string: must not be empty");
  EXPECT_HAS(bench.edit(path, "x", "x").summary, "must differ");
}

TEST(Edit, NeedsAFileThatWasReadAndIsUnchanged) {
  Bench bench;
  auto path = bench.file("a", "x");
  EXPECT_HAS(bench.edit(path, "x", "y").summary, "has not been read in this session");
  bench.read(path);
  bench.file("a", "x!");
  EXPECT_HAS(bench.edit(path, "x", "y").summary, "modified externally");
}

TEST(Edit, MissingStringAndMissingFile) {
  Bench bench;
  auto path = bench.file("a", "x");
  bench.read(path);
  EXPECT_HAS(bench.edit(path, "nope", "y").summary, "string not found in file: " + path);
  EXPECT_HAS(bench.edit(bench.path("missing"), "a", "b").summary, "file not found");
}

TEST(Edit, PartlyReadFileMayBeEditedButNotOverwritten) {
  Bench bench;
  auto path = bench.file("a", "1\n2\n3\n");
  bench.read(path, R"(,"limit":1)");
  EXPECT_FALSE(bench.edit(path, "1", "one").is_error);
  EXPECT_FALSE(bench.edit(path, "one", "uno").is_error);
  EXPECT_HAS(bench.write(path, "x").summary, "only read in part");
}

TEST(Edit, FileThatIsNotUtf8IsRefused) {
  Bench bench;
  auto path = bench.file("a", "caf\xe9 x");
  bench.read(path);
  EXPECT_HAS(bench.edit(path, "x", "y").summary, "file is not valid UTF-8: " + path);
}

TEST(Edit, KeepsExecutableBit) {
  Bench bench;
  auto path = bench.file("run", "x");
  ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  bench.read(path);
  ASSERT_FALSE(bench.edit(path, "x", "y").is_error);
  EXPECT_EQ(mode_of(path), 0755u);
}

TEST(Edit, SeveralLinesMatchInAFileWithCarriageReturns) {
  Bench bench;
  auto path = bench.file("dos", "a\r\nb\r\nc\r\n");
  bench.read(path);
  ASSERT_FALSE(bench.edit(path, "a\\nb", "A\\nB\\nBB").is_error);
  EXPECT_EQ(bench.content(path), "A\r\nB\r\nBB\r\nc\r\n");
}

TEST(Edit, NewLinesInAFileWithCarriageReturnsGetThemToo) {
  Bench bench;
  auto path = bench.file("dos", "a\r\nb\r\n");
  auto mixed = bench.file("mixed", "a\r\nb\n");
  bench.read(path);
  bench.read(mixed);
  ASSERT_FALSE(bench.edit(path, "a", "a\\nnew").is_error);
  EXPECT_EQ(bench.content(path), "a\r\nnew\r\nb\r\n");
  ASSERT_FALSE(bench.edit(mixed, "a", "a\\nnew").is_error);
  EXPECT_EQ(bench.content(mixed), "a\nnew\r\nb\n");
}

TEST(Edit, ReadEditReadSeesTheChange) {
  Bench bench;
  auto path = bench.file("a", "one two\n");
  bench.read(path);
  bench.edit(path, "two", "2");
  EXPECT_EQ(bench.read(path).content, "     1\tone 2\n");
  EXPECT_EQ(bench.context().tracker.recent(5), std::vector<std::string>{path});
}

TEST(Edit, ReplacementIsLiteralAndDoesNotOverlap) {
  EXPECT_EQ(replace_string("aaaa", "aa", "b", true).content, "bb");
  EXPECT_EQ(replace_string("aaaa", "aa", "b", false).count, 2u);
  EXPECT_EQ(replace_string("a.c", ".", "\\1", true).content, "a\\1c");
  EXPECT_EQ(replace_string("abc", "x", "y", true).content, "abc");
}

TEST(Edit, PreviewAtTheEdges) {
  EXPECT_EQ(preview("a", 0), "     1\ta\n");
  EXPECT_EQ(preview("", 0), "");
  EXPECT_EQ(preview("1\n2\n3\n4\n5\n6", 10), "     3\t3\n     4\t4\n     5\t5\n     6\t6\n");
  EXPECT_EQ(preview("1\n2\n", 0), "     1\t1\n     2\t2\n");
}

TEST(Tracker, RecentFilesNewestFirst) {
  Bench bench;
  auto a = bench.file("a", "x");
  auto b = bench.file("b", "x");
  bench.read(a);
  bench.read(b);
  EXPECT_EQ(bench.context().tracker.recent(10), (std::vector{b, a}));
  bench.read(a);
  EXPECT_EQ(bench.context().tracker.recent(1), std::vector{a});
}

TEST(Tracker, SeenLinesMerge) {
  Tracker tracker({});
  EXPECT_FALSE(tracker.record_lines("/f", "h", {0, 10, 30}).whole);
  EXPECT_FALSE(tracker.record_lines("/f", "h", {20, 30, 30}).whole);
  EXPECT_FALSE(tracker.verify("/f", "h", true, "/f"));
  EXPECT_TRUE(tracker.record_lines("/f", "h", {5, 20, 30}).whole);
  EXPECT_TRUE(tracker.verify("/f", "h", true, "/f"));
}

TEST(ScopeGate, ChangeSettlesWhenTheRefusedWriteEnds) {
  ScopeGate gate(scope::Scope::from_resolved({{{"/a", Permission::Write, true}, {"/b", Permission::Write, true}}, {}}), "");
  auto in_a = gate.begin_write("/a/x");
  auto in_b = gate.begin_write("/b/x");
  ASSERT_TRUE(in_a && in_b);
  int settled = 0;
  gate.change(scope::Scope::from_resolved({{{"/a", Permission::Write, true}}, {}}), [&] { ++settled; });
  EXPECT_EQ(settled, 0);
  EXPECT_FALSE(gate.begin_write("/b/y")) << "the new scope holds at once";
  in_a.reset();
  EXPECT_EQ(settled, 0);
  in_b.reset();
  EXPECT_EQ(settled, 1);
  gate.change(scope::Scope::from_resolved({{{"/a", Permission::Read, true}}, {}}), [&] { ++settled; });
  EXPECT_EQ(settled, 2);
}

TEST(ScopeGate, ChangeSettlesWhenTheStartsThatBeganBeforeHaveEnded) {
  auto before = scope::Scope::from_resolved({{{"/a", Permission::Write, true}, {"/b", Permission::Write, true}}, {}});
  auto after = scope::Scope::from_resolved({{{"/a", Permission::Write, true}}, {}});
  ScopeGate gate(before, "");
  std::optional<ScopeGate::Starting> first = gate.begin_start();
  int settled = 0;
  gate.change(after, [&] { ++settled; });
  std::optional<ScopeGate::Starting> later = gate.begin_start();
  EXPECT_EQ(first->scope().decide_resolved("/b/x").permission, Permission::Write);
  EXPECT_NE(later->scope().decide_resolved("/b/x").permission, Permission::Write);
  EXPECT_EQ(settled, 0);
  first.reset();
  EXPECT_EQ(settled, 1) << "the later one has the new scope already";
  later.reset();
  EXPECT_EQ(settled, 1);
}

}  // namespace
}  // namespace insomnia::tools
