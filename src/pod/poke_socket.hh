#pragma once

#include <sys/types.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "base/unique_fd.hh"
#include "loop/event_loop.hh"
#include "wire/pod_event.hh"

namespace insomnia::pod {

/// The longest datagram: one method line.
inline constexpr size_t kMaxPoke = 128u << 10;
/// Comes with descriptors (cell/init_protocol.hh, RunExec).
inline constexpr std::string_view kExecDatagram = "{\"method\":\"exec\"}\n";

/// The poke socket of the Pod whose stream socket is `pod_socket`: it lies beside it and its path is as long.
std::string poke_path(std::string const& pod_socket);

/// The light lane between Pods (doc/protocol.md, "The poke socket"): a datagram socket, one datagram is one `poke` or `pod_event`, or kExecDatagram. Nothing is answered. The handlers must not destroy it.
class PokeSocket {
 public:
  struct Handler {
    /// Look into the inbox. Once for all that came together, whatever it was: when the queue was full, a poke was turned away.
    std::function<void()> poked;
    /// A pod_event of a process of this user. Whether that process may speak so is for the receiver to find out.
    std::function<void(pid_t sender, wire::PodEvent const&)> told;
    /// `insomnia exec`: the descriptors that came with kExecDatagram.
    std::function<void(std::vector<UniqueFd>)> exec = nullptr;
  };

  /// Binds `path`, replacing a stale file. REQUIRES: the caller holds the Pod's lock.
  static Result<std::unique_ptr<PokeSocket>> bind(loop::EventLoop& loop, std::string path, Handler handler);
  ~PokeSocket();

 private:
  PokeSocket(loop::EventLoop& loop, std::string path, UniqueFd fd, Handler handler);
  void read_all();
  void take(std::string_view line, pid_t sender, std::vector<UniqueFd> descriptors);

  std::string path_;
  UniqueFd fd_;
  Handler handler_;
  std::unique_ptr<loop::FdWatcher> watcher_;
};

/// Sends pokes and pod events to other Pods. Never blocks. A Pod that is not there is told nothing: it looks into its inbox when it starts.
/// Pod events to one Pod stay in order, and one that finds its queue full is tried again for about a minute.
class PokeSender {
 public:
  explicit PokeSender(loop::EventLoop& loop) : loop_(loop) {}

  /// `pod_socket`: the receiver's stream socket.
  void poke(std::string const& pod_socket);
  /// Rules that make the event longer than a datagram are left out of it.
  void tell(std::string const& pod_socket, wire::PodEvent event);

 private:
  struct Lane {
    Lane(loop::EventLoop& loop, std::function<void()> callback) : retry(loop, std::move(callback)) {}
    std::deque<std::string> waiting;
    int attempts = 0;
    loop::Timer retry;
  };
  void send(std::string const& path, std::string line);
  void drain(std::string const& path);

  loop::EventLoop& loop_;
  std::map<std::string, std::unique_ptr<Lane>> lanes_;  ///< by path: what waits for room there
};

}  // namespace insomnia::pod
