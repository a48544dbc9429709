#include "tools/hands_protocol.hh"

#include <utility>

#include "base/json_codec.hh"
#include "scope/rules_json.hh"

namespace insomnia::tools {
namespace {

namespace bj = boost::json;

using json::finished;
using json::utf8;

bj::array encode_observed(std::vector<Observed> const& observed) {
  bj::array list;
  for (auto const& file : observed) {
    list.push_back(bj::object{{"path", utf8(file.path)}, {"sha256", utf8(file.sha256)}, {"whole", file.whole}});
  }
  return list;
}

std::vector<Observed> decode_observed(json::Reader& parent) {
  return json::decode_list<Observed>(parent, "observed", [](json::Reader& reader) {
    return Observed{reader.string("path"), reader.string("sha256"), reader.boolean_or("whole", true)};
  });
}

struct CommandEncoder {
  bj::object operator()(HandsStart const& start) const {
    return {{"command", "start"},           {"cwd", utf8(start.cwd)},
            {"spill_dir", utf8(start.spill_dir)}, {"environment", json::encode_string_map(start.environment)},
            {"scope", scope::config_to_json(start.scope)}, {"observed", encode_observed(start.observed)},
            {"read_bytes", start.read_bytes},     {"marker", utf8(start.marker)},
            {"own_directories", scope::rules_to_json(start.own_directories)}};
  }
  bj::object operator()(ToolRequest const& request) const {
    return {{"command", "call"}, {"id", request.id}, {"tool", utf8(request.tool)}, {"arguments", utf8(request.arguments)}};
  }
  bj::object operator()(CancelTool const& cancel) const { return {{"command", "cancel"}, {"id", cancel.id}}; }
  bj::object operator()(SetScope const& set) const {
    return {{"command", "set_scope"}, {"id", set.id}, {"scope", scope::config_to_json(set.scope)}};
  }
};

struct EventEncoder {
  bj::object operator()(HandsReady const&) const { return {{"event", "ready"}}; }
  bj::object operator()(ToolFinished const& finished) const {
    bj::object object{{"event", "finished"}, {"id", finished.id}, {"summary", utf8(finished.output.summary)}};
    if (finished.output.content) object["content"] = utf8(*finished.output.content);
    object["is_error"] = finished.output.is_error;
    object["observed"] = encode_observed(finished.observed);
    return object;
  }
  bj::object operator()(ScopeSet const& set) const { return {{"event", "scope_set"}, {"id", set.id}}; }
};

HandsStart decode_start(json::Reader& reader) {
  HandsStart start;
  start.cwd = reader.string("cwd");
  start.spill_dir = reader.string("spill_dir");
  start.environment = json::decode_string_map(reader, "environment");
  start.scope = scope::config_from_json(reader, "scope");
  start.observed = decode_observed(reader);
  start.read_bytes = reader.uint_or("read_bytes", start.read_bytes);
  start.marker = reader.string_or("marker", "");
  start.own_directories = scope::rules_from_json(reader, "own_directories");
  return start;
}

}  // namespace

std::string encode_command(HandsCommand const& command) { return json::dump(std::visit(CommandEncoder{}, command)); }

Result<HandsCommand> decode_command(std::string_view line) {
  bj::object object = TRY(json::parse_object(line));
  json::Reader reader(object);
  std::string kind = reader.string("command");
  if (kind == "start") return finished<HandsCommand>(reader, decode_start(reader));
  if (kind == "call") {
    ToolRequest request{reader.uint("id"), reader.string("tool"), reader.string("arguments")};
    return finished<HandsCommand>(reader, std::move(request));
  }
  if (kind == "cancel") {
    CancelTool cancel{reader.uint("id")};
    return finished<HandsCommand>(reader, cancel);
  }
  if (kind == "set_scope") {
    SetScope set{reader.uint("id"), scope::config_from_json(reader, "scope")};
    return finished<HandsCommand>(reader, std::move(set));
  }
  TRY(reader.finish());
  return fail(Code::InvalidArgument, "unknown command \"" + kind + "\" to the hands");
}

std::string encode_hands_event(HandsEvent const& event) { return json::dump(std::visit(EventEncoder{}, event)); }

Result<HandsEvent> decode_hands_event(std::string_view line) {
  bj::object object = TRY(json::parse_object(line));
  json::Reader reader(object);
  std::string kind = reader.string("event");
  if (kind == "ready") return finished<HandsEvent>(reader, HandsReady{});
  if (kind == "finished") {
    ToolFinished done;
    done.id = reader.uint("id");
    done.output.summary = reader.string("summary");
    done.output.content = reader.optional_string("content");
    done.output.is_error = reader.boolean_or("is_error", false);
    done.observed = decode_observed(reader);
    return finished<HandsEvent>(reader, std::move(done));
  }
  if (kind == "scope_set") {
    ScopeSet set{reader.uint("id")};
    return finished<HandsEvent>(reader, set);
  }
  TRY(reader.finish());
  return fail(Code::InvalidArgument, "unknown event \"" + kind + "\" of the hands");
}

}  // namespace insomnia::tools
