#include <gtest/gtest.h>

#include "manifest/manifest.hh"

namespace insomnia::manifest {
namespace {

Config parsed(std::string_view toml) {
  auto config = parse_toml(toml, "test.toml");
  EXPECT_TRUE(config) << config.error().message;
  return config.value_or(Config{});
}

Config merged(std::string_view lower, std::string_view upper) {
  return merge(parsed(lower), parsed(upper));
}

TEST(Merge, UpperScalarWinsAndAbsentKeepsLower) {
  Config config = merged(
      "session.record_event_trace=true\n[pod]\nname='a'\nprompt_pack='/"
      "p'\n[worker]\nreasoning='low'\nmax_tokens=1\ntop_k=2",
      "pod.name='b'\n[worker]\nreasoning=9\nmax_tokens=5");
  EXPECT_EQ(config.pod_name, "b");
  EXPECT_EQ(config.prompt_pack, "/p");
  EXPECT_EQ(config.worker.reasoning, Reasoning(int64_t{9}));
  EXPECT_EQ(config.worker.max_tokens, 5u);
  EXPECT_EQ(config.worker.top_k, 2u);
  EXPECT_EQ(config.record_event_trace, true);
}

TEST(Merge, EmptyLayerChangesNothing) {
  Config config = parsed("pod.name='a'\nworker.stop_sequences=['x']\n[memory]\n[web.search]\nenabled=true");
  EXPECT_EQ(merge(config, Config{}), config);
  EXPECT_EQ(merge(Config{}, config), config);
}

// Case 26.
TEST(Merge, ScopeAccumulatesLowerFirst) {
  Config config =
      merged("scope.allow=[{target='/a',permission='read'}]\nscope.deny=[{target='/x',permission='write'}]",
             "scope.allow=[{target='/b',permission='write',recursive=false}]");
  EXPECT_EQ(config.scope.allow, (std::vector<scope::ScopeRule>{{"/a", scope::Permission::Read, true},
                                                               {"/b", scope::Permission::Write, false}}));
  EXPECT_EQ(config.scope.deny.size(), 1u);
}

TEST(Merge, PermissionRulesAccumulateAndUpperDefaultWins) {
  Config config =
      merged("[permissions]\ndefault_action='deny'\nrule=[{tool='A',pattern='*',action='allow'}]",
             "[permissions]\ndefault_action='allow'\nrule=[{tool='B',pattern='*',action='deny'}]");
  EXPECT_EQ(config.permissions->default_action, PermissionAction::Allow);
  ASSERT_EQ(config.permissions->rule.size(), 2u);
  EXPECT_EQ(config.permissions->rule[0].tool, "A");
  EXPECT_EQ(config.permissions->rule[1].tool, "B");
}

TEST(Merge, ToolOutputIsKeyWiseAndFileUploadReplaced) {
  Config config = merged(
      "[worker]\ntool_output.per_tool={A=1,B=2}\ntool_output.default_max_bytes=9\nfile_upload.max_bytes=1",
      "[worker]\ntool_output.per_tool={B=3,C=4}\nfile_upload.max_bytes=2");
  EXPECT_EQ(config.worker.tool_output_per_tool,
            (std::map<std::string, uint64_t>{{"A", 1}, {"B", 3}, {"C", 4}}));
  EXPECT_EQ(config.worker.tool_output_default_max_bytes, 9u);
  EXPECT_EQ(config.worker.file_upload_max_bytes, 2u);
}

TEST(Merge, StopSequencesAreReplacedAsAWhole) {
  EXPECT_EQ(merged("worker.stop_sequences=['a','b']", "worker.stop_sequences=['c']").worker.stop_sequences,
            std::vector<std::string>{"c"});
  EXPECT_EQ(merged("worker.stop_sequences=['a']", "worker.stop_sequences=[]").worker.stop_sequences,
            std::vector<std::string>{});
}

TEST(Merge, CompactionAndWebAreFieldWise) {
  Config config = merged(
      "[compaction]\nthreshold=1\nmodel={ref='a/"
      "b',auth={kind='none'}}\n[web]\nenabled=true\nsearch={country='de',provider='brave'}",
      "[compaction]\nrequest_threshold=2\nmodel={ref='c/"
      "d'}\n[web]\nsearch={country='fr'}\nfetch={enabled=true}");
  EXPECT_EQ(config.compaction->threshold, 1u);
  EXPECT_EQ(config.compaction->request_threshold, 2u);
  EXPECT_EQ(config.compaction->model->ref, "c/d");
  EXPECT_EQ(config.compaction->model->auth, Auth{}) << "compaction.model is field-wise";
  EXPECT_EQ(config.web->enabled, true);
  EXPECT_EQ(config.web->search->country, "fr");
  EXPECT_EQ(config.web->search->provider, "brave");
  EXPECT_EQ(config.web->fetch->enabled, true);
}

TEST(Merge, MemoryIsFieldWiseButItsModelsAreReplacedWhole) {
  Config config = merged(
      "[memory]\nlanguage='a'\nextract_model={ref='a/b',auth={kind='none'}}\nconsolidation_model={ref='k/k'}",
      "[memory]\nquery_result_limit=3\nextract_model={ref='c/d'}");
  EXPECT_EQ(config.memory->language, "a");
  EXPECT_EQ(config.memory->query_result_limit, 3u);
  EXPECT_EQ(config.memory->extract_model->ref, "c/d");
  EXPECT_FALSE(config.memory->extract_model->auth);
  EXPECT_EQ(config.memory->consolidation_model->ref, "k/k");
}

TEST(Merge, SkillsConcatenateAndOneSideIsTaken) {
  EXPECT_EQ(merged("skills.directories=['/a']", "skills.directories=['/b']").skills->directories,
            (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(merged("", "skills.directories=['/b']").skills->directories, std::vector<std::string>{"/b"});
  EXPECT_TRUE(merged("[memory]", "").memory);
  EXPECT_TRUE(merged("", "[memory]").memory);
}

TEST(Merge, ModelIsFieldWise) {
  Config config =
      merged("[model]\nref='anthropic/x'\ncontext_window=5", "model.auth={kind='api_key',env='MINE'}");
  EXPECT_EQ(config.model.ref, "anthropic/x");
  EXPECT_EQ(config.model.context_window, 5u);
  EXPECT_EQ(config.model.auth->env, "MINE");
}

TEST(Merge, OurSections) {
  Config config = merged(
      "[tools]\nallow=['A']\n[sandbox]\nnetwork='none'\nread=['/"
      "a']\n[limits]\nmax_depth=3\n[budget]\nmax_cost=1.5\n"
      "[delegation_scope]\nallow=[{target='/a',permission='read'}]",
      "[tools]\nallow=['B']\n[sandbox]\non_lend='kill'\nread=['/"
      "b']\n[limits]\nmax_depth=2\nmax_children=1\n[delegation_scope]");
  EXPECT_EQ(config.tools->allow, (std::vector<std::string>{"A", "B"}));
  EXPECT_EQ(config.sandbox, (Sandbox{"none", "kill", std::nullopt, {"/a", "/b"}}));
  EXPECT_EQ(config.limits, (Limits{2, 1, std::nullopt}));
  EXPECT_EQ(config.budget->max_cost, 1.5);
  EXPECT_EQ(config.delegation_scope->allow.size(), 1u);
}

TEST(Merge, FourLayers) {
  Config config =
      merge(builtin_defaults(), parsed("worker.max_tokens=1\nworker.language='a'\nmodel.ref='x/y'"));
  config =
      merge(std::move(config), parsed("worker.max_tokens=2\nscope.allow=[{target='/a',permission='read'}]"));
  config =
      merge(std::move(config),
            parsed("pod.name='last'\nworker.max_tokens=3\nscope.allow=[{target='/b',permission='read'}]"));
  EXPECT_EQ(config.worker.tool_output_default_max_bytes, 65536u);
  EXPECT_EQ(config.worker.file_upload_max_bytes, 262144u);
  EXPECT_EQ(config.worker.max_tokens, 3u);
  EXPECT_EQ(config.worker.language, "a");
  EXPECT_EQ(config.scope.allow.size(), 2u);
  auto manifest = resolve(config, true);
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->pod_name(), "last");
}

TEST(ReusableFields, NeverNameScopeOrCeilings) {
  Config config = parsed(R"(
[pod]
name = "spawner"
prompt_pack = "/p"
[model]
ref = "a/b"
[worker]
language = "x"
stop_sequences = []
[scope]
allow = [{ target = "/w", permission = "write" }]
[delegation_scope]
allow = [{ target = "/w", permission = "write" }]
[session]
record_event_trace = true
[permissions]
default_action = "allow"
[compaction]
threshold = 1
[web]
[memory]
[skills]
directories = ["/s"]
[tools]
allow = ["Read"]
[sandbox]
network = "none"
[limits]
max_depth = 1
[budget]
max_tokens = 1
)");
  Config expected = parsed(R"(
[pod]
prompt_pack = "/p"
[model]
ref = "a/b"
[worker]
language = "x"
[session]
record_event_trace = true
[permissions]
default_action = "allow"
[compaction]
threshold = 1
[web]
[memory]
[skills]
directories = ["/s"]
)");
  EXPECT_EQ(reusable_fields(config), expected);
}

}  // namespace
}  // namespace insomnia::manifest
