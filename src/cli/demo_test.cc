#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/io.hh"
#include "base/resource.hh"
#include "base/text.hh"
#include "cli/demo_project.hh"
#include "cli/demo_report.hh"
#include "wire/log_entry.hh"

namespace insomnia::cli {
namespace {

using scope::Permission;

wire::ChildInfo child(std::string const& name, std::vector<scope::ScopeRule> rules) {
  return {.pod_name = name, .pod_id = "id-" + name, .state = "running", .scope = std::move(rules)};
}

void call(DemoReport& report, std::string const& pod, std::string const& id, std::string const& tool,
          std::string const& path, std::string const& summary, bool is_error) {
  report.on_event(pod, {wire::ToolCallDoneEvent{
                           .id = id, .name = tool, .arguments = "{\"file_path\":\"" + path + "\"}"}});
  report.on_event(pod, {wire::ToolResultEvent{.id = id, .summary = summary, .is_error = is_error}});
}

TEST(DemoReport, ShowsWhoHeldWhichScope) {
  DemoReport report("demo", "/t/tally");
  report.on_event("demo", {wire::ChildEvent{child("fix-parser", {{"/t/tally", Permission::Read},
                                                                 {"/t/tally/parser", Permission::Write}})}});
  report.on_event("demo", {wire::ChildEvent{child("fix-stats", {{"/t/tally/stats", Permission::Write}})}});
  report.on_event("fix-parser", {wire::ChildEvent{child("deep", {{"/other", Permission::Read}})}});
  report.on_event("demo", {wire::ChildEvent{child("fix-stats", {})}});
  EXPECT_EQ(report.children(), 3u);
  EXPECT_EQ(report.tree_text(),
            "  demo           write tally\n"
            "  ├─ fix-parser  read tally, write tally/parser\n"
            "  │  └─ deep     read /other\n"
            "  └─ fix-stats   write tally/stats\n");
}

TEST(DemoReport, RefusalsAreFailedWritesAlone) {
  DemoReport report("demo", "/t/tally");
  call(report, "demo", "c1", "Bash", "", "$ make (exit 2)", true);
  call(report, "a", "c1", "Write", "/t/tally/x", "Created /t/tally/x", false);
  call(report, "a", "c2", "Write", "/t/tally/y", "path is read-only in this scope: /t/tally/y\nowner: b",
       true);
  EXPECT_EQ(report.refusals(),
            (std::vector<DemoReport::Refusal>{
                {"a", "Write", "/t/tally/y", "path is read-only in this scope: /t/tally/y\nowner: b"}}));
  EXPECT_EQ(report.refusal_text(),
            "  a: Write tally/y\n    path is read-only in this scope: /t/tally/y owner: b\n");
}

TEST(DemoReport, TakesWhatHappenedBeforeItListenedOnlyOnce) {
  auto record = [](auto body) { return wire::encode_log_entry({.ts = 1, .record = std::move(body)}); };
  wire::SnapshotEvent snapshot;
  snapshot.entries = {
      record(wire::AssistantItem{wire::ToolCall{"c1", "Edit", R"({"file_path":"/t/tally/z"})"}}),
      record(wire::ToolResultRecord{{.call_id = "c1", .summary = "no", .is_error = true}})};
  snapshot.children = {child("k", {})};
  DemoReport report("demo", "/t/tally");
  report.on_event("a", {snapshot});
  report.on_event("a", {snapshot});
  report.on_event("a", {wire::ToolResultEvent{.id = "c1", .summary = "no", .is_error = true}});
  EXPECT_EQ(report.refusals().size(), 1u);
  EXPECT_EQ(report.children(), 1u);
}

class DemoProject : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/insomnia-demo-test-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(io::remove_tree(directory_)); }

  std::string directory_;
  Environment environment_ = Environment::of_process();
};

TEST_F(DemoProject, IsUnpackedAsItIs) {
  ASSERT_TRUE(unpack_demo_project(directory_ + "/p"));
  EXPECT_EQ(*io::list_directory(directory_ + "/p"),
            (std::vector<std::string>{"Makefile", "README.md", "parser", "stats", "tally.cc"}));
  EXPECT_EQ(*io::read_file(directory_ + "/p/stats/stats.cc"),
            *base::find_resource("demo/project/stats/stats.cc"));
}

