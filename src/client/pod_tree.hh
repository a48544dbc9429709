#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "loop/event_loop.hh"
#include "wire/event.hh"
#include "wire/method.hh"

namespace insomnia::client {

/// Where an event came from. `depth` is 0 for the Pod that is followed, 1 for its children and so on.
struct PodOrigin {
  std::string pod_name;
  size_t depth = 0;
  friend bool operator==(PodOrigin const&, PodOrigin const&) = default;
};

/// Follows one Pod and, as they come and go, all its descendants, each over its own connection. Children that
/// end or cannot be reached are simply not heard any more; a Pod that cut us off for being slow is connected
/// again, so it may send more than one snapshot. Driven by the loop. Callbacks must not destroy the tree.
class PodTree {
 public:
  struct Handler {
    /// Every event of every Pod followed, in order per Pod.
    std::function<void(PodOrigin const&, wire::Event const&)> on_event;
    /// The event's line as it came (optional), before on_event.
    std::function<void(PodOrigin const&, std::string_view line)> on_line;
    /// Once: the connection to the root is gone for good.
    std::function<void(Error const&)> on_root_closed;
  };

  PodTree(loop::EventLoop& loop, std::string root_name, std::string socket_path, bool follow_children,
          Handler handler);
  ~PodTree();

  /// To the root; waits for its snapshot.
  void send_to_root(wire::Method const& method);
  /// To a Pod that is followed; nothing when it is not connected now.
  void send_to(std::string const& pod_name, wire::Method const& method);
  /// Connection::end_sending for the root: on_root_closed follows when it has taken everything.
  void end_sending();
  /// Whether everything sent to the root has been handed to the kernel.
  bool flushed() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace insomnia::client
