#include <gtest/gtest.h>

#include <random>

#include "manifest/manifest.hh"

namespace insomnia::manifest {
namespace {

/// Makes any Config that can be written: each field is there half of the time.
class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  Config config() {
    Config out;
    maybe(out.pod_name, [&] { return word(); });
    maybe(out.prompt_pack, [&] { return word(); });
    out.model = model();
    out.worker = worker();
    if (flip()) out.scope = scope();
    maybe(out.delegation_scope, [&] { return scope(); });
    maybe(out.record_event_trace, [&] { return flip(); });
    maybe(out.permissions, [&] { return permissions(); });
    maybe(out.compaction, [&] { return compaction(); });
    maybe(out.web, [&] { return web(); });
    maybe(out.memory, [&] { return memory(); });
    maybe(out.skills, [&] { return Skills{words()}; });
    maybe(out.tools, [&] { return ToolSelection{words(), words()}; });
    maybe(out.sandbox, [&] { return sandbox(); });
    maybe(out.limits, [&] { return limits(); });
    maybe(out.budget, [&] { return budget(); });
    return out;
  }

  Ceilings ceilings() {
    Ceilings out;
    while (flip()) out.permissions.push_back(permissions());
    maybe(out.tools, [&] { return ToolSelection{words(), words()}; });
    maybe(out.sandbox, [&] { return sandbox(); });
    maybe(out.budget, [&] { return budget(); });
    maybe(out.limits, [&] { return limits(); });
    out.depth = static_cast<uint32_t>(number() % 9);
    return out;
  }

 private:
  bool flip() { return random_() % 2 == 0; }
  uint64_t number() {
    uint64_t raw = (uint64_t{random_()} << 31) ^ random_();
    return 1 + (raw >> (random_() % 62)) % (uint64_t{1} << 62);
  }
  uint32_t small() { return 1 + random_() % 1000; }
  double fraction() { return static_cast<double>(random_() % 4000) / 16; }
  std::string word() {
    static char const* const kPieces[] = {"a",    "Z", "/",  ".",  " ", "\"", "\\", "\n", "\t",  "\x01",
                                          "\x7f", "é", "漢", "😀", "'", "#",  "=",  "[",  "$x/", "0"};
    std::string out;
    size_t length = 1 + random_() % 8;
    for (size_t i = 0; i < length; ++i) out += kPieces[random_() % std::size(kPieces)];
    return out;
  }
  std::vector<std::string> words() {
    std::vector<std::string> out(random_() % 3);
    for (auto& each : out) each = word();
    return out;
  }
  template <class T, class Make>
  void maybe(std::optional<T>& out, Make make) {
    if (flip()) out = make();
  }
  template <class... Members>
  void numbers(Members&... members) {
    (maybe(members,
           [&] {
             return static_cast<typename Members::value_type>(
                 std::is_same_v<typename Members::value_type, uint32_t> ? small() : number());
           }),
     ...);
  }
  template <class... Members>
  void strings(Members&... members) {
    (maybe(members, [&] { return word(); }), ...);
  }
  template <class... Members>
  void flags(Members&... members) {
    (maybe(members, [&] { return flip(); }), ...);
  }

