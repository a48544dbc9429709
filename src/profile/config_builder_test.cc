#include "profile/config_builder.hh"

#include <gtest/gtest.h>

#include <map>

#include "profile/discovery.hh"

namespace insomnia::profile {
namespace {

using manifest::Config;
using scope::Permission;

ProfileSet builtin_profiles() { return discover_profiles({}, {.workspace = "/w", .start_host = nullptr}); }

Config parsed(std::string_view toml) {
  auto config = manifest::parse_toml(toml, "test.toml");
  EXPECT_TRUE(config) << config.error().message;
  return config.value_or(Config{});
}

manifest::Manifest spawner(std::string_view toml = "") {
  auto manifest = manifest::resolve(parsed("pod.name = 'parent'\n" + std::string(toml)));
  EXPECT_TRUE(manifest) << manifest.error().message;
  return manifest.value_or(manifest::Manifest{});
}

/// Profiles by qualified name; the first is the default when it says so.
ProfileSet profiles(std::map<std::string, std::string> texts, std::string const& default_name = "") {
  ProfileSet set;
  for (auto const& [name, text] : texts) {
    Selector selector = parse_cli_selector(name);
    set.entries.push_back({*selector.source, selector.name, "", name == default_name, ""});
  }
  set.load = [texts = std::move(texts)](ProfileEntry const& entry) -> Result<ResolvedProfile> {
    return ResolvedProfile{.config = TRY(manifest::parse_toml(texts.at(entry.qualified_name()), entry.qualified_name()))};
  };
  return set;
}

ChildRequest request(std::optional<std::string> profile = std::nullopt) {
  ChildRequest out;
  out.pod_name = "child";
  out.profile = std::move(profile);
  out.allow = {{"/w/part", Permission::Write, true}};
  return out;
}

Config built(manifest::Manifest const& parent, ProfileSet const& set, ChildRequest const& wanted) {
  auto child = build_child_config(parent, set, wanted);
  EXPECT_TRUE(child) << child.error().message;
  return child ? child->config : Config{};
}

std::string error_of(ProfileSet const& set, ChildRequest const& wanted) {
  auto child = build_child_config(spawner(), set, wanted);
  if (child) return "no error";
  EXPECT_EQ(child.error().code, Code::InvalidArgument);
  return child.error().message;
}

TEST(BuiltinDefault, NamesNoModelAndResolves) {
  ProfileSet set = builtin_profiles();
  auto profile = set.load(set.entries.front());
  ASSERT_TRUE(profile) << profile.error().message;
  Config config = profile->config;
  EXPECT_EQ(config.scope, (scope::ScopeConfig{{{"/w", Permission::Write, true}}, {}}));
  EXPECT_TRUE(config.model.empty());
  EXPECT_EQ(config.record_event_trace, true);
  EXPECT_EQ(config.worker.reasoning, manifest::Reasoning("high"));
  EXPECT_TRUE(config.compaction);
  EXPECT_TRUE(config.memory);
  EXPECT_EQ(config.web->enabled, true);
  config.pod_name = "p";
  EXPECT_TRUE(manifest::resolve(config));
}

TEST(BuiltinDefault, IsTheDefaultOfTheBuiltinProfiles) {
  ProfileSet set = builtin_profiles();
  EXPECT_EQ(set.default_name(), "builtin:default");
  EXPECT_EQ(set.description_list(), "- `builtin:default` (default) — General coding work");
  EXPECT_EQ(set.selector_list(), "`default`, `inherit`, `builtin:default`");
  EXPECT_EQ(suggested_pod_name(set.entries.front(), ""), "insomnia");
}

TEST(ProfileSet, PathsAreNotItsEntries) {
  auto entry = builtin_profiles().select(parse_cli_selector("./x.lua"));
  ASSERT_FALSE(entry);
  EXPECT_NE(entry.error().message.find("path selectors are not registry entries: ./x.lua"), std::string::npos);
}

// Case 90.
TEST(ChildConfig, OmittedProfileIsTheDefault) {
  auto parent = spawner("scope.allow = [{target='/w',permission='write'}]\nworker.language = 'Klingon'");
  auto child =
      build_child_config(parent, profiles({{"user:mine", "worker.max_tokens = 7"}}, "user:mine"), request());
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_EQ(child->profile, "user:mine");
  EXPECT_EQ(child->config.worker.max_tokens, 7u);
  EXPECT_EQ(child->config.worker.tool_output_default_max_bytes, 65536u);
  EXPECT_FALSE(child->config.worker.language) << "only inherit takes the spawner's fields";
  EXPECT_EQ(child->config.pod_name, "child");
  EXPECT_EQ(child->config.scope, (scope::ScopeConfig{{{"/w/part", Permission::Write, true}}, {}}));
}

// Case 91.
TEST(ChildConfig, SourceQualifiedProfileReachesTheChild) {
  Config config = built(
      spawner("model.ref = 'parent/model'"),
      profiles({{"project:reviewer",
                 "[model]\nref='a/b'\n[worker]\ninstruction='$user/reviewer'\nlanguage='fr'\nmax_tokens=5"}}),
      request("project:reviewer"));
  EXPECT_EQ(config.model.ref, "a/b");
  EXPECT_EQ(config.worker.instruction, "$user/reviewer");
  EXPECT_EQ(config.worker.language, "fr");
  EXPECT_EQ(config.worker.max_tokens, 5u);
}

// Case 92.
TEST(ChildConfig, InheritTakesTheReusableFields) {
  auto parent = spawner(R"(
[model]
ref = "a/b"
[worker]
instruction = "$user/x"
language = "fr"
max_tokens = 9
stop_sequences = ["S"]
[session]
record_event_trace = true
[scope]
allow = [{ target = "/w", permission = "write" }]
deny = [{ target = "/w/no", permission = "read" }]
[delegation_scope]
allow = [{ target = "/w", permission = "write" }]
[sandbox]
network = "none"
)");
  Config config = built(parent, builtin_profiles(), request("inherit"));
  EXPECT_EQ(config.model.ref, "a/b");
  EXPECT_EQ(config.worker, parent.config.worker);
  EXPECT_EQ(config.record_event_trace, true);
  EXPECT_EQ(config.pod_name, "child");
  EXPECT_EQ(config.scope, (scope::ScopeConfig{{{"/w/part", Permission::Write, true}}, {}}));
  EXPECT_FALSE(config.delegation_scope) << "never written by the spawner";
  EXPECT_FALSE(config.sandbox) << "a ceiling, which travels beside the config";
}

TEST(ChildConfig, InheritWorksWithoutAnyProfile) {
  EXPECT_EQ(built(spawner(), profiles({}), request("inherit")).pod_name, "child");
}

// Case 89.
TEST(ChildConfig, TraceIsKeptWhenOnAndLeftOutWhenUnset) {
  EXPECT_EQ(built(spawner("session.record_event_trace = true"), profiles({}), request("inherit"))
                .record_event_trace,
            true);
  EXPECT_EQ(manifest::to_json(built(spawner(), profiles({}), request("inherit"))).find("session"),
            std::string::npos);
}

// Case 87, 88.
TEST(ChildConfig, InlineModelAndRefModelAreKept) {
  char const* inline_model =
      "[model]\nscheme='openai_chat'\nmodel_id='m'\nbase_url='http://h'\nauth={kind='api_key',file='/keys/"
      "k'}";
  auto parent = spawner(inline_model);
  EXPECT_EQ(built(parent, profiles({}), request("inherit")).model, parent.config.model);
  auto set = profiles({{"user:inline", inline_model}, {"user:ref", "model.ref='p/m'"}});
  EXPECT_EQ(built(spawner("model.ref='x/y'"), set, request("inline")).model, parent.config.model);
  EXPECT_EQ(built(spawner("model.ref='x/y'"), set, request("ref")).model.ref, "p/m");
}

TEST(ChildConfig, ProfileWithoutModelTakesTheSpawnersModel) {
  auto parent = spawner("model = {scheme='rehearsal',model_id='script',auth={kind='none'}}");
  EXPECT_EQ(built(parent, builtin_profiles(), request()).model, parent.config.model);
  Config config = built(parent, profiles({{"user:small", "model.context_window = 1000"}}), request("small"));
  EXPECT_EQ(config.model.model_id, "script") << "a detail is set on the spawner's model";
  EXPECT_EQ(config.model.context_window, 1000u);
}

TEST(ChildConfig, AModelOfAnotherProgramsAgentIsItsProvidersOnly) {
  auto set = profiles({{"claude:a", "[model]\nref='anthropic/claude-sonnet-4-6'\n[worker]\ninstruction_text='I'"}});
  EXPECT_EQ(built(spawner("model.ref='anthropic/claude-opus-4-8'"), set, request("claude:a")).model.ref, "anthropic/claude-sonnet-4-6");
  auto child = build_child_config(spawner("model.ref='openai/gpt'"), set, request("claude:a"));
  ASSERT_TRUE(child);
  EXPECT_EQ(child->config.model.ref, "openai/gpt");
  EXPECT_EQ(child->unmapped, std::vector<std::string>{"model anthropic/claude-sonnet-4-6"});
  EXPECT_NE(error_of(set, request("a")).find("profile not found: a"), std::string::npos);
}

TEST(ChildConfig, ToolsAndSandboxOfAProfileNarrowTheChild) {
  auto set = profiles({{"user:a", "tools.deny=['Bash']\nsandbox.network='none'\nlimits.max_children=1\nbudget.max_tokens=5"}});
  Config config = built(spawner(), set, request("a"));
  EXPECT_EQ(config.tools->deny, std::vector<std::string>{"Bash"});
  EXPECT_EQ(config.sandbox->network, "none");
  EXPECT_EQ(config.limits->max_children, 1u);
  EXPECT_EQ(config.budget->max_tokens, 5u);
}

TEST(ChildConfig, RatiosArePartsOfTheChildsWindow) {
  auto set = profiles({{"user:a", "compaction.ratio = { threshold = 0.5 }\nmodel.ref='p/m'"}});
  ChildRequest wanted = request("a");
  wanted.window_of = [](manifest::ModelManifest const& model) { return model.ref == "p/m" ? std::optional<uint64_t>(1000) : std::nullopt; };
  EXPECT_EQ(built(spawner("model.ref='x/y'"), set, wanted).compaction->threshold, 500u);
}

TEST(ChildConfig, AnInstructionAlsoReplacesATextThatStandsInTheProfile) {
  ChildRequest wanted = request("a");
  wanted.instruction = "$user/b";
  Config config = built(spawner(), profiles({{"user:a", "worker.instruction_text='I'"}}), wanted);
  EXPECT_EQ(config.worker.instruction, "$user/b");
  EXPECT_FALSE(config.worker.instruction_text);
}

// Case 93.
TEST(ChildConfig, InstructionReplacesOnlyTheInstruction) {
  auto set = profiles({{"user:a", "[worker]\ninstruction='$user/a'\nlanguage='fr'\n[model]\nref='p/m'"}});
  Config plain = built(spawner(), set, request("a"));
  ChildRequest wanted = request("a");
  wanted.instruction = "$user/b";
  Config with = built(spawner(), set, wanted);
  EXPECT_EQ(with.worker.instruction, "$user/b");
  with.worker.instruction = plain.worker.instruction;
  EXPECT_EQ(with, plain);
}

// Case 94.
TEST(ChildConfig, NoForeignScopeLeaksIn) {
  auto set = profiles({{"user:a",
                        "scope.allow=[{target='/etc',permission='write'}]\nscope.deny=[{target='/w/"
                        "part',permission='read'}]"}});
  ChildRequest wanted = request("a");
  wanted.deny = {{"/w/part/no", Permission::Read, true}};
  Config config = built(spawner("scope.allow=[{target='/w',permission='write'}]"), set, wanted);
  EXPECT_EQ(config.scope, (scope::ScopeConfig{{{"/w/part", Permission::Write, true}},
                                              {{"/w/part/no", Permission::Read, true}}}));
}

TEST(ChildConfig, BuildingResolvesNoPromptReference) {
  ChildRequest wanted = request("inherit");
  wanted.instruction = "$workspace/does/not/exist";
  EXPECT_EQ(built(spawner(), profiles({}), wanted).worker.instruction, "$workspace/does/not/exist");
}

// Case 95.
TEST(ChildConfig, UnknownProfileListsTheSelectors) {
  std::string error = error_of(builtin_profiles(), request("nonsense"));
  EXPECT_TRUE(error.starts_with("profile not found: nonsense")) << error;
  EXPECT_NE(error.find("Use `default`, `inherit`"), std::string::npos) << error;
  EXPECT_NE(error.find("`builtin:default`"), std::string::npos) << error;
  EXPECT_TRUE(error_of(builtin_profiles(), request("project:x")).starts_with("profile not found: project:x"));
}

// Case 95.
TEST(ChildConfig, AmbiguousNameListsTheCandidates) {
  std::string error = error_of(profiles({{"user:coder", ""}, {"project:coder", ""}}), request("coder"));
  EXPECT_NE(error.find("ambiguous"), std::string::npos) << error;
  EXPECT_NE(error.find("`user:coder`"), std::string::npos);
  EXPECT_NE(error.find("`project:coder`"), std::string::npos);
}

// Case 95.
TEST(ChildConfig, NoDefaultAndDiagnosticAreTold) {
  ProfileSet set = profiles({{"user:coder", ""}, {"project:coder", ""}});
  set.diagnostic = "/w/.insomnia/profiles.toml:3:1: broken";
  std::string error = error_of(set, request());
  EXPECT_NE(error.find("no default profile"), std::string::npos) << error;
  EXPECT_NE(error.find("profiles.toml:3:1: broken"), std::string::npos) << error;
  EXPECT_NE(error.find("`user:coder`, `project:coder`") != std::string::npos ||
                error.find("`project:coder`, `user:coder`") != std::string::npos,
            false)
      << error;
}

TEST(ChildConfig, BrokenProfileIsNamed) {
  std::string error = error_of(profiles({{"user:bad", "worker.x = 1"}}), request("bad"));
  EXPECT_TRUE(error.starts_with("profile `user:bad`: user:bad:1:8: worker.x: unknown key")) << error;
}

TEST(ChildConfig, PathSelectorsAreRefusedWithTheSelectors) {
  std::string error = error_of(builtin_profiles(), request("./x.lua"));
  EXPECT_NE(error.find("registry selectors only"), std::string::npos);
  EXPECT_NE(error.find("Use `default`, `inherit`"), std::string::npos);
}

TEST(ChildConfig, SurvivesTheHandOver) {
  Config config = built(spawner("model.ref='a/b'"), builtin_profiles(), request());
  EXPECT_EQ(manifest::parse_json(manifest::to_json(config)), config);
}

}  // namespace
}  // namespace insomnia::profile
