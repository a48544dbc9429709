#include <sys/stat.h>
#include <sys/time.h>

#include <algorithm>

#include "base/text.hh"
#include "tools/file_types.hh"
#include "tools/grep.hh"
#include "tools/ignore_rules.hh"
#include "tools/line_search.hh"
#include "tools/path_pattern.hh"
#include "tools/test_bench.hh"

namespace insomnia::tools {
namespace {

using scope::Permission;

/// Calls with JSON made from `field: value` texts.
class SearchBench : public Bench {
 public:
  using Bench::Bench;
  Output glob(std::string const& pattern, std::string const& more = "") { return run("Glob", R"({"pattern":")" + pattern + "\"" + more + "}"); }
  Output grep(std::string const& pattern, std::string const& more = "") { return run("Grep", R"({"pattern":")" + pattern + "\"" + more + "}"); }
  /// The output's lines without the workspace before them.
  std::vector<std::string> found(Output const& output) {
    std::vector<std::string> result;
    std::string content = output.content.value_or("");
    for (auto line : text::split(text::trim(content), '\n')) {
      if (line.starts_with(work() + "/")) line.remove_prefix(work().size() + 1);
      if (!line.empty()) result.emplace_back(line);
    }
    return result;
  }
  std::vector<std::string> found_sorted(Output const& output) {
    auto result = found(output);
    std::sort(result.begin(), result.end());
    return result;
  }
};
using Names = std::vector<std::string>;

bool matches(std::string_view pattern, std::string_view path) {
  auto compiled = PathPattern::compile(pattern, PatternSyntax::Glob);
  EXPECT_TRUE(compiled) << pattern;
  return compiled && compiled->matches(path);
}

// --- patterns

TEST(PathPattern, StarAndQuestionMarkStayInOneComponent) {
  EXPECT_TRUE(matches("*.cc", "a.cc"));
  EXPECT_FALSE(matches("*.cc", "src/a.cc"));
  EXPECT_TRUE(matches("src/?.cc", "src/a.cc"));
  EXPECT_FALSE(matches("src?a.cc", "src/a.cc"));
  EXPECT_TRUE(matches("?", "é"));
}

TEST(PathPattern, DoubleStarCrossesComponents) {
  for (auto const* path : {"a.cc", "x/a.cc", "x/y/a.cc"}) EXPECT_TRUE(matches("**/*.cc", path)) << path;
  EXPECT_TRUE(matches("src/**", "src/x/y"));
  EXPECT_FALSE(matches("src/**", "src"));
  EXPECT_TRUE(matches("a/**/b", "a/b"));
  EXPECT_TRUE(matches("a/**/b", "a/x/y/b"));
  EXPECT_FALSE(matches("a/**/b", "ab"));
  EXPECT_FALSE(matches("a**b", "a/b"));
  EXPECT_TRUE(matches("{**/x,y}", "a/x"));
}

TEST(PathPattern, ClassesAlternativesAndEscapes) {
  EXPECT_TRUE(matches("[a-c]x", "bx"));
  EXPECT_FALSE(matches("[!a-c]x", "bx"));
  EXPECT_FALSE(matches("a[!x]b", "a/b"));
  EXPECT_TRUE(matches("[]]", "]"));
  EXPECT_TRUE(matches("*.{cc,h{h,pp}}", "a.hpp"));
  EXPECT_FALSE(matches("*.{cc,hh}", "a.c"));
  EXPECT_TRUE(matches("a\\*b", "a*b"));
  EXPECT_FALSE(matches("a\\*b", "axb"));
  EXPECT_TRUE(matches("a.b+(c)", "a.b+(c)"));
  EXPECT_FALSE(matches("a.b", "axb"));
  EXPECT_FALSE(matches("A", "a"));
}

TEST(PathPattern, WrongPatternsAreErrors) {
  for (auto const* pattern : {"", "[a", "{a,b", "a\\"}) {
    auto compiled = PathPattern::compile(pattern, PatternSyntax::Glob);
    ASSERT_FALSE(compiled) << pattern;
    EXPECT_TRUE(compiled.error().message.starts_with("invalid glob pattern: "));
  }
}

