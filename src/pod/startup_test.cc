#include "pod/startup.hh"

#include <algorithm>

#include "pod/fixture_test.hh"

namespace insomnia::pod {
namespace {

class Startup : public PodTest {
 protected:
  HandOver hand_over() {
    HandOver result;
    result.config.pod_name = "kid";
    result.config.model.ref = "rehearsal/x";
    result.config.scope.allow = {write_rule(work)};
    result.cwd = work;
    return result;
  }
  Result<PodState> initial(HandOver const& given, std::optional<PodState> const& stored = std::nullopt) {
    return initial_state(given, stored, Environment{}, paths, clock);
  }
  PodState stored() {
    PodState state = *initial(hand_over());
    state.pod_id = "old-id";
    state.config.worker.language = "German";
    state.parent = ParentLink{"pp", "pi", "root", "/s"};
    return state;
  }
};

// ---- The hand-over

// Case 145.
TEST_F(Startup, AdoptNeedsACallback) {
  auto result = read_hand_over({.adopt = true}, {}, paths);
  ASSERT_FALSE(result);
  EXPECT_HAS(result.error().message, "--callback");
}

TEST_F(Startup, TheHandOverComesFromTheDescriptor) {
  auto file = io::sealed_memory_file("test", encode_hand_over(hand_over()));
  ASSERT_TRUE(file);
  auto result = read_hand_over({.spawn_config_fd = file->release()}, {}, paths);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(*result, hand_over());
}

TEST_F(Startup, ErrorsNameTheOption) {
  auto result = read_hand_over({.spawn_config_json = "{"}, {}, paths);
  ASSERT_FALSE(result);
  EXPECT_HAS(result.error().message, "--spawn-config-json");
}

// Case 147.
TEST_F(Startup, AManifestFileGivesItsTargetsAndTheNameGivenWins) {
  std::string file = directory / "work/pod.toml";
  ASSERT_TRUE(io::replace_file(file, "[pod]\nname = \"from-file\"\n[[scope.allow]]\ntarget = \"src\"\npermission = \"write\"\n"));
  auto result = read_hand_over({.manifest_path = file}, {}, paths);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->config.pod_name, "from-file");
  EXPECT_EQ(result->config.scope.allow, std::vector{write_rule(work + "/src")}) << "relative to the file, not to the current directory";
  EXPECT_EQ(result->profile, "");
  EXPECT_EQ(read_hand_over({.name = "given", .manifest_path = file}, {}, paths)->config.pod_name, "given");
}

// P92.
TEST_F(Startup, AProfileGivesTheScopeAndTheNameGivenWins) {
  std::string file = directory / "reviewer.toml";
  ASSERT_TRUE(io::replace_file(file, "slug = \"careful\"\nscope = \"workspace_read\"\n[worker]\nmax_turns = 3\n"));
  auto result = read_hand_over({.name = "given", .profile = file, .workspace = work}, {}, paths);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->config.pod_name, "given");
  EXPECT_EQ(result->config.scope, (scope::ScopeConfig{{read_rule(work)}, {}}));
  EXPECT_EQ(result->config.worker.max_turns, 3u);
  EXPECT_EQ(result->profile, file);
  EXPECT_TRUE(manifest::resolve(result->config, true));
}

TEST_F(Startup, AProfileThatIsChosenGivesTheNameThatNobodyGives) {
  std::string file = directory / "reviewer.toml";
  ASSERT_TRUE(io::replace_file(file, "slug = \"careful\"\n"));
  EXPECT_EQ(read_hand_over({.profile = file, .workspace = work}, {}, paths)->config.pod_name, "careful");
  ASSERT_TRUE(io::replace_file(file, ""));
  EXPECT_EQ(read_hand_over({.profile = file, .workspace = work}, {}, paths)->config.pod_name, "reviewer");
}

// Case 148, 152, 153.
TEST_F(Startup, WithoutOptionsItIsTheDefaultProfileOnTheCurrentDirectory) {
  std::string here = *io::current_directory();
  auto result = read_hand_over({}, {}, paths);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->profile, "builtin:default");
  EXPECT_EQ(result->config.pod_name, sanitize_pod_name(io::base_name(here), "workspace"));
  EXPECT_EQ(result->config.scope, (scope::ScopeConfig{{write_rule(here)}, {}}));
  EXPECT_EQ(result->cwd, here);
  EXPECT_EQ(result->workspace_root, here);
  auto elsewhere = read_hand_over({.workspace = work}, {}, paths);
  ASSERT_TRUE(elsewhere) << elsewhere.error().message;
  EXPECT_EQ(elsewhere->cwd, here);
  EXPECT_EQ(elsewhere->workspace_root, work);
  EXPECT_EQ(elsewhere->config.scope.allow, std::vector{write_rule(work)});
}

// ---- The state

