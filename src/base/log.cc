#include "base/log.hh"

#include <unistd.h>

#include <string>

#include "base/text.hh"

namespace insomnia::log {
namespace {

void write_line(std::string_view level, std::string_view message) {
  std::string line = "insomnia: ";
  line += level;
  line += text::one_line(message, 4000);
  line += '\n';
  // Nobody is left to tell when stderr fails.
  [[maybe_unused]] ssize_t count = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

void info(std::string_view message) { write_line("", message); }
void warn(std::string_view message) { write_line("warning: ", message); }

}  // namespace insomnia::log
