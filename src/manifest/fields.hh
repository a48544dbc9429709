#pragma once

#include <string_view>
#include <tuple>

#include "manifest/manifest.hh"

/// The keys of the manifest, once: decoding, encoding and merging all walk these lists. Internal to this
/// folder.
namespace insomnia::manifest {

/// One key of a table. `allowed` ("a|b"): the values of a string; `minimum`: of a number; `not_empty`: for
/// paths and names.
template <class Struct, class Member>
struct Field {
  std::string_view key;
  Member Struct::* member;
  std::string_view alias = {};
  std::string_view allowed = {};
  uint64_t minimum = 0;
  bool not_empty = false;
  bool required = false;
  bool is_part = false;  ///< a number above 0 and up to 1
};

template <class Struct, class Member>
constexpr Field<Struct, Member> field(std::string_view key, Member Struct::* member,
                                      std::string_view alias = {}) {
  return {key, member, alias};
}
template <class Struct, class Member>
constexpr Field<Struct, Member> one_of(std::string_view key, Member Struct::* member,
                                       std::string_view allowed) {
  return {key, member, {}, allowed};
}
template <class Struct, class Member>
constexpr Field<Struct, Member> at_least(std::string_view key, Member Struct::* member, uint64_t minimum,
                                         std::string_view alias = {}) {
  return {key, member, alias, {}, minimum};
}
template <class Struct, class Member>
constexpr Field<Struct, Member> text(std::string_view key, Member Struct::* member) {
  return {key, member, {}, {}, 0, true};
}
template <class Struct, class Member>
constexpr Field<Struct, Member> part(std::string_view key, Member Struct::* member, std::string_view alias = {}) {
  return {key, member, alias, {}, 0, false, false, true};
}
template <class Struct, class Member>
constexpr Field<Struct, Member> required(std::string_view key, Member Struct::* member) {
  return {key, member, {}, {}, 0, true, true};
}

inline constexpr std::string_view kSchemes = "anthropic|openai_chat|openai_responses|gemini|rehearsal";

/// A key that was dropped: giving it is an error with `hint`.
struct RemovedKey {
  std::string_view key;
  std::string_view hint;
};

/// Specialised below for every table that is nothing but a list of keys.
template <class Struct>
inline constexpr bool kFields = false;
template <class Struct>
concept Described = !std::is_same_v<decltype(kFields<Struct>), bool const>;

template <class Struct>
inline constexpr RemovedKey kRemovedKey{};
template <>
inline constexpr RemovedKey kRemovedKey<Compaction>{"prune_protected_turns",
                                                    "it was replaced, use compaction.prune_protected_tokens"};
template <>
inline constexpr RemovedKey kRemovedKey<Memory>{"extract_worker_max_input_tokens",
                                                "it was removed; take it out"};

template <>
inline constexpr auto kFields<ModelManifest> = std::tuple{
    text("ref", &ModelManifest::ref),
    one_of("scheme", &ModelManifest::scheme, kSchemes),
    text("base_url", &ModelManifest::base_url),
    text("model_id", &ModelManifest::model_id),
    field("auth", &ModelManifest::auth),
    field("capability", &ModelManifest::capability),
    at_least("context_window", &ModelManifest::context_window, 1),
    at_least("max_context_window", &ModelManifest::max_context_window, 1),
};

/// Without the tables tool_output and file_upload, whose members are flat in Worker.
template <>
inline constexpr auto kFields<Worker> = std::tuple{
    text("instruction", &Worker::instruction),
    text("instruction_text", &Worker::instruction_text),
    text("language", &Worker::language),
    at_least("max_tokens", &Worker::max_tokens, 1),
    at_least("max_turns", &Worker::max_turns, 1),
    field("temperature", &Worker::temperature),
    field("top_p", &Worker::top_p),
    field("top_k", &Worker::top_k),
    field("stop_sequences", &Worker::stop_sequences),
    field("reasoning", &Worker::reasoning),
};

template <>
inline constexpr auto kFields<scope::ScopeRule> = std::tuple{
    required("target", &scope::ScopeRule::target),
    required("permission", &scope::ScopeRule::permission),
    field("recursive", &scope::ScopeRule::recursive),
};
template <>
inline constexpr auto kFields<scope::ScopeConfig> = std::tuple{
    field("allow", &scope::ScopeConfig::allow),
    field("deny", &scope::ScopeConfig::deny),
};

template <>
inline constexpr auto kFields<PermissionRule> = std::tuple{
    required("tool", &PermissionRule::tool),
    required("pattern", &PermissionRule::pattern),
    required("action", &PermissionRule::action),
};
template <>
inline constexpr auto kFields<Permissions> = std::tuple{
    field("default_action", &Permissions::default_action),
    field("rule", &Permissions::rule),
    at_least("ask_timeout_secs", &Permissions::ask_timeout_secs, 1),
    field("ask_unattended_secs", &Permissions::ask_unattended_secs),
};

template <>
inline constexpr auto kFields<CompactionRatio> = std::tuple{
    part("threshold", &CompactionRatio::threshold),
    part("request_threshold", &CompactionRatio::request_threshold, "request"),
    part("worker_context_max_tokens", &CompactionRatio::worker_context_max_tokens, "worker"),
};
template <>
inline constexpr auto kFields<Compaction> = std::tuple{
    field("ratio", &Compaction::ratio),
    field("prune_protected_tokens", &Compaction::prune_protected_tokens),
    field("prune_min_savings", &Compaction::prune_min_savings),
    field("threshold", &Compaction::threshold, "compact_threshold"),
    field("request_threshold", &Compaction::request_threshold, "compact_request_threshold"),
    field("retained_tokens", &Compaction::retained_tokens, "compact_retained_tokens"),
    field("overview_target_tokens", &Compaction::overview_target_tokens),
    field("overview_warning_tokens", &Compaction::overview_warning_tokens),
    field("overview_deadline_tokens", &Compaction::overview_deadline_tokens),
    field("worker_context_max_tokens", &Compaction::worker_context_max_tokens,
          "compact_worker_max_input_tokens"),
    field("finish_warning_remaining_tokens", &Compaction::finish_warning_remaining_tokens),
    field("final_reserve_tokens", &Compaction::final_reserve_tokens),
    at_least("worker_max_turns", &Compaction::worker_max_turns, 1, "compact_worker_max_turns"),
    field("summary_target_tokens", &Compaction::summary_target_tokens),
    field("summary_max_tokens", &Compaction::summary_max_tokens),
    field("auto_read_budget_tokens", &Compaction::auto_read_budget_tokens, "compact_auto_read_budget"),
    field("result_context_max_tokens", &Compaction::result_context_max_tokens),
    field("model", &Compaction::model),
};

template <>
inline constexpr auto kFields<WebSearch> = std::tuple{
    field("enabled", &WebSearch::enabled),        one_of("provider", &WebSearch::provider, "brave"),
    text("api_key_env", &WebSearch::api_key_env), field("timeout_secs", &WebSearch::timeout_secs),
    text("base_url", &WebSearch::base_url),       text("country", &WebSearch::country),
    text("search_lang", &WebSearch::search_lang), text("ui_lang", &WebSearch::ui_lang),
    text("safesearch", &WebSearch::safesearch),
};
template <>
inline constexpr auto kFields<WebFetch> = std::tuple{
    field("enabled", &WebFetch::enabled),
    field("timeout_secs", &WebFetch::timeout_secs),
    field("redirect_limit", &WebFetch::redirect_limit),
    field("max_response_bytes", &WebFetch::max_response_bytes),
    field("max_output_bytes", &WebFetch::max_output_bytes),
    field("allow_private_addresses", &WebFetch::allow_private_addresses),
};
template <>
inline constexpr auto kFields<Web> = std::tuple{
    field("enabled", &Web::enabled),
    field("allow_private_addresses", &Web::allow_private_addresses),
    field("search", &Web::search),
    field("fetch", &Web::fetch),
};

template <>
inline constexpr auto kFields<Memory> = std::tuple{
    text("workspace_root", &Memory::workspace_root),
    text("language", &Memory::language),
    field("query_result_limit", &Memory::query_result_limit),
    field("query_excerpt_lines", &Memory::query_excerpt_lines),
    field("inject_summary", &Memory::inject_summary),
    field("extract_model", &Memory::extract_model),
    field("extract_threshold", &Memory::extract_threshold),
    at_least("extract_worker_max_turns", &Memory::extract_worker_max_turns, 1),
    field("consolidation_model", &Memory::consolidation_model),
    field("consolidation_threshold_files", &Memory::consolidation_threshold_files),
    field("consolidation_threshold_bytes", &Memory::consolidation_threshold_bytes),
};

template <>
inline constexpr auto kFields<Skills> = std::tuple{text("directories", &Skills::directories)};
template <>
inline constexpr auto kFields<ToolSelection> = std::tuple{
    text("allow", &ToolSelection::allow),
    text("deny", &ToolSelection::deny),
};
template <>
inline constexpr auto kFields<Sandbox> = std::tuple{
    one_of("network", &Sandbox::network, "full|none"),
    one_of("on_lend", &Sandbox::on_lend, "refuse|kill"),
    field("required", &Sandbox::required),
    text("read", &Sandbox::read),
    at_least("max_processes", &Sandbox::max_processes, 16),
    at_least("max_open_files", &Sandbox::max_open_files, 16),
    at_least("max_cpu_secs", &Sandbox::max_cpu_secs, 1),
    field("max_file_bytes", &Sandbox::max_file_bytes),
    at_least("max_memory_bytes", &Sandbox::max_memory_bytes, 16 << 20),
};
template <>
inline constexpr auto kFields<Limits> = std::tuple{
    field("max_depth", &Limits::max_depth),
    field("max_children", &Limits::max_children),
    at_least("max_live_pods", &Limits::max_live_pods, 1),
};
template <>
inline constexpr auto kFields<Budget> = std::tuple{
    field("max_tokens", &Budget::max_tokens),
    field("max_cost", &Budget::max_cost),
    field("max_wall_secs", &Budget::max_wall_secs),
};

template <>
inline constexpr auto kFields<Account> = std::tuple{
    required("pod_id", &Account::pod_id),
    required("pod_name", &Account::pod_name),
    field("started_ms", &Account::started_ms),
    field("budget", &Account::budget),
};

/// Calls `visit(field)` for every key of a table.
template <Described Struct, class Visit>
void for_each_field(Visit&& visit) {
  std::apply([&](auto const&... fields) { (visit(fields), ...); }, kFields<Struct>);
}

}  // namespace insomnia::manifest
