#include <gtest/gtest.h>

#include "manifest/manifest.hh"

namespace insomnia::manifest {
namespace {

Config parsed(std::string_view toml) {
  auto config = parse_toml(toml, "test.toml");
  EXPECT_TRUE(config) << config.error().message;
  return config.value_or(Config{});
}

std::string error_of(std::string_view toml) {
  auto config = parse_toml(toml, "test.toml");
  return config ? "no error" : config.error().message;
}

std::string json_error_of(std::string_view json) {
  auto config = parse_json(json);
  return config ? "no error" : config.error().message;
}

TEST(ManifestToml, MinimalManifestHasTheDefaults) {
  Config config = parsed(R"(
[pod]
name = "minimal"
[model]
[worker]
[[scope.allow]]
target = "/w"
permission = "write"
)");
  auto manifest = resolve(config);
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->pod_name(), "minimal");
  EXPECT_EQ(manifest->instruction(), "$insomnia/default");
  EXPECT_EQ(manifest->language(),
            "match the user's language unless they explicitly request another language");
  EXPECT_EQ(manifest->output_limit("Read"), 65536u);
  EXPECT_EQ(manifest->file_upload_limit(), 262144u);
  EXPECT_EQ(manifest->max_depth(), 8u);
  EXPECT_EQ(manifest->max_children(), 64u);
  EXPECT_EQ(manifest->max_live_pods(), 2000u);
  EXPECT_FALSE(config.worker.top_p);
  EXPECT_FALSE(config.worker.top_k);
  EXPECT_FALSE(config.worker.stop_sequences);
  EXPECT_FALSE(config.worker.max_turns);
  EXPECT_FALSE(config.web);
  EXPECT_FALSE(config.compaction);
  EXPECT_FALSE(config.memory);
  EXPECT_FALSE(config.delegation_scope);
  EXPECT_TRUE(config.model.empty());
  EXPECT_EQ(config.scope.allow, (std::vector<scope::ScopeRule>{{"/w", scope::Permission::Write, true}}));
}

TEST(ManifestToml, FullManifest) {
  Config config = parsed(R"(
[pod]
name = "full"
prompt_pack = "/etc/pack.toml"
[model]
ref = "anthropic/claude-sonnet-4-6"
scheme = "anthropic"
base_url = "http://localhost:1"
model_id = "x"
context_window = 1000000
max_context_window = 500000
auth = { kind = "api_key", env = "KEY", file = "/keys/a" }
[model.capability]
tool_calling = "parallel"
structured_output = "json_schema"
reasoning = "both"
vision = true
prompt_caching = { kind = "explicit", max_breakpoints = 4 }
[worker]
instruction = "$user/reviewer"
language = "Deutsch"
max_tokens = 4096
max_turns = 50
temperature = 0.5
top_p = 1
top_k = 40
stop_sequences = ["STOP"]
reasoning = "medium"
tool_output.default_max_bytes = 1000
tool_output.per_tool = { Bash = 5, "odd name" = 6 }
file_upload.max_bytes = 7
[[scope.allow]]
target = "/w"
permission = "read"
recursive = false
[[scope.allow]]
target = "/w/src"
permission = "write"
[[scope.deny]]
target = "/w/src/secret"
permission = "read"
[[delegation_scope.allow]]
target = "/w/src"
permission = "write"
[session]
record_event_trace = true
[permissions]
default_action = "ask"
[[permissions.rule]]
tool = "Bash"
pattern = "rm *"
action = "deny"
[[permissions.rule]]
tool = "Bash"
pattern = "*"
action = "allow"
[skills]
directories = ["/s"]
[tools]
allow = ["Read"]
deny = ["Bash"]
[sandbox]
network = "none"
on_lend = "kill"
required = false
read = ["/opt"]
[limits]
max_depth = 0
max_children = 2
max_live_pods = 3
[budget]
max_tokens = 1
max_cost = 2.5
max_wall_secs = 3
)");
  EXPECT_EQ(config.prompt_pack, "/etc/pack.toml");
  EXPECT_EQ(config.model.auth, (Auth{Auth::Kind::ApiKey, "KEY", "/keys/a", ""}));
  EXPECT_EQ(config.model.capability, (Capability{"parallel", "json_schema", "both", true, true, 4}));
  EXPECT_EQ(config.model.max_context_window, 500000u);
  EXPECT_EQ(config.worker.reasoning, Reasoning("medium"));
  EXPECT_EQ(config.worker.top_p, 1.0);
  EXPECT_EQ(config.worker.max_turns, 50u);
  EXPECT_EQ(config.worker.tool_output_per_tool,
            (std::map<std::string, uint64_t>{{"Bash", 5}, {"odd name", 6}}));
  EXPECT_EQ(config.worker.file_upload_max_bytes, 7u);
  ASSERT_EQ(config.scope.allow.size(), 2u);
  EXPECT_FALSE(config.scope.allow[0].recursive);
  EXPECT_TRUE(config.scope.allow[1].recursive);
  EXPECT_EQ(config.scope.deny[0].permission, scope::Permission::Read);
  EXPECT_EQ(config.delegation_scope->allow[0].target, "/w/src");
  EXPECT_EQ(config.record_event_trace, true);
  EXPECT_EQ(config.permissions->default_action, PermissionAction::Ask);
  EXPECT_EQ(config.permissions->rule[0], (PermissionRule{"Bash", "rm *", PermissionAction::Deny}));
  EXPECT_EQ(config.permissions->rule[1].action, PermissionAction::Allow);
  EXPECT_EQ(config.sandbox, (Sandbox{"none", "kill", false, {"/opt"}}));
  EXPECT_EQ(config.limits, (Limits{0, 2, 3}));
  EXPECT_EQ(config.budget, (Budget{1, 2.5, 3}));
  EXPECT_EQ(config.tools, (ToolSelection{{"Read"}, {"Bash"}}));
}

TEST(ManifestToml, OutputLimitOfATool) {
  auto manifest =
      resolve(parsed("pod.name = 'p'\n[worker.tool_output]\ndefault_max_bytes = 10\nper_tool.Bash = 20\n"));
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->output_limit("Bash"), 20u);
  EXPECT_EQ(manifest->output_limit("bash"), 10u);
  EXPECT_EQ(manifest->output_limit("Unknown"), 10u);
  auto empty = resolve(parsed("pod.name = 'p'\n[worker.tool_output]\n"));
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->output_limit("Bash"), 65536u);
}

