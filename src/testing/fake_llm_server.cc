#include "testing/fake_llm_server.hh"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <set>
#include <thread>

#include "base/error.hh"
#include "base/text.hh"
#include "base/unique_fd.hh"

namespace insomnia::testing {

namespace {

struct Connection {
  UniqueFd fd;
  size_t number = 0;
  std::string in;
  std::string out;
  std::optional<Reply> reply;
  bool head_sent = false;
  size_t next_piece = 0;
  bool close_when_flushed = false;
  bool dead = false;
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// Takes one whole request off the front of `in`, if there is one.
std::optional<RecordedRequest> take_request(std::string& in) {
  size_t head_end = in.find("\r\n\r\n");
  if (head_end == std::string::npos) return std::nullopt;
  RecordedRequest request;
  std::string_view head = std::string_view(in).substr(0, head_end);
  bool first = true;
  size_t length = 0;
  for (std::string_view line : text::split(head, '\n')) {
    line = text::trim(line);
    if (std::exchange(first, false)) {
      auto words = text::split(line, ' ');
      request.method = words.empty() ? "" : std::string(words[0]);
      request.path = words.size() < 2 ? "" : std::string(words[1]);
      continue;
    }
    size_t colon = std::min(line.find(':'), line.size());
    std::string name = lower(line.substr(0, colon));
    std::string_view value = text::trim(line.substr(std::min(colon + 1, line.size())));
    if (name == "content-length") std::from_chars(value.data(), value.data() + value.size(), length);
    request.headers.emplace_back(std::move(name), value);
  }
  size_t body = head_end + 4;
  if (in.size() - body < length) return std::nullopt;
  request.body = in.substr(body, length);
  in.erase(0, body + length);
  return request;
}

std::string head_of(Reply const& reply) {
  std::string out = "HTTP/1.1 " + std::to_string(reply.status) + " Scripted\r\n";
  for (auto const& [name, value] : reply.headers) out += name + ": " + value + "\r\n";
  out += reply.keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
  return out + "Transfer-Encoding: chunked\r\n\r\n";
}

std::string chunk(std::string_view bytes) {
  char size[20];
  auto end = std::to_chars(size, size + sizeof size, bytes.size(), 16).ptr;
  return std::string(size, end) + "\r\n" + std::string(bytes) + "\r\n";
}

UniqueFd listen_on_free_port(uint16_t& port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd.get(), 1024) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    panic("the fake server finds no port on 127.0.0.1");
  }
  port = ntohs(address.sin_port);
  return fd;
}

}  // namespace

struct FakeLlmServer::State {
  struct Rule {
    std::string text;  ///< empty: `match` decides
    Match match;
    Handler handler;
    std::deque<Reply> queue;
  };

  uint16_t port = 0;
  UniqueFd listener;
  UniqueFd wake;
  std::thread thread;
  std::list<Connection> connections;  // the thread's own

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  bool closing = false;
  std::list<Rule> rules;
  std::deque<Reply> queue;
  Handler handler;
  std::set<std::string> open_gates, reached_gates;
  std::vector<RecordedRequest> requests;
  size_t accepted = 0;
  size_t open_connections = 0;

  void run();
  void accept_all();
  void read_some(Connection& connection);
  void advance(Connection& connection);
  void flush(Connection& connection);
  bool passed(std::string const& gate);
  Reply choose(RecordedRequest const& request);
  void poke() {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t count = ::write(wake.get(), &one, sizeof one);
  }
  template <class Condition>
  bool wait(int64_t deadline_ms, Condition condition) const {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::milliseconds(deadline_ms), condition);
  }
};

void FakeLlmServer::State::run() {
  std::vector<pollfd> fds;
  for (;;) {
    fds = {{wake.get(), POLLIN, 0}, {listener.get(), POLLIN, 0}};
    for (auto const& connection : connections) {
      auto events = static_cast<short>(POLLIN | (connection.out.empty() ? 0 : POLLOUT));
      fds.push_back({connection.fd.get(), events, 0});
    }
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) panic("poll failed in the fake server");
    uint64_t count = 0;
    if (fds[0].revents != 0) [[maybe_unused]] ssize_t got = ::read(wake.get(), &count, sizeof count);
    {
      std::lock_guard lock(mutex);
      if (closing) return;
    }
    size_t i = 2;
    for (auto& connection : connections) {
      if (fds[i++].revents != 0) read_some(connection);
      advance(connection);
    }
    connections.remove_if([](Connection const& connection) { return connection.dead; });
    if (fds[1].revents != 0) accept_all();
    std::lock_guard lock(mutex);
    open_connections = connections.size();
    changed.notify_all();
  }
}

void FakeLlmServer::State::accept_all() {
  for (;;) {
    UniqueFd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::lock_guard lock(mutex);
    Connection& connection = connections.emplace_back();
    connection.fd = std::move(fd);
    connection.number = ++accepted;
  }
}

void FakeLlmServer::State::read_some(Connection& connection) {
  char buffer[16384];
  for (;;) {
    ssize_t count = ::recv(connection.fd.get(), buffer, sizeof buffer, 0);
    if (count > 0) {
      connection.in.append(buffer, static_cast<size_t>(count));
      continue;
    }
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) connection.dead = true;
    return;
  }
}

bool FakeLlmServer::State::passed(std::string const& gate) {
  std::lock_guard lock(mutex);
  if (open_gates.contains(gate)) return true;
  reached_gates.insert(gate);
  return false;
}

