#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "loop/event_loop.hh"

namespace insomnia::loop {

/// One thread that runs jobs in the order they were given. `job` runs there; `done`, if given, afterwards on the loop's
/// thread with the job's result. The destructor finishes the jobs at hand and drops their callbacks. The thread starts with
/// the first job, or before with start(), and has a small stack (256 KiB).
class Worker {
 public:
  Worker(EventLoop& loop, std::string_view name);
  ~Worker();
  Worker(Worker const&) = delete;
  Worker& operator=(Worker const&) = delete;

  /// For jobs without a result.
  void run(std::function<void()> job, std::function<void()> done = nullptr);

  template <class T>
  void run(std::function<T()> job, std::function<void(T)> done) {
    auto result = std::make_shared<std::optional<T>>();
    run([result, job = std::move(job)] { result->emplace(job()); },
        [result, done = std::move(done)] { done(std::move(**result)); });
  }

  /// Starts the thread now.
  void start();

  /// Blocks until all jobs given so far have run (their callbacks may still be waiting for the loop).
  void drain();

 private:
  struct State;
  static void* thread_main(void* state);
  void start_locked();
  EventLoop& loop_;
  std::shared_ptr<State> state_;
};

}  // namespace insomnia::loop
