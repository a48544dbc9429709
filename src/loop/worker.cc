#include "loop/worker.hh"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>

namespace insomnia::loop {

namespace {
constexpr size_t kStackBytes = 256 << 10;
}

struct Worker::State {
  struct Job {
    std::function<void()> job;
    std::function<void()> done;
  };

  EventLoop* loop = nullptr;  // cleared under the mutex by the destructor
  std::string name;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Job> jobs;
  bool busy = false;
  bool closing = false;
  bool started = false;
  pthread_t thread{};
  // Callbacks check it on the loop's thread, where the Worker is destroyed as well: no lock is needed there.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

Worker::Worker(EventLoop& loop, std::string_view name) : loop_(loop), state_(std::make_shared<State>()) {
  state_->loop = &loop_;
  state_->name = std::string(name.substr(0, 15));
}

Worker::~Worker() {
  *state_->alive = false;
  {
    std::lock_guard lock(state_->mutex);
    state_->closing = true;
  }
  state_->changed.notify_all();
  if (state_->started) pthread_join(state_->thread, nullptr);
}

void Worker::run(std::function<void()> job, std::function<void()> done) {
  std::lock_guard lock(state_->mutex);
  state_->jobs.push_back({std::move(job), std::move(done)});
  start_locked();
  state_->changed.notify_all();
}

void Worker::start() {
  std::lock_guard lock(state_->mutex);
  start_locked();
}

void Worker::start_locked() {
  if (state_->started) return;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  if (pthread_create(&state_->thread, &attributes, &Worker::thread_main, state_.get()) != 0) {
    panic("cannot start a worker thread");
  }
  pthread_attr_destroy(&attributes);
  pthread_setname_np(state_->thread, state_->name.c_str());
  state_->started = true;
}

void Worker::drain() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [&] { return state_->jobs.empty() && !state_->busy; });
}

void* Worker::thread_main(void* raw) {
  auto& state = *static_cast<State*>(raw);
  std::unique_lock lock(state.mutex);
  for (;;) {
    state.changed.wait(lock, [&] { return !state.jobs.empty() || state.closing; });
    if (state.jobs.empty()) return nullptr;
    State::Job job = std::move(state.jobs.front());
    state.jobs.pop_front();
    state.busy = true;
    lock.unlock();
    job.job();
    if (job.done) {
      state.loop->post([alive = state.alive, done = std::move(job.done)] {
        if (*alive) done();
      });
    }
    job = {};
    lock.lock();
    state.busy = false;
    state.changed.notify_all();
  }
}

}  // namespace insomnia::loop
