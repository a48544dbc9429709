#include <optional>

#include "client/connection.hh"

namespace insomnia::client {
namespace {

/// How long a Pod that got the method may take to close the connection.
constexpr int64_t kTakenLimitMs = 1'000;

}  // namespace

struct OneShot::Impl {
  Impl(loop::EventLoop& event_loop, std::string const& socket_path, std::optional<wire::Method> to_send,
       int64_t timeout_ms, std::function<void(Result<wire::SnapshotEvent>)> callback)
      : path(socket_path),
        method(std::move(to_send)),
        done(std::move(callback)),
        timer(event_loop, [this] { on_timer(); }),
        connection(std::in_place, event_loop, socket_path,
                   Connection::Handler{.on_event = [this](wire::Event const& event) { on_event(event); },
                                       .on_closed = [this](Error const& error) { on_closed(error); },
                                       .on_flushed = [this] { on_flushed(); }}) {
    timer.start(timeout_ms);
    if (method) connection->send(*method);
  }

  void on_event(wire::Event const& event) {
    auto const* body = std::get_if<wire::SnapshotEvent>(&event.body);
    if (body == nullptr || snapshot) return;
    snapshot = *body;
    if (!method) finish(std::move(*snapshot));
  }

  void on_flushed() {
    handed_over = true;
    connection->end_sending();
    timer.start(kTakenLimitMs);
  }

  void on_closed(Error const& error) {
    if (handed_over)
      finish(std::move(*snapshot));
    else
      finish(std::unexpected(error));
  }

  void on_timer() {
    // A Pod that is busy reads it later: it is in its socket.
    if (handed_over) return finish(std::move(*snapshot));
    finish(fail(
        Code::Timeout,
        "the Pod at " + path + (snapshot ? " did not take the message in time" : " did not answer in time")));
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
  bool handed_over = false;
  std::optional<Connection> connection;
};

OneShot::OneShot(loop::EventLoop& loop, std::string const& socket_path, std::optional<wire::Method> method,
                 int64_t timeout_ms, std::function<void(Result<wire::SnapshotEvent>)> done)
    : impl_(std::make_unique<Impl>(loop, socket_path, std::move(method), timeout_ms, std::move(done))) {}

OneShot::~OneShot() = default;

}  // namespace insomnia::client
