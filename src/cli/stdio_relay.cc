#include "cli/stdio_relay.hh"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace insomnia::cli {
namespace {

constexpr size_t kPiece = 65536;

}  // namespace

Result<StdioRelay> StdioRelay::open() {
  StdioRelay relay;
  bool terminal = ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0;
  TRY(terminal ? relay.open_terminal() : relay.open_pipes(true));
  return relay;
}

Result<void> StdioRelay::open_terminal() {
  terminal_.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  char name[256];
  if (!terminal_ || ::grantpt(terminal_.get()) != 0 || ::unlockpt(terminal_.get()) != 0 || ::ptsname_r(terminal_.get(), name, sizeof name) != 0) {
    return fail_errno("make a terminal for the command", errno);
  }
  UniqueFd other(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!other) return fail_errno(std::string("open ") + name, errno);
  auto again = [&](int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3)); };
  resize();
  termios now{};
  if (::tcgetattr(STDIN_FILENO, &now) != 0) return fail_errno("ask for the settings of the terminal", errno);
  ::tcsetattr(other.get(), TCSANOW, &now);
  input_ = again(terminal_.get());
  outputs_.push_back({again(terminal_.get()), Output(STDOUT_FILENO)});
  bool errors_too = ::isatty(STDERR_FILENO) != 0;
  theirs_.push_back(again(other.get()));
  theirs_.push_back(again(other.get()));
  if (errors_too) theirs_.push_back(std::move(other));
  else TRY(open_pipes(false));
  saved_ = now;
  ::cfmakeraw(&now);
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &now);
  return {};
}

/// Without `input_too`: for standard error alone.
Result<void> StdioRelay::open_pipes(bool input_too) {
  auto add_output = [&](int fd) -> Result<void> {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    outputs_.push_back({UniqueFd(ends[0]), Output(fd)});
    theirs_.emplace_back(ends[1]);
    return {};
  };
  if (input_too) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
    ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
    theirs_.emplace_back(ends[0]);
    input_.reset(ends[1]);
    TRY(add_output(STDOUT_FILENO));
  }
  return add_output(STDERR_FILENO);
}

StdioRelay::~StdioRelay() {
  if (saved_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &*saved_);
}

void StdioRelay::resize() const {
  winsize size{};
  if (terminal_ && ::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) ::ioctl(terminal_.get(), TIOCSWINSZ, &size);
}

void StdioRelay::append_to(std::vector<pollfd>& polled) const {
  if (input_ && !pending_.empty()) polled.push_back({.fd = input_.get(), .events = POLLOUT, .revents = 0});
  else if (input_ && !input_over_) polled.push_back({.fd = STDIN_FILENO, .events = POLLIN, .revents = 0});
  for (auto const& stream : outputs_) {
    if (stream.from) polled.push_back({.fd = stream.from.get(), .events = POLLIN, .revents = 0});
  }
}

void StdioRelay::serve_input() {
  if (!input_) return;
  if (pending_.empty() && !input_over_) {
    // Standard input may be shared with others, so it stays as it is: it is only read when something is there.
    pollfd polled{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    if (::poll(&polled, 1, 0) <= 0) return;
    char buffer[kPiece];
    ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (count > 0) pending_.assign(buffer, static_cast<size_t>(count));
    else if (count == 0 || (errno != EINTR && errno != EAGAIN)) input_over_ = true;
  }
  while (!pending_.empty()) {
    ssize_t count = ::write(input_.get(), pending_.data(), pending_.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) {  // the command does not read any more
      pending_.clear();
      input_.reset();
      return;
    }
    pending_.erase(0, static_cast<size_t>(count));
  }
  if (input_over_ && !saved_) input_.reset();
}

bool StdioRelay::serve_output(Stream& stream) {
  char buffer[kPiece];
  for (;;) {
    ssize_t count = ::read(stream.from.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return false;
    bool read_by_somebody = count > 0 && stream.to.write({buffer, static_cast<size_t>(count)});
    // Nobody has the other side any more, or nobody reads ours: then the command is to learn it as it would without us.
    if (!read_by_somebody) stream.from.reset();
    return read_by_somebody;
  }
}

void StdioRelay::serve() {
  serve_input();
  for (auto& stream : outputs_) {
    if (stream.from) serve_output(stream);
  }
}

void StdioRelay::drain() {
  for (auto& stream : outputs_) {
    while (stream.from && serve_output(stream)) {
    }
  }
}

}  // namespace insomnia::cli
