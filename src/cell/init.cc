#include "cell/init.hh"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/clock.hh"
#include "base/descriptor_passing.hh"
#include "base/io.hh"
#include "base/log.hh"
#include "cell/confinement.hh"
#include "cell/control_group.hh"
#include "cell/control_socket.hh"
#include "cell/exec_sessions.hh"
#include "cell/host.hh"
#include "cell/landlock_init.hh"
#include "cell/mount_api.hh"
#include "cell/namespaces.hh"
#include "cell/placeholders.hh"
#include "cell/plan_request.hh"
#include "cell/view.hh"
#include "tools/hands_protocol.hh"

namespace insomnia::cell {
namespace {

constexpr int kNoCell = 125;
/// For the hands to end by themselves when the brain has gone. They need a little more than two seconds at worst.
constexpr int64_t kLeaveMs = 3'000;
/// How often processes are counted when nothing else limits them.
constexpr int64_t kCountMs = 200;
/// For all processes of the cell to stand still.
constexpr long kStopMs = 1'000;

/// The first process of the cell: keeps the host's tree, and the view that all others see.
class Init {
 public:
  Init(ControlSocket& control, int locks, PlanRequest request, HostFacts const& facts, Limits const& limits, bool processes_limited)
      : control_(control), locks_(locks), request_(std::move(request)), facts_(facts), limits_(limits), processes_limited_(processes_limited) {}

  int run(MountPlan const& plan, int hands_socket) {
    // It keeps the host's tree: nobody in the cell may look through it.
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    auto started = start(plan, hands_socket);
    ::close(hands_socket);
    if (!started) {
      control_.send(CellBuilt{"the cell could not be made: " + started.error().message});
      return kNoCell;
    }
    control_.send(CellBuilt{std::nullopt});
    // It idles from now on, mostly: what planning took goes back.
    ::malloc_trim(0);
    int status = serve();
    ::kill(-1, SIGKILL);
    while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
    }
    for (auto const& path : late_placeholders_) ::rmdir(path.c_str());
    return status;
  }

