#include "loop/event_loop.hh"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace insomnia::loop {

struct EventLoop::Impl {
  UniqueFd epoll;
  UniqueFd wake;
  bool stopping = false;
  uint64_t next_token = 1;  // 0 is the wake-up descriptor
  std::unordered_map<uint64_t, FdWatcher*> watchers;
  std::map<std::pair<int64_t, uint64_t>, Timer*> timers;  // ordered by due time, then by age
  std::mutex mutex;
  std::vector<std::function<void()>> posted;

  void run_posted();
  void run_timers(Clock const& clock);
  int64_t wait_ms(Clock const& clock, int64_t limit) const;
};

namespace {

uint32_t epoll_bits(uint32_t interest) {
  uint32_t bits = 0;
  if ((interest & FdWatcher::kRead) != 0) bits |= EPOLLIN | EPOLLRDHUP;
  if ((interest & FdWatcher::kWrite) != 0) bits |= EPOLLOUT;
  return bits;
}

}  // namespace

EventLoop::EventLoop(Clock const& clock) : clock_(clock), impl_(std::make_unique<Impl>()) {
  impl_->epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
  impl_->wake.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!impl_->epoll || !impl_->wake) panic("no descriptors left for the event loop");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  if (::epoll_ctl(impl_->epoll.get(), EPOLL_CTL_ADD, impl_->wake.get(), &event) != 0) panic("epoll_ctl failed");
}

EventLoop::~EventLoop() = default;

void EventLoop::Impl::run_posted() {
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard lock(mutex);
    tasks.swap(posted);
  }
  for (auto& task : tasks) task();
}

void EventLoop::Impl::run_timers(Clock const& clock) {
  int64_t now = clock.steady_ms();
  // Timers that callbacks set again for "now" wait for the next round: a timer can't starve the descriptors.
  uint64_t newest = next_token;
  while (!timers.empty()) {
    auto it = timers.begin();
    if (it->first.first > now || it->first.second >= newest) break;
    Timer* timer = it->second;
    timers.erase(it);
    timer->active_ = false;
    auto callback = timer->callback_;
    (*callback)();
  }
}

int64_t EventLoop::Impl::wait_ms(Clock const& clock, int64_t limit) const {
  if (timers.empty()) return limit;
  int64_t until = std::max<int64_t>(0, timers.begin()->first.first - clock.steady_ms());
  return limit < 0 ? until : std::min(limit, until);
}

bool EventLoop::run_once(int64_t timeout_ms) {
  std::array<epoll_event, 64> events;
  int64_t wait = std::min<int64_t>(impl_->wait_ms(clock_, timeout_ms), 1'000'000);
  int count = ::epoll_wait(impl_->epoll.get(), events.data(), static_cast<int>(events.size()), static_cast<int>(wait));
  if (count < 0 && errno != EINTR) panic("epoll_wait failed");
  for (int i = 0; i < count; ++i) {
    epoll_event const& event = events[static_cast<size_t>(i)];
    if (event.data.u64 == 0) {
      uint64_t value = 0;
      [[maybe_unused]] ssize_t got = ::read(impl_->wake.get(), &value, sizeof value);
      continue;
    }
    // A callback before this one may have removed the watcher; tokens are never re-used, so this finds out.
    auto it = impl_->watchers.find(event.data.u64);
    if (it == impl_->watchers.end()) continue;
    FdWatcher* watcher = it->second;
    uint32_t ready = 0;
    if ((event.events & EPOLLIN) != 0) ready |= FdWatcher::kRead;
    if ((event.events & EPOLLOUT) != 0) ready |= FdWatcher::kWrite;
    if ((event.events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0) ready |= watcher->interest_;
    ready &= watcher->interest_;
    if (ready == 0) {
      // Nothing is wanted of a dead descriptor: level-triggered epoll would spin.
      if (watcher->interest_ == 0) ::epoll_ctl(impl_->epoll.get(), EPOLL_CTL_DEL, watcher->fd_, nullptr);
      continue;
    }
    auto callback = watcher->callback_;
    (*callback)(ready);
  }
  impl_->run_timers(clock_);
  impl_->run_posted();
  return impl_->stopping;
}

void EventLoop::run() {
  impl_->stopping = false;
  while (!run_once(-1)) {
  }
}

void EventLoop::stop() { impl_->stopping = true; }

void EventLoop::post(std::function<void()> task) {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->posted.push_back(std::move(task));
  }
  uint64_t one = 1;
  [[maybe_unused]] ssize_t count = ::write(impl_->wake.get(), &one, sizeof one);
}

FdWatcher::FdWatcher(EventLoop& loop, int fd, uint32_t interest, Callback callback)
    : loop_(loop),
      fd_(fd),
      interest_(interest),
      token_(loop.impl_->next_token++),
      callback_(std::make_shared<Callback>(std::move(callback))) {
  epoll_event event{};
  event.events = epoll_bits(interest);
  event.data.u64 = token_;
  if (::epoll_ctl(loop_.impl_->epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) panic("cannot watch a descriptor");
  loop_.impl_->watchers.emplace(token_, this);
}

FdWatcher::~FdWatcher() {
  loop_.impl_->watchers.erase(token_);
  // Fails harmlessly when the descriptor was closed first.
  ::epoll_ctl(loop_.impl_->epoll.get(), EPOLL_CTL_DEL, fd_, nullptr);
}

void FdWatcher::set_interest(uint32_t interest) {
  if (interest == interest_) return;
  interest_ = interest;
  epoll_event event{};
  event.events = epoll_bits(interest);
  event.data.u64 = token_;
  if (::epoll_ctl(loop_.impl_->epoll.get(), EPOLL_CTL_MOD, fd_, &event) != 0 &&
      ::epoll_ctl(loop_.impl_->epoll.get(), EPOLL_CTL_ADD, fd_, &event) != 0) {
    panic("cannot watch a descriptor");
  }
}

Timer::Timer(EventLoop& loop, std::function<void()> callback)
    : loop_(loop), callback_(std::make_shared<std::function<void()>>(std::move(callback))) {}

Timer::~Timer() { cancel(); }

void Timer::start(int64_t delay_ms) {
  cancel();
  token_ = loop_.impl_->next_token++;
  due_ms_ = loop_.clock().steady_ms() + std::max<int64_t>(0, delay_ms);
  active_ = true;
  loop_.impl_->timers.emplace(std::pair(due_ms_, token_), this);
}

void Timer::cancel() {
  if (!active_) return;
  loop_.impl_->timers.erase(std::pair(due_ms_, token_));
  active_ = false;
}

}  // namespace insomnia::loop
