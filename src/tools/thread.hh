#pragma once

#include <pthread.h>

#include <functional>

#include "base/error.hh"

namespace insomnia::tools {

/// Starts a thread with a small stack. REQUIRES: the caller joins it or detaches it.
Result<pthread_t> start_thread(std::function<void()> body);

}  // namespace insomnia::tools
