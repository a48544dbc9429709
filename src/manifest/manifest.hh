#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.hh"
#include "scope/rule.hh"

/// The run configuration of one Pod. Every struct here exists once: a partial manifest (Config) has the same fields, all optional,
/// and is what is merged; a Manifest is a Config that passed resolve(). Fields and defaults: doc/manifest.md.
namespace insomnia::manifest {

struct Auth {
  enum class Kind { None, ApiKey, CodexOauth, SecretRef };
  Kind kind = Kind::None;
  std::string env;   ///< ApiKey: variable; wins over file
  std::string file;  ///< ApiKey: file with the key
  std::string ref;   ///< SecretRef
  friend bool operator==(Auth const&, Auth const&) = default;
};

struct Capability {
  std::string tool_calling;       ///< none, sequential, parallel
  std::string structured_output;  ///< none, json_object, json_schema
  std::string reasoning;          ///< "", effort, budget_tokens, both
  bool vision = false;
  bool explicit_caching = false;  ///< prompt_caching.kind
  uint32_t max_breakpoints = 0;
  friend bool operator==(Capability const&, Capability const&) = default;
};

/// scheme: anthropic, openai_chat, openai_responses, gemini, rehearsal.
struct ModelManifest {
  std::optional<std::string> ref;  ///< "<provider_id>/<model_id>", split at the first '/'
  std::optional<std::string> scheme;
  std::optional<std::string> base_url;
  std::optional<std::string> model_id;
  std::optional<Auth> auth;
  std::optional<Capability> capability;
  std::optional<uint64_t> context_window;
  std::optional<uint64_t> max_context_window;
  bool empty() const { return *this == ModelManifest{}; }
  friend bool operator==(ModelManifest const&, ModelManifest const&) = default;
};

/// An effort label or a token budget.
using Reasoning = std::variant<std::string, int64_t>;

struct Worker {
  std::optional<std::string> instruction;       ///< prompt reference
  std::optional<std::string> instruction_text;  ///< the prompt itself, taken as it stands; wins over a reference of the same layer
  std::optional<std::string> language;
  std::optional<uint32_t> max_tokens;
  std::optional<uint32_t> max_turns;  ///< per run
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<uint32_t> top_k;
  std::optional<std::vector<std::string>> stop_sequences;
  std::optional<Reasoning> reasoning;
  std::optional<uint64_t> tool_output_default_max_bytes;
  std::map<std::string, uint64_t> tool_output_per_tool;
  std::optional<uint64_t> file_upload_max_bytes;
  friend bool operator==(Worker const&, Worker const&) = default;
};

enum class PermissionAction { Allow, Deny, Ask };
struct PermissionRule {
  std::string tool;
  std::string pattern;
  PermissionAction action = PermissionAction::Allow;
  friend bool operator==(PermissionRule const&, PermissionRule const&) = default;
};
struct Permissions {
  std::optional<PermissionAction> default_action;
  std::vector<PermissionRule> rule;
  std::optional<uint64_t> ask_timeout_secs = std::nullopt;     ///< without an answer for so long: no
  std::optional<uint64_t> ask_unattended_secs = std::nullopt;  ///< without anybody who could answer for so long: no
  friend bool operator==(Permissions const&, Permissions const&) = default;
};

/// Thresholds as parts of the model's context window, above 0 and up to 1. What is given in tokens wins.
struct CompactionRatio {
  std::optional<double> threshold, request_threshold, worker_context_max_tokens;
  friend bool operator==(CompactionRatio const&, CompactionRatio const&) = default;
};

struct Compaction {
  std::optional<CompactionRatio> ratio;
  std::optional<uint64_t> prune_protected_tokens;
  std::optional<uint64_t> prune_min_savings;
  std::optional<uint64_t> threshold;
  std::optional<uint64_t> request_threshold;
  std::optional<uint64_t> retained_tokens;
  std::optional<uint64_t> overview_target_tokens;
  std::optional<uint64_t> overview_warning_tokens;
  std::optional<uint64_t> overview_deadline_tokens;
  std::optional<uint64_t> worker_context_max_tokens;
  std::optional<uint64_t> finish_warning_remaining_tokens;
  std::optional<uint64_t> final_reserve_tokens;
  std::optional<uint32_t> worker_max_turns;
  std::optional<uint64_t> summary_target_tokens;
  std::optional<uint64_t> summary_max_tokens;
  std::optional<uint64_t> auto_read_budget_tokens;
  std::optional<uint64_t> result_context_max_tokens;
  std::optional<ModelManifest> model;
  friend bool operator==(Compaction const&, Compaction const&) = default;
};

struct WebSearch {
  std::optional<bool> enabled;
  std::optional<std::string> provider, api_key_env, base_url, country, search_lang, ui_lang, safesearch;
  std::optional<uint64_t> timeout_secs;
  friend bool operator==(WebSearch const&, WebSearch const&) = default;
};
struct WebFetch {
  std::optional<bool> enabled, allow_private_addresses;
  std::optional<uint64_t> timeout_secs, redirect_limit, max_response_bytes, max_output_bytes;
  friend bool operator==(WebFetch const&, WebFetch const&) = default;
};
struct Web {
  std::optional<bool> enabled, allow_private_addresses;
  std::optional<WebSearch> search;
  std::optional<WebFetch> fetch;
  friend bool operator==(Web const&, Web const&) = default;
};

struct Memory {
  std::optional<std::string> workspace_root, language;
  std::optional<uint64_t> query_result_limit, query_excerpt_lines;
  std::optional<bool> inject_summary;
  std::optional<ModelManifest> extract_model, consolidation_model;
  std::optional<uint64_t> extract_threshold, consolidation_threshold_files, consolidation_threshold_bytes;
  std::optional<uint32_t> extract_worker_max_turns;
  friend bool operator==(Memory const&, Memory const&) = default;
};

struct Skills {
  std::vector<std::string> directories;
  friend bool operator==(Skills const&, Skills const&) = default;
};

/// In `allow`: a list of tools that allows none. No tool has this name.
inline constexpr char kNoTool[] = "(none)";

/// Which tools the Pod has. Empty allow: all.
struct ToolSelection {
  std::vector<std::string> allow, deny;
  friend bool operator==(ToolSelection const&, ToolSelection const&) = default;
};

/// The kernel sandbox around the hands.
struct Sandbox {
  std::optional<std::string> network;  ///< full, none
  std::optional<std::string> on_lend;  ///< refuse, kill
  std::optional<bool> required;        ///< false waives the cell where the kernel has none
  std::vector<std::string> read;       ///< more read-only directories
  std::optional<uint64_t> max_processes, max_open_files, max_cpu_secs, max_file_bytes, max_memory_bytes;
  friend bool operator==(Sandbox const&, Sandbox const&) = default;
};

struct Limits {
  std::optional<uint32_t> max_depth, max_children, max_live_pods;
  friend bool operator==(Limits const&, Limits const&) = default;
};

struct Budget {
  std::optional<uint64_t> max_tokens;
  std::optional<double> max_cost;
  std::optional<uint64_t> max_wall_secs;
  friend bool operator==(Budget const&, Budget const&) = default;
};

/// A partial manifest: a merge layer, a file, a profile's result, what is handed to a child.
struct Config {
  std::optional<std::string> pod_name;
  std::optional<std::string> prompt_pack;
  ModelManifest model;
  Worker worker;
  scope::ScopeConfig scope;
  std::optional<scope::ScopeConfig> delegation_scope;
  std::optional<bool> record_event_trace;
  std::optional<Permissions> permissions;
  std::optional<Compaction> compaction;
  std::optional<Web> web;
  std::optional<Memory> memory;
  std::optional<Skills> skills;
  std::optional<ToolSelection> tools;
  std::optional<Sandbox> sandbox;
  std::optional<Limits> limits;
  std::optional<Budget> budget;
  friend bool operator==(Config const&, Config const&) = default;
};

/// A [compaction] table with its defaults (doc/manifest.md).
struct CompactionSettings {
  uint64_t prune_protected_tokens = 8000, prune_min_savings = 4096;
  std::optional<uint64_t> threshold, request_threshold;  ///< absent: this trigger is off
  uint64_t retained_tokens = 8000;
  uint64_t overview_target_tokens = 8000, overview_warning_tokens = 16000, overview_deadline_tokens = 40000;
  uint64_t worker_context_max_tokens = 50000, finish_warning_remaining_tokens = 8000, final_reserve_tokens = 4000;
  uint32_t worker_max_turns = 20;
  uint64_t summary_target_tokens = 2000;
  uint64_t summary_max_tokens = 4000, auto_read_budget_tokens = 8000, result_context_max_tokens = 60000;  ///< 0: any size
  friend bool operator==(CompactionSettings const&, CompactionSettings const&) = default;
};

/// Where a manifest came from, for people.
struct ProfileProvenance {
  std::string source;  ///< "builtin:default", a path, …
  std::string name;
  std::string description;
  friend bool operator==(ProfileProvenance const&, ProfileProvenance const&) = default;
};

/// A Config that was checked: pod_name is there, every path absolute, defaults are applied by the accessors below.
struct Manifest {
  Config config;
  std::optional<ProfileProvenance> profile;