TEST(ManifestToml, MaxTurns) {
  EXPECT_EQ(parsed("[worker]\nmax_turns = 50").worker.max_turns, 50u);
  EXPECT_EQ(error_of("[worker]\nmax_turns = 0"),
            "test.toml:2:1: worker.max_turns: must be an integer from 1 to 4294967295");
}

TEST(ManifestToml, ReasoningIsALabelOrABudget) {
  EXPECT_EQ(parsed("worker.reasoning = -1").worker.reasoning, Reasoning(int64_t{-1}));
  EXPECT_EQ(parsed("worker.reasoning = 'extreme'").worker.reasoning, Reasoning("extreme"));
  EXPECT_NE(error_of("worker.reasoning = true").find("1:8: worker.reasoning: must be an effort label"),
            std::string::npos)
      << error_of("worker.reasoning = true");
}

TEST(ManifestToml, Compaction) {
  Config config = parsed("[compaction]\nthreshold = 1000");
  EXPECT_EQ(config.compaction->threshold, 1000u);
  EXPECT_FALSE(config.compaction->request_threshold);
  EXPECT_FALSE(config.compaction->worker_max_turns);
  EXPECT_TRUE(parsed("[compaction]").compaction);
  EXPECT_EQ(parsed("compaction.worker_max_turns = 7").compaction->worker_max_turns, 7u);
  EXPECT_EQ(parsed("compaction.model = { scheme = 'gemini' }").compaction->model->scheme, "gemini");
}

// P19, P60.
TEST(ManifestToml, CompactionHasItsDefaults) {
  auto manifest = resolve(parsed("pod.name = 'p'\n[compaction]\nthreshold = 1000"));
  ASSERT_TRUE(manifest) << manifest.error().message;
  auto compaction = manifest->compaction();
  ASSERT_TRUE(compaction);
  EXPECT_EQ(compaction->threshold, 1000u);
  EXPECT_FALSE(compaction->request_threshold);
  EXPECT_EQ(compaction->prune_protected_tokens, 8000u);
  EXPECT_EQ(compaction->prune_min_savings, 4096u);
  EXPECT_EQ(compaction->retained_tokens, 8000u);
  EXPECT_EQ(compaction->worker_max_turns, 20u);
  EXPECT_EQ(resolve(parsed("pod.name = 'p'\ncompaction.worker_max_turns = 7"))->compaction()->worker_max_turns, 7u);
  EXPECT_FALSE(resolve(parsed("pod.name = 'p'"))->compaction());
}

