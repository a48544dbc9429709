#include "testing/pod_client.hh"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.hh"

namespace insomnia::testing {

PodClient::PodClient(std::string const& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd && ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) fd_ = std::move(fd);
}

bool PodClient::send_bytes(std::string_view bytes, int64_t deadline_ms) {
  SystemClock clock;
  int64_t end = clock.steady_ms() + deadline_ms;
  while (!bytes.empty()) {
    ssize_t count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) {
      bytes.remove_prefix(static_cast<size_t>(count));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return false;
    pollfd entry{fd_.get(), POLLOUT, 0};
    int64_t left = end - clock.steady_ms();
    if (left <= 0 || ::poll(&entry, 1, static_cast<int>(left)) == 0) return false;
  }
  return true;
}

bool PodClient::send(wire::MethodBody body, std::optional<std::string> id) {
  return send_bytes(wire::encode_method({std::move(body), std::move(id)}) + "\n");
}

bool PodClient::receive(int64_t deadline_ms) {
  pollfd entry{fd_.get(), POLLIN, 0};
  if (ended_ || !fd_ || ::poll(&entry, 1, static_cast<int>(std::max<int64_t>(0, deadline_ms))) <= 0) return false;
  char buffer[65536];
  ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
  if (count <= 0) {
    ended_ = true;
    return false;
  }
  reader_.feed({buffer, static_cast<size_t>(count)});
  return true;
}

std::optional<wire::Event> PodClient::next(int64_t deadline_ms) {
  SystemClock clock;
  int64_t end = clock.steady_ms() + deadline_ms;
  for (;;) {
    auto line = reader_.next();
    if (!line) return std::nullopt;
    if (*line) {
      auto event = wire::decode_event(**line);
      if (event) return *std::move(event);
      return std::nullopt;
    }
    if (!receive(end - clock.steady_ms())) return std::nullopt;
  }
}

std::optional<wire::Event> PodClient::wait_for(std::function<bool(wire::Event const&)> const& fits, int64_t deadline_ms) {
  SystemClock clock;
  int64_t end = clock.steady_ms() + deadline_ms;
  while (auto event = next(end - clock.steady_ms())) {
    if (fits(*event)) return event;
  }
  return std::nullopt;
}

bool PodClient::wait_for_end(int64_t deadline_ms) {
  SystemClock clock;
  int64_t end = clock.steady_ms() + deadline_ms;
  while (receive(end - clock.steady_ms())) {
    while (auto line = reader_.next()) {
      if (!*line) break;
    }
  }
  return ended_;
}

}  // namespace insomnia::testing
