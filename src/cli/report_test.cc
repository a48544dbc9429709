#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/io.hh"
#include "base/json.hh"
#include "base/paths.hh"
#include "cli/doctor.hh"
#include "cli/exit_code.hh"
#include "cli/line_input.hh"
#include "cli/live_pods.hh"
#include "cli/output.hh"
#include "cli/ps.hh"
#include "cli/read.hh"
#include "cli/table.hh"
#include "cli/version.hh"
#include "pod/store.hh"
#include "registry/liveness.hh"
#include "wire/log_entry.hh"

namespace insomnia::cli {
namespace {

TEST(Table, ColumnsAreAlignedAndTheLastIsCut) {
  EXPECT_EQ(format_table({"NAME", "TASK"}, {{"a", "short"}, {"longer", "0123456789ABCDEF"}, {"é", ""}}, 20),
            "NAME    TASK\na       short\nlonger  0123456789A…\né\n");
  EXPECT_EQ(format_table({"N", "T"}, {{"a", std::string(30, 'x')}}, 0),
            "N  T\na  " + std::string(30, 'x') + "\n");
}

TEST(Numbers, AreShort) {
  EXPECT_EQ(short_number(999), "999");
  EXPECT_EQ(short_number(12'345), "12.3k");
  EXPECT_EQ(short_number(999'999), "1.0M");
  EXPECT_EQ(short_duration(420), "0.4 s");
  EXPECT_EQ(short_duration(184'000), "3 min 4 s");
  EXPECT_EQ(short_duration(7'500'000), "2 h 5 min");
  EXPECT_EQ(short_duration(273'600'000), "3 d 4 h");
}

TEST(Output, SafeLinesHaveNoControls) {
  EXPECT_EQ(safe_line("a\nb\x1b[2J\xc2\x9b", 0).find('\x1b'), std::string::npos);
  EXPECT_EQ(safe_line("abcdef", 4), "abc…");
}

TEST(Output, PathsAreWholeAndWhatMisleadsIsEscaped) {
  for (char const* plain : {"/", "/w/with blank", "/w/ümlaut/日本", "/w/\"quoted\"", "/w/back\\slash"})
    EXPECT_EQ(safe_path(plain), plain);
  for (auto const& [path, shown] :
       std::vector<std::pair<std::string, std::string>>{{"/w/a\nb", R"("/w/a\nb")"},
                                                        {"/w/a\x1b[2J", R"("/w/a\x1b[2J")"},
                                                        {"/w/a\xff", R"("/w/a\xff")"},
                                                        {"/w/a\xe2\x80", R"("/w/a\xe2\x80")"},
                                                        {"/w/a\xc2\x9b", R"("/w/a\u{9b}")"},
                                                        {"/w/\xe2\x80\xaetxt", R"("/w/\u{202e}txt")"},
                                                        {"/w/end ", R"("/w/end ")"},
                                                        {"/w/\"\\\t", R"("/w/\"\\\t")"}}) {
    EXPECT_EQ(safe_path(path), shown);
  }
}

TEST(Output, LongTextsLoseTheirMiddle) {
  EXPECT_EQ(cut_middle("0123456789", 0), "0123456789");
  EXPECT_EQ(cut_middle("0123456789", 10), "0123456789");
  EXPECT_EQ(cut_middle("0123456789", 7), "01…6789");
  EXPECT_EQ(cut_middle("äöüäöüäöüß", 7), "äö…äöüß");
  EXPECT_EQ(cut_middle("0123456789", 1), "…");
}

TEST(Output, AClosedPipeIsToldOnce) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd writer(ends[0]);
  ::close(ends[1]);
  auto old = ::signal(SIGPIPE, SIG_IGN);
  Output output(writer.get());
  EXPECT_FALSE(output.write("x"));
  EXPECT_TRUE(output.closed());
  EXPECT_FALSE(output.write("y"));
  ::signal(SIGPIPE, old);
}

PodRow row(std::string name, std::string parent = "") {
  registry::Allocation allocation;
  allocation.pod_id = "id-" + name;
  allocation.pod_name = std::move(name);
  allocation.delegated_from = parent.empty() ? "" : "id-" + parent;
  allocation.pid = 42;
  allocation.since_ms = 1'000;
  allocation.task = "Do\nit";
  allocation.scope_allow = {{"/w", scope::Permission::Write, true}};
  return {.row = std::move(allocation), .state = "idle", .isolation = "cell"};
}

TEST(Ps, TheTreeShowsChildrenBelowTheirParents) {
  auto rows =
      order_rows({row("z"), row("kid", "z"), row("a"), row("grandkid", "kid"), row("orphan", "gone")}, true);
  EXPECT_EQ(pod_table(rows, 3'000, 0),
            "NAME          STATE  PID  SINCE  ISOLATION  SCOPE     TASK\n"
            "a             idle   42   2.0 s  cell       write:/w  Do it\n"
            "orphan        idle   42   2.0 s  cell       write:/w  Do it\n"
            "z             idle   42   2.0 s  cell       write:/w  Do it\n"
            "  kid         idle   42   2.0 s  cell       write:/w  Do it\n"
            "    grandkid  idle   42   2.0 s  cell       write:/w  Do it\n");
}

pod::StoredPod stored(std::string name, std::string parent = "") {
  pod::StoredPod result;
  result.pod_id = "id-" + name;
  result.pod_name = std::move(name);
  if (!parent.empty()) result.parent_pod_id = "id-" + parent;
  result.parent_pod_name = parent;
  result.state = pod::StoredState::Restorable;
  result.task = "Rest";
  result.scope.allow = {{"/s", scope::Permission::Read, true}};
  result.session_id = "s";
  result.segment_id = "g";
  result.last_active_ms = 2'000;
  return result;
}

TEST(Ps, StoredPodsStandBelowTheirParentsLiveOrNot) {
  auto lost = stored("lost");
  lost.state = pod::StoredState::Gone;
  lost.pod_id.clear();
  lost.task.clear();
  lost.last_active_ms = 0;
  auto rows = order_rows(with_stored({row("boss"), row("twice")},
                                     {stored("kid", "boss"), stored("grandkid", "kid"), lost, stored("twice"),
                                      stored("kid-of-lost", "lost"), stored("stray", "nobody")}),
                         true);
  EXPECT_EQ(pod_table(rows, 3'000, 0),
            "NAME           STATE       PID  SINCE  ISOLATION  SCOPE     TASK\n"
            "boss           idle        42   2.0 s  cell       write:/w  Do it\n"
            "  kid          restorable  -    1.0 s  -          read:/s   Rest\n"
            "    grandkid   restorable  -    1.0 s  -          read:/s   Rest\n"
            "lost           gone        -    -      -          -\n"
            "  kid-of-lost  restorable  -    1.0 s  -          read:/s   Rest\n"
            "stray          restorable  -    1.0 s  -          read:/s   Rest\n"
            "twice          idle        42   2.0 s  cell       write:/w  Do it\n");
}

TEST(Ps, CirclesOfParentsLoseNobody) {
  auto self = stored("self", "self");
  auto rows =
      order_rows(with_stored({}, {stored("a", "b"), stored("b", "a"), self, stored("below", "a")}), true);
  std::vector<std::string> names;
  for (auto const& each : rows) names.push_back(each.row.pod_name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "below", "self"}));
}

TEST(Ps, JsonOfAStoredPodHasStateAndReason) {
  auto keyless = stored("kid", "gone-parent");
  keyless.state = pod::StoredState::NeedsKey;
  keyless.reason = "no API key";
  auto parsed = json::parse(pod_list_json(with_stored({row("live")}, {keyless, stored("well")})));
  ASSERT_TRUE(parsed.has_value());
  auto const& list = parsed->as_array();
  ASSERT_EQ(list.size(), 3u);
  EXPECT_FALSE(list[0].as_object().contains("reason")) << "a live Pod";
  EXPECT_EQ(list[1].at("state").as_string(), "needs key");
  EXPECT_EQ(list[1].at("reason").as_string(), "no API key");
  EXPECT_EQ(list[1].at("parent").as_string(), "gone-parent");
  EXPECT_EQ(list[1].at("segment_id").as_string(), "g");
  EXPECT_EQ(list[1].at("last_active_ms").as_int64(), 2'000);
  for (char const* key : {"pid", "instance_id", "since_ms", "socket"})
    EXPECT_TRUE(list[1].at(key).is_null()) << key;
  EXPECT_EQ(list[2].at("state").as_string(), "restorable");
  EXPECT_TRUE(list[2].at("reason").is_null());
}

TEST(Ps, APodThatLivesWithoutARowIsNotTakenForAStoredOne) {
  char name[] = "/tmp/insomnia-pods-XXXXXX";
  std::string root = ::mkdtemp(name);
  Environment environment;
  environment.set("INSOMNIA_HOME", root);
  Paths paths = Paths::resolve(environment);
  pod::PodState state;
  state.pod_name = "lost";
  state.pod_id = "lost-id";
  ASSERT_TRUE(pod::write_pod_state(paths, state));
  auto shown = [&] {
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(list_pods({.all = true, .json = true}, environment), kFinished);
    auto parsed = json::parse(::testing::internal::GetCapturedStdout());
    return parsed ? std::string(parsed->at(0).at("state").as_string()) : "no JSON";
  };
  EXPECT_EQ(shown(), "gone");
  {
    auto lock = registry::InstanceLock::acquire(paths.pod_dir("lost") + "/lock", "instance");
    ASSERT_TRUE(lock);
    EXPECT_EQ(shown(), "unregistered");
  }
  EXPECT_EQ(shown(), "gone");
  (void)io::remove_tree(root);
}

TEST(Ps, JsonNamesTheParent) {
  auto parsed = json::parse(pod_list_json(order_rows({row("z"), row("kid", "z")}, false)));
  ASSERT_TRUE(parsed.has_value());
  auto const& list = parsed->as_array();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].at("pod_name").as_string(), "kid");
  EXPECT_EQ(list[0].at("parent").as_string(), "z");
  EXPECT_TRUE(list[1].at("parent").is_null());
  EXPECT_EQ(list[0].at("scope").at("allow").at(0).at("permission").as_string(), "write");
}

TEST(LivePods, DescendantsComeDeepestFirst) {
  std::vector<registry::Allocation> rows;
  for (auto const& each : {row("z"), row("kid", "z"), row("grandkid", "kid"), row("other")})
    rows.push_back(each.row);
  auto below = descendants(rows, "id-z");
  ASSERT_EQ(below.size(), 2u);
  EXPECT_EQ(below[0].pod_name, "grandkid");
  EXPECT_EQ(below[1].pod_name, "kid");
}

TEST(LivePods, AnUnknownPodIsNamedWithTheWayOut) {
  char name[] = "/tmp/insomnia-pods-XXXXXX";
  std::string root = ::mkdtemp(name);
  Environment environment;
  environment.set("INSOMNIA_HOME", root);
  Paths paths = Paths::resolve(environment);
  auto missing = find_live_pod(paths, "ghost");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, Code::NotFound);
  EXPECT_NE(missing.error().message.find("`ghost`"), std::string::npos);
  EXPECT_NE(missing.error().message.find("none is"), std::string::npos);
  EXPECT_EQ(find_live_pod(paths, "../x").error().code, Code::InvalidArgument);
  EXPECT_EQ(stored_session(paths, "ghost").error().code, Code::NotFound);
  EXPECT_FALSE(io::exists(paths.runtime_dir)) << "looking makes nothing";
  (void)io::remove_tree(root);
}

TEST(Read, TheModelsTextsAreFoundAlsoInCompactedHistory) {
  auto line = [](wire::LogRecord record) { return wire::encode_log_entry({1, std::move(record)}); };
  wire::SegmentStart start{.session_id = "s"};
  start.history = {wire::user_message("q"), wire::assistant_message("old")};
  EXPECT_EQ(assistant_texts({line(start), line(wire::UserInput{wire::text_segments("no"), {}}), "junk",
                             line(wire::AssistantItem{wire::assistant_message("new")}),
                             line(wire::AssistantItem{wire::assistant_message(" \n")}),
                             line(wire::AssistantItem{wire::ToolCall{"1", "Read", "{}"}})}),
            (std::vector<std::string>{"old", "new"}));
}

TEST(Doctor, SocketPathsAreMeasured) {
  EXPECT_EQ(socket_path_finding("/run/user/1000/insomnia").grade, Finding::Grade::Good);
  EXPECT_EQ(socket_path_finding("/" + std::string(37, 'x')).grade, Finding::Grade::Warning);
  EXPECT_EQ(socket_path_finding("/" + std::string(99, 'x')).grade, Finding::Grade::Bad);
  EXPECT_EQ(socket_path_finding("/" + std::string(300, 'x')).grade, Finding::Grade::Bad);
}

TEST(Doctor, LooksAtThisSystemWithoutTouchingIt) {
  char name[] = "/tmp/insomnia-doctor-XXXXXX";
  std::string root = ::mkdtemp(name);
  Environment environment;
  environment.set("INSOMNIA_HOME", root + "/home");
  environment.set("ANTHROPIC_API_KEY", "sk-very-secret");
  std::vector<Finding> all;
  for (auto const& part :
       {kernel_findings(), library_findings(), directory_findings(environment), key_findings(environment)}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  std::string const text = findings_text(all, false) + findings_json(all);
  EXPECT_EQ(text.find("sk-very-secret"), std::string::npos) << "names of keys, never values";
  for (char const* subject : {"kernel", "cell", "Landlock", "libcurl", "SQLite", "runtime",
                              "socket path", "ANTHROPIC_API_KEY"}) {
    EXPECT_NE(text.find(subject), std::string::npos) << subject;
  }
  EXPECT_FALSE(io::exists(root + "/home"));
  (void)io::remove_tree(root);

  environment.unset("INSOMNIA_HOME");
  auto lost = directory_findings(environment);
  EXPECT_EQ(lost[1].grade, Finding::Grade::Bad);
  EXPECT_NE(lost[1].advice.find("INSOMNIA_DATA_DIR"), std::string::npos);
}

TEST(Version, ComesFromTheBuild) {
  EXPECT_FALSE(version().empty());
}

TEST(LineInput, PipesAndFilesGiveTheSameLines) {
  SystemClock clock;
  loop::EventLoop loop(clock);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd reader(ends[0]), writer(ends[1]);
  ASSERT_TRUE(io::write_all(writer.get(), "one\ntwo\nthree", "pipe"));
  writer.reset();
  UniqueFd file(::memfd_create("lines", MFD_CLOEXEC));
  ASSERT_TRUE(io::write_all(file.get(), "one\ntwo\nthree", "file"));
  ::lseek(file.get(), 0, SEEK_SET);
  for (int fd : {reader.get(), file.get()}) {
    std::vector<std::string> lines;
    LineInput input(loop, fd,
                    {.on_line = [&](std::string line) { lines.push_back(std::move(line)); },
                     .on_end = [&] { loop.stop(); }});
    loop.run();
    EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "three"}));
  }
}

}  // namespace
}  // namespace insomnia::cli
