#include "testing/contender.hh"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <random>
#include <utility>

#include "base/clock.hh"
#include "base/io.hh"
#include "loop/event_loop.hh"
#include "loop/worker.hh"
#include "pod/census.hh"
#include "pod/scope_wait.hh"
#include "registry/holdings.hh"
#include "registry/liveness.hh"
#include "scope/scope.hh"
#include "testing/program.hh"

namespace insomnia::testing {
namespace {

using registry::Allocation;
using registry::AllocationState;

constexpr unsigned kFan = 8;  ///< parts of a path

/// The paths at the end, two levels below the root.
std::vector<std::string> leaves_of(ContenderTask const& task) {
  std::vector<std::string> result;
  for (unsigned i = 0; i < kFan * kFan; ++i) {
    result.push_back(task.root + "/" + std::to_string(i / kFan) + "/" + std::to_string(i % kFan));
  }
  return result;
}

/// That no other process writes a path, by the kernel's word: a lock on a file that stands for it. It is a lock of the process: when that is
/// killed, the kernel drops it before those of open file descriptions, so before anybody can see that the Pod is dead.
class Mark {
 public:
  Mark(std::string const& directory, std::string path) : path_(std::move(path)) {
    std::string name = path_;
    for (auto& c : name) c = c == '/' ? '_' : c;
    fd_.reset(::open((directory + "/" + name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  }
  bool take() const {
    struct flock lock{.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (::fcntl(fd_.get(), F_SETLK, &lock) == 0) return true;
    ::fcntl(fd_.get(), F_GETLK, &lock);
    std::fprintf(stderr, "process %d was granted %s while process %d holds it\n", ::getpid(), path_.c_str(), lock.l_pid);
    return false;
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

/// What runs in the forked process.
class Process {
 public:
  explicit Process(ContenderTask task)
      : task_(std::move(task)),
        name_("c" + std::to_string(task_.number)),
        instance_(name_ + "-" + std::to_string(::getpid())),
        random_(task_.seed),
        runtime_lock_(must(registry::InstanceLock::acquire(task_.paths.pod_lock(name_), instance_))),
        data_lock_(must(registry::InstanceLock::acquire(task_.paths.pod_dir(name_) + "/lock", instance_))),
        holdings_(instance_, pod::holdings_files(task_.paths, name_)),
        registry_(must(pod::open_registry(task_.paths, &holdings_))) {}

  ContenderEnd contend() {
    do {
      Allocation row = next_request();
      auto taken = take(row);
      if (!taken) return taken.error();
      if (!*taken) continue;
      if (auto failed = prove_and_hold(row)) return *failed;
      if (auto released = registry_->release(row.pod_id, instance_); !released) return refused(released.error());
    } while (!io::exists(task_.stop));
    return ContenderEnd::Done;
  }

  /// The only place from which adopt() asks who is alive is its transaction.
  ContenderEnd stop_inside_a_transaction() {
    Allocation row = next_request();
    if (auto taken = registry_->register_pod(row); !taken) return refused(taken.error());
    Allocation child = row;
    child.pod_name += "-kid";
    child.pod_id = child.pod_name + "-id";
    child.instance_id = child.pod_name + "-1";
    child.state = AllocationState::Reserved;
    child.delegated_from = row.pod_id;
    child.spawner_instance = instance_;
    if (auto reserved = registry_->delegate(child, std::nullopt, {}); !reserved) return refused(reserved.error());
    auto stops = [this, lives = registry::lock_liveness(task_.paths.runtime_dir, task_.paths.data_dir)](Allocation const& asked) {
      report(ContenderEvent::Kind::StandsInside);
      ::raise(SIGSTOP);
      return lives(asked);
    };
    auto table = must(registry::open_sqlite_registry(task_.paths.registry_db(), stops));
    if (auto adopted = table->adopt(child.pod_id, child.instance_id, ::getpid(), ""); !adopted) return refused(adopted.error());
    return ContenderEnd::Done;
  }

 private:
  template <class T>
  static T must(Result<T> result) {
    if (result) return *std::move(result);
    std::fprintf(stderr, "a contender can't start: %s\n", result.error().message.c_str());
    ::_exit(static_cast<int>(ContenderEnd::Refused));
  }

  unsigned number(unsigned below) { return static_cast<unsigned>(random_() % below); }
  void report(ContenderEvent::Kind kind) const {
    ContenderEvent event{task_.number, ::getpid(), kind};
    (void)io::write_all(task_.report_fd, {reinterpret_cast<char const*>(&event), sizeof event}, "the report");
  }
  ContenderEnd refused(Error const& error) const {
    std::fprintf(stderr, "%s: %s\n", name_.c_str(), error.message.c_str());
    return ContenderEnd::Refused;
  }
  ContenderEnd told_to_wait(std::string const& why) const {
    std::fprintf(stderr, "%s: %s\n", name_.c_str(), why.c_str());
    return ContenderEnd::ToldToWait;
  }

  /// Seldom all of it, often a part, sometimes two parts.
  Allocation next_request() {
    Allocation row;
    row.pod_name = name_;
    row.pod_id = name_ + "-id";
    row.instance_id = instance_;
    row.pid = ::getpid();
    auto part = [this] { return "/" + std::to_string(number(kFan)); };
    for (unsigned count = 1 + number(2); count > 0; --count) {
      unsigned depth = task_.go_fd >= 0 || number(64) == 0 ? 0 : 1 + (number(3) + 1) / 2;
      std::string path = task_.root;
      for (; depth > 0; --depth) path += part();
      row.scope_allow.push_back({path, scope::Permission::Write, true});
    }
    return row;
  }

  /// Whether it was granted. Who does not wait for what is busy asks for something else.
  std::expected<bool, ContenderEnd> take(Allocation const& row) {
    if (!task_.waits) {
      auto taken = registry_->register_pod(row);
      if (taken) return true;
      if (taken.error().code != Code::Conflict) return std::unexpected(refused(taken.error()));
      if (task_.alone) return std::unexpected(told_to_wait(taken.error().message));
      return false;
    }
    std::optional<Result<void>> outcome;
    std::string told;
    {
      pod::ScopeWait wait(loop_, worker_, *registry_, task_.paths,
                          {.row = row,
                           .delegation = std::nullopt,
                           .limits = {},
                           .wait_ms = kPatienceMs,
                           .bell = task_.paths.pod_runtime_dir(name_) + "/bell"},
                          {.waiting =
                               [&](registry::Blocker const& blocker) {
                                 if (told.empty()) report(ContenderEvent::Kind::Waits);
                                 told = blocker.refusal();
                               },
                           .done = [&](Result<void> result) { outcome = std::move(result); }});
      while (!outcome) loop_.run_once(-1);
    }
    worker_.drain();
    if (!*outcome) return std::unexpected(refused(outcome->error()));
    if (task_.alone && !told.empty()) return std::unexpected(told_to_wait(told));
    return true;
  }

  std::optional<ContenderEnd> prove_and_hold(Allocation const& row) {
    std::vector<Mark> marks;
    for (auto const& leaf : leaves_of(task_)) {
      bool granted = false;
      for (auto const& rule : row.scope_allow) granted = granted || scope::matches(rule, leaf);
      if (!granted) continue;
      marks.emplace_back(task_.marks, leaf);
      if (!marks.back().take()) return ContenderEnd::NotTheOnlyHolder;
    }
    report(ContenderEvent::Kind::Granted);
    if (task_.crashes > 0 && number(static_cast<unsigned>(task_.crashes)) == 0) {
      report(ContenderEvent::Kind::Crashes);
      ::raise(SIGKILL);
    }
    char go = 0;
    if (task_.go_fd >= 0) (void)!::read(task_.go_fd, &go, 1);
    else ::poll(nullptr, 0, static_cast<int>(number(3)));  // its work
    return std::nullopt;
  }

  ContenderTask task_;
  std::string name_, instance_;
  std::mt19937 random_;
  registry::InstanceLock runtime_lock_, data_lock_;
  registry::Holdings holdings_;
  std::unique_ptr<registry::Registry> registry_;
  SystemClock clock_;
  loop::EventLoop loop_{clock_};
  loop::Worker worker_{loop_, "registry"};
};

pid_t fork_into(ContenderTask const& task, ContenderEnd (Process::*body)()) {
  pid_t parent = ::getpid();
  pid_t pid = ::fork();
  if (pid < 0) panic("no process can be forked");
  if (pid > 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(static_cast<int>(ContenderEnd::Refused));
  Process process(task);
  ::_exit(static_cast<int>((process.*body)()));
}

}  // namespace

Contender Contender::start(ContenderTask const& task) { return Contender(fork_into(task, &Process::contend)); }

Contender Contender::start_that_stops_inside_a_transaction(ContenderTask const& task) {
  return Contender(fork_into(task, &Process::stop_inside_a_transaction));
}

Contender::Contender(Contender&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

Contender::~Contender() {
  if (pid_ <= 0) return;
  signal(SIGKILL);
  (void)wait();
}

void Contender::signal(int number) const { ::kill(pid_, number); }

int Contender::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) panic("a contender can't be reaped");
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace insomnia::testing
