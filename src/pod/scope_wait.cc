#include "pod/scope_wait.hh"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/io.hh"
#include "base/unique_fd.hh"
#include "pod/census.hh"

namespace insomnia::pod {
namespace {

/// When the process in the way cannot be watched (it is just ending, or its lock is just being restored).
constexpr int64_t kLookAgainMs = 50;

Result<UniqueFd> make_bell(std::string const& path) {
  ::unlink(path.c_str());
  if (::mkfifo(path.c_str(), 0600) != 0) return fail_errno("make " + path, errno);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return fail_errno("open " + path, errno);
  return fd;
}

}  // namespace

struct ScopeWait::Impl {
  loop::EventLoop& loop;
  loop::Worker& worker;
  registry::Registry& registry;
  Paths const paths;
  ScopeRequest const request;
  Handler handler;
  UniqueFd bell;
  std::unique_ptr<loop::FdWatcher> bell_watcher;
  UniqueFd process;
  std::unique_ptr<loop::FdWatcher> process_watcher;
  loop::Timer look_again;
  loop::Timer deadline;
  std::optional<registry::Blocker> blocker;
  bool looking = false;  ///< an attempt is under way
  bool again = false;    ///< something has changed meanwhile
  bool expired = false;
  bool over = false;     ///< granted or refused: there is no place to give up
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);

  Impl(loop::EventLoop& event_loop, loop::Worker& registry_worker, registry::Registry& table, Paths own_paths, ScopeRequest wanted, Handler callbacks)
      : loop(event_loop),
        worker(registry_worker),
        registry(table),
        paths(std::move(own_paths)),
        request(std::move(wanted)),
        handler(std::move(callbacks)),
        look_again(event_loop, [this] { look(); }),
        deadline(event_loop, [this] { time_is_up(); }) {}

  void start() {
    auto made = make_bell(request.bell);
    if (!made) {
      loop.post([this, alive = alive, error = std::move(made).error()]() mutable {
        if (*alive) finish(std::unexpected(std::move(error)));
      });
      return;
    }
    bell = *std::move(made);
    bell_watcher = std::make_unique<loop::FdWatcher>(loop, bell.get(), loop::FdWatcher::kRead, [this](uint32_t) {
      char bytes[64];
      while (::read(bell.get(), bytes, sizeof bytes) > 0) {
      }
      look();
    });
    deadline.start(request.wait_ms);
    look();
  }

  void look() {
    if (looking) {
      again = true;
      return;
    }
    looking = true;
    again = false;
    look_again.cancel();
    using Answer = Result<std::optional<registry::Blocker>>;
    worker.run<Answer>([&table = registry, wanted = request] { return table.queue(wanted.row, wanted.delegation, wanted.limits, wanted.bell); },
                       [this, alive = alive](Answer answer) {
                         if (*alive) looked(std::move(answer));
                       });
  }

  void looked(Result<std::optional<registry::Blocker>> answer) {
    looking = false;
    if (!answer) return finish(std::unexpected(std::move(answer).error()));
    if (!*answer) return finish({});
    if (expired) {
      blocker = std::move(**answer);
      return give_up();
    }
    bool changed = blocker != *answer;
    blocker = std::move(**answer);
    watch_blocker();
    if (changed && handler.waiting) handler.waiting(*blocker);
  }

  void watch_blocker() {
    process_watcher.reset();
    auto lives = [&]() -> pid_t {
      auto holder = pod_holder(paths, blocker->lock_name, blocker->lock_instance);
      return holder && *holder ? (*holder)->pid : 0;
    };
    pid_t pid = lives();
    if (pid > 0) process.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    // Asked again: only then is the descriptor the one of the process that holds the lock.
    if (pid <= 0 || !process || lives() != pid) {
      look_again.start(kLookAgainMs);
      return;
    }
    process_watcher = std::make_unique<loop::FdWatcher>(loop, process.get(), loop::FdWatcher::kRead, [this](uint32_t) {
      process_watcher.reset();
      look();
    });
    if (again) look();
  }

  void time_is_up() {
    expired = true;
    if (!looking) give_up();
  }

  void give_up() {
    std::string text = blocker ? blocker->refusal() : "the scope is busy";
    text += "; waited " + std::to_string(request.wait_ms) + " ms for it. Ask for a part that does not overlap, or wait longer";
    leave();
    finish(fail(Code::Conflict, std::move(text)));
  }

  void leave() {
    if (std::exchange(over, true)) return;
    // An attempt that is still under way may be granted: nobody is there any more to use it.
    worker.run([&table = registry, id = request.row.pod_id, instance = request.row.instance_id, looking = looking] {
      (void)table.leave_queue(id);
      if (looking) (void)table.release(id, instance);
    });
  }

  void finish(Result<void> result) {
    over = true;
    deadline.cancel();
    look_again.cancel();
    process_watcher.reset();
    bell_watcher.reset();
    ::unlink(request.bell.c_str());
    auto callback = std::move(handler.done);
    callback(std::move(result));  // may destroy this object
  }
};

ScopeWait::ScopeWait(loop::EventLoop& loop, loop::Worker& worker, registry::Registry& registry, Paths const& paths, ScopeRequest request,
                     Handler handler)
    : impl_(std::make_unique<Impl>(loop, worker, registry, paths, std::move(request), std::move(handler))) {
  impl_->start();
}

ScopeWait::~ScopeWait() {
  *impl_->alive = false;
  if (!impl_->over) {
    ::unlink(impl_->request.bell.c_str());
    impl_->leave();
  }
}

}  // namespace insomnia::pod
