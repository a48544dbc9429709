#include "cell/landlock_init.hh"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "base/clock.hh"
#include "base/io.hh"
#include "base/log.hh"
#include "cell/become_program.hh"
#include "cell/confinement.hh"
#include "cell/control_group.hh"
#include "cell/exec_sessions.hh"
#include "cell/host.hh"
#include "cell/landlock.hh"
#include "cell/landlock_plan.hh"
#include "cell/namespaces.hh"
#include "cell/plan_request.hh"
#include "tools/hands_protocol.hh"
#include "tools/process_list.hh"

namespace insomnia::cell {
namespace {

constexpr int kNoHands = 125;
/// For the hands to end by themselves when the brain has gone. They need a little more than two seconds at worst.
constexpr int64_t kLeaveMs = 3'000;
constexpr int64_t kCountMs = 200;
constexpr int64_t kKillMs = 1'000;
/// So many processes others of this user may start beside a Pod, and more.
constexpr uint64_t kOthersMayStart = 256;
/// Of a loan with commands that run.
constexpr int64_t kPatienceMs = 2'000;

/// Processes and threads of this user, as far as they can be seen.
uint64_t tasks_of_user() {
  uint64_t count = 0;
  UniqueFd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (pid_t pid : tools::all_processes()) {
    struct stat info{};
    // The directory links to ".", ".." and each thread.
    if (::fstatat(proc.get(), (std::to_string(pid) + "/task").c_str(), &info, 0) == 0 && info.st_uid == ::geteuid() && info.st_nlink > 2) count += info.st_nlink - 2;
  }
  return count;
}

/// What is put around the hands and all that they start, once. Files come with each command.
Result<Confinement> prepare_confinement(Limits limits, bool network) {
  // RLIMIT_NPROC counts all processes of the user, so it is no more than a bound from which counting can win against one that forks without end. As root it binds nobody.
  if (limits.processes) *limits.processes += tasks_of_user() + kOthersMayStart;
  return Confinement::prepare(limits, {.unix_sockets = false, .network = network});
}

Result<UniqueFd> domain_for(PlanRequest const& request, std::vector<std::string> const& own_directories) {
  HostFacts facts;
  MountPlan plan = TRY(plan_mounts(request, facts));
  return make_domain(domain_of(plan_landlock(plan, request.scope, facts), own_directories));
}

/// All that has been started below this process, to the end: it adopts what loses its parent.
class Tree {
 public:
  Tree() { ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

  /// But for one process.
  std::vector<tools::ProcessInfo> below(pid_t but = -1) const {
    auto all = tools::descendants(::getpid());
    std::erase_if(all, [&](auto const& process) { return process.pid == but; });
    return all;
  }
  /// Until nothing is left but `but`, or the time is up; what is left then.
  std::vector<tools::ProcessInfo> kill(pid_t but = -1) const {
    SystemClock clock;
    int64_t deadline = clock.steady_ms() + kKillMs;
    for (;;) {
      auto left = below(but);
      if (left.empty() || clock.steady_ms() > deadline) return left;
      // Stopped first, so that none forks away.
      for (int signal : {SIGSTOP, SIGKILL}) {
        for (auto const& process : left) ::kill(process.pid, signal);
      }
      reap();
      ::poll(nullptr, 0, 1);
    }
  }
  /// Nothing is left then.
  void end() const {
    while (!kill().empty()) {
    }
    reap();
  }
  /// Those that have ended; calls back with each.
  void reap(std::function<void(pid_t, int)> const& ended = nullptr) const {
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended) ended(pid, status);
    }
  }
};

class LandlockInit {
 public:
  LandlockInit(ControlSocket& control, int locks, CellStart const& start)
      : control_(control), locks_(locks), start_(start), group_(ControlGroup::make(start.limits)) {
    for (auto const& directory : start.privates) own_directories_.push_back(directory.source);
  }

  Result<int> run(int hands_socket) {
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    request_ = plan_request(start_, facts_);
    plan_steps_ = TRY(plan_mounts(request_, facts_)).steps;
    TRY(start_hands(hands_socket));
    ::close(hands_socket);
    control_.send(CellBuilt{std::nullopt});
    int status = serve();
    tree_.end();
    return status;
  }

