#include "loop/signals.hh"

#include <sys/signalfd.h>

#include <csignal>

namespace insomnia::loop {

SignalWatcher::SignalWatcher(EventLoop& loop, std::initializer_list<int> signals, std::function<void(int)> callback) {
  sigset_t mask;
  sigemptyset(&mask);
  for (int signal : signals) sigaddset(&mask, signal);
  if (pthread_sigmask(SIG_BLOCK, &mask, nullptr) != 0) panic("cannot block signals");
  fd_.reset(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd_) panic("no descriptors left for signals");
  watcher_ = std::make_unique<FdWatcher>(loop, fd_.get(), FdWatcher::kRead, [fd = fd_.get(), callback](uint32_t) {
    signalfd_siginfo info{};
    // One signal a turn: the callback may destroy this watcher.
    if (::read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) callback(static_cast<int>(info.ssi_signo));
  });
}

void ignore_write_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace insomnia::loop
