#include "cli/render.hh"

#include <gtest/gtest.h>

#include "cli/tool_label.hh"

namespace insomnia::cli {
namespace {

client::PodOrigin const kRoot{"site", 0};
client::PodOrigin const kKid{"fix-parser", 1};
client::PodOrigin const kGrandkid{"lexer", 2};

struct Screen {
  explicit Screen(RenderOptions options = {.cwd = "/w"}) : renderer(std::move(options)) {}
  Screen& on(client::PodOrigin const& origin, wire::EventBody body) {
    text += renderer.event(origin, {.body = std::move(body)});
    return *this;
  }
  std::string end() { return text += renderer.finish(); }
  Renderer renderer;
  std::string text;
};

wire::ToolCallDoneEvent read_call(std::string id, std::string const& path) {
  return {std::move(id), "Read", R"({"file_path":")" + path + "\"}"};
}

std::string log_line(wire::LogRecord record) {
  return wire::encode_log_entry({1, std::move(record)});
}

TEST(Renderer, TheRootsTextStreamsAsItComes) {
  Screen screen;
  EXPECT_EQ(screen.renderer.event(kRoot, {.body = wire::TextDeltaEvent{"\n\nHel"}}), "Hel");
  EXPECT_EQ(screen.renderer.event(kRoot, {.body = wire::TextDeltaEvent{"lo\n"}}), "lo\n");
  EXPECT_EQ(screen.renderer.event(kRoot, {.body = wire::TextDeltaEvent{"there"}}), "there");
  EXPECT_EQ(screen.renderer.event(kRoot, {.body = wire::TextDoneEvent{"\n\nHello\nthere"}}), "\n");
}

TEST(Renderer, ATextThatDidNotStreamIsShownWhenItIsDone) {
  Screen screen;
  screen.on(kRoot, wire::TextDoneEvent{"All done."}).on(kKid, wire::TextDoneEvent{"Mine\ntoo."});
  EXPECT_EQ(screen.end(), "All done.\n  [fix-parser] Mine\n  [fix-parser] too.\n");
}

TEST(Renderer, AToolCallIsOneLineAndItsResultAnother) {
  Screen screen;
  screen.on(kRoot, wire::ToolCallStartEvent{"1", "Read"})
      .on(kRoot, read_call("1", "/w/src/a.cc"))
      .on(kRoot, wire::ToolResultEvent{"1", "Read 12 lines", "…", false});
  EXPECT_EQ(screen.end(), "● Read src/a.cc\n  ⎿ Read 12 lines\n");
}

TEST(Renderer, AQuestionIsShownOnceAndSoIsItsEnd) {
  Screen screen;
  wire::PermissionRequest request{.ask = "1", .pod_name = "fix-parser", .tool = "Bash", .arguments = R"({"command":"git push"})", .reasons = {"rule 1"}};
  screen.on(kKid, wire::PermissionRequestEvent{request})
      .on(kRoot, wire::PermissionRequestEvent{request})
      .on(kRoot, wire::PermissionClosedEvent{{"1", false, "deadline"}})
      .on(kKid, wire::PermissionClosedEvent{{"1", false, "deadline"}});
  request.ask = "2";
  screen.on(kRoot, wire::PermissionRequestEvent{request}).on(kRoot, wire::PermissionClosedEvent{{"2", true, "client"}});
  EXPECT_EQ(screen.end(),
            "  [fix-parser] ? Bash git push waits for a permission (rule 1)\n"
            "  Bash git push: not allowed: nobody answered in time\n"
            "? fix-parser: Bash git push waits for a permission (rule 1)\n"
            "  Bash git push: allowed\n");
}

TEST(Renderer, AResultThatDoesNotFollowItsCallSaysWhoseItIs) {
  Screen screen;
  screen.on(kRoot, read_call("1", "/w/a"))
      .on(kRoot, read_call("2", "/w/b"))
      .on(kRoot, wire::ToolResultEvent{"1", "one", {}, false})
      .on(kRoot, wire::ToolResultEvent{"2", "two", {}, false});
  EXPECT_EQ(screen.end(), "● Read a\n● Read b\n  ⎿ Read a: one\n  ⎿ Read b: two\n");
}

TEST(Renderer, ErrorsOfToolsShowTheirFirstLines) {
  Screen screen;
  screen.on(kRoot, wire::ToolCallDoneEvent{"1", "Bash", R"({"command":"make"})"})
      .on(kRoot, wire::ToolResultEvent{"1", "exit code 2", "a\n\nb\nc\nd\ne\nf\n", true});
  EXPECT_EQ(screen.end(), "● Bash make\n  ⎿ exit code 2\n    a\n    b\n    c\n    d\n    e\n    …\n");
}

TEST(Renderer, ChildrenAreIndentedByDepthWithTheirName) {
  Screen screen;
  wire::ChildInfo kid{.pod_name = "fix-parser",
                      .pod_id = "k",
                      .state = "starting",
                      .profile = "builtin:default",
                      .scope = {{"/w/src", scope::Permission::Write, true}}};
  screen.on(kRoot, wire::ChildEvent{kid});
  kid.state = "running";
  screen.on(kRoot, wire::ChildEvent{kid})
      .on(kKid, wire::UserMessageEvent{wire::text_segments("Fix the parser\nplease")})
      .on(kKid, read_call("1", "/w/src/p.cc"))
      .on(kKid, wire::ToolResultEvent{"1", "Read 3 lines", {}, false})
      .on(kGrandkid, wire::TextDeltaEvent{"deep\nand unfini"});
  kid.state = "stopped";
  screen.on(kGrandkid, wire::TextDeltaEvent{"shed"})
      .on(kGrandkid, wire::TextDoneEvent{"…"})
      .on(kRoot, wire::ChildEvent{kid});
  EXPECT_EQ(screen.end(),
            "  [fix-parser] + started, write:/w/src, profile builtin:default\n"
            "  [fix-parser] > Fix the parser please\n"
            "  [fix-parser] ● Read src/p.cc\n"
            "  [fix-parser]   ⎿ Read 3 lines\n"
            "    [lexer] deep\n"
            "    [lexer] and unfinished\n"
            "  [fix-parser] - ended\n");
  EXPECT_EQ(screen.renderer.totals().children, 1u);
}

TEST(Renderer, ChildrenWaitForTheEndOfTheRootsLineButNotForEver) {
  Screen screen;
  screen.on(kRoot, wire::TextDeltaEvent{"I am "})
      .on(kKid, wire::TextDoneEvent{"quick"})
      .on(kRoot, wire::TextDeltaEvent{"slow.\nMore"});
  EXPECT_EQ(screen.text, "I am slow.\n  [fix-parser] quick\nMore");

  Screen stuck;
  stuck.on(kRoot, wire::TextDeltaEvent{"thinking"});
  for (size_t i = 0; i < Renderer::kMaxDeferred; ++i) stuck.on(kKid, wire::TextDoneEvent{"x"});
  EXPECT_EQ(stuck.text, "thinking");
  stuck.on(kKid, wire::TextDoneEvent{"last"});
  EXPECT_EQ(stuck.text.substr(0, 26), "thinking\n  [fix-parser] x\n");
  EXPECT_TRUE(stuck.text.ends_with("  [fix-parser] last\n"));
}

TEST(Renderer, WhatHappenedToTheModelCallIsSaid) {
  Screen screen;
  screen.on(kRoot, wire::LlmRetryEvent{0, 1, 5, 1'500, 0, 503, "overloaded"})
      .on(kRoot, wire::LlmContinuationEvent{0, 1, 3, "connection reset"})
      .on(kRoot, wire::ErrorEvent{"provider_error", "HTTP 401"})
      .on(kRoot, wire::AlertEvent{"warn", "compactor", "nearly full", 1})
      .on(kRoot, wire::RunEndEvent{"limit_reached"})
      .on(kRoot, wire::RunEndEvent{"finished"});
  EXPECT_EQ(screen.end(),
            "↻ the model call failed (HTTP 503: overloaded), attempt 2 of 5 in 1.5 s\n"
            "↻ the answer broke off (connection reset), continuing (1 of 3)\n"
            "✗ provider_error: HTTP 401\n"
            "! nearly full (compactor)\n"
            "■ run stopped at its turn limit\n");
}

TEST(Renderer, WhatChildrenReportIsShown) {
  Screen screen;
  wire::SystemItem item{
      .kind = "pod_event", .body = "…", .event = wire::TurnEnded{"fix-parser", "Done.\nAll green.", 0}};
  screen.on(kRoot, wire::SystemItemEvent{wire::encode_system_item(item)});
  EXPECT_TRUE(screen.text.starts_with("◂ ")) << screen.text;
  EXPECT_NE(screen.text.find("fix-parser"), std::string::npos);
  EXPECT_EQ(std::count(screen.text.begin(), screen.text.end(), '\n'), 1);
}

TEST(Renderer, NothingThatAModelSaysReachesTheTerminalAsAnEscape) {
  Screen screen({.colour = false, .cwd = "/w"});
  std::string const evil =
      "a\x1b]0;pwned\x07"
      "b\xc2\x9b"
      "2J\r";
  screen.on(kRoot, wire::TextDeltaEvent{evil})
      .on(kKid, wire::TextDoneEvent{evil})
      .on({"kid\x1b[2J", 1}, wire::TextDoneEvent{"x"})
      .on(kRoot, wire::ToolCallDoneEvent{"1", "Bash", R"({"command":"echo \u001b[2J"})"})
      .on(kRoot, wire::ToolResultEvent{"1", evil, evil, true})
      .on(kRoot, wire::ErrorEvent{"internal", evil})
      .on(kRoot, wire::UserMessageEvent{wire::text_segments(evil)});
  std::string const text = screen.end();
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
  EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos);
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

TEST(Renderer, ColoursOnlyWhenAskedFor) {
  Screen screen({.colour = true});
  screen.on(kRoot, wire::ErrorEvent{"internal", "no"});
  EXPECT_EQ(screen.text, "\x1b[31m✗ internal: no\x1b[0m\n");
}

TEST(Renderer, ToolLinesAreCutToTheWidthAndTextIsNot) {
  Screen screen({.width = 30});
  screen.on(kRoot, wire::ToolCallDoneEvent{"1", "Bash", R"({"command":")" + std::string(100, 'x') + "\"}"})
      .on(kRoot, wire::TextDoneEvent{std::string(100, 'y')});
  std::string const text = screen.end();
  EXPECT_NE(text.find("…\n"), std::string::npos);
  EXPECT_LT(text.find('\n'), 40u);
  EXPECT_NE(text.find(std::string(100, 'y')), std::string::npos);
}

TEST(Renderer, ASnapshotShowsTheSessionSoFarAndWhatIsInFlight) {
  wire::SnapshotEvent snapshot;
  snapshot.entries = {log_line(wire::SegmentStart{.session_id = "s"}),
                      log_line(wire::Invoke{"user_send"}),
                      log_line(wire::UserInput{wire::text_segments("hi"), {}}),
                      "{damaged",
                      log_line(wire::AssistantItem{wire::ToolCall{"1", "Read", R"({"file_path":"/w/a"})"}}),
                      log_line(wire::ToolResultRecord{{"1", "Read 1 line", "x", false}}),
                      log_line(wire::AssistantItem{wire::assistant_message("Seen.")}),
                      log_line(wire::RunErrored{true, "cut", {}})};
  snapshot.in_flight =
      wire::InFlight{.text = "and n", .tool_calls = {{"2", "Read", R"({"file_path":"/w/b"})"}}};
  Screen screen;
  screen.on(kRoot, snapshot);
  EXPECT_EQ(screen.text, "> hi\n● Read a\n  ⎿ Read 1 line\nSeen.\n✗ cut\nand n\n● Read b\n");

  Screen brief({.cwd = "/w", .history_limit = 2});
  snapshot.in_flight.reset();
  brief.on(kRoot, snapshot);
  EXPECT_EQ(brief.text, "… 6 earlier entries\nSeen.\n✗ cut\n");

  Screen fresh({.cwd = "/w", .root_history = false});
  fresh.on(kRoot, snapshot);
  EXPECT_EQ(fresh.text, "");
  fresh.on(kRoot, snapshot);
  EXPECT_NE(fresh.text.find("connected again"), std::string::npos);
}

TEST(Renderer, TheUsersOwnTaskIsNotEchoedWhenNotWanted) {
  Screen screen({.echo_input = false});
  screen.on(kRoot, wire::UserMessageEvent{wire::text_segments("go")})
      .on(kKid, wire::UserMessageEvent{wire::text_segments("task")});
  EXPECT_EQ(screen.text, "  [fix-parser] > task\n");
}

TEST(Renderer, TotalsCountAllPodsAndWhatAChildDidBeforeWeReachedIt) {
  Screen screen;
  wire::ChildInfo kid{.pod_name = "fix-parser", .pod_id = "k", .state = "running"};
  wire::SnapshotEvent seen;
  seen.entries = {log_line(wire::LlmUsage{1, 1'000, 400, 0, 50})};
  screen.on(kRoot, seen)
      .on(kRoot, wire::ChildEvent{kid})
      .on(kKid, seen)
      .on(kKid, wire::LlmCallStartEvent{1})
      .on(kKid, wire::UsageEvent{500, 20, std::nullopt})
      .on(kRoot, wire::LlmCallStartEvent{0})
      .on(kRoot, wire::UsageEvent{12'000, 100, 9'000});
  EXPECT_EQ(screen.renderer.totals(), (RunTotals{13'500, 9'400, 170, 3, 1}));
  EXPECT_EQ(screen.renderer.summary(12'340),
            "13.5k tokens in (9.4k cached), 170 out · 3 calls · 1 child · 12.3 s");
}

TEST(ToolLabel, ShowsWhatMatters) {
  struct Case {
    char const *tool, *arguments, *label;
  };
  for (auto const& [tool, arguments, label] :
       {Case{"Read", R"({"file_path":"/w/src/a.cc","limit":3})", "Read src/a.cc"},
        Case{"Write", R"({"file_path":"/elsewhere/a","content":"…"})", "Write /elsewhere/a"},
        Case{"Read", R"({"file_path":"/wide/a"})", "Read /wide/a"},
        Case{"Grep", R"({"pattern":"x+","path":"/w/src"})", "Grep x+ in src"},
        Case{"Glob", R"({"pattern":"**/*.cc"})", "Glob **/*.cc"},
        Case{"Bash", R"({"command":"make\n  all"})", "Bash make   all"},
        Case{"SpawnPod", R"({"name":"kid","task":"Do it","scope":[]})", "SpawnPod kid: Do it"},
        Case{"TaskUpdate", R"({"taskid":3,"status":"completed"})", "TaskUpdate 3 completed"},
        Case{"Unheard", R"({"a":1})", R"(Unheard {"a":1})"}, Case{"TaskList", "{}", "TaskList"},
        Case{"Read", "not json", "Read"}}) {
    EXPECT_EQ(tool_label(tool, arguments, "/w"), label);
  }
}

}  // namespace
}  // namespace insomnia::cli
