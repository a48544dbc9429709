#include <optional>

#include "client/connection.hh"

namespace insomnia::client {

struct OneShot::Impl {
  Impl(loop::EventLoop& event_loop, std::string const& socket_path, std::optional<wire::Method> to_send, int64_t timeout_ms,
       std::function<void(Result<wire::SnapshotEvent>)> callback)
      : path(socket_path),
        method(std::move(to_send)),
        done(std::move(callback)),
        timer(event_loop,
              [this] {
                finish(fail(Code::Timeout, "the Pod at " + path +
                                               (snapshot ? " did not take the message in time" : " did not answer in time")));
              }),
        connection(std::in_place, event_loop, socket_path,
                   Connection::Handler{.on_event = [this](wire::Event const& event) { on_event(event); },
                                       .on_closed = [this](Error const& error) { finish(std::unexpected(error)); },
                                       .on_flushed = [this] { finish(std::move(*snapshot)); }}) {
    timer.start(timeout_ms);
    if (method) connection->send(*method);
  }

  void on_event(wire::Event const& event) {
    auto const* body = std::get_if<wire::SnapshotEvent>(&event.body);
    if (body == nullptr || snapshot) return;
    snapshot = *body;
    if (!method) finish(std::move(*snapshot));
  }

  void finish(Result<wire::SnapshotEvent> result) {
    if (!done) return;
    timer.cancel();
    auto callback = std::move(done);
    done = nullptr;
    connection.reset();
    callback(std::move(result));  // may destroy this
  }

  std::string path;
  std::optional<wire::Method> method;
  std::function<void(Result<wire::SnapshotEvent>)> done;
  loop::Timer timer;
  std::optional<wire::SnapshotEvent> snapshot;
  std::optional<Connection> connection;
};

OneShot::OneShot(loop::EventLoop& loop, std::string const& socket_path, std::optional<wire::Method> method, int64_t timeout_ms,
                 std::function<void(Result<wire::SnapshotEvent>)> done)
    : impl_(std::make_unique<Impl>(loop, socket_path, std::move(method), timeout_ms, std::move(done))) {}

OneShot::~OneShot() = default;

}  // namespace insomnia::client
