#include "pod/pod_tools.hh"

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.hh"
#include "pod/pod_wait.hh"
#include "tools/schema.hh"

namespace insomnia::pod {
namespace {

constexpr uint64_t kMaxWaitMs = 3'600'000;

constexpr std::string_view kScopeSchema =
    R"({"type":"array","description":"What the child may touch; all of it must lie in your own scope.",)"
    R"("items":{"type":"object","properties":{"target":{"type":"string","description":"Absolute path of a directory or file."},)"
    R"("permission":{"type":"string","enum":["read","write"]},)"
    R"("recursive":{"type":"boolean","description":"Default true: everything below as well."}},"required":["target","permission"]}})";

constexpr std::string_view kBudgetSchema = R"({"type":"object","description":"max_tokens, max_cost (US$), max_wall_secs: of it and all below"})";

Result<scope::ScopeRule> decode_rule(boost::json::value const& value) {
  if (!value.is_object()) return fail(Code::InvalidArgument, "scope: must be a list of {target, permission, recursive?}");
  json::Reader reader(value.as_object(), "scope");
  scope::ScopeRule rule;
  rule.target = reader.string("target");
  std::string permission = reader.string("permission");
  if (permission == "write") rule.permission = scope::Permission::Write;
  else if (permission != "read") reader.reject("permission", "must be `read` or `write`");
  rule.recursive = reader.boolean_or("recursive", true);
  TRY(reader.finish());
  return rule;
}

Error invalid_input(std::string_view tool, Error error) {
  return Error{Code::InvalidArgument, "invalid " + std::string(tool) + " input: " + error.message};
}

}  // namespace

Result<SpawnPodInput> decode_spawn_pod(std::string_view arguments) {
  auto object = json::parse_object(arguments);
  if (!object) return std::unexpected(invalid_input("SpawnPod", object.error()));
  json::Reader reader(*object);
  SpawnPodInput input;
  input.name = reader.string("name");
  input.task = reader.string("task");
  if (auto const* rules = reader.require_array("scope")) {
    for (auto const& rule : *rules) {
      auto decoded = decode_rule(rule);
      if (!decoded) return std::unexpected(invalid_input("SpawnPod", decoded.error()));
      input.scope.push_back(*std::move(decoded));
    }
  }
  input.profile = reader.optional_string("profile");
  input.instruction = reader.optional_string("instruction");
  input.cwd = reader.optional_string("cwd");
  input.wait_for_scope_ms = static_cast<int64_t>(std::min<uint64_t>(reader.uint_or("wait_for_scope_ms", 0), kMaxWaitMs));
  input.end_when_done = reader.boolean_or("end_when_done", false);
  input.die_with_parent = reader.boolean_or("die_with_parent", false);
  if (auto const* budget = reader.object("budget")) {
    json::Reader limits(*budget, "budget");
    input.budget = manifest::Budget{limits.optional_uint("max_tokens"), limits.optional_number("max_cost"), limits.optional_uint("max_wall_secs")};
    if (input.budget->max_cost && !(*input.budget->max_cost >= 0)) limits.reject("max_cost", "must not be negative");
    if (auto finished = limits.finish_strict(); !finished) return std::unexpected(invalid_input("SpawnPod", finished.error()));
  }
  if (auto finished = reader.finish(); !finished) return std::unexpected(invalid_input("SpawnPod", finished.error()));
  return input;
}

Result<NamedPodInput> decode_named_pod(std::string_view tool, std::string_view arguments) {
  auto object = json::parse_object(arguments);
  if (!object) return std::unexpected(invalid_input(tool, object.error()));
  json::Reader reader(*object);
  NamedPodInput input{reader.string("name")};
  if (auto finished = reader.finish(); !finished) return std::unexpected(invalid_input(tool, finished.error()));
  return input;
}

Result<SendToPodInput> decode_send_to_pod(std::string_view arguments) {
  auto object = json::parse_object(arguments);
  if (!object) return std::unexpected(invalid_input("SendToPod", object.error()));
  json::Reader reader(*object);
  SendToPodInput input{reader.string("name"), reader.string("message")};
  if (auto finished = reader.finish(); !finished) return std::unexpected(invalid_input("SendToPod", finished.error()));
  return input;
}

std::vector<tools::Definition> pod_tool_definitions(std::string spawn_description) {
  using tools::Place;
  tools::Field name{"name", "string", "The child's name."};
  std::vector<tools::Definition> definitions;
  definitions.push_back({"SpawnPod", std::move(spawn_description),
                         tools::object_schema({
                             {"name", "string", "New, unique on this machine: letters, digits, `.`, `_`, `-`."},
                             {"task", "string", "Everything the child needs to know; it sees nothing of your conversation."},
                             {"scope", kScopeSchema, ""},
                             {"profile", "string", "`default`, `inherit`, or a profile from the list. Default: `default`.", false},
                             {"instruction", "string", "Prompt reference that replaces the profile's.", false},
                             {"cwd", "string", "Absolute directory that the child starts in; readable in its scope.", false},
                             {"wait_for_scope_ms", "integer",
                              "Wait so long, first come first served, when another Pod holds the scope. Default 0: refused.", false},
                             {"end_when_done", "boolean",
                              "It ends, and its scope is yours again, as soon as it has reported. Default false: it stays for SendToPod.", false},
                             {"die_with_parent", "boolean", "It ends when you end. Default false.", false},
                             {"budget", kBudgetSchema, "", false},
                         }),
                         Place::Brain});
  definitions.push_back({"SendToPod",
                         "Send a message to a Pod that you spawned. An idle one starts to work on it, a running one reads it at its next "
                         "step. Its end is reported to you as a notification.",
                         tools::object_schema({name, {"message", "string", "What to tell it."}}), Place::Brain});
  definitions.push_back({"ReadPodOutput",
                         "What a Pod that you spawned has said since you last read it, and whether it still runs. Works for ended Pods too.",
                         tools::object_schema({name}), Place::Brain});
  definitions.push_back(wait_for_pods_definition());
  definitions.push_back({"StopPod",
                         "End a Pod that you spawned, with everything that it runs, and get its scope back. Its session is kept.",
                         tools::object_schema({name}), Place::Brain});
  definitions.push_back({"RestorePod",
                         "Bring back a Pod that you spawned and that has ended: its session and the scope that it had. Interrupted work goes on; "
                         "else it waits for SendToPod.",
                         tools::object_schema({name}), Place::Brain});
  definitions.push_back({"ListPods", "You, the Pods that you spawned and those below them, with their state and scope; also the last ones that have ended, and whether RestorePod can bring them back.", tools::object_schema({}), Place::Brain});
  return definitions;
}

}  // namespace insomnia::pod
