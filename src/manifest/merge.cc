#include "manifest/fields.hh"

namespace insomnia::manifest {
namespace {

template <class T>
void overlay(std::optional<T>& lower, std::optional<T> const& upper) {
  if (upper) lower = upper;
}

template <class T>
void overlay(std::vector<T>& lower, std::vector<T> const& upper) {
  lower.insert(lower.end(), upper.begin(), upper.end());
}

template <Described Struct>
void overlay(Struct& lower, Struct const& upper);

/// Tables that are merged field by field. Memory's models are not among them: each is replaced whole.
template <Described Section>
void overlay_section(std::optional<Section>& lower, std::optional<Section> const& upper) {
  if (lower && upper) {
    overlay(*lower, *upper);
  } else if (upper) {
    lower = upper;
  }
}

template <Described Struct>
void overlay(Struct& lower, Struct const& upper) {
  for_each_field<Struct>([&](auto const& field) { overlay(lower.*field.member, upper.*field.member); });
}

void overlay(Web& lower, Web const& upper) {
  overlay(lower.enabled, upper.enabled);
  overlay(lower.allow_private_addresses, upper.allow_private_addresses);
  overlay_section(lower.search, upper.search);
  overlay_section(lower.fetch, upper.fetch);
}

void overlay_compaction(std::optional<Compaction>& lower, std::optional<Compaction> const& upper) {
  if (!lower || !upper) return overlay_section(lower, upper);
  auto model = lower->model;
  overlay_section(model, upper->model);
  overlay(*lower, *upper);
  lower->model = std::move(model);
}

void overlay_worker(Worker& lower, Worker const& upper) {
  if (upper.instruction) lower.instruction_text.reset();
  overlay(lower, upper);
  overlay(lower.tool_output_default_max_bytes, upper.tool_output_default_max_bytes);
  overlay(lower.file_upload_max_bytes, upper.file_upload_max_bytes);
  for (auto const& [tool, bytes] : upper.tool_output_per_tool) lower.tool_output_per_tool[tool] = bytes;
}

}  // namespace

Config merge(Config lower, Config const& upper) {
  overlay(lower.pod_name, upper.pod_name);
  overlay(lower.prompt_pack, upper.prompt_pack);
  overlay(lower.model, upper.model);
  overlay_worker(lower.worker, upper.worker);
  overlay(lower.scope, upper.scope);
  overlay_section(lower.delegation_scope, upper.delegation_scope);
  overlay(lower.record_event_trace, upper.record_event_trace);
  overlay_section(lower.permissions, upper.permissions);
  overlay_compaction(lower.compaction, upper.compaction);
  if (lower.web && upper.web) {
    overlay(*lower.web, *upper.web);
  } else {
    overlay(lower.web, upper.web);
  }
  overlay_section(lower.memory, upper.memory);
  overlay_section(lower.skills, upper.skills);
  overlay_section(lower.tools, upper.tools);
  overlay_section(lower.sandbox, upper.sandbox);
  overlay_section(lower.limits, upper.limits);
  overlay_section(lower.budget, upper.budget);
  return lower;
}

}  // namespace insomnia::manifest
