#include "client/pod_tree.hh"

#include <map>
#include <optional>

#include "client/connection.hh"

namespace insomnia::client {
namespace {

constexpr size_t kMaxFollowed = 512;
constexpr int kMaxRetries = 20;
constexpr int64_t kRetryMs = 50;

bool has_ended(std::string_view state) {
  return state == "stopped" || state == "crashed";
}

}  // namespace

struct PodTree::Impl {
  struct Node {
    Node(loop::EventLoop& loop, PodOrigin place, std::string socket_path, std::function<void()> try_again)
        : origin(std::move(place)), socket(std::move(socket_path)), retry(loop, std::move(try_again)) {}
    PodOrigin origin;
    std::string socket;
    std::string pod_id;
    std::string state = "running";
    int retries = 0;
    bool had_snapshot = false;  ///< on the present connection
    bool cut_off = false;       ///< the Pod said that we were too slow
    loop::Timer retry;
    std::optional<Connection> connection;
  };

  Impl(loop::EventLoop& event_loop, std::string root_name, std::string socket_path, bool children,
       Handler callbacks)
      : loop(event_loop),
        root(std::move(root_name)),
        follow_children(children),
        handler(std::move(callbacks)) {
    connect(add(root, 0, std::move(socket_path)));
  }

  Node& add(std::string const& name, size_t depth, std::string socket) {
    auto node = std::make_unique<Node>(loop, PodOrigin{name, depth}, std::move(socket), [this, name] {
      if (auto it = nodes.find(name); it != nodes.end()) connect(*it->second);
    });
    return *(nodes[name] = std::move(node));
  }

  void connect(Node& node) {
    node.had_snapshot = false;
    node.cut_off = false;
    Node* self = &node;
    node.connection.emplace(
        loop, node.socket,
        Connection::Handler{.on_event = [this, self](wire::Event const& event) { on_event(*self, event); },
                            .on_closed = [this, self](Error const& error) { on_closed(*self, error); },
                            .on_line =
                                [this, self](std::string_view line) {
                                  if (handler.on_line) handler.on_line(self->origin, line);
                                }});
  }

  void on_event(Node& node, wire::Event const& event) {
    if (std::holds_alternative<wire::SnapshotEvent>(event.body)) {
      node.had_snapshot = true;
      node.retries = 0;
    }
    if (std::holds_alternative<wire::DisconnectEvent>(event.body)) node.cut_off = true;
    if (handler.on_event) handler.on_event(node.origin, event);
    if (auto const* snapshot = std::get_if<wire::SnapshotEvent>(&event.body)) {
      for (auto const& child : snapshot->children) on_child(node, child);
    } else if (auto const* child = std::get_if<wire::ChildEvent>(&event.body)) {
      on_child(node, child->child);
    }
  }

  void on_child(Node const& parent, wire::ChildInfo const& child) {
    if (!follow_children || child.socket_path.empty() || child.pod_name == parent.origin.pod_name ||
        child.pod_name == root)
      return;
    auto it = nodes.find(child.pod_name);
    if (it != nodes.end() && it->second->pod_id != child.pod_id) {
      nodes.erase(it);  // the name was given to another Pod
      it = nodes.end();
    }
    if (it == nodes.end()) {
      if (has_ended(child.state) || nodes.size() >= kMaxFollowed) return;
      Node& node = add(child.pod_name, parent.origin.depth + 1, child.socket_path);
      node.pod_id = child.pod_id;
      node.state = child.state;
      return connect(node);
    }
    Node& node = *it->second;
    node.state = child.state;
    node.socket = child.socket_path;
    if (has_ended(child.state)) return node.retry.cancel();
    if (!node.connection && !node.retry.active()) connect(node);
  }

  void on_closed(Node& node, Error const& error) {
    bool again = node.cut_off || (!node.had_snapshot && node.origin.depth > 0 && !has_ended(node.state));
    node.connection.reset();
    // A child that is still starting is tried again when its parent says that it runs.
    if (again && node.state != "starting" && node.retries < kMaxRetries) {
      ++node.retries;
      return node.retry.start(kRetryMs);
    }
    if (node.origin.depth == 0 && handler.on_root_closed) handler.on_root_closed(error);
  }

  loop::EventLoop& loop;
  std::string root;
  bool follow_children;
  Handler handler;
  std::map<std::string, std::unique_ptr<Node>, std::less<>> nodes;
};

PodTree::PodTree(loop::EventLoop& loop, std::string root_name, std::string socket_path, bool follow_children,
                 Handler handler)
    : impl_(std::make_unique<Impl>(loop, std::move(root_name), std::move(socket_path), follow_children,
                                   std::move(handler))) {}

PodTree::~PodTree() = default;

void PodTree::send_to_root(wire::Method const& method) { send_to(impl_->root, method); }

void PodTree::send_to(std::string const& pod_name, wire::Method const& method) {
  auto it = impl_->nodes.find(pod_name);
  if (it != impl_->nodes.end() && it->second->connection) it->second->connection->send(method);
}

void PodTree::end_sending() {
  auto& connection = impl_->nodes.at(impl_->root)->connection;
  if (connection) connection->end_sending();
}

bool PodTree::flushed() const {
  auto const& connection = impl_->nodes.at(impl_->root)->connection;
  return connection && connection->flushed();
}

}  // namespace insomnia::client
