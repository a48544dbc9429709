#pragma once

#include <atomic>

#include "base/error.hh"
#include "base/unique_fd.hh"

namespace insomnia::tools {

/// The cancel switch of one call. A tool looks at it between two blocks of work, or waits on its descriptor. Any thread.
class CallControl {
 public:
  CallControl();
  void cancel();
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  /// Readable once the call is cancelled; -1 when the process had no descriptor left.
  int fd() const { return event_.get(); }
  /// An error of Code::Cancelled once the call is cancelled.
  Result<void> check() const;

 private:
  std::atomic<bool> cancelled_{false};
  UniqueFd event_;
};

}  // namespace insomnia::tools