Reply FakeLlmServer::State::choose(RecordedRequest const& request) {
  Handler chosen;
  {
    std::lock_guard lock(mutex);
    requests.push_back(request);
    for (auto& rule : rules) {
      bool fits = rule.match ? rule.match(request) : request.body.find(rule.text) != std::string::npos;
      if (!fits || (!rule.handler && rule.queue.empty())) continue;
      if (!rule.handler) {
        Reply reply = std::move(rule.queue.front());
        rule.queue.pop_front();
        return reply;
      }
      chosen = rule.handler;
      break;
    }
    if (!chosen && !queue.empty()) {
      Reply reply = std::move(queue.front());
      queue.pop_front();
      return reply;
    }
    if (!chosen) chosen = handler;
  }
  if (chosen) return chosen(request);
  return {.status = 500, .headers = {}, .pieces = {Piece::bytes("the fake server has no reply for this request")}};
}

void FakeLlmServer::State::advance(Connection& connection) {
  flush(connection);
  while (!connection.dead && !connection.close_when_flushed) {
    if (!connection.reply) {
      auto request = take_request(connection.in);
      if (!request) return;
      request->connection = connection.number;
      connection.reply = choose(*request);
      connection.head_sent = false;
      connection.next_piece = 0;
    }
    Reply& reply = *connection.reply;
    if (!connection.head_sent) {
      if (!reply.head_gate.empty() && !passed(reply.head_gate)) return;
      connection.out += head_of(reply);
      connection.head_sent = true;
      flush(connection);
    }
    while (connection.next_piece < reply.pieces.size()) {
      Piece const& piece = reply.pieces[connection.next_piece];
      if (piece.kind == Piece::Kind::Stall) return;
      if (piece.kind == Piece::Kind::Gate && !passed(piece.text)) return;
      if (piece.kind == Piece::Kind::Cut) {
        connection.close_when_flushed = true;
        flush(connection);
        return;
      }
      if (piece.kind == Piece::Kind::Bytes && !piece.text.empty()) {
        connection.out += chunk(piece.text);
        flush(connection);
      }
      ++connection.next_piece;
    }
    connection.out += "0\r\n\r\n";
    connection.close_when_flushed = !reply.keep_alive;
    connection.reply.reset();
    flush(connection);
  }
}

void FakeLlmServer::State::flush(Connection& connection) {
  while (!connection.dead && !connection.out.empty()) {
    ssize_t count = ::send(connection.fd.get(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
    if (count > 0) {
      connection.out.erase(0, static_cast<size_t>(count));
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      connection.dead = true;
    }
  }
  if (connection.close_when_flushed) connection.dead = true;
}

std::optional<std::string> RecordedRequest::header(std::string_view name) const {
  for (auto const& [key, value] : headers) {
    if (key == name) return value;
  }
  return std::nullopt;
}

FakeLlmServer::FakeLlmServer() : state_(std::make_unique<State>()) {
  state_->listener = listen_on_free_port(state_->port);
  state_->wake.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

FakeLlmServer::~FakeLlmServer() {
  {
    std::lock_guard lock(state_->mutex);
    state_->closing = true;
  }
  state_->poke();
  state_->thread.join();
}

uint16_t FakeLlmServer::port() const { return state_->port; }

std::string FakeLlmServer::url() const { return "http://127.0.0.1:" + std::to_string(port()); }

void FakeLlmServer::enqueue(Reply reply) {
  std::lock_guard lock(state_->mutex);
  state_->queue.push_back(std::move(reply));
}

void FakeLlmServer::enqueue_for(std::string const& text, Reply reply) {
  std::lock_guard lock(state_->mutex);
  auto& rules = state_->rules;
  auto rule = std::find_if(rules.begin(), rules.end(), [&](auto const& r) { return !r.match && r.text == text; });
  if (rule == rules.end()) rule = rules.insert(rules.end(), {.text = text, .match = {}, .handler = {}, .queue = {}});
  rule->queue.push_back(std::move(reply));
}

void FakeLlmServer::answer(Match match, Handler handler) {
  std::lock_guard lock(state_->mutex);
  state_->rules.push_back({.text = "", .match = std::move(match), .handler = std::move(handler), .queue = {}});
}

void FakeLlmServer::answer_all(Handler handler) {
  std::lock_guard lock(state_->mutex);
  state_->handler = std::move(handler);
}

void FakeLlmServer::open_gate(std::string const& name) {
  {
    std::lock_guard lock(state_->mutex);
    state_->open_gates.insert(name);
  }
  state_->poke();
}

bool FakeLlmServer::wait_for_gate(std::string const& name, int64_t deadline_ms) const {
  return state_->wait(deadline_ms, [&] { return state_->reached_gates.contains(name); });
}

bool FakeLlmServer::wait_for_requests(size_t count, int64_t deadline_ms) const {
  return state_->wait(deadline_ms, [&] { return state_->requests.size() >= count; });
}

std::vector<RecordedRequest> FakeLlmServer::requests() const {
  std::lock_guard lock(state_->mutex);
  return state_->requests;
}

size_t FakeLlmServer::connections() const {
  std::lock_guard lock(state_->mutex);
  return state_->accepted;
}

bool FakeLlmServer::wait_for_no_connections(int64_t deadline_ms) const {
  return state_->wait(deadline_ms, [&] { return state_->open_connections == 0 && state_->accepted > 0; });
}

uint16_t dead_port() {
  uint16_t port = 0;
  listen_on_free_port(port);  // closed again: refuses from now on
  return port;
}

}  // namespace insomnia::testing
