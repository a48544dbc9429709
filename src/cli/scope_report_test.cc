#include "cli/scope_report.hh"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"

namespace insomnia::cli {
namespace {

using registry::Allocation;
using scope::Permission;
using scope::ScopeRule;

ScopeRule write_rule(std::string target, bool recursive = true) {
  return {std::move(target), Permission::Write, recursive};
}
ScopeRule read_rule(std::string target, bool recursive = true) {
  return {std::move(target), Permission::Read, recursive};
}

Allocation pod(std::string name, std::string parent, std::vector<ScopeRule> allow,
               std::vector<ScopeRule> deny = {}) {
  Allocation row;
  row.pod_id = name + "-id";
  row.pod_name = std::move(name);
  row.instance_id = row.pod_id + "-1";
  row.delegated_from = parent.empty() ? "" : parent + "-id";
  row.task = "task of " + row.pod_name;
  row.pid = 4'700;
  row.since_ms = 1'000;
  row.scope_allow = std::move(allow);
  row.scope_deny = std::move(deny);
  return row;
}
Allocation reserved(Allocation row) {
  row.state = registry::AllocationState::Reserved;
  row.pid = 0;
  return row;
}

/// "kid holds write:/w/sub; root lent write:/w to kid": the line of holders, for data-driven cases.
std::string line(ScopeReport const& report) {
  std::vector<std::string> parts;
  for (auto const& holder : report.holders) {
    std::string rule = holder.rule ? " " + holder.rule->target : "";
    switch (holder.standing) {
      case Standing::Holds:
        parts.push_back(holder.pod_name + " holds" + rule);
        break;
      case Standing::Lent:
        parts.push_back(holder.pod_name + " lent" + rule + " to " + holder.lent_to);
        break;
      case Standing::Protected:
        parts.push_back(holder.pod_name + " may not" + rule);
        break;
      case Standing::Denied:
        parts.push_back(holder.pod_name + " denies" + rule + " by " + holder.denied_by->target);
        break;
      case Standing::NoRule:
        parts.push_back(holder.pod_name + " has none");
        break;
    }
    if (!holder.may_read) parts.back() += " blindly";
    if (holder.starting) parts.back() += " starting";
  }
  return text::join(parts, "; ");
}

std::string readers(ScopeReport const& report) {
  std::vector<std::string> parts;
  for (auto const& reader : report.readers) parts.push_back(reader.pod_name + " " + reader.rule.target);
  return text::join(parts, ", ");
}

std::string parts(ScopeReport const& report) {
  std::vector<std::string> result;
  for (auto const& part : report.parts) result.push_back(part.path + " " + part.pod_name);
  return text::join(result, ", ");
}

ScopeReport report_on(std::vector<Allocation> const& rows, std::string const& path) {
  return scope_report(rows, path, path);
}

std::vector<Allocation> family() {
  return {pod("kid-a", "root", {write_rule("/code/app/src")}), pod("reviewer", "", {read_rule("/code/app")}),
          pod("root", "", {write_rule("/code/app")})};
}

TEST(ScopeReport, WholeValueOfALentPath) {
  ScopeReport expected;
  expected.asked = "/link";
  expected.path = "/code/app/src";
  expected.holders = {{.pod_name = "kid-a",
                       .pod_id = "kid-a-id",
                       .task = "task of kid-a",
                       .pid = 4'700,
                       .since_ms = 1'000,
                       .standing = Standing::Holds,
                       .rule = write_rule("/code/app/src")},
                      {.pod_name = "root",
                       .pod_id = "root-id",
                       .task = "task of root",
                       .pid = 4'700,
                       .since_ms = 1'000,
                       .standing = Standing::Lent,
                       .rule = write_rule("/code/app"),
                       .lent_to = "kid-a"}};
  expected.readers = {{"reviewer", "reviewer-id", read_rule("/code/app")},
                      {"root", "root-id", write_rule("/code/app")}};
  EXPECT_EQ(scope_report(family(), "/link", "/code/app/src"), expected);
}

struct Case {
  std::string about;
  std::vector<Allocation> rows;
  std::string path;
  std::string line;
  std::string readers;
  std::string parts;
};

TEST(ScopeReport, Cases) {
  std::vector<Allocation> three = {pod("a", "", {write_rule("/w")}), pod("b", "a", {write_rule("/w/x")}),
                                   pod("c", "b", {write_rule("/w/x/y")})};
  for (auto const& [about, rows, path, expected_line, expected_readers, expected_parts] : std::vector<Case>{
           {"nobody at all", {}, "/w", "", "", ""},
           {"elsewhere", family(), "/etc", "", "", ""},
           {"the root directory tells of all", family(), "/", "", "", "/code/app root, /code/app/src kid-a"},
           {"a sibling directory whose name begins alike", family(), "/code/app/src2", "root holds /code/app",
            "reviewer /code/app", ""},
           {"above what is lent", family(), "/code/app", "root holds /code/app", "reviewer /code/app",
            "/code/app/src kid-a"},
           {"above everything", family(), "/code", "", "", "/code/app root, /code/app/src kid-a"},
           {"a file far below", three, "/w/x/y/z/file", "c holds /w/x/y; b lent /w/x to c; a lent /w to b",
            "a /w, b /w/x", ""},
           {"in the middle", three, "/w/x", "b holds /w/x; a lent /w to b", "a /w", "/w/x/y c"},
           {"the middle one has no rule for it",
            {pod("a", "", {write_rule("/w")}), pod("b", "a", {read_rule("/w/x")}),
             pod("c", "b", {write_rule("/w/x")})},
            "/w/x",
            "c holds /w/x; b has none; a lent /w to c",
            "a /w, b /w/x",
            ""},
           {"a reservation counts",
            {pod("a", "", {write_rule("/w")}), reserved(pod("b", "a", {write_rule("/w/x")}))},
            "/w/x/f",
            "b holds /w/x starting; a lent /w to b",
            "a /w",
            ""},
           {"denied to its only holder",
            {pod("a", "", {write_rule("/w")}, {write_rule("/w/.git")})},
            "/w/.git/config",
            "a denies /w by /w/.git",
            "a /w",
            ""},
           {"a protected place",
            {pod("a", "", {write_rule("/w")}), pod("b", "a", {write_rule("/w/x")})},
            "/w/x/.git/hooks/pre-commit",
            "b may not /w/x; a lent /w to b",
            "a /w, b /w/x",
            ""},
           {"a protected place that a rule opens",
            {pod("a", "", {write_rule("/w"), write_rule("/w/.claude")})},
            "/w/.claude/agents",
            "a holds /w/.claude",
            "",
            ""},
           {"denied also for reading",
            {pod("a", "", {write_rule("/w")}, {read_rule("/w/secret")})},
            "/w/secret",
            "a denies /w by /w/secret blindly",
            "",
            ""},
           {"a deny travelled to the child",
            {pod("a", "", {write_rule("/w")}, {write_rule("/w/x/.git")}),
             pod("b", "a", {write_rule("/w/x")}, {write_rule("/w/x/.git")})},
            "/w/x/.git",
            "b denies /w/x by /w/x/.git; a denies /w by /w/x/.git",
            "a /w, b /w/x",
            ""},
           {"lent away to one that denies: nobody, not the lender",
            {pod("a", "", {write_rule("/w")}),
             pod("b", "a", {write_rule("/w/x")}, {write_rule("/w/x/.git")})},
            "/w/x/.git",
            "b denies /w/x by /w/x/.git; a lent /w to b",
            "a /w, b /w/x",
            ""},
           {"one's deny is another one's place",
            {pod("a", "", {write_rule("/w")}, {write_rule("/w/x")}), pod("z", "", {write_rule("/w/x")})},
            "/w/x",
            "z holds /w/x",
            "a /w",
            ""},
           {"two that deny it side by side",
            {pod("a", "", {write_rule("/w")}, {write_rule("/w/x")}),
             pod("z", "", {write_rule("/w/x")}, {write_rule("/w/x/y")})},
            "/w/x/y",
            "a denies /w by /w/x; z denies /w/x by /w/x/y",
            "a /w, z /w/x",
            ""},
           {"non-recursive: the directory and its children",
            {pod("a", "", {write_rule("/w", false)})},
            "/w/f",
            "a holds /w",
            "",
            ""},
           {"non-recursive: not deeper", {pod("a", "", {write_rule("/w", false)})}, "/w/d/f", "", "", ""},
           {"the most specific rule is named",
            {pod("a", "", {write_rule("/w"), write_rule("/w/x"), read_rule("/w/x/y")})},
            "/w/x/y",
            "a holds /w/x",
            "",
            ""},
           {"the writer's own parts are told only beyond its rule",
            {pod("a", "", {write_rule("/w", false), write_rule("/w/d"), write_rule("/w/d/e")})},
            "/w",
            "a holds /w",
            "",
            "/w/d/e a"},
           {"a part belongs to the deepest of equals",
            {pod("a", "", {write_rule("/w/x")}), pod("b", "a", {write_rule("/w/x")})},
            "/w",
            "",
            "",
            "/w/x b"},
           {"a part that is denied to its holder is nobody's",
            {pod("a", "", {write_rule("/w/x")}, {write_rule("/w/x")})},
            "/w",
            "",
            "",
            ""},
           {"a parent that is not there",
            {pod("b", "nobody", {write_rule("/w")})},
            "/w",
            "b holds /w",
            "",
            ""},
           {"parents in a circle end",
            {pod("a", "b", {read_rule("/r")}), pod("b", "a", {write_rule("/w")}),
             pod("c", "b", {write_rule("/w/c")})},
            "/w/c",
            "c holds /w/c; b lent /w to c; a has none blindly",
            "b /w",
            ""}}) {
    auto report = report_on(rows, path);
    EXPECT_EQ(line(report), expected_line) << about;
    EXPECT_EQ(readers(report), expected_readers) << about;
    EXPECT_EQ(parts(report), expected_parts) << about;
  }
}

TEST(ScopeReportText, ReadsWell) {
  EXPECT_EQ(scope_report_text(scope_report(family(), "/link", "/code/app/src"), 185'000, 0),
            "/link leads to /code/app/src\n"
            "/code/app/src is written by `kid-a` (task: task of kid-a), for 3 min 4 s\n"
            "  kid-a  write:/code/app/src  pid 4700  holds it\n"
            "  root   write:/code/app      pid 4700  lent it to kid-a\n"
            "  read by: reviewer (read:/code/app)\n");
  EXPECT_EQ(scope_report_text(report_on(family(), "/code"), 185'000, 0),
            "/code is free: nobody holds it\n"
            "  written by others below it:\n"
            "    /code/app      root\n"
            "    /code/app/src  kid-a\n");
  EXPECT_EQ(
      scope_report_text(report_on({pod("a", "", {write_rule("/w")}, {read_rule("/w/x")})}, "/w/x"), 2'000, 0),
      "/w/x is written by nobody: `a` denies it (read:/w/x)\n"
      "  a  write:/w  pid 4700  denies it: read:/w/x\n");
  EXPECT_EQ(scope_report_text(report_on({pod("a", "", {write_rule("/w")}),
                                         reserved(pod("b", "a", {write_rule("/w/x", false)}))},
                                        "/w/x"),
                              2'000, 0),
            "/w/x is held for `b`, which is starting (task: task of b), for 1.0 s\n"
            "  b  write:/w/x [non-recursive]  starting  holds it\n"
            "  a  write:/w                    pid 4700  lent it to b\n");
}

TEST(ScopeReportText, FitsTheTerminal) {
  std::string deep = "/code";
  for (int i = 0; i < 20; ++i) deep += "/directory-" + std::to_string(i);
  std::vector<Allocation> rows = {pod("boss", "", {write_rule("/code")}),
                                  pod("kid", "boss", {write_rule(deep)})};
  rows[1].task = std::string(300, 't');
  for (int i = 0; i < 60; ++i) rows.push_back(pod("reader-" + std::to_string(i), "", {read_rule(deep)}));
  for (int i = 0; i < 30; ++i) {
    rows.push_back(
        pod("part-" + std::to_string(i), "kid", {write_rule(deep + "/p" + std::to_string(100 + i))}));
  }
  auto report = report_on(rows, deep);
  ASSERT_EQ(report.parts.size(), 30u);
  std::string shown = scope_report_text(report, 2'000, 80);
  auto lines = text::split(text::trim(shown), '\n');
  EXPECT_TRUE(lines[0].starts_with(deep + " is written by `kid` (task: ttt")) << "the path stays whole";
  for (size_t i = 1; i < lines.size(); ++i) EXPECT_LE(text::length(lines[i]), 80u) << lines[i];
  EXPECT_NE(shown.find("… and 40 more"), std::string::npos) << shown;
  EXPECT_NE(shown.find("… and 10 more"), std::string::npos) << shown;
  EXPECT_NE(shown.find("/p119"), std::string::npos) << "the end of a path is what tells it from others";
}

TEST(ScopeReportText, NothingInItReachesTheTerminalAsAnEscapeSequence) {
  std::string path = "/w/\x1b]0;owned\x07/\xff\n";
  auto rows = std::vector<Allocation>{pod("a", "", {write_rule(path)}, {write_rule(path + "/d")}),
                                      pod("b", "a", {write_rule(path + "/c\x1b[2J")}),
                                      pod("r", "", {read_rule(path)})};
  rows[0].task = "do\x1b[31m\nit";
  for (std::string const& asked : {std::string("/w"), path, path + "/d"}) {
    for (size_t width : {0, 40}) {
      std::string shown = scope_report_text(report_on(rows, asked), 2'000, width);
      EXPECT_EQ(shown.find_first_of("\x1b\x07\xff"), std::string::npos) << asked;
      EXPECT_TRUE(text::is_utf8(shown));
    }
    EXPECT_TRUE(json::parse(scope_report_json(report_on(rows, asked)))) << asked;
  }
}

TEST(ScopeReportJson, SaysWhatIsDocumented) {
  auto parsed = json::parse(scope_report_json(scope_report(family(), "/link", "/code/app/src")));
  ASSERT_TRUE(parsed);
  auto expected = json::parse(R"({
    "path": "/code/app/src", "asked": "/link", "state": "written", "writer": "kid-a",
    "holders": [
      {"pod_name": "kid-a", "pod_id": "kid-a-id", "state": "live", "pid": 4700, "since_ms": 1000, "task": "task of kid-a",
       "standing": "holds", "rule": {"target": "/code/app/src", "permission": "write", "recursive": true},
       "lent_to": null, "denied_by": null, "may_read": true},
      {"pod_name": "root", "pod_id": "root-id", "state": "live", "pid": 4700, "since_ms": 1000, "task": "task of root",
       "standing": "lent", "rule": {"target": "/code/app", "permission": "write", "recursive": true},
       "lent_to": "kid-a", "denied_by": null, "may_read": true}],
    "readers": [
      {"pod_name": "reviewer", "pod_id": "reviewer-id", "state": "live",
       "rule": {"target": "/code/app", "permission": "read", "recursive": true}},
      {"pod_name": "root", "pod_id": "root-id", "state": "live",
       "rule": {"target": "/code/app", "permission": "write", "recursive": true}}],
    "parts": [], "readers_total": 2, "parts_total": 0})");
  EXPECT_EQ(*parsed, *expected);

  auto free = json::parse(scope_report_json(report_on(family(), "/code")));
  EXPECT_EQ(free->at("state").as_string(), "free");
  EXPECT_TRUE(free->at("writer").is_null());
  EXPECT_EQ(free->at("parts").at(1).at("path").as_string(), "/code/app/src");
  auto denied = json::parse(
      scope_report_json(report_on({pod("a", "", {write_rule("/w")}, {write_rule("/w/x")})}, "/w/x")));
  EXPECT_EQ(denied->at("state").as_string(), "denied");
  EXPECT_EQ(denied->at("holders").at(0).at("denied_by").at("target").as_string(), "/w/x");
}

}  // namespace
}  // namespace insomnia::cli
