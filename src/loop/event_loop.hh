#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.hh"
#include "base/error.hh"
#include "base/unique_fd.hh"

namespace insomnia::loop {

/// One thread's event loop over epoll. Everything that registers with it is a RAII watcher below: it registers in its
/// constructor and leaves in its destructor, callbacks run on the loop's thread. A callback may destroy any watcher,
/// also its own. Only `post` and `stop_from_any_thread` may be called from other threads.
class EventLoop {
 public:
  /// Panics when the kernel has no descriptors left for epoll: nothing can run then.
  explicit EventLoop(Clock const& clock);
  ~EventLoop();
  EventLoop(EventLoop const&) = delete;
  EventLoop& operator=(EventLoop const&) = delete;

  /// Runs until stop(). Nested calls are not allowed.
  void run();
  /// Handles what is ready, waiting at most `timeout_ms` (-1: no limit). Returns whether stop() was called.
  bool run_once(int64_t timeout_ms);
  void stop();

  /// Runs `task` on the loop's thread, after the events at hand. From any thread.
  void post(std::function<void()> task);

  Clock const& clock() const { return clock_; }

 private:
  friend class FdWatcher;
  friend class Timer;
  struct Impl;
  Clock const& clock_;
  std::unique_ptr<Impl> impl_;
};

/// Calls back while a descriptor is readable or writable (level-triggered). Does not own the descriptor.
class FdWatcher {
 public:
  enum : uint32_t { kRead = 1, kWrite = 2 };
  /// `ready` is kRead and/or kWrite; errors and hang-ups are delivered as whatever is watched.
  using Callback = std::function<void(uint32_t ready)>;

  FdWatcher(EventLoop& loop, int fd, uint32_t interest, Callback callback);
  ~FdWatcher();
  FdWatcher(FdWatcher const&) = delete;
  FdWatcher& operator=(FdWatcher const&) = delete;

  void set_interest(uint32_t interest);
  uint32_t interest() const { return interest_; }

 private:
  friend class EventLoop;
  EventLoop& loop_;
  int fd_;
  uint32_t interest_;
  uint64_t token_;
  std::shared_ptr<Callback> callback_;
};

/// One-shot timer; can be set again any number of times.
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> callback);
  ~Timer();
  Timer(Timer const&) = delete;
  Timer& operator=(Timer const&) = delete;

  void start(int64_t delay_ms);
  void cancel();
  bool active() const { return active_; }

 private:
  friend class EventLoop;
  EventLoop& loop_;
  std::shared_ptr<std::function<void()>> callback_;
  uint64_t token_ = 0;
  int64_t due_ms_ = 0;
  bool active_ = false;
};

}  // namespace insomnia::loop
