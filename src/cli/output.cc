#include "cli/output.hh"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/text.hh"
#include "cli/exit_code.hh"

namespace insomnia::cli {
namespace {

/// The character at `at`, as one code point; its size in bytes is 0 when the bytes there are no UTF-8.
struct Character {
  uint32_t code = 0;
  size_t size = 0;
};
Character character_at(std::string_view text, size_t at) {
  for (size_t size = 1; size <= 4 && at + size <= text.size(); ++size) {
    auto bytes = text.substr(at, size);
    if (!text::is_utf8(bytes)) continue;
    auto lead = static_cast<uint8_t>(bytes[0]);
    uint32_t code = size == 1 ? lead : lead & (0xFFu >> (size + 1));
    for (char byte : bytes.substr(1)) code = code << 6 | (static_cast<uint8_t>(byte) & 0x3Fu);
    return {code, size};
  }
  return {};
}

/// Whether a character is not seen, or changes how others are seen.
bool misleads(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0xAD || code == 0x61C ||
         (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202F) ||
         (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF || (code >= 0xE0000 && code <= 0xE007F);
}

/// Where the character with this number begins.
size_t offset_of(std::string_view text, size_t number) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    bool begins = (static_cast<uint8_t>(text[at]) & 0xC0) != 0x80;
    if (begins && number-- == 0) break;
  }
  return at;
}

std::string escaped(uint32_t code) {
  switch (code) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return code < 0x80 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{{{:x}}}", code);
  }
}

}  // namespace

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

std::string exact_line(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    auto [code, size] = character_at(text, at);
    if (size == 0) result += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[at]));
    else if (misleads(code)) result += escaped(code);
    else result += text.substr(at, size);
    at += size == 0 ? 1 : size;
  }
  return result;
}

std::string safe_path(std::string_view path) {
  bool plain = text::trim(path).size() == path.size();
  std::string quoted = "\"";
  for (size_t at = 0; at < path.size();) {
    auto [code, size] = character_at(path, at);
    bool strange = size == 0 || misleads(code);
    plain = plain && !strange;
    if (size == 0)
      quoted += fmt::format("\\x{:02x}", static_cast<uint8_t>(path[at]));
    else if (strange)
      quoted += escaped(code);
    else if (code == '"' || code == '\\')
      quoted += std::string("\\") + path[at];
    else
      quoted += path.substr(at, size);
    at += size == 0 ? 1 : size;
  }
  return plain ? std::string(path) : quoted + "\"";
}

std::string cut_middle(std::string_view text, size_t limit) {
  size_t length = text::length(text);
  if (limit == 0 || length <= limit) return std::string(text);
  // The end of a path tells more than its beginning.
  size_t head = (limit - 1) / 3, tail = limit - 1 - head;
  return std::string(text.substr(0, offset_of(text, head))) + "…" +
         std::string(text.substr(offset_of(text, length - tail)));
}

}  // namespace insomnia::cli
