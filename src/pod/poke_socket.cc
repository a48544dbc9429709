#include "pod/poke_socket.hh"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/descriptor_passing.hh"
#include "base/io.hh"
#include "base/log.hh"
#include "base/unix_address.hh"
#include "wire/method.hh"

namespace insomnia::pod {
namespace {

constexpr int kDatagramsAtOnce = 64;
constexpr int kAttempts = 16;
constexpr int64_t kFirstRetryMs = 100;
constexpr int64_t kMaxRetryMs = 5'000;

enum class Sent {
  Taken,
  QueueFull,  ///< much waits there already
  NotNow,     ///< this machine has no memory for it at the moment
  Never,
};

Sent send_datagram(std::string const& path, std::string const& line) {
  auto address = unix_address(path);
  // A socket for each: what slow receivers have not read counts against the one that sent it.
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!address || !fd) return address ? Sent::NotNow : Sent::Never;
  for (;;) {
    ssize_t count = ::sendto(fd.get(), line.data(), line.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr const*>(&*address), sizeof *address);
    if (count >= 0) return Sent::Taken;
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Sent::QueueFull;
    if (errno == ENOBUFS || errno == ENOMEM) return Sent::NotNow;
    // Nobody is there: it looks into its inbox when it starts.
    if (errno != ENOENT && errno != ECONNREFUSED) log::warn(fail_errno("send to " + path, errno).error().message);
    return Sent::Never;
  }
}

std::string const& poke_line() {
  static std::string const line = wire::encode_method({wire::PokeMethod{}, std::nullopt}) + "\n";
  return line;
}

void leave_rules_out(wire::PodEvent& event) {
  if (auto* lent = std::get_if<wire::ScopeSubDelegated>(&event)) lent->scope.clear();
  if (auto* returned = std::get_if<wire::ScopeReturned>(&event)) returned->scope.clear();
}

}  // namespace

std::string poke_path(std::string const& pod_socket) { return io::parent_path(pod_socket) + "/poke"; }

// ---- Receiving

Result<std::unique_ptr<PokeSocket>> PokeSocket::bind(loop::EventLoop& loop, std::string path, Handler handler) {
  sockaddr_un address = TRY(unix_address(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("make a socket", errno);
  // Before there is an address: the kernel adds the sender to every datagram that comes.
  int on = 1;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return fail_errno("ask for the senders on " + path, errno);
  ::unlink(path.c_str());
  if (::bind(fd.get(), reinterpret_cast<sockaddr const*>(&address), sizeof address) != 0) return fail_errno("bind " + path, errno);
  if (::chmod(path.c_str(), 0600) != 0) return fail_errno("chmod " + path, errno);
  return std::unique_ptr<PokeSocket>(new PokeSocket(loop, std::move(path), std::move(fd), std::move(handler)));
}

PokeSocket::PokeSocket(loop::EventLoop& loop, std::string path, UniqueFd fd, Handler handler)
    : path_(std::move(path)), fd_(std::move(fd)), handler_(std::move(handler)) {
  watcher_ = std::make_unique<loop::FdWatcher>(loop, fd_.get(), loop::FdWatcher::kRead, [this](uint32_t) { read_all(); });
}

PokeSocket::~PokeSocket() { ::unlink(path_.c_str()); }

void PokeSocket::read_all() {
  auto buffer = std::make_unique_for_overwrite<char[]>(kMaxPoke);
  bool any = false;
  // Who sends without end gives way to the rest of the Pod; the loop comes back to it.
  for (int datagrams = 0; datagrams < kDatagramsAtOnce; ++datagrams) {
    iovec piece{buffer.get(), kMaxPoke};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int) * base::kMostDescriptors)];
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t count = ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    any = true;
    auto descriptors = base::take_descriptors(message);
    std::optional<ucred> sender;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS) std::memcpy(&sender.emplace(), CMSG_DATA(header), sizeof(ucred));
    }
    if (!sender) continue;
    if (sender->uid != ::geteuid()) log::warn("a message of another user on " + path_ + " was dropped");
    else if ((message.msg_flags & MSG_TRUNC) != 0) log::warn("a message on " + path_ + " was longer than " + std::to_string(kMaxPoke) + " bytes and was dropped");
    else take({buffer.get(), static_cast<size_t>(count)}, sender->pid, std::move(descriptors));
  }
  if (any) handler_.poked();
}

void PokeSocket::take(std::string_view line, pid_t sender, std::vector<UniqueFd> descriptors) {
  if (line == kExecDatagram && handler_.exec) return handler_.exec(std::move(descriptors));
  auto method = wire::decode_method(line);
  if (method && std::holds_alternative<wire::PokeMethod>(method->body)) return;
  auto const* event = method ? std::get_if<wire::PodEventMethod>(&method->body) : nullptr;
  if (event != nullptr) handler_.told(sender, event->event);
  else log::warn("process " + std::to_string(sender) + " sent to " + path_ + " what is no poke, pod_event or exec; it was dropped");
}

// ---- Sending

void PokeSender::poke(std::string const& pod_socket) { send(poke_path(pod_socket), poke_line()); }

void PokeSender::tell(std::string const& pod_socket, wire::PodEvent event) {
  std::string line = wire::encode_method({wire::PodEventMethod{event}, std::nullopt}) + "\n";
  if (line.size() > kMaxPoke) {
    leave_rules_out(event);
    line = wire::encode_method({wire::PodEventMethod{std::move(event)}, std::nullopt}) + "\n";
  }
  send(poke_path(pod_socket), std::move(line));
}

void PokeSender::send(std::string const& path, std::string line) {
  auto& lane = lanes_[path];
  if (!lane) lane = std::make_unique<Lane>(loop_, [this, path] { drain(path); });
  lane->waiting.push_back(std::move(line));
  if (!lane->retry.active()) drain(path);
}

void PokeSender::drain(std::string const& path) {
  Lane& lane = *lanes_.at(path);
  while (!lane.waiting.empty()) {
    Sent sent = send_datagram(path, lane.waiting.front());
    // Whoever has a full queue looks into its inbox when it reads that.
    bool done = sent == Sent::Taken || (sent == Sent::QueueFull && lane.waiting.front() == poke_line());
    if (done) {
      lane.waiting.pop_front();
      lane.attempts = 0;
      continue;
    }
    if (sent == Sent::Never) break;
    if (++lane.attempts == kAttempts) {
      log::warn(path + " takes nothing; " + std::to_string(lane.waiting.size()) + " message(s) for it are given up");
      break;
    }
    lane.retry.start(std::min(kMaxRetryMs, kFirstRetryMs << std::min(lane.attempts - 1, 10)));
    return;
  }
  lanes_.erase(path);
}

}  // namespace insomnia::pod
