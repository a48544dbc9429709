#pragma once

#include <pthread.h>
#include <signal.h>

namespace insomnia::cli {

/// Puts the calling thread's signal mask back at the end of a scope in which a loop::SignalWatcher blocked
/// signals.
class SignalMaskGuard {
 public:
  SignalMaskGuard() { ::pthread_sigmask(SIG_SETMASK, nullptr, &mask_); }
  ~SignalMaskGuard() { ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr); }
  SignalMaskGuard(SignalMaskGuard const&) = delete;
  SignalMaskGuard& operator=(SignalMaskGuard const&) = delete;

 private:
  sigset_t mask_;
};

}  // namespace insomnia::cli