TEST(PathPattern, LiteralDirectory) {
  EXPECT_EQ(literal_directory("src/a/*.cc"), "src/a");
  EXPECT_EQ(literal_directory("*.cc"), "");
  EXPECT_EQ(literal_directory("a/b"), "a");
  EXPECT_EQ(literal_directory("a*/b/c"), "");
}

// --- ignore rules

TEST(IgnoreRules, LastMatchDecides) {
  auto rules = IgnoreRules::parse("# comment\n\n*.log\n!keep.log\nbuild/\n/top\ndocs/*.txt\n\\#x\ntrailing  \nfoo/**/bar\n");
  EXPECT_EQ(rules.decide("a.log", false), true);
  EXPECT_EQ(rules.decide("deep/a.log", false), true);
  EXPECT_EQ(rules.decide("deep/keep.log", false), false);
  EXPECT_EQ(rules.decide("x/build", true), true);
  EXPECT_EQ(rules.decide("x/build", false), std::nullopt);
  EXPECT_EQ(rules.decide("top", false), true);
  EXPECT_EQ(rules.decide("x/top", false), std::nullopt);
  EXPECT_EQ(rules.decide("docs/a.txt", false), true);
  EXPECT_EQ(rules.decide("docs/x/a.txt", false), std::nullopt);
  EXPECT_EQ(rules.decide("#x", false), true);
  EXPECT_EQ(rules.decide("trailing", false), true);
  EXPECT_EQ(rules.decide("foo/x/y/bar", false), true);
  EXPECT_EQ(IgnoreRules::parse("[broken\nok").decide("ok", false), true);
}

// --- Glob

TEST(Glob, FindsNewestFirst) {
  SearchBench bench;
  bench.file("b.cc", "");
  bench.file("a.cc", "");
  bench.file("sub/c.cc", "");
  int64_t age = 0;
  for (auto const* name : {"a.cc", "sub/c.cc", "b.cc"}) {
    timeval times[2] = {{1'000'000 - age, 0}, {1'000'000 - age, 0}};
    ASSERT_EQ(::utimes(bench.path(name).c_str(), times), 0);
    age += 10;
  }
  Output output = bench.glob("**/*.cc");
  EXPECT_EQ(output.summary, "Found 3 file(s) matching **/*.cc");
  EXPECT_EQ(bench.found(output), (Names{"a.cc", "sub/c.cc", "b.cc"}));
  EXPECT_TRUE(output.content->starts_with(bench.work() + "/a.cc\n"));
}

TEST(Glob, NothingFound) {
  SearchBench bench;
  EXPECT_EQ(bench.glob("*.zig"), (Output{"No files found matching *.zig", std::nullopt, false}));
}

TEST(Glob, HiddenFilesAreShownGitIsNot) {
  SearchBench bench;
  bench.file(".env", "");
  bench.file(".github/ci.yml", "");
  bench.file(".git/config", "");
  EXPECT_EQ(bench.found_sorted(bench.glob("**")), (Names{".env", ".github/ci.yml"}));
  EXPECT_EQ(bench.found(bench.glob(".git/*")), (Names{".git/config"})) << "unless it is named";
}

TEST(Glob, IgnoredFilesAreLeftOutUnlessNamed) {
  SearchBench bench;
  bench.file(".gitignore", "build/\n*.o\n");
  bench.file("build/out.txt", "");
  bench.file("build/x.o", "");
  bench.file("src/a.o", "");
  bench.file("src/a.c", "");
  EXPECT_EQ(bench.found_sorted(bench.glob("**/*")), (Names{".gitignore", "src/a.c"}));
  EXPECT_EQ(bench.found_sorted(bench.glob("build/**")), (Names{"build/out.txt", "build/x.o"}));
  EXPECT_EQ(bench.found(bench.glob("src/a.o")), (Names{"src/a.o"}));
}

