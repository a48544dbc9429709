#include "client/connection.hh"

#include <sys/socket.h>

#include <cerrno>

#include "base/unix_address.hh"
#include "wire/line_reader.hh"

namespace insomnia::client {
namespace {

constexpr int64_t kConnectLimitMs = 5'000;
constexpr int64_t kConnectRetryMs = 5;
constexpr size_t kReadSize = 64 << 10;
/// Reads per wake-up: a Pod that never stops talking must not starve the loop's other watchers.
constexpr int kReadsPerTurn = 16;

}  // namespace

struct Connection::Impl {
  enum class State { Connecting, Open, Closed };

  Impl(loop::EventLoop& event_loop, std::string socket_path, Handler callbacks)
      : loop(event_loop),
        path(std::move(socket_path)),
        handler(std::make_shared<Handler>(std::move(callbacks))),
        kick(event_loop, [this] { begin(); }),
        deadline_ms(event_loop.clock().steady_ms() + kConnectLimitMs) {
    kick.start(0);
  }

  void begin();
  void close(Error error);
  void on_ready(uint32_t ready);
  void read_some();
  bool deliver_lines();
  void end_of_stream();
  void write_some();
  void end_stream();
  void update_interest();
  Result<void> check_peer();

  loop::EventLoop& loop;
  std::string path;
  /// Shared so that a callback may destroy the connection, and with it this struct, while it runs.
  std::shared_ptr<Handler> handler;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  loop::Timer kick;
  int64_t deadline_ms;
  State state = State::Connecting;
  UniqueFd fd;
  std::unique_ptr<loop::FdWatcher> watcher;
  wire::LineReader reader{wire::kMaxEventLine};
  std::string outbox;
  size_t written = 0;
  bool have_snapshot = false;
  bool write_broken = false;
  bool flush_pending = false;
  bool ending = false;  ///< the stream ends when the outbox is empty
  pid_t pid = 0;
  std::string farewell;  ///< the reason of a disconnect event

  ~Impl() { *alive = false; }
};

void Connection::Impl::begin() {
  auto address = unix_address(path);
  if (!address) return close(address.error());
  if (!fd) fd.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return close(errno_error("make a socket for " + path, errno));
  int result = 0;
  do {
    result = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    int error = errno;
    // The backlog is full. A Unix socket gives no event for room in it, so ask again.
    if (error == EAGAIN && loop.clock().steady_ms() < deadline_ms) return kick.start(kConnectRetryMs);
    if (error == EAGAIN)
      return close(Error{Code::Timeout, "connect to " + path + ": the Pod takes no connections", error});
    Error failure = errno_error("connect to " + path, error);
    failure.code = error == EACCES || error == EPERM ? Code::PermissionDenied : Code::Unavailable;
    return close(std::move(failure));
  }
  if (auto checked = check_peer(); !checked) return close(checked.error());
  state = State::Open;
  watcher = std::make_unique<loop::FdWatcher>(loop, fd.get(), loop::FdWatcher::kRead,
                                              [this](uint32_t ready) { on_ready(ready); });
}

Result<void> Connection::Impl::check_peer() {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return fail_errno("ask who listens on " + path, errno);
  }
  if (peer.uid != ::geteuid()) {
    return fail(Code::PermissionDenied,
                "the socket " + path + " belongs to user " + std::to_string(peer.uid) + ", not to you");
  }
  pid = peer.pid;
  return {};
}

void Connection::Impl::close(Error error) {
  if (state == State::Closed) return;
  state = State::Closed;
  kick.cancel();
  watcher.reset();
  fd.reset();
  outbox.clear();
  written = 0;
  auto callbacks = handler;
  if (callbacks->on_closed) callbacks->on_closed(error);
}

void Connection::Impl::on_ready(uint32_t ready) {
  auto still_there = alive;
  if ((ready & loop::FdWatcher::kWrite) != 0) write_some();
  if (!*still_there || state != State::Open) return;
  if ((ready & loop::FdWatcher::kRead) != 0) read_some();
}