// P22, P23.
TEST(ManifestToml, EachThresholdOfCompactionStandsForItself) {
  Config both = parsed("[compaction]\nthreshold = 1000\nrequest_threshold = 2000");
  EXPECT_EQ(both.compaction->threshold, 1000u);
  EXPECT_EQ(both.compaction->request_threshold, 2000u);
  Config within = parsed("[compaction]\nrequest_threshold = 2000");
  EXPECT_FALSE(within.compaction->threshold);
  EXPECT_EQ(within.compaction->request_threshold, 2000u);
}

// P32.
TEST(ManifestToml, TheLanguageIsThatOfTheManifest) {
  auto manifest = resolve(parsed("pod.name = 'p'\nworker.language = 'Deutsch'"));
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->language(), "Deutsch");
}

// P58.
TEST(ManifestToml, SettingsOfSampling) {
  Worker worker = parsed("[worker]\nmax_tokens = 4096\ntemperature = 0.5\ntop_p = 0.25\ntop_k = 40\nstop_sequences = ['A', 'B']").worker;
  EXPECT_EQ(worker.max_tokens, 4096u);
  EXPECT_EQ(worker.temperature, 0.5);
  EXPECT_EQ(worker.top_p, 0.25);
  EXPECT_EQ(worker.top_k, 40u);
  EXPECT_EQ(worker.stop_sequences, (std::vector<std::string>{"A", "B"}));
}

TEST(ManifestToml, CompactionAliases) {
  Config config = parsed(R"(
[compaction]
compact_threshold = 1
compact_request_threshold = 2
compact_retained_tokens = 3
compact_worker_max_input_tokens = 4
compact_worker_max_turns = 5
compact_auto_read_budget = 6
)");
  EXPECT_EQ(config.compaction->threshold, 1u);
  EXPECT_EQ(config.compaction->request_threshold, 2u);
  EXPECT_EQ(config.compaction->retained_tokens, 3u);
  EXPECT_EQ(config.compaction->worker_context_max_tokens, 4u);
  EXPECT_EQ(config.compaction->worker_max_turns, 5u);
  EXPECT_EQ(config.compaction->auto_read_budget_tokens, 6u);
  EXPECT_EQ(error_of("[compaction]\nthreshold = 1\ncompact_threshold = 1"),
            "test.toml:3:1: compaction.compact_threshold: is another name of `threshold`, which is given "
            "too; keep one");
  EXPECT_EQ(error_of("[compaction]\ncompact_threshold = 'x'"),
            "test.toml:2:1: compaction.compact_threshold: must be an integer from 0 to 9223372036854775807");
}

TEST(ManifestToml, RemovedKeysSayWhatToUse) {
  EXPECT_EQ(error_of("[compaction]\nprune_protected_turns = 3"),
            "test.toml:2:1: compaction.prune_protected_turns: it was replaced, use "
            "compaction.prune_protected_tokens");
  EXPECT_EQ(error_of("[memory]\nextract_worker_max_input_tokens = 3"),
            "test.toml:2:1: memory.extract_worker_max_input_tokens: it was removed; take it out");
  EXPECT_EQ(parsed("memory.extract_worker_max_turns = 3").memory->extract_worker_max_turns, 3u);
  EXPECT_NE(json_error_of(R"({"compaction":{"prune_protected_turns":3}})")
                .find("compaction.prune_protected_tokens"),
            std::string::npos);
}

TEST(ManifestToml, MemoryIsOnWhenItsTableIsThere) {
  Config config = parsed("[memory]");
  ASSERT_TRUE(config.memory);
  EXPECT_EQ(*config.memory, Memory{});
  config = parsed("[memory]\ninject_summary = false\nworkspace_root = '/r'\nlanguage = 'French'");
  EXPECT_EQ(config.memory->inject_summary, false);
  EXPECT_EQ(config.memory->workspace_root, "/r");
  EXPECT_EQ(config.memory->language, "French");
}

TEST(ManifestToml, WebSection) {
  Config config = parsed(R"(
[web]
enabled = true
[web.search]
provider = "brave"
api_key_env = "BRAVE"
timeout_secs = 5
country = "de"
[web.fetch]
redirect_limit = 2
allow_private_addresses = true
)");
  EXPECT_EQ(config.web->search->api_key_env, "BRAVE");
  EXPECT_EQ(config.web->search->timeout_secs, 5u);
  EXPECT_EQ(config.web->fetch->redirect_limit, 2u);
  EXPECT_EQ(config.web->fetch->allow_private_addresses, true);
  EXPECT_EQ(error_of("web.search.provider = 'other'"),
            "test.toml:1:12: web.search.provider: must be brave, not `other`");
}