 private:
  Result<void> start_hands(int hands_socket) {
    confinement_.emplace(TRY(prepare_confinement(start_.limits, start_.network)));
    sigset_t signals;
    ::sigemptyset(&signals);
    for (int signal : {SIGCHLD, SIGTERM}) ::sigaddset(&signals, signal);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    int ends[2];
    if (!signals_) return fail_errno("watch the hands", errno);
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
    UniqueFd report_read(ends[0]), report_write(ends[1]);
    hands_ = ::fork();
    if (hands_ < 0) return fail_errno("start the hands", errno);
    if (hands_ == 0) {
      auto entered = become_hands();
      if (!entered) (void)io::write_all(report_write.get(), entered.error().message, "the report");
      report_write.reset();
      ::_exit(entered ? tools::hands_main(hands_socket, {}, [this](scope::Scope const& scope) { return enter_domain_for(scope); }) : kNoHands);
    }
    report_write.reset();
    std::string report = TRY(io::read_all(report_read.get(), "the report of the hands"));
    if (!report.empty()) return fail(Code::Unavailable, report);
    return {};
  }

  Result<void> become_hands() {
    ::setsid();
    ::prctl(PR_SET_NAME, "insomnia-hands", 0, 0, 0);
    signals_.reset();
    TRY(enter_confinement());
    // The Pod's locks belong to the process above.
    for (int i = 0; i <= locks_; ++i) ::close(control_.fd() + i);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    return {};
  }

  /// In a child.
  Result<void> enter_confinement() {
    TRY(group_.add(::getpid()));
    group_.forget();
    TRY(confinement_->enter());
    // With the process above the locks are gone. (Capabilities that are given up would undo it.)
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return {};
  }

  Result<void> enter_like_command(std::string const& cwd) {
    TRY(enter_confinement());
    TRY(enter_domain_for(request_.scope));
    if (::chdir(cwd.c_str()) != 0) return fail_errno("enter " + cwd, errno);
    return {};
  }

  /// In the hands, by the thread that is to start a command.
  Result<void> enter_domain_for(scope::Scope const& scope) const {
    PlanRequest request = request_;
    request.scope = scope;
    UniqueFd domain = TRY(domain_for(request, own_directories_));
    return enter_domain(domain.get());
  }

  int serve() {
    SystemClock clock;
    std::optional<int64_t> leave_by;
    bool counting = start_.limits.processes && !group_.limits_processes();
    if (!read_commands()) leave_by = clock.steady_ms() + kLeaveMs;
    while (!status_) {
      int64_t left = leave_by ? std::max<int64_t>(0, *leave_by - clock.steady_ms()) : counting ? kCountMs : -1;
      std::vector<pollfd> polled = {{.fd = signals_.get(), .events = POLLIN, .revents = 0}, {.fd = leave_by ? -1 : control_.fd(), .events = POLLIN, .revents = 0}};
      execs_.append_to(polled);
      int ready = ::poll(polled.data(), polled.size(), static_cast<int>(left));
      if (ready == 0 && leave_by) return 128 + SIGKILL;  // the brain is gone and the hands don't end
      if (counting) count_processes();
      if ((polled[0].revents != 0 && take_signals()) || told_to_end_) return 128 + SIGKILL;
      if (polled[1].revents != 0 && !read_commands()) leave_by = clock.steady_ms() + kLeaveMs;
      if (std::any_of(polled.begin() + 2, polled.end(), [](pollfd const& one) { return one.revents != 0; })) execs_.serve();
    }
    return *status_;
  }

