#pragma once

#include <cstdint>
#include <optional>

#include "llm/provider.hh"

namespace insomnia::llm {

/// How failed calls are repeated. The time that attempts themselves take does not count against `max_total_wait_ms`, so a slow
/// server gets all its attempts.
struct RetryPolicy {
  int max_attempts = 5;
  int64_t base_ms = 500;
  int64_t cap_ms = 10'000;
  int64_t max_total_wait_ms = 120'000;
};

/// The time to wait before the next attempt, or nothing when there shall be none: Retry-After if given (plus up to 10 % so that
/// many waiters spread), else uniform in [0, min(cap, base * 2^(failures-1))]. Pure: `random` is uniform in [0, 1).
/// REQUIRES: failures >= 1 (attempts that failed so far).
std::optional<int64_t> next_wait_ms(RetryPolicy const& policy, CallFailure const& failure, int failures, int64_t waited_ms,
                                    double random);

}  // namespace insomnia::llm
