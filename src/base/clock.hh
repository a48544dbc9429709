#pragma once

#include <cstdint>

namespace insomnia {

/// Source of time, passed in so that tests decide what time it is.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Milliseconds since the Unix epoch; can jump. For records that people read.
  virtual int64_t wall_ms() const = 0;
  /// Milliseconds on a clock that never goes back. For deadlines and durations.
  virtual int64_t steady_ms() const = 0;
};

/// The machine's clocks.
class SystemClock final : public Clock {
 public:
  int64_t wall_ms() const override;
  int64_t steady_ms() const override;
};

/// A clock that stands still until told.
class FakeClock final : public Clock {
 public:
  int64_t wall_ms() const override { return wall_; }
  int64_t steady_ms() const override { return steady_; }
  void advance(int64_t ms) {
    wall_ += ms;
    steady_ += ms;
  }
  void set_wall(int64_t ms) { wall_ = ms; }

 private:
  int64_t wall_ = 1'700'000'000'000;
  int64_t steady_ = 1'000;
};

}  // namespace insomnia
