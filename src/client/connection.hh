#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "loop/event_loop.hh"
#include "wire/event.hh"
#include "wire/method.hh"

namespace insomnia::client {

/// A client's connection to one Pod. Entirely driven by the loop; callbacks may destroy it. Unknown events
/// are delivered as UnknownEvent. Methods that are sent before the snapshot came wait for it (a server reads
/// methods only after its prelude).
class Connection {
 public:
  struct Handler {
    /// Every event in order, the snapshot included.
    std::function<void(wire::Event const&)> on_event;
    /// Once, when the connection is gone: refused, closed by the Pod, broken. Nothing follows.
    std::function<void(Error const&)> on_closed;
    /// The event's line as it came (optional), before on_event: keeps what this version does not know.
    std::function<void(std::string_view)> on_line;
    /// Everything sent so far has been handed to the kernel (optional); once per such moment.
    std::function<void()> on_flushed;
  };

  /// Starts connecting (at most 5 s while the Pod's backlog is full); the outcome arrives through the
  /// handler, never before the constructor returns.
  Connection(loop::EventLoop& loop, std::string const& socket_path, Handler handler);
  ~Connection();

  void send(wire::Method const& method);
  /// Nothing more will be sent: the Pod sees the end of the stream after what was sent, takes all of it and
  /// then closes (on_closed). Destroying the connection instead can make a Pod that is just speaking drop
  /// what it has not read yet.
  void end_sending();
  /// Whether everything sent so far has been handed to the kernel.
  bool flushed() const;
  /// Process id of the peer (SO_PEERCRED), 0 before the connection stands.
  pid_t peer_pid() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Sends one text as `run` and waits for proof that it was accepted (user_message, invoke_start user_send or
/// turn_start after the request, or an error). Destroying it gives up. Deadline for the whole: `timeout_ms`.
/// Errors: Conflict (already running), Unavailable (connection), Timeout, InvalidArgument (rejected: code and
/// message).
class RunDelivery {
 public:
  RunDelivery(loop::EventLoop& loop, std::string const& socket_path, std::string text, int64_t timeout_ms,
              std::function<void(Result<void>)> done);
  ~RunDelivery();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Connects, waits for the snapshot, sends one method, waits (at most 1 s) until the Pod has taken it. `done`
/// gets the snapshot. For pokes, shutdown, probes (no method).
class OneShot {
 public:
  OneShot(loop::EventLoop& loop, std::string const& socket_path, std::optional<wire::Method> method,
          int64_t timeout_ms, std::function<void(Result<wire::SnapshotEvent>)> done);
  ~OneShot();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace insomnia::client
