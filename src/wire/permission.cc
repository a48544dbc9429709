#include "wire/permission.hh"

#include "wire/codec.hh"

namespace insomnia::wire::codec {
namespace {

void write_strings(ObjectWriter& writer, std::string_view key, std::vector<std::string> const& strings) {
  writer.list(key, strings, [](std::string& out, std::string const& string) { append_json_string(out, string); });
}

bool read_decision(json::Reader& reader) {
  std::string decision = reader.string("decision");
  if (decision != "allow" && decision != "deny") reader.reject("decision", "must be \"allow\" or \"deny\"");
  return decision == "allow";
}

std::string_view decision_name(bool allow) { return allow ? "allow" : "deny"; }

}  // namespace

void write_permission_request(ObjectWriter& writer, PermissionRequest const& request) {
  writer.string("ask", request.ask);
  writer.string("pod_name", request.pod_name);
  writer.string("pod_id", request.pod_id);
  writer.string("call_id", request.call_id);
  writer.string("tool", request.tool);
  writer.string("arguments", request.arguments);
  writer.uint("arguments_size", request.arguments_size);
  write_strings(writer, "reasons", request.reasons);
  write_strings(writer, "remembered", request.remembered);
  writer.integer("deadline_ms", request.deadline_ms);
  writer.uint("unattended_ms", request.unattended_ms);
}

PermissionRequest read_permission_request(json::Reader& reader) {
  PermissionRequest request;
  request.ask = reader.string("ask");
  request.pod_name = reader.string("pod_name");
  request.pod_id = reader.string_or("pod_id", "");
  request.call_id = reader.string_or("call_id", "");
  request.tool = reader.string("tool");
  request.arguments = reader.string("arguments");
  request.arguments_size = reader.uint_or("arguments_size", request.arguments.size());
  request.reasons = reader.strings("reasons");
  request.remembered = reader.strings("remembered");
  request.deadline_ms = reader.integer("deadline_ms");
  request.unattended_ms = reader.uint_or("unattended_ms", 0);
  return request;
}

void write_permission_answer(ObjectWriter& writer, PermissionAnswer const& answer) {
  writer.string("ask", answer.ask);
  writer.string("decision", decision_name(answer.allow));
  if (answer.remember) writer.boolean("remember", true);
}

PermissionAnswer read_permission_answer(json::Reader& reader) {
  PermissionAnswer answer;
  answer.ask = reader.string("ask");
  answer.allow = read_decision(reader);
  answer.remember = reader.boolean_or("remember", false);
  return answer;
}

void write_permission_closed(ObjectWriter& writer, PermissionClosed const& closed) {
  writer.string("ask", closed.ask);
  writer.string("decision", decision_name(closed.allow));
  writer.string("by", closed.by);
}

PermissionClosed read_permission_closed(json::Reader& reader) {
  PermissionClosed closed;
  closed.ask = reader.string("ask");
  closed.allow = read_decision(reader);
  closed.by = reader.string_or("by", "");
  return closed;
}

}  // namespace insomnia::wire::codec