void Connection::Impl::read_some() {
  char buffer[kReadSize];
  auto still_there = alive;
  for (int i = 0; i < kReadsPerTurn; ++i) {
    ssize_t count = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0 && errno != ECONNRESET && errno != EPIPE)
      return close(errno_error("read from " + path, errno));
    if (count <= 0) return end_of_stream();
    reader.feed({buffer, static_cast<size_t>(count)});
    if (!deliver_lines() || !*still_there || state != State::Open) return;
    if (static_cast<size_t>(count) < sizeof buffer) return;
  }
}

void Connection::Impl::end_of_stream() {
  std::string message = "the Pod closed the connection " + path;
  if (!farewell.empty())
    message += ": " + farewell;
  else if (reader.pending() > 0)
    message += " in the middle of a line";
  else if (!have_snapshot)
    message += " before it said anything about itself";
  close(Error{Code::Unavailable, std::move(message)});
}

/// False when this Impl is gone or closed.
bool Connection::Impl::deliver_lines() {
  auto still_there = alive;
  auto callbacks = handler;
  for (;;) {
    auto line = reader.next();
    if (!line) {
      close(std::move(line.error()).with_context("read from " + path));
      return false;
    }
    if (!*line) return true;
    auto event = wire::decode_event(**line);
    if (!event) {
      close(std::move(event.error())
                .with_context("the Pod at " + path + " sent an event that cannot be understood"));
      return false;
    }
    if (auto const* goodbye = std::get_if<wire::DisconnectEvent>(&event->body)) farewell = goodbye->reason;
    bool first_snapshot = !have_snapshot && std::holds_alternative<wire::SnapshotEvent>(event->body);
    if (callbacks->on_line) callbacks->on_line(**line);
    if (!*still_there) return false;
    if (callbacks->on_event) callbacks->on_event(*event);
    if (!*still_there || state != State::Open) return false;
    if (first_snapshot) {
      have_snapshot = true;
      write_some();
      if (!*still_there || state != State::Open) return false;
    }
  }
}

void Connection::Impl::write_some() {
  if (state != State::Open || !have_snapshot || write_broken) return;
  while (written < outbox.size()) {
    ssize_t count = ::send(fd.get(), outbox.data() + written, outbox.size() - written, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count < 0) {
      // What the Pod said before it closed (its reason, perhaps) is still to be read; the end follows there.
      write_broken = true;
      break;
    }
    written += static_cast<size_t>(count);
  }
  if (written == outbox.size() || write_broken) {
    outbox.clear();
    written = 0;
  }
  update_interest();
  if (ending && outbox.empty()) end_stream();
  if (flush_pending && outbox.empty() && !write_broken) {
    flush_pending = false;
    auto callbacks = handler;
    if (callbacks->on_flushed) callbacks->on_flushed();
  }
}

void Connection::Impl::end_stream() {
  if (state == State::Open) ::shutdown(fd.get(), SHUT_WR);
}

void Connection::Impl::update_interest() {
  uint32_t interest = loop::FdWatcher::kRead;
  if (have_snapshot && !outbox.empty()) interest |= loop::FdWatcher::kWrite;
  watcher->set_interest(interest);
}

Connection::Connection(loop::EventLoop& loop, std::string const& socket_path, Handler handler)
    : impl_(std::make_unique<Impl>(loop, socket_path, std::move(handler))) {}

Connection::~Connection() = default;

void Connection::send(wire::Method const& method) {
  Impl& impl = *impl_;
  if (impl.state == Impl::State::Closed || impl.write_broken || impl.ending) return;
  if (impl.written > 0) {
    impl.outbox.erase(0, impl.written);
    impl.written = 0;
  }
  impl.outbox += wire::encode_method(method);
  impl.outbox += '\n';
  impl.flush_pending = true;
  // Written when the socket says that it has room: never inside send(), so that no callback runs before it
  // returns.
  if (impl.state == Impl::State::Open && impl.have_snapshot) impl.update_interest();
}

void Connection::end_sending() {
  impl_->ending = true;
  if (impl_->outbox.empty()) impl_->end_stream();
}

bool Connection::flushed() const {
  return impl_->outbox.empty() && !impl_->write_broken;
}

pid_t Connection::peer_pid() const {
  return impl_->pid;
}

}  // namespace insomnia::client