TEST_F(Startup, AFreshPodHasNewIds) {
  auto state = initial(hand_over());
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(state->pod_name, "kid");
  EXPECT_FALSE(state->pod_id.empty());
  EXPECT_FALSE(state->session_id.empty());
  EXPECT_NE(state->session_id, state->segment_id);
  EXPECT_EQ(state->workspace_root, work);
  EXPECT_FALSE(state->parent);
}

// Case 142.
TEST_F(Startup, AContinuedPodKeepsWhatItIs) {
  HandOver plain = hand_over();
  plain.config.model = {};
  plain.config.worker.language = "French";
  plain.config.scope.allow = {write_rule("/")};
  auto state = initial(plain, stored());
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(state->pod_id, "old-id");
  EXPECT_EQ(state->config, stored().config) << "the stored manifest is the authority: scope and model too";
  EXPECT_FALSE(state->parent) << "it was started by a person";
}

TEST_F(Startup, AContinuedPodMayGetAnotherModel) {
  HandOver other = hand_over();
  other.config.model.ref = "rehearsal/y";
  EXPECT_EQ(initial(other, stored())->config.model.ref, "rehearsal/y");
}

TEST_F(Startup, AnAdoptedPodHasTheIdsOfItsReservation) {
  HandOver spawned = hand_over();
  spawned.pod_id = "new-id";
  spawned.parent = ParentLink{"r", "ri", "root", "/s"};
  spawned.ceilings.depth = 1;
  auto state = initial(spawned);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->pod_id, "new-id");
  EXPECT_EQ(state->parent, spawned.parent);
  EXPECT_EQ(state->ceilings, spawned.ceilings);
}

TEST_F(Startup, ANameThatIsUsedAgainBeginsAnew) {
  HandOver spawned = hand_over();
  spawned.pod_id = "new-id";
  PodState old = stored();
  old.spawned_children.resize(1);
  auto state = initial(spawned, old);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->pod_id, "new-id");
  EXPECT_NE(state->session_id, old.session_id);
  EXPECT_TRUE(state->spawned_children.empty());
  EXPECT_FALSE(state->config.worker.language);
}

TEST_F(Startup, WithoutAModelAndAKeyTheErrorNamesTheWayOut) {
  HandOver plain = hand_over();
  plain.config.model = {};
  auto state = initial(plain);
  ASSERT_FALSE(state);
  EXPECT_HAS(state.error().message, "ANTHROPIC_API_KEY");
}

TEST_F(Startup, ASessionThatWasNeverBegunIsEmpty) {
  auto session = load_session(paths, *initial(hand_over()));
  ASSERT_TRUE(session);
  EXPECT_TRUE(session->lines.empty());
}

// ---- What the history gives back

TEST_F(Startup, TasksAreReplayedFromCallsThatSucceeded) {
  auto call = [](std::string id, std::string subject) {
    return wire::ToolCall{std::move(id), "TaskCreate", R"({"subject":")" + subject + R"(","description":"d"})"};
  };
  auto result = [](std::string id, bool failed) { return wire::ToolResult{std::move(id), "s", std::nullopt, failed}; };
  auto store = replay_tasks({call("1", "done"), result("1", false), call("2", "refused"), result("2", true), call("3", "open"),
                             wire::ToolCall{"4", "Bash", "{}"}, result("4", false)});
  ASSERT_EQ(store.tasks().size(), 1u);
  EXPECT_EQ(store.tasks()[0].subject, "done");
}

TEST_F(Startup, TheLatestSightOfEachFileCounts) {
  auto observed = replay_observed({{"tools.observed", R"({"files":[{"path":"/a","sha256":"1"},{"path":"/b","sha256":"2"}]})"},
                                   {"something.else", R"({"files":[{"path":"/c","sha256":"3"}]})"},
                                   {"tools.observed", "damaged"},
                                   {"tools.observed", R"({"files":[{"path":"/a","sha256":"9"},5]})"}});
  ASSERT_EQ(observed.size(), 2u);
  EXPECT_EQ(observed[0].path, "/a");
  EXPECT_EQ(observed[0].sha256, "9");
  EXPECT_EQ(observed[1].path, "/b");
}

class LastReport : public Startup {
 protected:
  static std::string line(wire::LogRecord record, int64_t ts = 1) { return wire::encode_log_entry({ts, std::move(record)}); }
  static std::string said(std::string text) { return line(wire::AssistantItem{wire::assistant_message(std::move(text))}); }
  static std::string ended(std::string result, std::optional<uint64_t> report) { return line(wire::RunCompleted{false, std::move(result), report}); }
  static std::string begun() { return line(wire::Invoke{"user_send", true}); }
  std::optional<Mail> report(std::vector<std::string> const& lines) { return last_report(stored(), "now", lines); }
};

