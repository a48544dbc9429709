#include "tools/thread.hh"

#include <memory>

namespace insomnia::tools {
namespace {

/// Enough for the JSON and regular-expression parsers at their deepest; only touched pages cost memory.
constexpr size_t kStack = 1 << 20;

void* run(void* body) {
  std::unique_ptr<std::function<void()>> function(static_cast<std::function<void()>*>(body));
  (*function)();
  return nullptr;
}

}  // namespace

Result<pthread_t> start_thread(std::function<void()> body) {
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, kStack);
  auto owned = std::make_unique<std::function<void()>>(std::move(body));
  pthread_t thread{};
  int error = ::pthread_create(&thread, &attributes, &run, owned.get());
  ::pthread_attr_destroy(&attributes);
  if (error != 0) return fail_errno("start a thread", error);
  owned.release();
  return thread;
}

}  // namespace insomnia::tools
