#include "base/fault_point.hh"

#ifdef INSOMNIA_FAULT_POINTS

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "base/unique_fd.hh"

namespace insomnia {
namespace {

std::string& pod() {
  static std::string name;
  return name;
}

}  // namespace

void set_fault_pod(std::string_view pod_name) { pod() = pod_name; }

void fault_point(std::string_view name) {
  static char const* const wanted = std::getenv("INSOMNIA_FAULT");
  static std::atomic<bool> done{false};
  if (wanted == nullptr || wanted != pod() + ":" + std::string(name) || done.exchange(true)) return;
  char const* fifo = std::getenv("INSOMNIA_FAULT_FIFO");
  UniqueFd fd(::open(fifo == nullptr ? "" : fifo, O_WRONLY | O_CLOEXEC));
  std::string line = std::to_string(::getpid()) + " " + std::string(name) + "\n";
  if (!fd || ::write(fd.get(), line.data(), line.size()) < 0) return;
  fd.reset();
  ::kill(::getpid(), SIGSTOP);
}

}  // namespace insomnia

#else

namespace insomnia {

void set_fault_pod(std::string_view) {}
void fault_point(std::string_view) {}

}  // namespace insomnia

#endif
