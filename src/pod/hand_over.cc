#include "pod/hand_over.hh"

#include <boost/json.hpp>

#include "base/json.hh"

namespace insomnia::pod {
namespace bj = boost::json;

std::string encode_hand_over(HandOver const& hand_over) {
  bj::object object;
  // Our own encoders wrote these texts, so they parse.
  object["config"] = *json::parse(manifest::to_json(hand_over.config));
  object["ceilings"] = *json::parse(manifest::ceilings_to_json(hand_over.ceilings));
  object["pod_id"] = hand_over.pod_id;
  object["instance_id"] = hand_over.instance_id;
  if (hand_over.parent) {
    object["parent"] = {{"pod_id", hand_over.parent->pod_id},
                        {"instance_id", hand_over.parent->instance_id},
                        {"pod_name", hand_over.parent->pod_name},
                        {"socket", hand_over.parent->socket}};
  }
  object["cwd"] = hand_over.cwd;
  object["workspace_root"] = hand_over.workspace_root;
  object["task"] = hand_over.task;
  object["profile"] = hand_over.profile;
  object["exit_when_settled"] = hand_over.exit_when_settled;
  object["die_with_parent"] = hand_over.die_with_parent;
  object["restore"] = hand_over.restore;
  object["wait_for_scope_ms"] = hand_over.wait_for_scope_ms;
  return json::dump(object);
}

Result<HandOver> decode_hand_over(std::string_view text) {
  bj::object object = TRY(json::parse_object(text));
  json::Reader reader(object, "hand-over");
  HandOver result;
  if (auto const* config = reader.require_object("config")) {
    result.config = reader.take(manifest::parse_json(json::dump(*config)));
  }
  if (auto const* ceilings = reader.object("ceilings")) {
    result.ceilings = reader.take(manifest::ceilings_from_json(json::dump(*ceilings)));
  }
  result.pod_id = reader.string_or("pod_id", "");
  result.instance_id = reader.string_or("instance_id", "");
  if (auto const* parent = reader.object("parent")) {
    json::Reader link(*parent, "hand-over.parent");
    result.parent = ParentLink{link.string("pod_id"), link.string("instance_id"), link.string("pod_name"), link.string("socket")};
    TRY(link.finish_strict());
  }
  result.cwd = reader.string_or("cwd", "");
  result.workspace_root = reader.string_or("workspace_root", "");
  result.task = reader.string_or("task", "");
  result.profile = reader.string_or("profile", "");
  result.exit_when_settled = reader.boolean_or("exit_when_settled", false);
  result.die_with_parent = reader.boolean_or("die_with_parent", false);
  result.restore = reader.boolean_or("restore", false);
  result.wait_for_scope_ms = static_cast<int64_t>(reader.uint_or("wait_for_scope_ms", 0));
  TRY(reader.finish_strict());
  return result;
}

}  // namespace insomnia::pod