 private:
  Result<void> start(MountPlan const& plan, int hands_socket) {
    plan_steps_ = plan.steps;
    view_.emplace(TRY(View::build(plan, kViewPlace)));
    tools::HandsDescriptors given;
    if (!request_.own_files.empty()) given.spill = TRY(own_mount(request_.own_files));
    for (auto const& path : plan.written_by_tools) given.directories[path] = TRY(own_mount(path));
    confinement_.emplace(TRY(Confinement::prepare(limits_)));
    // RLIMIT_NPROC (limits.cc) binds all but root.
    processes_limited_ = processes_limited_ || !limits_.processes || ::geteuid() != 0 || limit_processes_of_namespace(*limits_.processes);

    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    mounts_.reset(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
    int ends[2];
    if (!signals_ || !mounts_) return fail_errno("watch the cell", errno);
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("make a socket", errno);
    UniqueFd ours(ends[0]), theirs(ends[1]);
    hands_ = ::fork();
    if (hands_ < 0) return fail_errno("start the hands", errno);
    if (hands_ == 0) {
      // Their namespace can be had only from themselves: nobody in the cell may look into them.
      auto place = become_hands();
      int descriptor = place ? place->get() : -1;
      (void)base::send_with_descriptors(theirs.get(), place ? std::string("in") : place.error().message, {&descriptor, place ? 1u : 0u}, MSG_NOSIGNAL);
      bool entered = place.has_value();
      if (entered) place->reset();
      ours.reset();
      theirs.reset();
      ::_exit(entered ? tools::hands_main(hands_socket, std::move(given)) : kNoCell);
    }
    theirs.reset();
    char report[4096];
    std::vector<UniqueFd> places;
    ssize_t size = base::receive_with_descriptors(ours.get(), report, 0, places);
    if (places.size() != 1) return fail(Code::Unavailable, size > 0 ? std::string(report, static_cast<size_t>(size)) : "the hands ended at once");
    place_ = std::move(places.front());
    forbid_further_user_namespaces();
    watch_neighbours();
    return {};
  }

  /// Of a directory that the view shows read-only: a mount of its own, from which no way leads to anything else.
  static Result<UniqueFd> own_mount(std::string const& path) {
    UniqueFd mount = TRY(copy_tree(AT_FDCWD, path));
    TRY(set_attributes(mount.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, true, path));
    return mount;
  }

  /// Gives the mount namespace that shows the view.
  Result<UniqueFd> become_hands() {
    ::setsid();
    ::prctl(PR_SET_NAME, "insomnia-hands", 0, 0, 0);
    TRY(enter_view(kViewPlace, "/"));
    UniqueFd place(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
    if (!place) return fail_errno("open the namespace of the view", errno);
    signals_.reset();
    mounts_.reset();
    view_.reset();
    ::close(control_.fd());
    // The Pod's locks: they belong to those who are there until the last one in the cell has ended.
    for (int i = 1; i <= locks_; ++i) ::close(control_.fd() + i);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    TRY(confinement_->enter());
    return place;
  }

  /// For a command of `insomnia exec`: where the hands are, so that all in the cell see one view.
  Result<void> enter_like_hands(std::string const& cwd) const {
    if (::setns(place_.get(), CLONE_NEWNS) != 0) return fail_errno("enter the cell", errno);
    if (::chdir(cwd.c_str()) != 0) return fail_errno("enter " + cwd + " in the cell", errno);
    return confinement_->enter();
  }

  // ---- Serving

  /// Until the hands have ended; gives their status.
  int serve() {
    std::optional<int> status;
    SystemClock clock;
    std::optional<int64_t> leave_by;
    // What came together with the start wakes nobody.
    if (!read_commands()) leave_by = clock.steady_ms() + kLeaveMs;
    while (!status) {
      int64_t left = leave_by ? std::max<int64_t>(0, *leave_by - clock.steady_ms()) : processes_limited_ ? -1 : kCountMs;
      std::vector<pollfd> polled = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                    {.fd = leave_by ? -1 : control_.fd(), .events = POLLIN, .revents = 0},
                                    {.fd = mounts_.get(), .events = POLLPRI, .revents = 0},
                                    {.fd = renames_.get(), .events = POLLIN, .revents = 0}};
      size_t own = polled.size();
      execs_.append_to(polled);
      int ready = ::poll(polled.data(), polled.size(), static_cast<int>(left));
      if (ready == 0 && leave_by) return 128 + SIGKILL;  // the brain is gone and the hands don't end
      if (!processes_limited_) count_processes();
      if (polled[0].revents != 0) status = reap();
      if (polled[1].revents != 0 && !read_commands()) leave_by = clock.steady_ms() + kLeaveMs;
      if (polled[2].revents != 0 || (polled[3].revents != 0 && take_renames())) mounts_changed();
      if (std::any_of(polled.begin() + static_cast<std::ptrdiff_t>(own), polled.end(), [](pollfd const& one) { return one.revents != 0; })) execs_.serve();
    }
    return *status;
  }

  /// Where the kernel does not limit them: as root, without control groups, before Linux 6.14.
  void count_processes() {
    auto frozen = Freeze::begin(view_->proc(), kStopMs);
    if (!frozen || frozen->processes().size() <= *limits_.processes) return;
    for (pid_t pid : frozen->processes()) {
      if (pid != hands_) ::kill(pid, SIGKILL);
    }
    control_.send(CellNotice{"more than " + std::to_string(*limits_.processes) + " processes ran in the cell; all of them were killed"});
  }

  std::optional<int> reap() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    }
    std::optional<int> result;
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid == hands_) result = shell_status(status);
      else execs_.ended(pid, status);
    }
    return result;
  }

  bool read_commands() {
    return control_.receive({.change =
                                 [this](ChangeScope const& change) {
                                   // The answer first: those who go on would only be in its way.
                                   std::optional<Freeze> frozen;
                                   control_.send(change_scope(change, frozen));
                                 },
                             .exec = [this](RunExec exec, std::vector<UniqueFd> descriptors) { execs_.add(std::move(exec), std::move(descriptors)); }});
  }

  // ---- Changes of the view

  /// `frozen`: who stands still until the caller lets go.
  CellEvent change_scope(ChangeScope const& change, std::optional<Freeze>& frozen) {
    auto refused = [&](std::string message, std::vector<Holder> holders = {}) { return ScopeRefused{change.id, std::move(message), std::move(holders)}; };
    PlanRequest wanted = request_;
    wanted.scope = scope::Scope::from_resolved(change.scope);
    auto plan = plan_mounts(wanted, facts_);
    if (!plan) return refused(plan.error().message);
    std::vector<Holder> killed;
    auto taken = taken_paths(plan_steps_, plan->steps);
    if (!taken.empty() || !view_->only_uncovers(*plan)) {
      // What was dropped with what it stood upon is put back first, also when the change is then refused.
      if (auto repaired = repair(); !repaired) return give_up(change.id, repaired.error());
      auto begun = Freeze::begin(view_->proc(), kStopMs);
      if (!begun) return refused(begun.error().message);
      frozen.emplace(*std::move(begun));
    }
    if (!taken.empty()) {
      auto free = free_of_holders(*frozen, taken, change.kill, killed);
      if (!free) return refused(free.error().message);
      if (!free->empty()) return refused(describe(*free), *free);
    }
    if (auto changed = show(wanted, *std::move(plan)); !changed) return give_up(change.id, changed.error());
    request_ = std::move(wanted);
    return ScopeChanged{change.id, std::move(killed)};
  }

  /// A view that is not known to show its scope is nobody's: everything ends.
  static CellEvent give_up(uint64_t id, Error const& error) {
    ::kill(-1, SIGKILL);
    return ScopeRefused{id, "the view could not be changed, so the cell has ended: " + error.message, {}};
  }

  /// Who still holds something. With `kill` they are killed, and those who are there then are looked at again.
  Result<std::vector<Holder>> free_of_holders(Freeze const& frozen, std::vector<std::string> const& taken, bool kill, std::vector<Holder>& killed) {
    auto holders = TRY(find_holders(view_->proc(), frozen.processes(), hands_, taken));
    if (!kill) return holders;
    for (auto const& holder : holders) ::kill(holder.pid, SIGKILL);
    killed.insert(killed.end(), holders.begin(), holders.end());
    SystemClock clock;
    int64_t deadline = clock.steady_ms() + kStopMs;
    while (!holders.empty() && clock.steady_ms() < deadline) {
      ::poll(nullptr, 0, 1);
      holders = TRY(find_holders(view_->proc(), frozen.processes(), hands_, taken));
    }
    return holders;
  }

  /// Nobody in the cell moves meanwhile, but somebody outside may: a path that was there for the plan can be gone for the mount.
  Result<void> show(PlanRequest const& request, MountPlan plan) {
    constexpr int kTries = 100;
    for (int attempt = 1;; ++attempt) {
      for (auto const& path : plan.placeholders) {
        if (io::exists(path)) continue;
        if (io::make_directories(path, 0755)) late_placeholders_.push_back(path);
      }
      auto shown = view_->change_to(plan);
      if (shown) {
        plan_steps_ = plan.steps;
        watch_neighbours();
        return {};
      }
      if (attempt == kTries) return shown;
      ::poll(nullptr, 0, 1);
      (void)TRY(view_->look_for_lost_mounts());
      plan = TRY(plan_mounts(request, facts_));
    }
  }

  /// A directory that is renamed outside takes its mount with it, and the kernel tells nobody of that: the directories are watched in which what is
  /// read-only or masked lies, and those above up to the writable part. Without inotify (its instances are few) only removals are noticed.
  void watch_neighbours() {
    if (!renames_) renames_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!renames_) return;
    std::map<int, std::set<std::string>> wanted;
    std::string writable;
    for (auto const& step : plan_steps_) {
      if (is_writing(step)) {
        writable = step.path;
        continue;
      }
      if (writable.empty() || !is_strictly_below(step.path, writable)) continue;
      for (std::string path = step.path; is_strictly_below(path, writable); path = io::parent_path(path)) {
        int watch = ::inotify_add_watch(renames_.get(), io::parent_path(path).c_str(), IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR);
        if (watch >= 0) wanted[watch].insert(std::string(io::base_name(path)));
      }
    }
    for (auto const& [watch, names] : neighbours_) {
      if (!wanted.contains(watch)) ::inotify_rm_watch(renames_.get(), watch);
    }
    neighbours_ = std::move(wanted);
  }

  /// Whether one of those is concerned that are watched.
  bool take_renames() {
    alignas(inotify_event) char buffer[16384];
    bool concerned = false;
    for (ssize_t size; (size = ::read(renames_.get(), buffer, sizeof buffer)) > 0;) {
      for (ssize_t at = 0; at < size;) {
        auto const* event = reinterpret_cast<inotify_event const*>(buffer + at);
        auto watched = neighbours_.find(event->wd);
        concerned = concerned || (event->mask & IN_Q_OVERFLOW) != 0 || (watched != neighbours_.end() && event->len > 0 && watched->second.contains(event->name));
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      }
    }
    return concerned;
  }

  /// Somebody outside has removed or renamed what a mount stands upon, or it was one of our own changes.
  void mounts_changed() {
    auto repaired = repair();
    if (repaired) return;
    log::warn("cell: the view can't be repaired, so the cell ends: " + repaired.error().message);
    ::kill(-1, SIGKILL);
  }

  Result<void> repair() {
    if (!TRY(view_->look_for_lost_mounts())) return {};
    auto frozen = TRY(Freeze::begin(view_->proc(), kStopMs));
    std::vector<MountStep> before = plan_steps_;
    std::erase_if(before, [&](MountStep const& step) { return !view_->shows(step); });
    TRY(show(request_, TRY(plan_mounts(request_, facts_))));
    std::vector<std::string> closed;
    for (auto const& step : plan_steps_) {
      bool is_closed = step.kind == MountStep::Kind::ReadOnly || step.kind == MountStep::Kind::MaskDirectory || step.kind == MountStep::Kind::MaskFile;
      if (is_closed && std::find(before.begin(), before.end(), step) == before.end()) closed.push_back(step.path);
    }
    // What was opened in the meantime must not live on.
    std::vector<Holder> killed;
    auto left = TRY(free_of_holders(frozen, closed, true, killed));
    if (!left.empty()) return fail(Code::Conflict, describe(left));
    std::string text = "something outside has replaced a part of what this Pod sees; its view was put right";
    if (!killed.empty()) text += ", and who had it open meanwhile was killed: " + describe(killed);
    control_.send(CellNotice{text});
    return {};
  }

  ControlSocket& control_;
  int const locks_;  ///< number of descriptors that follow on the control socket's
  PlanRequest request_;
  HostFacts const& facts_;
  Limits const limits_;
  bool processes_limited_;  ///< by the kernel
  std::optional<Confinement> confinement_;
  std::optional<View> view_;
  std::vector<MountStep> plan_steps_;
  UniqueFd signals_, mounts_, renames_;
  UniqueFd place_;  ///< the mount namespace of the hands
  std::map<int, std::set<std::string>> neighbours_;  ///< names that matter, by the watch of their directory
  pid_t hands_ = -1;
  std::vector<std::string> late_placeholders_;
  ExecSessions execs_{[this](std::string const& cwd) { return enter_like_hands(cwd); }};
};

