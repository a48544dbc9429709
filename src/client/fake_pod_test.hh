#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/io.hh"
#include "loop/event_loop.hh"
#include "wire/event.hh"
#include "wire/line_reader.hh"
#include "wire/method.hh"

namespace insomnia::client {

/// A fresh directory for sockets, removed at the end.
class SocketDir {
 public:
  SocketDir() {
    char name[] = "/tmp/insomnia-client-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~SocketDir() { (void)io::remove_tree(path_); }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

/// The server's side of the protocol on the test's own loop: says its prelude, then hands each line that
/// comes to the test.
class FakePod {
 public:
  class Peer {
   public:
    Peer(loop::EventLoop& loop, UniqueFd fd, FakePod& pod)
        : pod_(pod),
          fd_(std::move(fd)),
          watcher_(loop, fd_.get(), loop::FdWatcher::kRead, [this](uint32_t ready) { on_ready(ready); }) {}

    void say_line(std::string_view line) {
      if (!fd_) return;
      outbox_ += line;
      outbox_ += '\n';
      flush();
    }
    void say(wire::Event const& event) { say_line(wire::encode_event(event)); }
    void say(wire::EventBody body) { say(wire::Event{.body = std::move(body)}); }
    /// Ends the connection as a dying process does.
    void hang_up() {
      watcher_.set_interest(0);
      ::shutdown(fd_.get(), SHUT_RDWR);
      gone_ = true;
    }
    bool ended() const { return ended_; }
    /// Something could not be said because the client had closed.
    bool broken() const { return broken_; }

   private:
    void on_ready(uint32_t ready) {
      if (gone_) return;
      if ((ready & loop::FdWatcher::kWrite) != 0) flush();
      if ((ready & loop::FdWatcher::kRead) != 0) receive();
    }
    void flush() {
      while (!outbox_.empty()) {
        ssize_t count = ::send(fd_.get(), outbox_.data(), outbox_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EPIPE) broken_ = true;
        if (count <= 0) break;
        outbox_.erase(0, static_cast<size_t>(count));
      }
      uint32_t interest = 0;
      if (!outbox_.empty()) interest |= loop::FdWatcher::kWrite;
      // Like the real one, it reads nothing before its prelude is out.
      if (outbox_.empty() || prelude_done_) interest |= loop::FdWatcher::kRead;
      if (outbox_.empty()) prelude_done_ = true;
      watcher_.set_interest(interest);
    }
    void receive() {
      char buffer[65536];
      ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (count <= 0) {
        ended_ = true;
        hang_up();
        if (pod_.on_end) pod_.on_end();
        return;
      }
      reader_.feed({buffer, static_cast<size_t>(count)});
      for (;;) {
        auto line = reader_.next();
        ASSERT_TRUE(line.has_value());
        if (!*line) return;
        auto method = wire::decode_method(**line);
        ASSERT_TRUE(method.has_value()) << **line;
        if (pod_.on_method) pod_.on_method(*this, *method);
        if (gone_) return;
      }
    }

    FakePod& pod_;
    UniqueFd fd_;
    loop::FdWatcher watcher_;
    wire::LineReader reader_{wire::kMaxMethodLine};
    std::string outbox_;
    bool prelude_done_ = false;
    bool gone_ = false;
    bool ended_ = false;
    bool broken_ = false;
  };

  FakePod(loop::EventLoop& loop, std::string const& path) : loop_(loop), listener_(listen_at(path)) {
    watcher_ = std::make_unique<loop::FdWatcher>(loop, listener_.get(), loop::FdWatcher::kRead,
                                                 [this](uint32_t) { accept(); });
  }

  /// Says what a client hears first. Default: a plain snapshot.
  std::function<void(Peer&)> prelude = [](Peer& peer) { peer.say(wire::SnapshotEvent{}); };
  std::function<void(Peer&, wire::Method const&)> on_method;
  std::function<void()> on_end;
  std::list<Peer> peers;

 private:
  static UniqueFd listen_at(std::string const& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << path;
    EXPECT_EQ(::listen(fd.get(), 16), 0);
    return fd;
  }
  void accept() {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    peers.emplace_back(loop_, std::move(fd), *this);
    prelude(peers.back());
  }

  loop::EventLoop& loop_;
  UniqueFd listener_;
  std::unique_ptr<loop::FdWatcher> watcher_;
};

/// Runs the loop until `done` says so; a test that waits longer than this is broken.
inline void run_until(loop::EventLoop& loop, std::function<bool()> const& done) {
  int64_t deadline = loop.clock().steady_ms() + 60'000;
  while (!done() && loop.clock().steady_ms() < deadline) loop.run_once(1'000);
  ASSERT_TRUE(done()) << "waited in vain";
}

}  // namespace insomnia::client
