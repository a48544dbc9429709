#include <boost/json.hpp>

#include "base/json.hh"
#include "manifest/decode.hh"
#include "manifest/encode.hh"
#include "manifest/fields.hh"

namespace insomnia::manifest {
namespace bj = boost::json;

namespace {

bj::value write(std::string const& value) {
  return bj::string(value);
}
bj::value write(bool value) {
  return value;
}
bj::value write(uint64_t value) {
  return value;
}
bj::value write(uint32_t value) {
  return uint64_t{value};
}
bj::value write(double value) {
  return value;
}

bj::value write(Reasoning const& value) {
  if (auto const* label = std::get_if<std::string>(&value)) return bj::string(*label);
  return std::get<int64_t>(value);
}

bj::value write(scope::Permission value) {
  return value == scope::Permission::Write ? "write" : "read";
}

bj::value write(PermissionAction value) {
  return value == PermissionAction::Allow ? "allow" : value == PermissionAction::Deny ? "deny" : "ask";
}

bj::value write(Auth const& auth) {
  bj::object out;
  switch (auth.kind) {
    case Auth::Kind::None:
      out["kind"] = "none";
      break;
    case Auth::Kind::CodexOauth:
      out["kind"] = "codex_oauth";
      break;
    case Auth::Kind::ApiKey:
      out["kind"] = "api_key";
      if (!auth.env.empty()) out["env"] = auth.env;
      if (!auth.file.empty()) out["file"] = auth.file;
      break;
    case Auth::Kind::SecretRef:
      out["kind"] = "secret_ref";
      out["ref"] = auth.ref;
      break;
  }
  return out;
}

bj::value write(Capability const& capability) {
  bj::object out;
  out["tool_calling"] = capability.tool_calling;
  out["structured_output"] = capability.structured_output;
  if (!capability.reasoning.empty()) out["reasoning"] = capability.reasoning;
  out["vision"] = capability.vision;
  bj::object caching;
  caching["kind"] = capability.explicit_caching ? "explicit" : "auto";
  if (capability.explicit_caching) caching["max_breakpoints"] = capability.max_breakpoints;
  out["prompt_caching"] = std::move(caching);
  return out;
}

bj::value write(std::map<std::string, uint64_t> const& value) {
  bj::object out;
  for (auto const& [key, number] : value) out[key] = number;
  return out;
}

template <Described Struct>
bj::value write(Struct const& value);
bj::value write(scope::ScopeConfig const& value);

template <class T>
bj::value write(std::vector<T> const& list) {
  bj::array out;
  for (auto const& member : list) out.push_back(write(member));
  return out;
}

// What an absent value looks like: optional fields without a value, and lists in tables whose presence is
// said otherwise.
template <class T>
void write_into(bj::object& out, std::string_view key, std::optional<T> const& value) {
  if (value) out[key] = write(*value);
}
template <class T>
void write_into(bj::object& out, std::string_view key, std::vector<T> const& value) {
  if (!value.empty()) out[key] = write(value);
}
template <class T>
void write_into(bj::object& out, std::string_view key, T const& value) {
  out[key] = write(value);
}

template <Described Struct>
bj::object write_fields(Struct const& value) {
  bj::object out;
  for_each_field<Struct>([&](auto const& field) { write_into(out, field.key, value.*field.member); });
  return out;
}

template <Described Struct>
bj::value write(Struct const& value) {
  return write_fields(value);
}

/// Both lists are always written: readers of a hand-over see at once that nothing is denied.
bj::value write(scope::ScopeConfig const& value) {
  bj::object out;
  out["allow"] = write(value.allow);
  out["deny"] = write(value.deny);
  return out;
}

bj::object write_worker(Worker const& worker) {
  bj::object out = write_fields(worker);
  bj::object output;
  write_into(output, "default_max_bytes", worker.tool_output_default_max_bytes);
  if (!worker.tool_output_per_tool.empty()) output["per_tool"] = write(worker.tool_output_per_tool);
  if (!output.empty()) out["tool_output"] = std::move(output);
  if (worker.file_upload_max_bytes)
    out["file_upload"] = bj::object{{"max_bytes", *worker.file_upload_max_bytes}};
  return out;
}

void write_section(bj::object& out, std::string_view key, bj::object section) {
  if (!section.empty()) out[key] = std::move(section);
}

}  // namespace

bj::object encode_config(Config const& config) {
  bj::object out;
  bj::object pod;
  write_into(pod, "name", config.pod_name);
  write_into(pod, "prompt_pack", config.prompt_pack);
  write_section(out, "pod", std::move(pod));
  write_section(out, "model", write_fields(config.model));
  write_section(out, "worker", write_worker(config.worker));
  if (config.scope != scope::ScopeConfig{}) out["scope"] = write(config.scope);
  write_into(out, "delegation_scope", config.delegation_scope);
  if (config.record_event_trace)
    out["session"] = bj::object{{"record_event_trace", *config.record_event_trace}};
  write_into(out, "permissions", config.permissions);
  write_into(out, "compaction", config.compaction);
  write_into(out, "web", config.web);
  write_into(out, "memory", config.memory);
  write_into(out, "skills", config.skills);
  write_into(out, "tools", config.tools);
  write_into(out, "sandbox", config.sandbox);
  write_into(out, "limits", config.limits);
  write_into(out, "budget", config.budget);
  return out;
}

bj::object encode_ceilings(Ceilings const& ceilings) {
  bj::object out;
  write_into(out, "permissions", ceilings.permissions);
  write_into(out, "tools", ceilings.tools);
  write_into(out, "sandbox", ceilings.sandbox);
  write_into(out, "budget", ceilings.budget);
  write_into(out, "limits", ceilings.limits);
  if (!ceilings.accounts.empty()) write_into(out, "accounts", ceilings.accounts);
  out["depth"] = ceilings.depth;
  return out;
}

std::string to_json(Config const& config) {
  return json::dump(encode_config(config));
}

Result<Config> parse_json(std::string_view text) {
  bj::object object = TRY(json::parse_object(text));
  return decode_config(object, DecodeContext());
}

std::string ceilings_to_json(Ceilings const& ceilings) {
  return json::dump(encode_ceilings(ceilings));
}

Result<Ceilings> ceilings_from_json(std::string_view text) {
  bj::object object = TRY(json::parse_object(text));
  return decode_ceilings(object);
}

}  // namespace insomnia::manifest
