#include "stats.hh"

#include <cstdio>

namespace {

int failures = 0;

void expect_equal(char const* what, double value, double wanted) {
  if (value == wanted) return;
  ++failures;
  std::printf("stats: FAIL %s is %g, wanted %g\n", what, value, wanted);
}

}  // namespace

int main() {
  expect_equal("mean({})", mean({}), 0);
  expect_equal("mean({1, 2, 6})", mean({1, 2, 6}), 3);
  expect_equal("median({})", median({}), 0);
  expect_equal("median({9, 1, 5})", median({9, 1, 5}), 5);
  expect_equal("median({4, 1, 3, 2})", median({4, 1, 3, 2}), 2.5);
  if (failures == 0) std::printf("stats: all tests passed\n");
  return failures == 0 ? 0 : 1;
}
