#include "cli/output.hh"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/text.hh"
#include "cli/exit_code.hh"

namespace insomnia::cli {

Terminal terminal_of(int fd, Environment const& environment) {
  Terminal result;
  result.is_terminal = ::isatty(fd) == 1;
  if (!result.is_terminal) return result;
  result.colour = !environment.get("NO_COLOR") && environment.get("TERM").value_or("dumb") != "dumb";
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    result.width = size.ws_col;
  else
    result.width =
        static_cast<size_t>(std::strtoul(environment.get("COLUMNS").value_or("80").c_str(), nullptr, 10));
  if (result.width < 20) result.width = 20;
  return result;
}

bool Output::write(std::string_view text) {
  while (!closed_ && !text.empty()) {
    ssize_t count = ::write(fd_, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<size_t>(count));
    } else if (errno == EAGAIN) {
      pollfd entry{.fd = fd_, .events = POLLOUT, .revents = 0};  // somebody made our terminal non-blocking
      ::poll(&entry, 1, -1);
    } else if (errno != EINTR) {
      closed_ = true;  // the reader has gone, or the disk is full: nobody is there to tell
    }
  }
  return !closed_;
}

int print(std::string_view text) {
  Output(STDOUT_FILENO).write(text);
  return kFinished;
}

void print_error(std::string_view message) {
  Output(STDERR_FILENO).write("insomnia: " + text::for_terminal(text::trim(message)) + "\n");
}

void print_note(std::string_view message) {
  Output(STDERR_FILENO).write(text::for_terminal(message) + "\n");
}

int fail_with(Error const& error) {
  print_error(error.message);
  switch (error.code) {
    case Code::PermissionDenied:
    case Code::Conflict:
      return kRefused;
    case Code::Cancelled:
      return kInterrupted;
    default:
      return kFailed;
  }
}

std::string safe_line(std::string_view text, size_t limit) {
  return text::for_terminal(text::one_line(text, limit == 0 ? text.size() + 1 : limit));
}

}  // namespace insomnia::cli
