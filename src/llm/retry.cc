#include "llm/retry.hh"

#include <algorithm>

namespace insomnia::llm {

std::optional<int64_t> next_wait_ms(RetryPolicy const& policy, CallFailure const& failure, int failures, int64_t waited_ms,
                                    double random) {
  if (!failure.retryable || failures >= policy.max_attempts) return std::nullopt;
  int64_t remaining = policy.max_total_wait_ms - waited_ms;
  if (remaining < 0 || (remaining == 0 && waited_ms > 0)) return std::nullopt;
  if (failure.retry_after_ms) {
    int64_t asked = std::max<int64_t>(0, *failure.retry_after_ms);
    // Longer than we ever wait: going on would only be refused again.
    if (asked > policy.max_total_wait_ms) return std::nullopt;
    int64_t spread = static_cast<int64_t>(static_cast<double>(asked) * 0.1 * random);
    return std::min(asked + spread, remaining);
  }
  int64_t ceiling = policy.cap_ms;
  int doublings = failures - 1;
  if (doublings < 40) ceiling = std::min(ceiling, policy.base_ms << doublings);
  int64_t wait = static_cast<int64_t>(static_cast<double>(std::max<int64_t>(0, ceiling)) * random);
  return std::min(wait, remaining);
}

}  // namespace insomnia::llm
