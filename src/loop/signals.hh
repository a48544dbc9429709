#pragma once

#include <functional>
#include <initializer_list>

#include "loop/event_loop.hh"

namespace insomnia::loop {

/// Delivers signals as loop events (signalfd). Construct it before any thread is started: it blocks the signals in the
/// calling thread, and threads inherit the mask. Children must get an empty mask (Launch does that).
class SignalWatcher {
 public:
  SignalWatcher(EventLoop& loop, std::initializer_list<int> signals, std::function<void(int signal)> callback);

 private:
  UniqueFd fd_;
  std::unique_ptr<FdWatcher> watcher_;
};

/// Writes to a closed pipe or socket give EPIPE, and those over the limit on file sizes EFBIG, instead of killing the process. Call once, in main.
void ignore_write_signals();

}  // namespace insomnia::loop
