#include "cell/init_protocol.hh"

#include <utility>

#include "base/json_codec.hh"
#include "scope/rules_json.hh"

namespace insomnia::cell {
namespace {

namespace bj = boost::json;

using json::encode_strings;
using json::finished;

bj::array encode_holders(std::vector<Holder> const& holders) {
  bj::array list;
  for (auto const& holder : holders) {
    list.push_back({{"pid", holder.pid}, {"command", text::to_utf8(holder.command)}, {"what", holder.what}, {"path", text::to_utf8(holder.path)}});
  }
  return list;
}

std::vector<Holder> decode_holders(json::Reader& reader, std::string_view key) {
  return json::decode_list<Holder>(reader, key, [](json::Reader& one) {
    return Holder{static_cast<pid_t>(one.integer("pid")), one.string("command"), one.string("what"), one.string("path")};
  });
}

bj::object encode_limits(Limits const& limits) {
  bj::object object;
  auto add = [&](char const* name, std::optional<uint64_t> const& value) {
    if (value) object[name] = *value;
  };
  add("processes", limits.processes);
  add("open_files", limits.open_files);
  add("cpu_secs", limits.cpu_secs);
  add("file_bytes", limits.file_bytes);
  add("memory_bytes", limits.memory_bytes);
  return object;
}

Limits decode_limits(json::Reader& parent) {
  Limits limits;
  auto const* object = parent.object("limits");
  if (object == nullptr) return limits;
  json::Reader reader(*object, parent.path_of("limits"));
  limits.processes = reader.optional_uint("processes");
  limits.open_files = reader.optional_uint("open_files");
  limits.cpu_secs = reader.optional_uint("cpu_secs");
  limits.file_bytes = reader.optional_uint("file_bytes");
  limits.memory_bytes = reader.optional_uint("memory_bytes");
  if (auto done = reader.finish(); !done) parent.take<int>(std::unexpected(done.error()));
  return limits;
}

struct CommandEncoder {
  bj::object operator()(CellStart const& start) const {
    bj::array privates;
    for (auto const& each : start.privates) privates.push_back({{"path", text::to_utf8(each.path)}, {"source", text::to_utf8(each.source)}});
    return {{"command", "start"},
            {"isolation", isolation_name(start.isolation)},
            {"scope", scope::config_to_json(start.scope)},
            {"own_files", text::to_utf8(start.own_files)},
            {"masked", encode_strings(start.masked)},
            {"readable", encode_strings(start.readable)},
            {"privates", std::move(privates)},
            {"environment", json::encode_string_map(start.environment)},
            {"network", start.network},
            {"limits", encode_limits(start.limits)}};
  }
  bj::object operator()(ChangeScope const& change) const {
    return {{"command", "change_scope"}, {"id", change.id}, {"scope", scope::config_to_json(change.scope)}, {"kill", change.kill}};
  }
  bj::object operator()(RunExec const& exec) const {
    return {{"command", "exec"}, {"cwd", text::to_utf8(exec.cwd)}, {"environment", json::encode_string_map(exec.environment)}};
  }
};

struct EventEncoder {
  bj::object operator()(CellBuilt const& built) const {
    bj::object object{{"event", "built"}};
    if (built.error) object["error"] = text::to_utf8(*built.error);
    return object;
  }
  bj::object operator()(ScopeChanged const& changed) const {
    return {{"event", "scope_changed"}, {"id", changed.id}, {"killed", encode_holders(changed.killed)}};
  }
  bj::object operator()(ScopeRefused const& refused) const {
    return {{"event", "scope_refused"}, {"id", refused.id}, {"message", text::to_utf8(refused.message)}, {"holders", encode_holders(refused.holders)}};
  }
  bj::object operator()(CellNotice const& notice) const { return {{"event", "notice"}, {"message", text::to_utf8(notice.message)}}; }
};

CellStart decode_start(json::Reader& reader) {
  CellStart start;
  if (auto isolation = parse_isolation(reader.string("isolation")); isolation && *isolation != Isolation::None) start.isolation = *isolation;
  else reader.reject("isolation", "must be \"cell\" or \"landlock\"");
  start.scope = scope::config_from_json(reader, "scope");
  start.own_files = reader.string("own_files");
  start.masked = reader.strings("masked");
  start.readable = reader.strings("readable");
  start.privates = json::decode_list<PrivateDirectory>(reader, "privates", [](json::Reader& one) {
    return PrivateDirectory{one.string("path"), one.string("source")};
  });
  start.environment = json::decode_string_map(reader, "environment");
  start.network = reader.boolean_or("network", true);
  start.limits = decode_limits(reader);
  return start;
}

}  // namespace

std::string encode_cell_command(CellCommand const& command) { return json::dump(std::visit(CommandEncoder{}, command)); }

Result<CellCommand> decode_cell_command(std::string_view line) {
  bj::object object = TRY(json::parse_object(line));
  json::Reader reader(object);
  std::string kind = reader.string("command");
  if (kind == "start") return finished<CellCommand>(reader, decode_start(reader));
  if (kind == "change_scope") {
    ChangeScope change{reader.uint("id"), scope::config_from_json(reader, "scope"), reader.boolean_or("kill", false)};
    return finished<CellCommand>(reader, std::move(change));
  }
  if (kind == "exec") return finished<CellCommand>(reader, RunExec{reader.string("cwd"), json::decode_string_map(reader, "environment")});
  TRY(reader.finish());
  return fail(Code::InvalidArgument, "unknown command \"" + kind + "\" to the cell");
}

std::string encode_cell_event(CellEvent const& event) { return json::dump(std::visit(EventEncoder{}, event)); }

Result<CellEvent> decode_cell_event(std::string_view line) {
  bj::object object = TRY(json::parse_object(line));
  json::Reader reader(object);
  std::string kind = reader.string("event");
  if (kind == "built") return finished<CellEvent>(reader, CellBuilt{reader.optional_string("error")});
  if (kind == "scope_changed") return finished<CellEvent>(reader, ScopeChanged{reader.uint("id"), decode_holders(reader, "killed")});
  if (kind == "scope_refused") {
    ScopeRefused refused{reader.uint("id"), reader.string("message"), decode_holders(reader, "holders")};
    return finished<CellEvent>(reader, std::move(refused));
  }
  if (kind == "notice") return finished<CellEvent>(reader, CellNotice{reader.string("message")});
  TRY(reader.finish());
  return fail(Code::InvalidArgument, "unknown event \"" + kind + "\" of the cell");
}

}  // namespace insomnia::cell