  scope::ScopeConfig scope() {
    scope::ScopeConfig out;
    for (auto* list : {&out.allow, &out.deny}) {
      list->resize(random_() % 3);
      for (auto& rule : *list)
        rule = {word(), flip() ? scope::Permission::Read : scope::Permission::Write, flip()};
    }
    return out;
  }
  ModelManifest model() {
    ModelManifest out;
    strings(out.ref, out.base_url, out.model_id);
    maybe(out.scheme, [&] { return std::string(flip() ? "gemini" : "rehearsal"); });
    numbers(out.context_window, out.max_context_window);
    maybe(out.auth, [&] { return auth(); });
    maybe(out.capability, [&] {
      bool caching = flip();
      return Capability{flip() ? "none" : "parallel", "json_schema", flip() ? "" : "effort", flip(), caching,
                        caching ? small() % 256 : 0};
    });
    return out;
  }
  Auth auth() {
    switch (random_() % 4) {
      case 0:
        return {};
      case 1:
        return {Auth::Kind::ApiKey, flip() ? word() : "", flip() ? word() : "", ""};
      case 2:
        return {Auth::Kind::CodexOauth, "", "", ""};
      default:
        return {Auth::Kind::SecretRef, "", "", word()};
    }
  }
  Worker worker() {
    Worker out;
    strings(out.instruction, out.language);
    numbers(out.max_tokens, out.max_turns, out.top_k, out.tool_output_default_max_bytes,
            out.file_upload_max_bytes);
    maybe(out.temperature, [&] { return fraction(); });
    maybe(out.top_p, [&] { return fraction(); });
    maybe(out.stop_sequences, [&] { return words(); });
    maybe(out.reasoning, [&] { return flip() ? Reasoning(word()) : Reasoning(int64_t{-1} + small()); });
    for (auto const& tool : words()) out.tool_output_per_tool[tool] = number();
    return out;
  }
  PermissionAction action() { return static_cast<PermissionAction>(random_() % 3); }
  Permissions permissions() {
    Permissions out;
    maybe(out.default_action, [&] { return action(); });
    out.rule.resize(random_() % 3);
    for (auto& rule : out.rule) rule = {word(), word(), action()};
    return out;
  }
  Compaction compaction() {
    Compaction out;
    numbers(out.prune_protected_tokens, out.prune_min_savings, out.threshold, out.request_threshold,
            out.retained_tokens, out.overview_target_tokens, out.overview_warning_tokens,
            out.overview_deadline_tokens, out.worker_context_max_tokens, out.finish_warning_remaining_tokens,
            out.final_reserve_tokens, out.worker_max_turns, out.summary_target_tokens, out.summary_max_tokens,
            out.auto_read_budget_tokens, out.result_context_max_tokens);
    maybe(out.model, [&] { return model(); });
    return out;
  }
  Web web() {
    Web out;
    flags(out.enabled, out.allow_private_addresses);
    maybe(out.search, [&] {
      WebSearch search;
      flags(search.enabled);
      maybe(search.provider, [] { return std::string("brave"); });
      strings(search.api_key_env, search.base_url, search.country, search.search_lang, search.ui_lang,
              search.safesearch);
      numbers(search.timeout_secs);
      return search;
    });
    maybe(out.fetch, [&] {
      WebFetch fetch;
      flags(fetch.enabled, fetch.allow_private_addresses);
      numbers(fetch.timeout_secs, fetch.redirect_limit, fetch.max_response_bytes, fetch.max_output_bytes);
      return fetch;
    });
    return out;
  }
  Memory memory() {
    Memory out;
    strings(out.workspace_root, out.language);
    flags(out.inject_summary);
    numbers(out.query_result_limit, out.query_excerpt_lines, out.extract_threshold,
            out.consolidation_threshold_files, out.consolidation_threshold_bytes,
            out.extract_worker_max_turns);
    maybe(out.extract_model, [&] { return model(); });
    maybe(out.consolidation_model, [&] { return model(); });
    return out;
  }
  Sandbox sandbox() {
    Sandbox out;
    maybe(out.network, [&] { return std::string(flip() ? "full" : "none"); });
    maybe(out.on_lend, [&] { return std::string(flip() ? "refuse" : "kill"); });
    flags(out.required);
    out.read = words();
    return out;
  }
  Limits limits() {
    Limits out;
    numbers(out.max_depth, out.max_children, out.max_live_pods);
    return out;
  }
  Budget budget() {
    Budget out;
    numbers(out.max_tokens, out.max_wall_secs);
    maybe(out.max_cost, [&] { return fraction(); });
    return out;
  }

  std::mt19937 random_;
};

TEST(RoundTrip, JsonGivesBackEveryConfig) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    Config config = Generator(seed).config();
    auto back = parse_json(to_json(config));
    ASSERT_TRUE(back) << "seed " << seed << ": " << back.error().message << "\n" << to_json(config);
    ASSERT_EQ(*back, config) << "seed " << seed << "\n" << to_json(config);
  }
}

TEST(RoundTrip, TomlGivesBackEveryConfig) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    Config config = Generator(seed).config();
    auto back = parse_toml(to_toml(config), "written.toml");
    ASSERT_TRUE(back) << "seed " << seed << ": " << back.error().message << "\n" << to_toml(config);
    ASSERT_EQ(*back, config) << "seed " << seed << "\n" << to_toml(config);
  }
}

TEST(RoundTrip, CeilingsAsJson) {
  for (uint32_t seed = 0; seed < 100; ++seed) {
    Ceilings ceilings = Generator(seed).ceilings();
    auto back = ceilings_from_json(ceilings_to_json(ceilings));
    ASSERT_TRUE(back) << back.error().message;
    ASSERT_EQ(*back, ceilings) << ceilings_to_json(ceilings);
  }
}

TEST(RoundTrip, AnEmptyConfigIsAnEmptyObject) {
  EXPECT_EQ(to_json(Config{}), "{}");
  EXPECT_EQ(to_toml(Config{}), "");
  EXPECT_EQ(ceilings_to_json(Ceilings{}), R"({"depth":0})");
}

TEST(RoundTrip, ScopeIsWrittenWithBothLists) {
  Config config;
  config.scope.allow.push_back({"/w", scope::Permission::Write, true});
  EXPECT_EQ(to_json(config),
            R"({"scope":{"allow":[{"target":"/w","permission":"write","recursive":true}],"deny":[]}})");
  EXPECT_EQ(
      to_toml(config),
      "[scope]\ndeny = []\n\n[[scope.allow]]\ntarget = \"/w\"\npermission = \"write\"\nrecursive = true\n");
}

TEST(RoundTrip, UnknownCeilingIsAnError) {
  auto ceilings = ceilings_from_json(R"({"depth":1,"height":2})");
  ASSERT_FALSE(ceilings);
  EXPECT_NE(ceilings.error().message.find("height: unknown key"), std::string::npos);
}

}  // namespace
}  // namespace insomnia::manifest