volatile pid_t first_process = 0;

void end_cell(int) {
  if (first_process > 0) ::kill(first_process, SIGKILL);
}

Result<int> run_cell(int hands, ControlSocket& control, int locks, CellStart const& start) {
  HostFacts facts;
  PlanRequest request = plan_request(start, facts);
  MountPlan plan = TRY(plan_mounts(request, facts));
  Placeholders placeholders = TRY(Placeholders::make(plan.placeholders));
  ControlGroup group = ControlGroup::make(start.limits);
  auto first = TRY(start_in_namespaces({.network = start.network, .group = &group}, [&] {
    placeholders.forget();
    group.forget();
    Init init(control, locks, std::move(request), facts, start.limits, group.limits_processes());
    return init.run(plan, hands);
  }));
  first_process = first.pid;
  ::signal(SIGTERM, &end_cell);
  ::close(hands);
  ::close(control.fd());
  int status = 0;
  while (::waitpid(first.pid, &status, 0) < 0 && errno == EINTR) {
  }
  return shell_status(status);
}

}  // namespace

int cell_init_main(int hands, int control, int locks) {
  for (int fd = hands; fd <= control + locks; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::mallopt(M_ARENA_MAX, 1);
  ControlSocket socket(control);
  auto status = [&]() -> Result<int> {
    CellStart start = TRY(socket.read_start());
    return start.isolation == Isolation::Landlock ? run_landlock_init(hands, socket, locks, start) : run_cell(hands, socket, locks, start);
  }();
  if (status) return *status;
  socket.send(CellBuilt{status.error().message});
  return kNoCell;
}

}  // namespace insomnia::cell
