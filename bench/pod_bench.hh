#pragma once

#include <cstddef>

#include "base/error.hh"

namespace insomnia::bench {

/// Messages between two Pods, both ways. The parent's first message has `padding` bytes, so its session has as many.
Result<void> bench_messages(int rounds, size_t padding);

}  // namespace insomnia::bench