  std::string const& pod_name() const { return *config.pod_name; }
  std::string instruction() const { return config.worker.instruction.value_or("$insomnia/default"); }
  std::string language() const;
  uint64_t output_limit(std::string_view tool) const;
  uint64_t file_upload_limit() const { return config.worker.file_upload_max_bytes.value_or(262144); }
  /// Nothing without [compaction]: then nothing is pruned either.
  std::optional<CompactionSettings> compaction() const;
  uint32_t max_depth() const;
  uint32_t max_children() const;
  uint32_t max_live_pods() const;
  friend bool operator==(Manifest const&, Manifest const&) = default;
};

/// A Pod that pays for what it and all below it spend.
struct Account {
  std::string pod_id;
  std::string pod_name;
  uint64_t started_ms = 0;  ///< wall clock: since when its time runs
  Budget budget;
  friend bool operator==(Account const&, Account const&) = default;
};

/// What a Pod and all below it can never exceed. Handed down beside the config; neither inherit nor a profile changes it.
struct Ceilings {
  std::vector<Permissions> permissions;  ///< of each ancestor that has a policy: all must allow
  std::optional<ToolSelection> tools;
  std::optional<Sandbox> sandbox;
  std::optional<Budget> budget;
  std::optional<Limits> limits;
  std::vector<Account> accounts;  ///< of all Pods above, the highest first
  uint32_t depth = 0;  ///< of the Pod itself; a root has 0
  friend bool operator==(Ceilings const&, Ceilings const&) = default;
};

/// Parses TOML. Errors have file, line and column; unknown keys are errors that name file, line and the key's path.
Result<Config> parse_toml(std::string_view text, std::string const& file_name);
/// Parses the JSON form (hand-over, metadata); unknown keys are errors with their path.
Result<Config> parse_json(std::string_view text);
std::string to_json(Config const& config);
/// The resolved manifest as TOML, for <runtime_dir>/<pod>/manifest.toml.
std::string to_toml(Config const& config);

/// The sandbox of a Pod: what its manifest says, made stricter by the ceilings.
Sandbox effective_sandbox(Config const& config, Ceilings const& ceilings);

/// What a child of a Pod may not exceed: the Pod's own ceilings, made stricter by its manifest; one deeper.
Ceilings ceilings_below(Ceilings const& own, Config const& config);

std::string ceilings_to_json(Ceilings const& ceilings);
Result<Ceilings> ceilings_from_json(std::string_view text);

/// `upper` on `lower`, by the rules of the spec (manifest-profile 3.2).
Config merge(Config lower, Config const& upper);
/// The layer that everything starts from.
Config builtin_defaults();
/// Joins relative paths to `base`, which is absolute.
Config resolve_paths(Config config, std::string const& base);
/// Compaction's ratios as tokens of a window of `context_window` tokens. Without ratios: the same config.
Config with_window(Config config, uint64_t context_window);
/// What memory, when it is on, keeps general tools from writing: its folders below `workspace_root`, or below its own root.
std::vector<scope::ScopeRule> memory_denies(Config const& config, std::string const& workspace_root);
/// Checks what must be there and absolute: `missing required field: …`, `path must be absolute (…): …`.
Result<Manifest> resolve(Config config, bool require_scope = false);

/// The fields that a child takes over from its spawner's manifest or from a profile (spec registry-spawn 8.3): never name, scope,
/// delegation scope, ceilings or provenance.
Config reusable_fields(Config const& config);

}  // namespace insomnia::manifest