TEST(Glob, PathAndAbsolutePattern) {
  SearchBench bench;
  bench.file("src/a.cc", "");
  bench.file("b.cc", "");
  EXPECT_EQ(bench.found(bench.glob("*.cc", R"(,"path":")" + bench.path("src") + "\"")), (Names{"src/a.cc"}));
  EXPECT_EQ(bench.found(bench.glob(bench.path("src/*.cc"))), (Names{"src/a.cc"}));
  EXPECT_EQ(bench.found(bench.glob("./*.cc")), (Names{"b.cc"}));
  EXPECT_EQ(bench.found(bench.glob(".//src//./*.cc")), (Names{"src/a.cc"}));
  EXPECT_HAS(bench.glob("../x").summary, "invalid glob pattern");
}

TEST(Glob, WrongBasesAreRefused) {
  SearchBench bench;
  bench.file("file", "");
  bench.file("dir/x", "");
  ASSERT_EQ(::symlink("dir", bench.path("link").c_str()), 0);
  EXPECT_HAS(bench.glob("*", R"(,"path":"relative")").summary, "path must be absolute: relative");
  EXPECT_HAS(bench.glob("*", R"(,"path":")" + bench.outside() + "\"").summary, "outside allowed scope");
  EXPECT_HAS(bench.glob("*", R"(,"path":")" + bench.path("file") + "\"").summary, "path is not a directory");
  EXPECT_HAS(bench.glob("*", R"(,"path":")" + bench.path("none") + "\"").summary, "path does not exist");
  EXPECT_HAS(bench.glob("*", R"(,"path":")" + bench.path("link") + "\"").summary, "Glob does not follow symlink directories");
  EXPECT_HAS(bench.glob("[").summary, "Invalid argument: invalid glob pattern: ");
}

TEST(Glob, SymlinksAreNotFollowedAndDeniedFilesAbsent) {
  SearchBench bench;
  ASSERT_TRUE(io::replace_file(bench.outside() + "/x", ""));
  ASSERT_EQ(::symlink(bench.outside().c_str(), bench.path("out").c_str()), 0);
  ASSERT_EQ(::symlink("ok", bench.path("file-link").c_str()), 0);
  bench.file("ok", "");
  bench.file("secret/key", "");
  bench.set_scope({{{bench.work(), Permission::Write, true}}, {{bench.path("secret"), Permission::Read, true}}});
  EXPECT_EQ(bench.found(bench.glob("**")), (Names{"ok"}));
}

TEST(Glob, ReadableIslandInUnreadableTreeIsFound) {
  SearchBench bench;
  bench.file("a/b/c/found", "");
  bench.file("a/hidden", "");
  bench.set_scope({{{bench.work(), Permission::Read, false}, {bench.path("a/b/c"), Permission::Read, true}}, {}});
  EXPECT_EQ(bench.found(bench.glob("**")), (Names{"a/b/c/found"}));
}

TEST(Glob, ShowsTheNewestThousandAndCountsAll) {
  SearchBench bench;
  for (int i = 0; i < 1005; ++i) bench.file("f" + std::to_string(i), "");
  timeval old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimes(bench.path("f7").c_str(), old), 0);
  Output output = bench.glob("*");
  EXPECT_EQ(output.summary, "Found 1005 file(s) matching * (truncated to 1000)");
  auto names = bench.found(output);
  EXPECT_EQ(names.size(), 1000u);
  EXPECT_EQ(std::find(names.begin(), names.end(), "f7"), names.end());
}

TEST(Glob, StopsAtItsLimitAndSaysSo) {
  SearchBench bench;
  for (int i = 0; i < 20; ++i) bench.file("f" + std::to_string(i), "");
  bench.context().search.max_entries = 10;
  Output output = bench.glob("*");
  EXPECT_HAS(output.summary, "Found 10+ file(s)");
  EXPECT_HAS(output.summary, "the search stopped after 10 names");
}

TEST(Glob, UnicodePattern) {
  SearchBench bench;
  bench.file("größe/日本.txt", "");
  EXPECT_EQ(bench.found(bench.glob("größe/日?.txt")), (Names{"größe/日本.txt"}));
}

// --- Grep

