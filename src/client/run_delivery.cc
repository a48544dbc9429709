#include <optional>

#include "base/uuid.hh"
#include "client/connection.hh"
#include "client/run_confirmation.hh"
#include "wire/line_reader.hh"

namespace insomnia::client {

struct RunDelivery::Impl {
  Impl(loop::EventLoop& event_loop, std::string const& socket_path, std::string text, int64_t timeout_ms,
       std::function<void(Result<void>)> callback)
      : loop(event_loop),
        path(socket_path),
        done(std::move(callback)),
        timer(event_loop, [this] { too_late(); }) {
    std::string id = uuid7(loop.clock());
    wire::Method method{wire::RunMethod{wire::text_segments(std::move(text))}, id};
    confirmation.emplace(id);
    if (size_t size = wire::encode_method(method).size(); size > wire::kMaxMethodLine) {
      refusal = Error{Code::InvalidArgument, "the message needs " + std::to_string(size) +
                                                 " bytes on the wire; a Pod takes " +
                                                 std::to_string(wire::kMaxMethodLine)};
      timer.start(0);
      return;
    }
    timer.start(timeout_ms);
    connection.emplace(
        loop, socket_path,
        Connection::Handler{.on_event = [this](wire::Event const& event) { on_event(event); },
                            .on_closed = [this](Error const& error) { finish(std::unexpected(error)); }});
    connection->send(method);
  }

  void too_late() {
    if (refusal) return finish(std::unexpected(*refusal));
    finish(fail(Code::Timeout, "the Pod at " + path + " did not confirm the message in time"));
  }

  void on_event(wire::Event const& event) {
    if (auto outcome = confirmation->on_event(event)) finish(*std::move(outcome));
  }

  void finish(Result<void> result) {
    if (!done) return;
    timer.cancel();
    auto callback = std::move(done);
    done = nullptr;
    connection.reset();
    callback(std::move(result));  // may destroy this
  }

  loop::EventLoop& loop;
  std::string path;
  std::function<void(Result<void>)> done;
  loop::Timer timer;
  std::optional<Error> refusal;
  std::optional<RunConfirmation> confirmation;
  std::optional<Connection> connection;
};

RunDelivery::RunDelivery(loop::EventLoop& loop, std::string const& socket_path, std::string text,
                         int64_t timeout_ms, std::function<void(Result<void>)> done)
    : impl_(std::make_unique<Impl>(loop, socket_path, std::move(text), timeout_ms, std::move(done))) {}

RunDelivery::~RunDelivery() = default;

}  // namespace insomnia::client
