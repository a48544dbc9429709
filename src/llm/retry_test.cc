#include "llm/retry.hh"

#include <gtest/gtest.h>

namespace insomnia::llm {
namespace {

CallFailure retryable(std::optional<int64_t> retry_after_ms = {}) {
  return {.retry_after_ms = retry_after_ms, .retryable = true};
}

TEST(Retry, DefaultsAreFiveAttemptsWithinTwoMinutes) {
  RetryPolicy policy;
  EXPECT_EQ(policy.max_attempts, 5);
  EXPECT_EQ(policy.base_ms, 500);
  EXPECT_EQ(policy.cap_ms, 10'000);
  EXPECT_EQ(policy.max_total_wait_ms, 120'000);
}

TEST(Retry, NeverForAFailureThatWouldComeAgain) {
  EXPECT_EQ(next_wait_ms({}, {.retryable = false}, 1, 0, 0.5), std::nullopt);
}

TEST(Retry, StopsAfterTheLastAttempt) {
  RetryPolicy policy{.max_attempts = 3};
  EXPECT_TRUE(next_wait_ms(policy, retryable(), 2, 0, 0.5));
  EXPECT_FALSE(next_wait_ms(policy, retryable(), 3, 0, 0.5));
}

TEST(Retry, TheCeilingDoublesUpToTheCap) {
  RetryPolicy policy{.max_attempts = 100};
  EXPECT_EQ(next_wait_ms(policy, retryable(), 1, 0, 0.5), 250);
  EXPECT_EQ(next_wait_ms(policy, retryable(), 2, 0, 0.5), 500);
  EXPECT_EQ(next_wait_ms(policy, retryable(), 3, 0, 0.5), 1000);
  EXPECT_EQ(next_wait_ms(policy, retryable(), 3, 0, 0.0), 0);
  for (int failures = 1; failures < 100; ++failures) {
    EXPECT_LE(*next_wait_ms(policy, retryable(), failures, 0, 0.999), policy.cap_ms);
  }
}

TEST(Retry, AZeroBaseNeverWaits) {
  RetryPolicy policy{.base_ms = 0};
  for (int failures = 1; failures < 5; ++failures) EXPECT_EQ(next_wait_ms(policy, retryable(), failures, 0, 0.9), 0);
}

TEST(Retry, RetryAfterIsTheLeastAndSpreadsByATenth) {
  EXPECT_EQ(next_wait_ms({}, retryable(30'000), 1, 0, 0.0), 30'000);
  EXPECT_EQ(next_wait_ms({}, retryable(30'000), 1, 0, 0.5), 31'500);
  EXPECT_EQ(next_wait_ms({}, retryable(0), 1, 0, 0.5), 0);
  EXPECT_EQ(next_wait_ms({}, retryable(-5), 1, 0, 0.5), 0);
}

TEST(Retry, RetryAfterThatIsLongerThanWhatIsLeftIsCutAndLongerThanAllIsRefused) {
  EXPECT_EQ(next_wait_ms({}, retryable(100'000), 2, 50'000, 0.0), 70'000);
  EXPECT_EQ(next_wait_ms({}, retryable(120'001), 1, 0, 0.0), std::nullopt);
}

TEST(Retry, NothingIsLeftWhenAllTheWaitingIsUsedUp) {
  EXPECT_EQ(next_wait_ms({}, retryable(), 2, 119'900, 0.999), 100);
  EXPECT_EQ(next_wait_ms({}, retryable(), 2, 120'000, 0.5), std::nullopt);
}

}  // namespace
}  // namespace insomnia::llm
