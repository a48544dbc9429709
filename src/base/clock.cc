#include "base/clock.hh"

#include <ctime>

namespace insomnia {
namespace {

int64_t read_ms(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

int64_t SystemClock::wall_ms() const { return read_ms(CLOCK_REALTIME); }
int64_t SystemClock::steady_ms() const { return read_ms(CLOCK_MONOTONIC); }

}  // namespace insomnia