  /// True: everything is to end at once.
  bool take_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) told_to_end_ = told_to_end_ || info.ssi_signo == SIGTERM;
    tree_.reap([&](pid_t pid, int status) {
      if (pid == hands_) status_ = shell_status(status);
      else execs_.ended(pid, status);
    });
    return told_to_end_;
  }

  void count_processes() {
    if (tree_.below(hands_).size() <= *start_.limits.processes) return;
    tree_.kill(hands_);
    control_.send(CellNotice{"more than " + std::to_string(*start_.limits.processes) + " processes ran; all of them were killed"});
  }

  bool read_commands() {
    return control_.receive({.change = [this](ChangeScope const& change) { control_.send(change_scope(change)); },
                             .exec = [this](RunExec exec, std::vector<UniqueFd> descriptors) { execs_.add(std::move(exec), std::move(descriptors)); }});
  }

  /// The hands follow by themselves for all that they start later; what runs already keeps what it was started with.
  CellEvent change_scope(ChangeScope const& change) {
    PlanRequest wanted = request_;
    wanted.scope = scope::Scope::from_resolved(change.scope);
    auto plan = plan_mounts(wanted, facts_);
    if (!plan) return ScopeRefused{change.id, plan.error().message, {}};
    auto taken = taken_paths(plan_steps_, plan->steps);
    std::vector<Holder> killed;
    if (!taken.empty()) {
      auto holders = [&](std::vector<tools::ProcessInfo> const& processes) {
        std::vector<Holder> result;
        for (auto const& process : processes) result.push_back({process.pid, tools::command_of(process.pid), "it was started with the right to write there", taken.front()});
        return result;
      };
      // A call that runs beside the loan is over soon, most likely.
      SystemClock clock;
      int64_t deadline = clock.steady_ms() + (change.kill ? 0 : kPatienceMs);
      auto below = tree_.below(hands_);
      for (; !below.empty() && clock.steady_ms() < deadline && !status_; below = tree_.below(hands_)) {
        ::poll(nullptr, 0, 5);
        (void)take_signals();
      }
      auto running = holders(below);
      if (!running.empty() && change.kill) {
        killed = std::move(running);
        running = holders(tree_.kill(hands_));
      }
      if (!running.empty()) return ScopeRefused{change.id, describe(running), std::move(running)};
    }
    request_ = std::move(wanted);
    plan_steps_ = std::move(plan->steps);
    return ScopeChanged{change.id, std::move(killed)};
  }

  ControlSocket& control_;
  int const locks_;
  CellStart const& start_;
  HostFacts facts_;
  ControlGroup group_;
  Tree tree_;
  std::vector<std::string> own_directories_;
  PlanRequest request_;
  std::vector<MountStep> plan_steps_;
  std::optional<Confinement> confinement_;
  UniqueFd signals_;
  pid_t hands_ = -1;
  std::optional<int> status_;
  bool told_to_end_ = false;
  ExecSessions execs_{[this](std::string const& cwd) { return enter_like_command(cwd); }};
};

/// In the child. Does not return.
[[noreturn]] void become_command(LandlockCommand const& command, Confinement const& confinement, int domain, ControlGroup& group, int report) {
  auto entered = [&]() -> Result<void> {
    TRY(group.add(::getpid()));
    group.forget();
    TRY(confinement.enter());
    TRY(enter_domain(domain));
    if (::chdir(command.cwd.c_str()) != 0) return fail_errno("enter " + command.cwd, errno);
    return {};
  }();
  // Its end tells that all went well.
  if (entered) become_program(command.argv, command.environment);
  (void)io::write_all(report, entered.error().message, "the report");
  ::_exit(kNoHands);
}

}  // namespace

Result<int> run_under_landlock(LandlockCommand const& command) {
  Tree tree;
  ControlGroup group = ControlGroup::make(command.limits);
  auto confinement = TRY(prepare_confinement(command.limits, command.network));
  UniqueFd domain = TRY(domain_for(command.plan, command.own_directories));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  UniqueFd report_read(ends[0]), report_write(ends[1]);
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork the command", errno);
  if (pid == 0) become_command(command, confinement, domain.get(), group, report_write.get());
  report_write.reset();
  // Ctrl-C is for the command: it gets it from the terminal, as does this process, which waits for its end.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGQUIT, SIG_IGN);
  std::string report = io::read_all(report_read.get(), "the report of the command").value_or("");
  std::optional<uint64_t> most = group.limits_processes() ? std::nullopt : command.limits.processes;
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  std::optional<int> status;
  while (!status) {
    siginfo_t info{};
    pollfd polled{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    if (most) ::poll(&polled, 1, static_cast<int>(kCountMs));
    else ::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
    if (most && tree.below().size() > *most) {
      std::fprintf(stderr, "insomnia: more than %s processes ran; all of them were killed\n", std::to_string(*most).c_str());
      tree.kill();
    }
    tree.reap([&](pid_t ended, int how) {
      if (ended == pid) status = shell_status(how);
    });
  }
  tree.end();
  if (!report.empty()) return fail(Code::Unavailable, "the command could not be held by Landlock: " + report);
  return *status;
}

Result<int> run_landlock_init(int hands, ControlSocket& control, int locks, CellStart const& start) { return LandlockInit(control, locks, start).run(hands); }

}  // namespace insomnia::cell
