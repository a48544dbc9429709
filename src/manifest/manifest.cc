#include "manifest/manifest.hh"

#include <cmath>
#include <utility>

namespace insomnia::manifest {
namespace {

constexpr uint64_t kToolOutputMaxBytes = 65536;
constexpr uint64_t kFileUploadMaxBytes = 262144;
constexpr char kLanguage[] = "match the user's language unless they explicitly request another language";
constexpr uint32_t kMaxDepth = 8;
constexpr uint32_t kMaxChildren = 64;
constexpr uint32_t kMaxLivePods = 2000;

uint32_t limit(std::optional<Limits> const& limits, std::optional<uint32_t> Limits::* member,
               uint32_t fallback) {
  return limits ? ((*limits).*member).value_or(fallback) : fallback;
}

}  // namespace

std::string Manifest::language() const {
  return config.worker.language.value_or(kLanguage);
}

uint64_t Manifest::output_limit(std::string_view tool) const {
  auto own = config.worker.tool_output_per_tool.find(std::string(tool));
  if (own != config.worker.tool_output_per_tool.end()) return own->second;
  return config.worker.tool_output_default_max_bytes.value_or(kToolOutputMaxBytes);
}

uint32_t Manifest::max_depth() const {
  return limit(config.limits, &Limits::max_depth, kMaxDepth);
}
uint32_t Manifest::max_children() const {
  return limit(config.limits, &Limits::max_children, kMaxChildren);
}
uint32_t Manifest::max_live_pods() const {
  return limit(config.limits, &Limits::max_live_pods, kMaxLivePods);
}

Config builtin_defaults() {
  Config config;
  config.worker.tool_output_default_max_bytes = kToolOutputMaxBytes;
  config.worker.file_upload_max_bytes = kFileUploadMaxBytes;
  return config;
}

Config with_window(Config config, uint64_t context_window) {
  if (!config.compaction || !config.compaction->ratio) return config;
  CompactionRatio ratio = *std::exchange(config.compaction->ratio, std::nullopt);
  auto set = [&](std::optional<uint64_t>& tokens, std::optional<double> part) {
    if (!tokens && part) tokens = static_cast<uint64_t>(std::floor(static_cast<double>(context_window) * *part));
  };
  set(config.compaction->threshold, ratio.threshold);
  set(config.compaction->request_threshold, ratio.request_threshold);
  set(config.compaction->worker_context_max_tokens, ratio.worker_context_max_tokens);
  return config;
}

Config reusable_fields(Config const& config) {
  Config reusable;
  reusable.prompt_pack = config.prompt_pack;
  reusable.model = config.model;
  reusable.worker = config.worker;
  if (reusable.worker.stop_sequences && reusable.worker.stop_sequences->empty())
    reusable.worker.stop_sequences.reset();
  reusable.record_event_trace = config.record_event_trace;
  reusable.permissions = config.permissions;
  reusable.compaction = config.compaction;
  reusable.web = config.web;
  reusable.memory = config.memory;
  reusable.skills = config.skills;
  return reusable;
}

std::optional<CompactionSettings> Manifest::compaction() const {
  if (!config.compaction) return std::nullopt;
  Compaction const& said = *config.compaction;
  CompactionSettings out;
  auto take = [](auto& into, auto const& value) {
    if (value) into = *value;
  };
  take(out.prune_protected_tokens, said.prune_protected_tokens);
  take(out.prune_min_savings, said.prune_min_savings);
  take(out.threshold, said.threshold);
  take(out.request_threshold, said.request_threshold);
  take(out.retained_tokens, said.retained_tokens);
  take(out.overview_target_tokens, said.overview_target_tokens);
  take(out.overview_warning_tokens, said.overview_warning_tokens);
  take(out.overview_deadline_tokens, said.overview_deadline_tokens);
  take(out.worker_context_max_tokens, said.worker_context_max_tokens);
  take(out.finish_warning_remaining_tokens, said.finish_warning_remaining_tokens);
  take(out.final_reserve_tokens, said.final_reserve_tokens);
  take(out.worker_max_turns, said.worker_max_turns);
  take(out.summary_target_tokens, said.summary_target_tokens);
  take(out.summary_max_tokens, said.summary_max_tokens);
  take(out.auto_read_budget_tokens, said.auto_read_budget_tokens);
  take(out.result_context_max_tokens, said.result_context_max_tokens);
  return out;
}

}  // namespace insomnia::manifest
