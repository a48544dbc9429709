#include "pod/store.hh"

#include <algorithm>
#include <boost/json.hpp>

#include "base/io.hh"
#include "base/json.hh"
#include "scope/rules_json.hh"

namespace insomnia::pod {
namespace bj = boost::json;

namespace {

std::string metadata_path(Paths const& paths, std::string_view name) { return paths.pod_dir(name) + "/metadata.json"; }

bj::object encode_child(ChildRecord const& child) {
  return {{"pod_name", child.pod_name},
          {"pod_id", child.pod_id},
          {"instance_id", child.instance_id},
          {"socket_path", child.socket_path},
          {"callback_address", child.callback_address},
          {"state", child.state},
          {"task", child.task},
          {"profile", child.profile},
          {"scope_delegated", scope::rules_to_json(child.scope_delegated)},
          {"scope_deny", scope::rules_to_json(child.scope_deny)},
          {"made_directories", bj::array(child.made_directories.begin(), child.made_directories.end())},
          {"mail_seq", child.mail_seq},
          {"mail_awaited", child.mail_awaited},
          {"work_open", child.work_open},
          {"for_parent", child.for_parent},
          {"end_when_done", child.end_when_done},
          {"die_with_parent", child.die_with_parent},
          {"taken_over", child.taken_over},
          {"grandchild", child.grandchild},
          {"read_segment", child.read_segment},
          {"read_index", child.read_index}};
}

Result<ChildRecord> decode_child(bj::object const& object) {
  json::Reader reader(object, "spawned_children");
  ChildRecord child;
  child.pod_name = reader.string("pod_name");
  child.pod_id = reader.string_or("pod_id", "");
  child.instance_id = reader.string_or("instance_id", "");
  child.socket_path = reader.string_or("socket_path", "");
  child.callback_address = reader.string_or("callback_address", "");
  child.state = reader.string_or("state", "live");
  child.task = reader.string_or("task", "");
  child.profile = reader.string_or("profile", "");
  child.scope_delegated = scope::rules_from_json(reader, "scope_delegated");
  child.scope_deny = scope::rules_from_json(reader, "scope_deny");
  child.made_directories = reader.strings("made_directories");
  child.mail_seq = reader.uint_or("mail_seq", 0);
  child.mail_awaited = reader.uint_or("mail_awaited", 0);
  child.work_open = reader.boolean_or("work_open", false);
  child.for_parent = reader.boolean_or("for_parent", false);
  child.end_when_done = reader.boolean_or("end_when_done", false);
  child.die_with_parent = reader.boolean_or("die_with_parent", false);
  child.taken_over = reader.boolean_or("taken_over", false);
  child.grandchild = reader.boolean_or("grandchild", false);
  child.read_segment = reader.string_or("read_segment", "");
  child.read_index = reader.uint_or("read_index", 0);
  TRY(reader.finish());
  return child;
}

}  // namespace

std::string encode_pod_state(PodState const& state) {
  bj::object object;
  object["pod_name"] = state.pod_name;
  object["pod_id"] = state.pod_id;
  if (!state.session_id.empty()) {
    bj::object active{{"session_id", state.session_id}};
    if (!state.segment_id.empty()) active["segment_id"] = state.segment_id;
    object["active"] = std::move(active);
  }
  object["cwd"] = state.cwd;
  object["workspace_root"] = state.workspace_root;
  object["task"] = state.task;
  object["profile"] = state.profile;
  if (state.parent) {
    object["parent"] = {{"pod_id", state.parent->pod_id},
                        {"instance_id", state.parent->instance_id},
                        {"pod_name", state.parent->pod_name},
                        {"socket", state.parent->socket}};
  }
  bj::array children;
  for (auto const& child : state.spawned_children) children.push_back(encode_child(child));
  object["spawned_children"] = std::move(children);
  bj::array reclaimed;
  for (auto const& child : state.reclaimed_children) {
    reclaimed.push_back({{"pod_name", child.pod_name},
                         {"pod_id", child.pod_id},
                         {"instance_id", child.instance_id},
                         {"scope_delegated", scope::rules_to_json(child.scope_delegated)},
                         {"crashed", child.crashed},
                         {"mail_seq", child.mail_seq},
                         {"work_open", child.work_open},
                         {"for_parent", child.for_parent},
                         {"end_when_done", child.end_when_done},
                         {"die_with_parent", child.die_with_parent}});
  }
  object["reclaimed_children"] = std::move(reclaimed);
  object["last_mail"] = state.last_mail;
  object["ended"] = state.ended;
  object["resume"] = state.resume;
  object["exit_when_settled"] = state.exit_when_settled;
  object["resolved_manifest_snapshot"] = *json::parse(manifest::to_json(state.config));
  object["ceilings"] = *json::parse(manifest::ceilings_to_json(state.ceilings));
  return json::dump_pretty(object) + "\n";
}

Result<PodState> decode_pod_state(std::string_view text) {
  bj::object object = TRY(json::parse_object(text));
  json::Reader reader(object);
  PodState state;
  state.pod_name = reader.string("pod_name");
  state.pod_id = reader.string("pod_id");
  if (auto const* active = reader.object("active")) {
    json::Reader inner(*active, "active");
    state.session_id = inner.string("session_id");
    state.segment_id = inner.string_or("segment_id", "");
    TRY(inner.finish());
  }
  state.cwd = reader.string_or("cwd", "");
  state.workspace_root = reader.string_or("workspace_root", "");
  state.task = reader.string_or("task", "");
  state.profile = reader.string_or("profile", "");
  if (auto const* parent = reader.object("parent")) {
    json::Reader link(*parent, "parent");
    state.parent = ParentLink{link.string("pod_id"), link.string_or("instance_id", ""), link.string_or("pod_name", ""),
                              link.string_or("socket", "")};
    TRY(link.finish());
  }
  if (auto const* children = reader.array("spawned_children")) {
    for (auto const& child : *children) {
      if (child.is_object()) state.spawned_children.push_back(TRY(decode_child(child.as_object())));
    }
  }
  if (auto const* reclaimed = reader.array("reclaimed_children")) {
    for (auto const& child : *reclaimed) {
      if (!child.is_object()) continue;
      json::Reader inner(child.as_object(), "reclaimed_children");
      state.reclaimed_children.push_back(
          {inner.string("pod_name"), inner.string_or("pod_id", ""), inner.string_or("instance_id", ""), scope::rules_from_json(inner, "scope_delegated"),
           inner.boolean_or("crashed", false), inner.uint_or("mail_seq", 0), inner.boolean_or("work_open", false), inner.boolean_or("for_parent", false),
           inner.boolean_or("end_when_done", false), inner.boolean_or("die_with_parent", false)});
      TRY(inner.finish());
    }
  }
  state.last_mail = reader.uint_or("last_mail", 0);
  for (auto const& child : state.spawned_children) state.last_mail = std::max(state.last_mail, child.mail_seq);
  for (auto const& child : state.reclaimed_children) state.last_mail = std::max(state.last_mail, child.mail_seq);
  state.ended = reader.string_or("ended", "");
  state.resume = reader.boolean_or("resume", false);
  state.exit_when_settled = reader.boolean_or("exit_when_settled", false);
  if (auto const* config = reader.require_object("resolved_manifest_snapshot")) {
    state.config = TRY(manifest::parse_json(json::dump(*config)));
  }
  if (auto const* ceilings = reader.object("ceilings")) {
    state.ceilings = TRY(manifest::ceilings_from_json(json::dump(*ceilings)));
  }
  TRY(reader.finish());
  return state;
}

Result<std::optional<PodState>> read_pod_state(Paths const& paths, std::string_view name) {
  TRY(check_pod_name(name));
  std::string path = metadata_path(paths, name);
  if (!io::exists(path)) return std::optional<PodState>{};
  auto state = decode_pod_state(TRY(io::read_file(path)));
  if (!state) {
    return fail(Code::Corrupt, "the state of Pod `" + std::string(name) + "` in " + path + " can't be read (" +
                                   state.error().message + "); move the file away to start the Pod anew: its sessions stay");
  }
  return std::optional(*std::move(state));
}

Result<void> write_pod_state(Paths const& paths, PodState const& state) {
  TRY(io::make_directories(paths.pod_dir(state.pod_name)));
  return io::write_file_atomic(metadata_path(paths, state.pod_name), encode_pod_state(state));
}

Result<std::vector<std::string>> list_pod_states(Paths const& paths) {
  std::vector<std::string> names;
  for (auto& name : TRY(io::list_directory(paths.pods_dir()))) {
    if (check_pod_name(name) && io::exists(metadata_path(paths, name))) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace insomnia::pod