TEST(Grep, FilesInTheOrderOfTheirPaths) {
  SearchBench bench;
  for (auto const* name : {"b/x", "a.txt", "a/z", "a-b", "c"}) bench.file(name, "needle\n");
  bench.file("other", "hay\n");
  Output output = bench.grep("needle");
  EXPECT_EQ(output.summary, "Found matches in 5 file(s)");
  EXPECT_EQ(bench.found(output), (Names{"a-b", "a.txt", "a/z", "b/x", "c"}));
}

TEST(Grep, CountMode) {
  SearchBench bench;
  bench.file("a", "x\ny\nx x\n");
  bench.file("b", "x");
  Output output = bench.grep("x", R"(,"output_mode":"count")");
  EXPECT_EQ(output.summary, "Found matches in 2 file(s), 3 total line(s)");
  EXPECT_EQ(bench.found(output), (Names{"a:2", "b:1"}));
}

TEST(Grep, ContentModeWithContext) {
  SearchBench bench;
  bench.file("a", "1\n2\nhit\n4\n5\nhit\n");
  Output output = bench.grep("hit", R"(,"output_mode":"content","-C":1)");
  EXPECT_EQ(output.summary, "2 matching line(s) in 1 file(s)");
  EXPECT_EQ(bench.found(output), (Names{"a-2-2", "a:3:hit", "a-4-4", "a-5-5", "a:6:hit"}));
  EXPECT_EQ(bench.found(bench.grep("hit", R"(,"output_mode":"content","-n":false,"-A":1)")), (Names{"a:hit", "a-4", "a:hit"}));
  EXPECT_EQ(bench.found(bench.grep("5", R"(,"output_mode":"content","-B":1)")), (Names{"a-4-4", "a:5:5"}));
}

TEST(Grep, LineNumbersAreIgnoredInOtherModes) {
  SearchBench bench;
  bench.file("a", "x\n");
  EXPECT_FALSE(bench.grep("x", R"(,"-n":false)").is_error);
}

TEST(Grep, NothingFound) {
  SearchBench bench;
  bench.file("a", "x\n");
  EXPECT_EQ(bench.grep("zzz"), (Output{"No files matched", std::nullopt, false}));
  EXPECT_EQ(bench.grep("zzz", R"(,"output_mode":"content")"), (Output{"No matches", std::nullopt, false}));
}

TEST(Grep, HeadLimitOffsetAndExactTruncation) {
  SearchBench bench;
  bench.file("a", "x1\nx2\nx3\nx4\nx5\n");
  std::string content = R"(,"output_mode":"content")";
  Output output = bench.grep("x", content + R"(,"head_limit":2)");
  EXPECT_EQ(output.summary, "2 matching line(s) in 1 file(s) (truncated at 2)");
  EXPECT_EQ(bench.found(output), (Names{"a:1:x1", "a:2:x2"}));
  output = bench.grep("x", content + R"(,"offset":3)");
  EXPECT_EQ(output.summary, "2 matching line(s) in 1 file(s)");
  EXPECT_EQ(bench.found(output), (Names{"a:4:x4", "a:5:x5"}));
  EXPECT_EQ(bench.grep("x", content + R"(,"head_limit":5)").summary, "5 matching line(s) in 1 file(s)") << "an exact fit is not truncated";
  bench.file("b", "x");
  EXPECT_EQ(bench.grep("x", R"(,"head_limit":1)").summary, "Found matches in 1 file(s) (truncated at 1)");
  EXPECT_EQ(bench.grep("x", R"(,"head_limit":2)").summary, "Found matches in 2 file(s)");
  EXPECT_EQ(bench.found(bench.grep("x", R"(,"offset":1)")), (Names{"b"}));
}

