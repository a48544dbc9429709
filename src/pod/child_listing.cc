#include <algorithm>
#include <boost/json.hpp>
#include <set>
#include <utility>

#include "base/json.hh"
#include "pod/child_tools.hh"
#include "pod/restore.hh"
#include "scope/rules_json.hh"

namespace insomnia::pod {
namespace bj = boost::json;

namespace {

constexpr int64_t kProbeMs = 500;
/// How many of those that have ended are shown, the latest ones.
constexpr size_t kMaxEnded = 20;

bj::object active_json(std::string const& session_id, std::string const& segment_id) {
  bj::object active{{"session_id", session_id}};
  if (!segment_id.empty()) active["segment_id"] = segment_id;
  return active;
}

}  // namespace

struct ChildTools::Listing {
  std::map<std::string, bj::object> pods;
  size_t open = 0;
  std::function<void(std::string)> done;

  void one_less() {
    if (--open > 0) return;
    bj::array list;
    for (auto& [name, pod] : pods) list.push_back(std::move(pod));
    done(json::dump(bj::value(std::move(list))));
  }
};

void ChildTools::list_json(std::function<void(std::string)> done) {
  auto listing = std::make_shared<Listing>();
  listing->done = std::move(done);
  auto const& state = core_.state;
  std::vector<StoredName> stored;
  std::map<std::string, std::string> sockets;  // of those that live
  uint64_t own = 0;
  uint64_t living = 0;
  for (auto const& child : state.spawned_children) {
    stored.push_back({child.pod_name, child.pod_id});
    sockets[child.pod_name] = child.socket_path;
    auto& pod = listing->pods[child.pod_name];
    pod = {{"pod_name", child.pod_name}, {"visibility", "spawned_child"}, {"task", child.task}};
    pod["comm_registry"] = {{"registered", true}, {"socket_path", child.socket_path}, {"scope_delegated", scope::rules_to_json(child.scope_delegated)}};
    if (child.grandchild) continue;
    ++own;
    if (children_.is_living(child.pod_id)) ++living;
  }
  size_t ended = 0;
  auto const& reclaimed = state.reclaimed_children;
  for (auto child = reclaimed.rbegin(); child != reclaimed.rend() && ended < kMaxEnded; ++child) {
    if (listing->pods.contains(child->pod_name)) continue;  // the name means a later one
    ++ended;
    stored.push_back({child->pod_name, child->pod_id});
    auto& pod = listing->pods[child->pod_name];
    pod = {{"pod_name", child->pod_name}, {"visibility", "spawned_child"}};
    pod["comm_registry"] = {{"registered", false}, {"scope_delegated", scope::rules_to_json(child->scope_delegated)}};
    pod["live"] = {{"socket_path", core_.paths.pod_socket(child->pod_name)}, {"reachable", false}};
  }
  bj::object self{{"pod_name", state.pod_name}, {"visibility", "self_pod"}, {"state", "readable"}};
  self["active"] = active_json(state.session_id, state.segment_id);
  self["live"] = {{"socket_path", core_.socket_path()}, {"reachable", true}};
  self["restore"] = {{"possible", false}, {"reason", "it is live"}};
  self["comm_registry"] = {{"registered", false}};
  self["spawned_children"] = {{"count", own}, {"reachable", living}, {"unreachable", own - living}};
  listing->pods[state.pod_name] = std::move(self);

  listing->open = 1;
  core_.log_worker.run<std::vector<StoredLook>>(
      [paths = core_.paths, stored] { return look_at_stored(paths, stored); },
      [this, alive = alive_, listing, stored, sockets](std::vector<StoredLook> const& looks) {
        if (!*alive) return;
        for (size_t i = 0; i < stored.size(); ++i) {
          auto& pod = listing->pods[stored[i].pod_name];
          StoredLook const& look = looks[i];
          pod["state"] = look.state;
          if (!look.error.empty()) pod["error"] = look.error;
          if (!look.session_id.empty()) pod["active"] = active_json(look.session_id, look.segment_id);
          pod["restore"] = {{"possible", look.restorable}, {"restore_name", stored[i].pod_name}};
          if (!look.reason.empty()) pod["restore"].as_object()["reason"] = look.reason;
        }
        for (auto const& [name, socket] : sockets) probe(listing, name, socket);
        listing->one_less();
      });
}

void ChildTools::probe(std::shared_ptr<Listing> const& listing, std::string const& name, std::string const& socket) {
  ++listing->open;
  uint64_t id = next_call_;
  keep(std::make_unique<client::OneShot>(core_.loop, socket, std::nullopt, kProbeMs,
                                         [this, alive = alive_, id, listing, name, socket](Result<wire::SnapshotEvent> snapshot) {
                                           core_.loop.post([this, alive, id] {
                                             if (*alive) calls_.erase(id);
                                           });
                                           bj::object live{{"socket_path", socket}, {"reachable", snapshot.has_value()}};
                                           if (snapshot) live["status"] = wire::status_name(snapshot->status);
                                           else live["error"] = snapshot.error().message;
                                           listing->pods[name]["live"] = std::move(live);
                                           listing->one_less();
                                         }));
}

void ChildTools::list(Done done) {
  list_json([done = std::move(done)](std::string const& text) {
    auto value = json::parse(text);
    size_t count = value && value->is_array() ? value->as_array().size() : 0;
    done({.summary = std::to_string(count) + " visible pod(s)", .content = value ? json::dump_pretty(*value) : text, .is_error = false});
  });
}

}  // namespace insomnia::pod
