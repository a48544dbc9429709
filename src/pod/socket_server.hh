#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "loop/event_loop.hh"
#include "wire/event.hh"
#include "wire/line_reader.hh"
#include "wire/method.hh"

namespace insomnia::pod {

using ClientId = uint64_t;

/// The Pod's Unix socket: prelude (alerts, one snapshot), one ordered lane of events to every client, methods in. Peers of another user
/// are turned away. A client that does not read is disconnected with a reason when more than `max_backlog` bytes wait for it.
class SocketServer {
 public:
  struct Handler {
    /// The snapshot for a client that connects now; live events follow it without gap or overlap.
    std::function<wire::SnapshotEvent()> snapshot;
    std::function<void(ClientId, wire::Method const&)> on_method;
    /// Clients that answer questions have come or gone (optional); later, on the loop.
    std::function<void()> on_attendance = nullptr;
  };

  /// Binds `path`, replacing a stale socket file. REQUIRES: the caller holds the Pod's lock.
  static Result<std::unique_ptr<SocketServer>> bind(loop::EventLoop& loop, std::string path, Handler handler);
  ~SocketServer();

  /// To all clients, with the next number of the lane.
  void broadcast(wire::EventBody const& body);
  /// To one client; `request_id` is echoed.
  void reply(ClientId client, wire::EventBody const& body, std::optional<std::string> const& request_id);
  /// Kept and shown to clients that connect later too (the last 512).
  void alert(wire::AlertEvent const& alert);
  pid_t peer_pid(ClientId client) const;
  size_t clients() const { return clients_.size(); }
  /// Whether this client answers questions (wire::ClientOptionsMethod).
  void set_answers(ClientId client, bool answers);
  /// Whether any of them does.
  bool attended() const;
  /// Binds the path again when its file has gone; clients stay connected. Nothing when it is there, or after close().
  Result<void> bind_again();
  /// Stops accepting; calls back when all that was sent is with the kernel, or after the limit.
  void close(int64_t flush_ms, std::function<void()> done);
  /// Backlog that a client may have, in bytes.
  size_t max_backlog = 32u << 20;

 private:
  struct Client {
    UniqueFd fd;
    pid_t pid = 0;
    std::unique_ptr<loop::FdWatcher> watcher;
    wire::LineReader reader{wire::kMaxMethodLine};
    std::string outgoing;
    size_t sent = 0;
    bool gone = false;     ///< it does not read any more
    bool closing = false;  ///< closed when everything is written
    bool answers = false;
    size_t prelude = 0;    ///< size of alerts and snapshot until they are written: it does not count as backlog
  };

  SocketServer(loop::EventLoop& loop, std::string path, UniqueFd fd, Handler handler);
  static Result<UniqueFd> listen_on(std::string const& path);
  void listen(UniqueFd fd);
  void accept_all();
  void start_client(UniqueFd fd);
  void ready(ClientId id, uint32_t what);
  bool read_from(ClientId id);
  bool take_lines(ClientId id);
  void queue(ClientId id, std::string const& line);
  bool write_to(ClientId id);
  void disconnect(ClientId id, std::string const& reason);
  using Clients = std::map<ClientId, std::unique_ptr<Client>>;
  void drop(Clients::iterator it);
  void attendance_changed();
  void check_flushed();

  loop::EventLoop& loop_;
  std::string path_;
  UniqueFd fd_;
  Handler handler_;
  std::unique_ptr<loop::FdWatcher> watcher_;
  std::unique_ptr<loop::Timer> retry_accept_;
  Clients clients_;
  std::deque<wire::AlertEvent> alerts_;
  ClientId next_client_ = 1;
  uint64_t seq_ = 0;
  std::unique_ptr<loop::Timer> flush_limit_;
  std::function<void()> flushed_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace insomnia::pod