TEST(Grep, IgnoreCaseMultilineAndCarriageReturns) {
  SearchBench bench;
  bench.file("a", "Alpha\nbeta\ngamma\n");
  bench.file("dos", "Alpha\r\nend\r\n");
  EXPECT_EQ(bench.grep("alpha").summary, "No files matched");
  EXPECT_EQ(bench.found(bench.grep("alpha", R"(,"-i":true)")), (Names{"a", "dos"}));
  EXPECT_EQ(bench.grep("beta.gamma").summary, "No files matched");
  Output output = bench.grep("beta.gamma", R"(,"multiline":true,"output_mode":"content")");
  EXPECT_EQ(bench.found(output), (Names{"a:2:beta", "a:3:gamma"}));
  EXPECT_EQ(bench.found(bench.grep("^Alpha$", R"(,"output_mode":"content")")), (Names{"a:1:Alpha", "dos:1:Alpha"}));
}

TEST(Grep, GlobAndTypeFilters) {
  SearchBench bench;
  for (auto const* name : {"a.cc", "a.py", "test/b.cc", "CMakeLists.txt"}) bench.file(name, "x");
  EXPECT_EQ(bench.found(bench.grep("x", R"(,"glob":"*.cc")")), (Names{"a.cc", "test/b.cc"}));
  EXPECT_EQ(bench.found(bench.grep("x", R"(,"glob":"!test/**")")), (Names{"CMakeLists.txt", "a.cc", "a.py"}));
  EXPECT_EQ(bench.found(bench.grep("x", R"(,"glob":"*.{py,txt}")")), (Names{"CMakeLists.txt", "a.py"}));
  EXPECT_EQ(bench.found(bench.grep("x", R"(,"type":"py")")), (Names{"a.py"}));
  EXPECT_EQ(bench.found(bench.grep("x", R"(,"type":"cmake")")), (Names{"CMakeLists.txt"}));
  EXPECT_HAS(bench.grep("x", R"(,"type":"klingon")").summary, "unknown file type: klingon; known are asm");
  EXPECT_HAS(bench.grep("x", R"(,"glob":"[")").summary, "invalid glob pattern");
}

TEST(Grep, HonoursIgnoreFilesAndSkipsHidden) {
  SearchBench bench;
  bench.file(".git/HEAD", "x");
  bench.file(".gitignore", "*.log\n/build\n");
  bench.file(".ignore", "vendor/\n!keep.log\n");
  bench.file("sub/.gitignore", "local\n");
  for (auto const* name : {"a.log", "keep.log", "build/x", "vendor/v", "sub/local", "sub/ok", "local", ".hidden/h"}) bench.file(name, "x");
  EXPECT_EQ(bench.found(bench.grep("x")), (Names{"keep.log", "local", "sub/ok"}));
  EXPECT_EQ(bench.found(bench.grep("x", R"(,"glob":".hidden/**")")), (Names{".hidden/h"}));
  EXPECT_EQ(bench.found(bench.grep("x", R"(,"path":")" + bench.path(".hidden") + "\"")), (Names{".hidden/h"}));
  EXPECT_EQ(bench.found(bench.grep("x", R"(,"path":")" + bench.path("a.log") + "\"")), (Names{"a.log"})) << "a named file is searched";
}

TEST(Grep, RulesOfParentDirectoriesCount) {
  SearchBench bench;
  bench.file(".git/HEAD", "x");
  bench.file(".gitignore", "/sub/out\n");
  bench.file("sub/out/a", "x");
  bench.file("sub/in/a", "x");
  EXPECT_EQ(bench.found(bench.grep("x", R"(,"path":")" + bench.path("sub") + "\"")), (Names{"sub/in/a"}));
}

TEST(Grep, UnreadableBinaryAndMalformedFilesDoNotFailTheSearch) {
  SearchBench bench;
  bench.file("bin", std::string_view("\0needle\n", 8));
  bench.file("latin1", "caf\xe9 needle\n");
  bench.file("good", "needle\n");
  bench.file("secret", "needle\n");
  ASSERT_EQ(::chmod(bench.path("secret").c_str(), 0), 0);
  ASSERT_EQ(::mkfifo(bench.path("pipe").c_str(), 0600), 0);
  Output output = bench.grep("needle", R"(,"output_mode":"content")");
  Names expected = {"good:1:needle", "latin1:1:caf\uFFFD needle"};
  if (::geteuid() == 0) {
    expected.push_back("secret:1:needle");
  } else {
    EXPECT_HAS(output.summary, "1 file(s) could not be read");
  }
  EXPECT_EQ(bench.found(output), expected);
  EXPECT_HAS(bench.grep("needle", R"(,"path":")" + bench.path("bin") + "\"").summary, "is a binary file");
}

TEST(Grep, DeniedFilesAreAbsent) {
  SearchBench bench;
  bench.file("ok", "x");
  bench.file("secret/key", "x");
  bench.set_scope({{{bench.work(), Permission::Write, true}}, {{bench.path("secret"), Permission::Read, true}}});
  EXPECT_EQ(bench.found(bench.grep("x")), (Names{"ok"}));
  EXPECT_TRUE(bench.grep("x", R"(,"path":")" + bench.path("secret/key") + "\"").is_error);
}

TEST(Grep, BadRegexNamesTheSyntax) {
  SearchBench bench;
  Output output = bench.grep("a(b");
  EXPECT_HAS(output.summary, "Invalid argument: invalid regular expression: ");
  EXPECT_HAS(output.summary, "RE2");
  EXPECT_TRUE(bench.grep("(?=x)").is_error);
  EXPECT_TRUE(bench.grep("").is_error);
}

TEST(Grep, LongLinesAreCut) {
  SearchBench bench;
  bench.file("min.js", "x" + std::string(3 << 20, 'y') + "\nz\n");
  Output output = bench.grep("^x", R"(,"output_mode":"content")");
  EXPECT_LT(output.content->size(), 1300u);
  EXPECT_HAS(*output.content, "bytes more]");
  EXPECT_EQ(bench.found(bench.grep("^z$", R"(,"output_mode":"content")")), (Names{"min.js:2:z"}));
}

TEST(Grep, ManyLinesAcrossBlocks) {
  SearchBench bench;
  std::string text;
  for (int i = 1; i <= 30'000; ++i) text += i % 10'000 == 0 ? "needle\n" : "just some hay\n";
  bench.file("big", text);
  EXPECT_EQ(bench.found(bench.grep("needle", R"(,"output_mode":"content")")), (Names{"big:10000:needle", "big:20000:needle", "big:30000:needle"}));
}

TEST(LinePattern, BlockSearchNeverMatchesAcrossLines) {
  auto pattern = LinePattern::compile("a\\s*b", false, false);
  ASSERT_TRUE(pattern);
  std::string text = "a\nb\nx a b\n";
  auto range = pattern->next(text, 0);
  EXPECT_EQ(range.begin, 4u);
  EXPECT_EQ(range.end, 9u);
  EXPECT_EQ(pattern->next(text, 10).begin, std::string_view::npos);
}

TEST(LinePattern, AnchorsOfTheTextAreAnchorsOfTheLine) {
  for (auto const* text : {"\\Ab", "^b", "(?-m)^b", "\\bb", "(?-m:^b$)"}) {
    auto pattern = LinePattern::compile(text, false, false);
    ASSERT_TRUE(pattern) << text;
    EXPECT_EQ(pattern->next("a\nb\n", 0).begin, 2u) << text;
  }
}

TEST(LinePattern, EmptyMatchesTakeEveryLine) {
  auto pattern = LinePattern::compile("x*", false, false);
  std::string text = "a\n\nb\n";
  EXPECT_EQ(pattern->next(text, 0).begin, 0u);
  EXPECT_EQ(pattern->next(text, 2).begin, 2u);
  EXPECT_EQ(pattern->next(text, 3).begin, 3u);
  EXPECT_EQ(pattern->next(text, 5).begin, std::string_view::npos);
}

TEST(FileTypes, NamesAndAliases) {
  EXPECT_TRUE(has_file_type("a.rs", "rust"));
  EXPECT_TRUE(has_file_type("a.py", "python"));
  EXPECT_TRUE(has_file_type("Makefile", "make"));
  EXPECT_FALSE(has_file_type("a.rs", "py"));
  EXPECT_FALSE(is_file_type(""));
}

}  // namespace
}  // namespace insomnia::tools
