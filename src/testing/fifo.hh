#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "base/clock.hh"
#include "base/error.hh"
#include "base/unique_fd.hh"

namespace insomnia::testing {

/// A named pipe by which a command that a Pod runs tells the test where it is: `echo ready > PATH`.
class Fifo {
 public:
  explicit Fifo(std::string path) : path_(std::move(path)) {
    if (::mkfifo(path_.c_str(), 0600) != 0) panic("no named pipe can be made at " + path_);
    fd_.reset(::open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));  // as writer too, so that it has no end
  }

  std::string const& path() const { return path_; }
  /// The next line that somebody writes.
  std::optional<std::string> read_line(int64_t deadline_ms) {
    SystemClock clock;
    int64_t end = clock.steady_ms() + deadline_ms;
    for (;;) {
      if (size_t newline = buffer_.find('\n'); newline != std::string::npos) {
        std::string line = buffer_.substr(0, newline);
        buffer_.erase(0, newline + 1);
        return line;
      }
      int64_t left = end - clock.steady_ms();
      pollfd entry{fd_.get(), POLLIN, 0};
      if (left <= 0 || ::poll(&entry, 1, static_cast<int>(left)) == 0) return std::nullopt;
      char bytes[4096];
      ssize_t count = ::read(fd_.get(), bytes, sizeof bytes);
      if (count > 0) buffer_.append(bytes, static_cast<size_t>(count));
    }
  }

 private:
  std::string path_;
  UniqueFd fd_;
  std::string buffer_;
};

}  // namespace insomnia::testing
