#include <gtest/gtest.h>

#include "manifest/manifest.hh"

namespace insomnia::manifest {
namespace {

Config parsed(std::string_view toml) {
  auto config = parse_toml(toml, "test.toml");
  EXPECT_TRUE(config) << config.error().message;
  return config.value_or(Config{});
}

std::string error_of(std::string_view toml, bool require_scope = false) {
  auto manifest = resolve(parsed(toml), require_scope);
  return manifest ? "no error" : manifest.error().message;
}

// Case 27.
TEST(ResolvePaths, JoinsEveryRelativePath) {
  Config config = resolve_paths(parsed(R"(
[pod]
prompt_pack = "pack.toml"
[model]
auth = { kind = "api_key", file = "keys/main" }
[scope]
allow = [{ target = ".", permission = "write" }, { target = "src", permission = "read" }, { target = "/abs", permission = "read" }]
deny = [{ target = "../up", permission = "read" }]
[delegation_scope]
allow = [{ target = "part", permission = "write" }]
deny = [{ target = "not", permission = "write" }]
[compaction]
model = { auth = { kind = "api_key", file = "keys/compact" } }
[memory]
workspace_root = "mem"
extract_model = { auth = { kind = "api_key", file = "keys/extract" } }
consolidation_model = { auth = { kind = "api_key", file = "keys/consolidate" } }
[skills]
directories = ["skills", "/skills"]
[sandbox]
read = ["opt"]
)"),
                                "/base");
  EXPECT_EQ(config.prompt_pack, "/base/pack.toml");
  EXPECT_EQ(config.model.auth->file, "/base/keys/main");
  EXPECT_EQ(config.scope.allow[0].target, "/base") << "`.` is the base itself";
  EXPECT_EQ(config.scope.allow[1].target, "/base/src");
  EXPECT_EQ(config.scope.allow[2].target, "/abs");
  EXPECT_EQ(config.scope.deny[0].target, "/base/../up")
      << "`..` is kept: only the file system knows what it means";
  EXPECT_EQ(config.delegation_scope->allow[0].target, "/base/part");
  EXPECT_EQ(config.delegation_scope->deny[0].target, "/base/not");
  EXPECT_EQ(config.compaction->model->auth->file, "/base/keys/compact");
  EXPECT_EQ(config.memory->workspace_root, "/base/mem");
  EXPECT_EQ(config.memory->extract_model->auth->file, "/base/keys/extract");
  EXPECT_EQ(config.memory->consolidation_model->auth->file, "/base/keys/consolidate");
  EXPECT_EQ(config.skills->directories, (std::vector<std::string>{"/base/skills", "/skills"}));
  EXPECT_EQ(config.sandbox->read, std::vector<std::string>{"/base/opt"});
  EXPECT_EQ(resolve_paths(config, "/other"), config) << "absolute paths are left alone";
}

// Case 28.
TEST(Resolve, NamesWhatIsMissing) {
  EXPECT_TRUE(error_of("").starts_with("missing required field: pod.name"));
  EXPECT_TRUE(error_of("pod.name='p'", true).starts_with("missing required field: scope.allow"));
  EXPECT_EQ(error_of("pod.name='p'"), "no error") << "an empty scope is fine unless it is required";
  EXPECT_TRUE(error_of("pod.name='p'\n[permissions]")
                  .starts_with("missing required field: permissions.default_action"));
}

TEST(Resolve, PodNameIsChecked) {
  EXPECT_NE(error_of("pod.name='../x'").find("invalid Pod name"), std::string::npos);
  EXPECT_NE(error_of("pod.name=''").find("invalid Pod name"), std::string::npos);
}

// Case 27.
TEST(Resolve, LingeringRelativePathsNameTheField) {
  struct Case {
    char const* toml;
    char const* error;
  };
  for (auto const& test : {
           Case{"pod.prompt_pack='p'", "path must be absolute (pod.prompt_pack): p"},
           Case{"model.auth={kind='api_key',file='k'}", "path must be absolute (model.auth.file): k"},
           Case{"scope.allow=[{target='a',permission='read'}]",
                "path must be absolute (scope.allow.target): a"},
           Case{"scope.deny=[{target='d',permission='read'}]",
                "path must be absolute (scope.deny.target): d"},
           Case{"delegation_scope.allow=[{target='d',permission='read'}]",
                "path must be absolute (delegation_scope.allow.target): d"},
           Case{"delegation_scope.deny=[{target='d',permission='read'}]",
                "path must be absolute (delegation_scope.deny.target): d"},
           Case{"compaction.model.auth={kind='api_key',file='k'}",
                "path must be absolute (compaction.model.auth.file): k"},
           Case{"memory.workspace_root='m'", "path must be absolute (memory.workspace_root): m"},
           Case{"memory.extract_model.auth={kind='api_key',file='k'}",
                "path must be absolute (memory.extract_model.auth.file): k"},
           Case{"skills.directories=['s']", "path must be absolute (skills.directories): s"},
           Case{"sandbox.read=['s']", "path must be absolute (sandbox.read): s"},
       }) {
    EXPECT_EQ(error_of("pod.name='p'\n" + std::string(test.toml)), test.error);
  }
}

TEST(Resolve, ChecksGoInOrder) {
  std::string all =
      "scope.deny=[{target='d',permission='read'}]\npod.prompt_pack='p'\nskills.directories=['s']\n["
      "permissions]\n";
  EXPECT_TRUE(error_of(all).starts_with("missing required field: pod.name"));
  EXPECT_EQ(error_of("pod.name='p'\n" + all), "path must be absolute (pod.prompt_pack): p");
  EXPECT_TRUE(error_of("pod.name='p'\nscope.deny=[{target='d',permission='read'}]\n[permissions]", true)
                  .starts_with("missing required field: scope.allow"));
  EXPECT_TRUE(error_of("pod.name='p'\nskills.directories=['s']\n[permissions]")
                  .starts_with("missing required field: permissions"));
}

// Case 30.
TEST(MemoryDenies, AreItsTwoFoldersForWritingAndNothingElse) {
  using Rules = std::vector<scope::ScopeRule>;
  EXPECT_EQ(memory_denies(parsed("[memory]"), "/ws"), (Rules{{"/ws/.insomnia/memory", scope::Permission::Write, true},
                                                            {"/ws/.insomnia/knowledge", scope::Permission::Write, true}}));
  EXPECT_EQ(memory_denies(parsed("memory.workspace_root='/other'"), "/ws").at(0).target, "/other/.insomnia/memory");
  EXPECT_EQ(memory_denies(parsed(""), "/ws"), Rules{});
}

TEST(Resolve, KeepsTheConfig) {
  Config config = parsed("pod.name='p'\n[session]\nrecord_event_trace=true");
  auto manifest = resolve(config);
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->config, config);
  EXPECT_EQ(manifest->config.record_event_trace, true);
  EXPECT_FALSE(manifest->profile);
}

}  // namespace
}  // namespace insomnia::manifest