TEST(ManifestToml, SyntaxErrorsTellThePlace) {
  EXPECT_TRUE(error_of("[pod]\nname = \"x").starts_with("test.toml:2:")) << error_of("[pod]\nname = \"x");
  EXPECT_TRUE(error_of("[pod\n").starts_with("test.toml:1:"));
  EXPECT_TRUE(error_of("[pod]\nname = 'a'\nname = 'b'\n").starts_with("test.toml:3:"));
  EXPECT_TRUE(error_of("a = \"\xff\"").starts_with("test.toml:1:"));
}

TEST(ManifestToml, ControlCharactersAreErrors) {
  using namespace std::string_view_literals;
  EXPECT_EQ(error_of("a = 1\n[\0worker]\n"sv),
            "test.toml:2:2: control characters are not allowed; write them as \\u00XX in a string");
  EXPECT_TRUE(error_of("a = '\x7f'").starts_with("test.toml:1:6: control"));
}

TEST(ManifestToml, MalformedHeadersAreErrors) {
  for (char const* text : {"[# x]", "[[# x]]", "[", "[[", "[.a]", "[a.]", "[a.#]", "[=]", "[\"\"\"a\"\"\"]",
                           "= 1", "# \n[\n]"}) {
    EXPECT_TRUE(error_of(text).starts_with("test.toml:")) << text << ": " << error_of(text);
  }
}

TEST(ManifestToml, LettersBeyondAscii) {
  EXPECT_TRUE(error_of("gr\u00f6\u00dfe = 1").starts_with("test.toml:1:"));
  EXPECT_TRUE(error_of("\u028d = 1").starts_with("test.toml:1:"));
  EXPECT_EQ(parsed("worker.language = \"\"\"a \\\n  \u00fcb\"\"\" # \u6f22").worker.language, "a \u00fcb");
  EXPECT_EQ(parsed("\ufeffpod.name = 'bom'").pod_name, "bom");
}

TEST(ManifestToml, UnknownKeysAreErrorsEverywhere) {
  EXPECT_EQ(error_of("[pod]\nname = 'x'\npwd = '/'"),
            "test.toml:3:1: pod.pwd: unknown key; known here: name, prompt_pack");
  for (char const* toml : {"[nonsense]",
                           "model.x = 1",
                           "worker.x = 1",
                           "worker.tool_output.x = 1",
                           "worker.file_upload.x = 1",
                           "scope.x = 1",
                           "session.x = 1",
                           "permissions.x = 1",
                           "compaction.x = 1",
                           "web.x = 1",
                           "web.search.x = 1",
                           "web.fetch.x = 1",
                           "memory.x = 1",
                           "memory.extract_model.x = 1",
                           "skills.x = 1",
                           "tools.x = 1",
                           "sandbox.x = 1",
                           "limits.x = 1",
                           "budget.x = 1",
                           "delegation_scope.x = 1",
                           "profile.source = 'x'",
                           "model.auth = { kind = 'none', env = 'x' }",
                           "compaction.model.auth = { kind = 'api_key', x = 'x' }"}) {
    EXPECT_NE(error_of(toml).find("unknown key"), std::string::npos) << toml << ": " << error_of(toml);
    EXPECT_TRUE(error_of(toml).starts_with("test.toml:1:")) << error_of(toml);
  }
  EXPECT_EQ(error_of("[[scope.allow]]\ntarget='/'\npermission='read'\n[[scope.allow]]\ntarget='/"
                     "'\npermission='read'\nmode=1\n"),
            "test.toml:7:1: scope.allow[1].mode: unknown key; known here: target, permission, recursive");
  EXPECT_NE(error_of("worker.\"a\\u001b b\" = 1").find("worker.\"a"), std::string::npos);
}

TEST(ManifestToml, WrongTypesAreErrors) {
  EXPECT_EQ(error_of("pod = 1"), "test.toml:1:1: pod: must be a table");
  EXPECT_EQ(error_of("pod.name = 1"), "test.toml:1:5: pod.name: must be a string");
  EXPECT_EQ(error_of("worker.temperature = 'hot'"), "test.toml:1:8: worker.temperature: must be a number");
  EXPECT_EQ(error_of("worker.temperature = nan"),
            "test.toml:1:22: worker.temperature: must be a finite number");
  EXPECT_EQ(error_of("pod.name = 1979-05-27"), "test.toml:1:12: pod.name: dates and times are not allowed");
  EXPECT_EQ(error_of("worker.stop_sequences = ['a', 1]"),
            "test.toml:1:31: worker.stop_sequences[1]: must be a string");
  EXPECT_EQ(error_of("session.record_event_trace = 'yes'"),
            "test.toml:1:9: session.record_event_trace: must be true or false");
  EXPECT_EQ(
      error_of("worker.tool_output.per_tool.Bash = -1"),
      "test.toml:1:29: worker.tool_output.per_tool.Bash: must be an integer from 0 to 9223372036854775807");
  EXPECT_EQ(error_of("scope = { allow = 3 }"), "test.toml:1:11: scope.allow: must be a list");
  EXPECT_EQ(error_of("skills.directories = ['']"),
            "test.toml:1:23: skills.directories[0]: must not be empty");
}

