#include "pod/socket_server.hh"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.hh"
#include "base/unix_address.hh"

namespace insomnia::pod {
namespace {

constexpr size_t kMaxAlerts = 512;
constexpr int64_t kAcceptRetryMs = 100;
constexpr size_t kMaxClients = 256;
constexpr int kPiecesAtOnce = 16;

}  // namespace

Result<UniqueFd> SocketServer::listen_on(std::string const& path) {
  sockaddr_un address = TRY(unix_address(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("make a socket", errno);
  ::unlink(path.c_str());
  if (::bind(fd.get(), reinterpret_cast<sockaddr const*>(&address), sizeof address) != 0) return fail_errno("bind " + path, errno);
  if (::chmod(path.c_str(), 0600) != 0) return fail_errno("chmod " + path, errno);
  if (::listen(fd.get(), 128) != 0) return fail_errno("listen on " + path, errno);
  return fd;
}

Result<std::unique_ptr<SocketServer>> SocketServer::bind(loop::EventLoop& loop, std::string path, Handler handler) {
  UniqueFd fd = TRY(listen_on(path));
  return std::unique_ptr<SocketServer>(new SocketServer(loop, std::move(path), std::move(fd), std::move(handler)));
}

SocketServer::SocketServer(loop::EventLoop& loop, std::string path, UniqueFd fd, Handler handler)
    : loop_(loop), path_(std::move(path)), handler_(std::move(handler)) {
  listen(std::move(fd));
}

void SocketServer::listen(UniqueFd fd) {
  watcher_.reset();
  retry_accept_.reset();
  fd_ = std::move(fd);
  watcher_ = std::make_unique<loop::FdWatcher>(loop_, fd_.get(), loop::FdWatcher::kRead, [this](uint32_t) { accept_all(); });
}

Result<void> SocketServer::bind_again() {
  struct stat info{};
  if (!fd_ || ::stat(path_.c_str(), &info) == 0) return {};
  UniqueFd fd = TRY(listen_on(path_));
  accept_all();  // those that came before the file went
  listen(std::move(fd));
  return {};
}

SocketServer::~SocketServer() {
  *alive_ = false;
  if (fd_) ::unlink(path_.c_str());
}

void SocketServer::accept_all() {
  for (;;) {
    UniqueFd client(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client) {
      start_client(std::move(client));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN) return;
    // Out of descriptors, most likely: look again soon instead of spinning or going deaf.
    log::warn("cannot accept a client: " + std::string(std::strerror(errno)));
    watcher_->set_interest(0);
    retry_accept_ = std::make_unique<loop::Timer>(loop_, [this] { watcher_->set_interest(loop::FdWatcher::kRead); });
    retry_accept_->start(kAcceptRetryMs);
    return;
  }
}

void SocketServer::start_client(UniqueFd fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != ::geteuid()) {
    log::warn("a connection of another user was refused");
    return;
  }
  if (clients_.size() >= kMaxClients) {
    log::warn("too many clients: a connection was refused");
    // A fresh connection has room for this line; if not, it is closed all the same.
    std::string line = wire::encode_event({wire::DisconnectEvent{"too many clients: this Pod serves " + std::to_string(kMaxClients) + " at once"}}) + "\n";
    (void)!::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL);
    return;
  }
  ClientId id = next_client_++;
  auto client = std::make_unique<Client>();
  client->fd = std::move(fd);
  client->pid = peer.pid;
  int raw = client->fd.get();
  client->watcher = std::make_unique<loop::FdWatcher>(loop_, raw, loop::FdWatcher::kRead, [this, id](uint32_t what) { ready(id, what); });
  Client& kept = *clients_.emplace(id, std::move(client)).first->second;
  for (auto const& alert : alerts_) kept.outgoing += wire::encode_event({alert}) + "\n";
  kept.outgoing += wire::encode_event({handler_.snapshot(), seq_, std::nullopt}) + "\n";
  kept.prelude = kept.outgoing.size();
  write_to(id);
}

void SocketServer::ready(ClientId id, uint32_t what) {
  if ((what & loop::FdWatcher::kWrite) != 0 && !write_to(id)) return;
  if ((what & loop::FdWatcher::kRead) != 0) read_from(id);
}

bool SocketServer::read_from(ClientId id) {
  char buffer[65536];
  // A client that sends without end gives way to the others; the loop comes back to it.
  for (int pieces = 0; pieces < kPiecesAtOnce; ++pieces) {
    auto it = clients_.find(id);
    if (it == clients_.end()) return false;
    ssize_t count = ::read(it->second->fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return true;
    if (count <= 0) {
      drop(it);
      check_flushed();
      return false;
    }
    if (it->second->closing) continue;  // what comes after the goodbye is not read any more
    it->second->reader.feed({buffer, static_cast<size_t>(count)});
    if (!take_lines(id)) return false;
    if (static_cast<size_t>(count) < sizeof buffer) return true;
  }
  return true;
}

bool SocketServer::take_lines(ClientId id) {
  for (;;) {
    auto it = clients_.find(id);
    if (it == clients_.end()) return false;
    if (it->second->closing) return true;
    auto line = it->second->reader.next();
    if (!line) {
      reply(id, wire::ErrorEvent{"invalid_request", "invalid method: " + line.error().message}, std::nullopt);
      disconnect(id, "line too long: a request may have " + std::to_string(wire::kMaxMethodLine) + " bytes");
      return clients_.contains(id);
    }
    if (!*line) return true;
    auto method = wire::decode_method(**line);
    if (method) handler_.on_method(id, *method);
    else reply(id, wire::ErrorEvent{"invalid_request", method.error().message}, std::nullopt);
  }
}

void SocketServer::broadcast(wire::EventBody const& body) {
  ++seq_;
  if (clients_.empty()) return;
  std::string line = wire::encode_event({body, seq_, std::nullopt}) + "\n";
  std::vector<ClientId> ids;
  for (auto const& [id, client] : clients_) ids.push_back(id);
  for (ClientId id : ids) queue(id, line);
}

void SocketServer::reply(ClientId client, wire::EventBody const& body, std::optional<std::string> const& request_id) {
  queue(client, wire::encode_event({body, std::nullopt, request_id}) + "\n");
}

void SocketServer::alert(wire::AlertEvent const& alert) {
  alerts_.push_back(alert);
  if (alerts_.size() > kMaxAlerts) alerts_.pop_front();
  broadcast(alert);
}

pid_t SocketServer::peer_pid(ClientId client) const {
  auto it = clients_.find(client);
  return it == clients_.end() ? 0 : it->second->pid;
}

void SocketServer::set_answers(ClientId client, bool answers) {
  auto it = clients_.find(client);
  if (it == clients_.end() || std::exchange(it->second->answers, answers) == answers) return;
  attendance_changed();
}

bool SocketServer::attended() const {
  return std::any_of(clients_.begin(), clients_.end(), [](auto const& entry) { return entry.second->answers && !entry.second->closing; });
}

void SocketServer::drop(Clients::iterator it) {
  bool answered = it->second->answers;
  clients_.erase(it);
  if (answered) attendance_changed();
}

void SocketServer::attendance_changed() {
  loop_.post([this, alive = alive_] {
    if (*alive && handler_.on_attendance) handler_.on_attendance();
  });
}

void SocketServer::queue(ClientId id, std::string const& line) {
  auto it = clients_.find(id);
  if (it == clients_.end() || it->second->closing || it->second->gone) return;
  Client& client = *it->second;
  size_t waiting = client.outgoing.size() - client.sent;
  if (waiting + line.size() > client.prelude + max_backlog) {
    disconnect(id, "too slow: " + std::to_string(waiting) + " bytes were not read; connect again for a new snapshot");
    return;
  }
  client.outgoing += line;
  // Only the first bytes of a batch are written at once; the rest goes when the loop says that there is room.
  if (waiting == 0) write_to(id);
}

bool SocketServer::write_to(ClientId id) {
  auto it = clients_.find(id);
  if (it == clients_.end()) return false;
  Client& client = *it->second;
  while (client.sent < client.outgoing.size()) {
    ssize_t count = ::send(client.fd.get(), client.outgoing.data() + client.sent, client.outgoing.size() - client.sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      client.watcher->set_interest(loop::FdWatcher::kRead | loop::FdWatcher::kWrite);
      // Bytes that are gone need no room; done rarely, so that it costs nothing per event.
      if (client.sent > (1u << 20)) {
        size_t whole_lines = client.outgoing.rfind('\n', client.sent - 1) + 1;
        client.outgoing.erase(0, whole_lines);
        client.sent -= whole_lines;
      }
      return true;
    }
    if (count <= 0 && !client.closing) {
      // It hears nothing any more, but what it said before it left still counts: reading goes on until its end.
      client.gone = true;
      break;
    }
    if (count <= 0) {
      drop(it);
      check_flushed();
      return false;
    }
    client.sent += static_cast<size_t>(count);
  }
  client.outgoing.clear();
  client.outgoing.shrink_to_fit();
  client.sent = 0;
  client.prelude = 0;
  if (client.closing) {
    drop(it);
    check_flushed();
    return false;
  }
  client.watcher->set_interest(loop::FdWatcher::kRead);
  check_flushed();
  return true;
}

void SocketServer::disconnect(ClientId id, std::string const& reason) {
  auto it = clients_.find(id);
  if (it == clients_.end()) return;
  Client& client = *it->second;
  // The line that is half out is finished; the rest of the backlog makes room for the reason.
  bool inside_line = client.sent > 0 && client.outgoing[client.sent - 1] != '\n';
  size_t keep = inside_line ? client.outgoing.find('\n', client.sent) + 1 : client.sent;
  client.outgoing.resize(keep);
  client.outgoing += wire::encode_event({wire::DisconnectEvent{reason}}) + "\n";
  client.closing = true;
  if (!write_to(id)) return;
  // A client that reads nothing does not get the reason either: the kernel's buffer is full. It is closed all the same.
  drop(clients_.find(id));
  check_flushed();
}

void SocketServer::close(int64_t flush_ms, std::function<void()> done) {
  watcher_.reset();
  retry_accept_.reset();
  ::unlink(path_.c_str());
  fd_.reset();
  flushed_ = std::move(done);
  flush_limit_ = std::make_unique<loop::Timer>(loop_, [this] {
    clients_.clear();
    check_flushed();
  });
  flush_limit_->start(flush_ms);
  loop_.post([this, alive = alive_] {
    if (*alive) check_flushed();
  });
}

void SocketServer::check_flushed() {
  if (!flushed_) return;
  bool all = std::all_of(clients_.begin(), clients_.end(), [](auto const& entry) { return entry.second->outgoing.empty(); });
  if (!all) return;
  flush_limit_.reset();
  auto done = std::move(flushed_);
  flushed_ = nullptr;
  loop_.post(std::move(done));
}

}  // namespace insomnia::pod
