#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/log.hh"
#include "loop/signals.hh"
#include "tools/context.hh"
#include "tools/hands_protocol.hh"
#include "tools/thread.hh"
#include "wire/line_reader.hh"

namespace insomnia::tools {
namespace {

constexpr size_t kMaxLine = 64u << 20;
constexpr size_t kMaxThreads = 32;
/// How long calls may take to notice that everything ends.
constexpr std::chrono::milliseconds kLeaveTime{2000};

/// The socket's sending side; whole lines, from any thread.
class Sender {
 public:
  explicit Sender(int fd) : fd_(fd) {}

  void send(HandsEvent const& event) {
    std::string line = encode_hands_event(event) + "\n";
    std::string_view left = line;
    std::lock_guard lock(mutex_);
    while (!left.empty()) {
      ssize_t count = ::send(fd_, left.data(), left.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return;  // the brain is gone; the reading side notices too
      left.remove_prefix(static_cast<size_t>(count));
    }
  }

 private:
  int fd_;
  std::mutex mutex_;
};

/// The calls under way and those that wait for a thread.
class Calls {
 public:
  Calls(ToolContext& context, Sender& sender) : context_(context), sender_(sender) {}

  void add(ToolRequest request) {
    std::unique_lock lock(mutex_);
    if (threads_ >= kMaxThreads) {
      waiting_.push_back(std::move(request));
      return;
    }
    ++threads_;
    uint64_t id = request.id;
    waiting_.push_front(std::move(request));
    auto thread = start_thread([this] { work(); });
    if (thread) {
      ::pthread_detach(*thread);
      return;
    }
    --threads_;
    // Threads that run already take it, if there are any.
    if (threads_ > 0) return;
    waiting_.pop_front();
    lock.unlock();
    sender_.send(ToolFinished{id, failed(thread.error()), {}});
  }

  void cancel(uint64_t id) {
    std::unique_lock lock(mutex_);
    if (auto running = running_.find(id); running != running_.end()) {
      running->second->cancel();
      return;
    }
    auto waiting = std::find_if(waiting_.begin(), waiting_.end(), [&](auto const& request) { return request.id == id; });
    if (waiting == waiting_.end()) return;  // answered already
    waiting_.erase(waiting);
    lock.unlock();
    sender_.send(ToolFinished{id, failed({Code::Cancelled, "cancelled"}), {}});
  }

  /// Cancels all and waits for them. False when some did not end in time.
  bool leave() {
    std::unique_lock lock(mutex_);
    waiting_.clear();
    for (auto const& [id, control] : running_) control->cancel();
    return idle_.wait_for(lock, kLeaveTime, [&] { return threads_ == 0; });
  }

 private:
  void work() {
    for (;;) {
      ToolRequest request;
      auto control = std::make_shared<CallControl>();
      {
        std::lock_guard lock(mutex_);
        if (waiting_.empty()) {
          --threads_;
          idle_.notify_all();
          return;
        }
        request = std::move(waiting_.front());
        waiting_.pop_front();
        running_[request.id] = control;
      }
      Call call{context_, *control, {}};
      ToolFinished finished{request.id, run_tool(call, request.tool, request.arguments), {}};
      finished.observed = std::move(call.observed);
      {
        std::lock_guard lock(mutex_);
        running_.erase(request.id);
      }
      sender_.send(finished);
    }
  }

  ToolContext& context_;
  Sender& sender_;
  std::mutex mutex_;
  std::condition_variable idle_;
  size_t threads_ = 0;
  std::deque<ToolRequest> waiting_;
  std::map<uint64_t, std::shared_ptr<CallControl>> running_;
};

/// The process: one thread reads, each call has its own.
class Hands {
 public:
  Hands(int fd, HandsDescriptors given, CommandGuard guard) : fd_(fd), given_(std::move(given)), guard_(std::move(guard)), sender_(fd) {}

  int run() {
    sigset_t signals;
    ::sigemptyset(&signals);
    for (int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    bool orderly = serve();
    if (calls_ && !calls_->leave()) {
      // A thread hangs in the kernel (a dead network file system, say): end without it.
      if (context_) context_->processes.kill_all();
      ::_exit(1);
    }
    calls_.reset();
    context_.reset();
    return orderly ? 0 : 1;
  }

 private:
  /// Until the brain has closed the socket (true), or something is wrong (false).
  bool serve() {
    wire::LineReader lines(kMaxLine);
    for (;;) {
      pollfd polled[] = {{.fd = fd_, .events = POLLIN, .revents = 0}, {.fd = signals_.get(), .events = POLLIN, .revents = 0}};
      if (::poll(polled, 2, -1) < 0 && errno != EINTR) return false;
      if (polled[1].revents != 0 && !take_signals()) return true;
      if (polled[0].revents == 0) continue;
      char buffer[65536];
      ssize_t count = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (count <= 0) return true;
      lines.feed({buffer, static_cast<size_t>(count)});
      for (;;) {
        auto line = lines.next();
        auto handled = !line ? Result<void>(std::unexpected(line.error())) : *line ? handle(**line) : Result<void>{};
        if (!handled) {
          log::warn("hands: " + handled.error().message);
          return false;
        }
        if (!*line) break;
      }
    }
  }

  /// False: this process is to end.
  bool take_signals() {
    signalfd_siginfo info{};
    bool stay = true;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo != SIGCHLD) stay = false;
    }
    if (context_) context_->processes.reap_orphans();
    return stay;
  }

  Result<void> handle(std::string_view line) {
    HandsCommand command = TRY(decode_command(line));
    if (auto* start = std::get_if<HandsStart>(&command)) {
      if (context_) return fail(Code::InvalidArgument, "a second start");
      context_ = std::make_unique<ToolContext>(*start, std::move(given_), std::move(guard_));
      calls_ = std::make_unique<Calls>(*context_, sender_);
      sender_.send(HandsReady{});
      return {};
    }
    if (!context_) return fail(Code::InvalidArgument, "the first command must be start");
    if (auto* request = std::get_if<ToolRequest>(&command)) calls_->add(std::move(*request));
    if (auto* cancel = std::get_if<CancelTool>(&command)) calls_->cancel(cancel->id);
    if (auto* set = std::get_if<SetScope>(&command)) {
      context_->gate.change(scope::Scope::from_resolved(std::move(set->scope)), [this, id = set->id] { sender_.send(ScopeSet{id}); });
    }
    return {};
  }

  int fd_;
  HandsDescriptors given_;
  CommandGuard guard_;
  UniqueFd signals_;
  Sender sender_;
  std::unique_ptr<ToolContext> context_;
  std::unique_ptr<Calls> calls_;
};

}  // namespace

int hands_main(int socket_fd, HandsDescriptors given, CommandGuard guard) {
  loop::ignore_write_signals();
  // Many short-lived threads: one arena each would cost more than they use.
  ::mallopt(M_ARENA_MAX, 2);
  UniqueFd owned(socket_fd);
  ::fcntl(socket_fd, F_SETFD, FD_CLOEXEC);
  return Hands(socket_fd, std::move(given), std::move(guard)).run();
}

}  // namespace insomnia::tools