TEST(ManifestToml, ForbiddenValuesAreErrors) {
  EXPECT_EQ(error_of("model.scheme = 'telepathy'"),
            "test.toml:1:7: model.scheme: must be one of anthropic, openai_chat, openai_responses, gemini, "
            "rehearsal, not `telepathy`");
  EXPECT_EQ(error_of("[[scope.allow]]\ntarget = '/'"), "test.toml:1:1: scope.allow[0].permission: is missing")
      << "the place is that of the rule";
  EXPECT_NE(error_of("model.auth = { env = 'x' }").find("model.auth: needs `kind`"), std::string::npos);
  EXPECT_NE(error_of("model.auth = { kind = 'secret_ref' }").find("model.auth.ref: is missing"),
            std::string::npos);
  EXPECT_NE(error_of("model.capability = { tool_calling = 'none', structured_output = 'none' }")
                .find("prompt_caching: is missing"),
            std::string::npos);
  EXPECT_NE(error_of("sandbox.network = 'some'").find("must be one of full, none"), std::string::npos);
  EXPECT_NE(error_of("permissions.default_action = 'Allow'").find("must be one of allow, deny, ask"),
            std::string::npos);
  EXPECT_NE(error_of("pod.prompt_pack = \"a\\u0000b\"").find("NUL"), std::string::npos);
}

TEST(ManifestToml, HugeAndDeepDocumentsAreRefused) {
  EXPECT_NE(error_of(std::string((1 << 20) + 1, '#')).find("more than 1 MiB"), std::string::npos);
  std::string dots = "a";
  for (int i = 0; i < 200000; ++i) dots += ".a";
  EXPECT_EQ(error_of("\n" + dots + " = 1"), "test.toml:2:1: a key has more than 16 parts");
  EXPECT_NE(error_of("[" + dots + "]").find("more than 16 parts"), std::string::npos);
  EXPECT_NE(error_of("x = " + std::string(100000, '[')).find("test.toml:1:"), std::string::npos);
  EXPECT_NE(error_of("x = '''\n" + dots + "'''\n").find("unknown key"), std::string::npos)
      << "dots in strings are text";
}

TEST(ManifestJson, ErrorsNameThePath) {
  EXPECT_EQ(json_error_of(R"({"pod":{"nmae":"x"}})"), "pod.nmae: unknown key; known here: name, prompt_pack");
  EXPECT_EQ(json_error_of(R"({"scope":{"allow":[{"target":"/","permission":"exec"}]}})"),
            "scope.allow[0].permission: must be one of read, write, not `exec`");
  EXPECT_EQ(json_error_of(R"({"worker":{"max_turns":0}})"),
            "worker.max_turns: must be an integer from 1 to 4294967295");
  EXPECT_NE(json_error_of("[]").find("an object is wanted"), std::string::npos);
  EXPECT_NE(json_error_of("{").find("invalid JSON"), std::string::npos);
}

TEST(ManifestJson, NullCountsAsAbsentAndWholeFloatsAsIntegers) {
  auto config = parse_json(R"({"pod":null,"worker":{"max_tokens":4096.0,"top_p":null}})");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->worker.max_tokens, 4096u);
  EXPECT_FALSE(config->worker.top_p);
  EXPECT_NE(json_error_of(R"({"worker":{"max_tokens":1.5}})").find("must be an integer"), std::string::npos);
}

// Case 25, 29.
TEST(ManifestJson, OldConfigWithoutDelegationScopeHasNone) {
  auto config = parse_json(
      R"({"pod":{"name":"p"},"scope":{"allow":[{"target":"/w","permission":"write"}],"deny":[]}})");
  ASSERT_TRUE(config);
  EXPECT_FALSE(config->delegation_scope);
  EXPECT_TRUE(config->scope.allow[0].recursive) << "recursive is the default";
}

}  // namespace
}  // namespace insomnia::manifest