TEST_F(DemoProject, FailsItsTestsUntilBothDefectsAreRepaired) {
  auto make = find_program("make", environment_);
  if (!make || !check_build_tools(environment_)) GTEST_SKIP() << "no compiler";
  std::string project = directory_ + "/p";
  ASSERT_TRUE(unpack_demo_project(project));
  auto replace = [&](std::string const& file, std::string_view from, std::string_view to) {
    std::string text = *io::read_file(project + "/" + file);
    ASSERT_NE(text.find(from), std::string::npos);
    ASSERT_TRUE(io::replace_file(project + "/" + file, text::replace_all(text, from, to)));
  };

  auto run = run_program(*make, {"test"}, project, environment_, 120'000);
  ASSERT_TRUE(run);
  EXPECT_FALSE(run->ok);
  EXPECT_NE(
      run->output.find("parser: FAIL split_line(\"a,b,\") gives 2 fields [a][b], wanted 3 fields [a][b][]"),
      std::string::npos)
      << run->output;
  EXPECT_NE(run->output.find("stats: FAIL median({4, 1, 3, 2}) is 3, wanted 2.5"), std::string::npos);

  replace("parser/csv.cc", "  if (!field.empty()) fields.push_back(field);", "  fields.push_back(field);");
  run = run_program(*make, {"test"}, project, environment_, 120'000);
  EXPECT_FALSE(run->ok);
  EXPECT_NE(run->output.find("parser: all tests passed"), std::string::npos);

  replace("stats/stats.cc", "  return values[middle];",
          "  if (values.size() % 2 == 0) return (values[middle - 1] + values[middle]) / 2;\n  return "
          "values[middle];");
  run = run_program(*make, {"-C", "stats", "test"}, project, environment_, 120'000);
  EXPECT_TRUE(run->ok) << run->output;
  run = run_program(*make, {"test", "tally"}, project, environment_, 120'000);
  EXPECT_TRUE(run->ok) << run->output;
  EXPECT_TRUE(run_program(*make, {"clean"}, project, environment_, 120'000)->ok);
  EXPECT_EQ(io::list_directory(project)->size(), 5u);
}

TEST_F(DemoProject, TheDiffShowsTheChange) {
  ASSERT_TRUE(unpack_demo_project(directory_ + "/before"));
  ASSERT_TRUE(unpack_demo_project(directory_ + "/after"));
  EXPECT_EQ(*tree_diff(directory_, "before", "after", environment_), "");
  std::string path = directory_ + "/after/stats/stats.cc";
  ASSERT_TRUE(io::replace_file(path, text::replace_all(*io::read_file(path), "middle", "centre")));
  Environment nothing;
  nothing.set("PATH", directory_);
  for (Environment const& environment : {environment_, nothing}) {
    std::string diff = *tree_diff(directory_, "before", "after", environment);
    EXPECT_NE(diff.find("-  size_t middle = values.size() / 2;\n"), std::string::npos) << diff;
    EXPECT_NE(diff.find("+  return values[centre];\n"), std::string::npos) << diff;
    EXPECT_EQ(diff.find('\t'), std::string::npos);
  }
}

TEST_F(DemoProject, MissingToolsAreNamed) {
  Environment nothing;
  nothing.set("PATH", directory_);
  auto checked = check_build_tools(nothing);
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message.find("make and g++ (or c++) are not on the PATH"), std::string::npos);
  ASSERT_TRUE(io::replace_file(directory_ + "/make", "", 0700));
  EXPECT_NE(check_build_tools(nothing).error().message.find("g++ (or c++) is not on the PATH"),
            std::string::npos);
  ASSERT_TRUE(io::replace_file(directory_ + "/c++", "", 0700));
  EXPECT_TRUE(check_build_tools(nothing));
}

TEST_F(DemoProject, AProgramThatDoesNotEndIsKilled) {
  auto run = run_program("/bin/sh", {"-c", "echo start; sleep 1000"}, directory_, environment_, 200);
  ASSERT_TRUE(run);
  EXPECT_FALSE(run->ok);
  EXPECT_EQ(run->output.substr(0, 6), "start\n");
  EXPECT_TRUE(run->status.starts_with("not ended after"));
  EXPECT_EQ(run_program("/bin/sh", {"-c", "exit 3"}, directory_, environment_, 60'000)->status,
            "exit code 3");
}

TEST(PlainDiff, ShowsTheLinesBetweenTheFirstAndTheLastDifference) {
  EXPECT_EQ(plain_diff("f", "a\nb\nc\n", "a\nb\nc\n"), "");
  EXPECT_EQ(plain_diff("f", "a\nb\nc\n", "a\nx\ny\nc\n"), "f, line 2:\n-b\n+x\n+y\n");
  EXPECT_EQ(plain_diff("f", "a\na\n", "a\n"), "f, line 2:\n-a\n");
  EXPECT_EQ(plain_diff("f", "", "a\n"), "f, line 1:\n+a\n");
}

}  // namespace
}  // namespace insomnia::cli