TEST_F(LastReport, IsSentAgainUnderItsNumber) {
  auto mail = report({begun(), said("early"), ended("finished", 3), begun(), said("one"), line(wire::TurnEndRecord{1}), said("the "),
                      said("answer"), line(wire::TurnEndRecord{2}), ended("finished", 4)});
  ASSERT_TRUE(mail);
  EXPECT_EQ(mail->seq, 4u);
  EXPECT_EQ(mail->to_pod_id, "pp");
  EXPECT_EQ(mail->from_pod_id, "old-id");
  EXPECT_EQ(mail->from_instance_id, "now");
  EXPECT_EQ(*mail->event, wire::PodEvent(wire::TurnEnded{"kid", "the answer", 0}));
}

TEST_F(LastReport, IsTheLastInTheLogAlsoWhenTheClockWasSetBack) {
  auto mail = report({line(wire::Invoke{"user_send", true}, 900), line(wire::RunCompleted{false, "finished", 3}, 901),
                      line(wire::Invoke{"user_send", true}, 7), line(wire::RunCompleted{false, "limit_reached", 4}, 8)});
  ASSERT_TRUE(mail);
  EXPECT_EQ(mail->seq, 4u);
}

TEST_F(LastReport, HasNoAnswerOfAnEarlierRun) {
  auto mail = report({begun(), said("early"), ended("finished", 3), begun(), ended("cancelled", 4)});
  ASSERT_TRUE(mail);
  EXPECT_EQ(*mail->event, wire::PodEvent(wire::Interrupted{"kid", std::nullopt, false}));
}

TEST_F(LastReport, TellsHowTheRunEnded) {
  EXPECT_EQ(*report({begun(), ended("paused", 1)})->event, wire::PodEvent(wire::Interrupted{"kid", std::nullopt, true}));
  EXPECT_EQ(*report({begun(), ended("limit_reached", 1)})->event, wire::PodEvent(wire::LimitReachedEvent{"kid", std::nullopt}));
  EXPECT_EQ(*report({begun(), line(wire::RunErrored{true, "broken", 1})})->event, wire::PodEvent(wire::Errored{"kid", "broken", std::nullopt}));
}

TEST_F(LastReport, SaysWhichMessagesOfTheParentWereWorkedOff) {
  auto mail = report({line(wire::SegmentStart{.session_id = "s", .inbox = {{"pp", 1}, {"other", 9}}}), begun(),
                      line(wire::UserInput{wire::text_segments("x"), wire::MailRef{"pp", 2}}), ended("finished", 1), begun(),
                      line(wire::UserInput{wire::text_segments("y"), wire::MailRef{"pp", 3}})});
  ASSERT_TRUE(mail);
  EXPECT_EQ(mail->taken, 2u) << "the third came after that end";
}

TEST_F(LastReport, IsNoneWithoutParentOrReport) {
  EXPECT_FALSE(report({}));
  EXPECT_FALSE(report({begun(), ended("finished", std::nullopt)}));
  PodState alone = stored();
  alone.parent.reset();
  EXPECT_FALSE(last_report(alone, "now", {begun(), ended("finished", 1)}));
}

// ---- Tools and commands

TEST_F(Startup, ToolsAreThoseThatManifestAndCeilingsLeave) {
  std::vector<tools::Definition> all{{"Read", "", "{}"}, {"Write", "", "{}"}, {"Bash", "", "{}"}, {"SpawnPod", "", "{}"}};
  auto names = [&](std::optional<manifest::ToolSelection> own, std::optional<manifest::ToolSelection> ceiling) {
    manifest::Manifest manifest;
    manifest.config.tools = std::move(own);
    manifest::Ceilings ceilings;
    ceilings.tools = std::move(ceiling);
    std::string result;
    for (auto const& tool : select_tools(all, manifest, ceilings)) result += tool.name + " ";
    return result;
  };
  EXPECT_EQ(names(std::nullopt, std::nullopt), "Read Write Bash SpawnPod ");
  EXPECT_EQ(names(manifest::ToolSelection{{"Read", "Bash"}, {}}, std::nullopt), "Read Bash ");
  EXPECT_EQ(names(manifest::ToolSelection{{"Read", "Bash"}, {}}, manifest::ToolSelection{{}, {"Bash"}}), "Read ");
  EXPECT_EQ(names(manifest::ToolSelection{{"Read", "Bash"}, {}}, manifest::ToolSelection{{"Write"}, {}}), "") << "a ceiling gives nothing";
}

TEST_F(Startup, CommandsSeeNoKeys) {
  Environment environment({{"PATH", "/bin"}, {"HOME", "/h"}, {"ANTHROPIC_API_KEY", "secret"}, {"INSOMNIA_API_KEY_ANTHROPIC", "secret"},
                           {"AWS_SECRET_ACCESS_KEY", "secret"}, {"LD_PRELOAD", "secret"}});
  auto result = command_environment(environment, "kid");
  EXPECT_EQ(result["PATH"], "/bin");
  EXPECT_EQ(result["INSOMNIA_POD"], "kid");
  EXPECT_TRUE(std::none_of(result.begin(), result.end(), [](auto const& entry) { return entry.second == "secret"; }));
  EXPECT_NE(command_environment({}, "kid")["PATH"], "");
}

}  // namespace
}  // namespace insomnia::pod
