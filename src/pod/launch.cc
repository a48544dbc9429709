#include "pod/launch.hh"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <optional>

#include "base/io.hh"
#include "base/text.hh"
#include "registry/liveness.hh"

namespace insomnia::pod {
namespace {

constexpr size_t kMaxReadyLine = 16384;
/// A process that has closed its pipe without a word is given this long to end by itself, so that its exit status can be told.
constexpr int64_t kEndMs = 2'000;
constexpr int kConfigFd = 3;
constexpr int kReadyFd = 4;
constexpr int kLifelineFd = 5;

}  // namespace

std::string stderr_tail(std::string const& path, int64_t from) {
  constexpr int64_t kTail = 4096;
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info{};
  if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return "";
  if (from > info.st_size) from = 0;  // it was begun anew since
  ::lseek(fd.get(), std::max<int64_t>(from, info.st_size - kTail), SEEK_SET);
  auto bytes = io::read_all(fd.get(), path, 2 * kTail);
  if (!bytes) return "";
  return std::string(text::trim(text::suffix(text::to_utf8(*bytes), kTail)));
}

RuntimeCommand RuntimeCommand::self() {
  auto path = io::real_path("/proc/self/exe");
  return {.program = path ? *path : "/proc/self/exe"};
}

struct PodLaunch::Impl {
  loop::EventLoop& loop;
  std::function<void(Result<LaunchedPod>)> done;
  std::function<void(std::string const&)> waiting;
  std::string name;
  std::string stderr_path;
  int64_t stderr_begin = 0;  ///< what is before it was written by others
  std::optional<loop::Child> child;
  UniqueFd ready_fd;
  UniqueFd lifeline;
  std::unique_ptr<loop::FdWatcher> watcher;
  std::unique_ptr<loop::FdWatcher> end_watcher;
  std::optional<loop::Timer> deadline;
  bool closed = false;  ///< the pipe, without a ready line
  std::string line;
  int64_t deadline_ms;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);

  Impl(loop::EventLoop& event_loop, std::function<void(Result<LaunchedPod>)> callback, int64_t limit)
      : loop(event_loop), done(std::move(callback)), deadline_ms(limit) {}

  Result<void> start(Paths const& paths, RuntimeCommand const& command, HandOver const& hand_over);
  void read_ready();
  bool take_line();
  void process_ended();
  void deadline_passed();
  void fail_launch(Code code, std::string message);
  void finish(Result<LaunchedPod> result);
};

Result<void> PodLaunch::Impl::start(Paths const& paths, RuntimeCommand const& command, HandOver const& hand_over) {
  name = hand_over.config.pod_name.value_or("");
  TRY(check_pod_name(name));
  std::string directory = paths.pod_runtime_dir(name);
  TRY(io::make_directories(directory));
  stderr_path = directory + "/stderr.log";
  // What a Pod of this name that lives has written stays.
  auto holder = registry::lock_holder(paths.pod_lock(name));
  int begin = holder && !*holder ? O_TRUNC : 0;
  UniqueFd log(::open(stderr_path.c_str(), O_WRONLY | O_CREAT | begin | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  struct stat info{};
  if (!log || ::fstat(log.get(), &info) != 0) return fail_errno("create " + stderr_path, errno);
  stderr_begin = info.st_size;
  UniqueFd config = TRY(io::sealed_memory_file("insomnia-hand-over", encode_hand_over(hand_over)));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return fail_errno("make a pipe for the new Pod", errno);
  ready_fd.reset(ends[0]);
  UniqueFd write_end(ends[1]);

  loop::Launch launch;
  launch.program = command.program;
  launch.argv = {"insomnia"};
  launch.argv.insert(launch.argv.end(), command.prefix_args.begin(), command.prefix_args.end());
  // The name is there for people who look at the process list; the config is not.
  launch.argv.insert(launch.argv.end(), {"--pod", name, "--spawn-config-fd", std::to_string(kConfigFd), "--ready-fd",
                                         std::to_string(kReadyFd)});
  if (hand_over.die_with_parent) launch.argv.insert(launch.argv.end(), {"--lifeline-fd", std::to_string(kLifelineFd)});
  if (hand_over.parent) launch.argv.insert(launch.argv.end(), {"--adopt", "--callback", hand_over.parent->socket});
  launch.environment = Environment::of_process();
  launch.cwd = hand_over.cwd;
  launch.descriptors = {{log.get(), 2}, {config.get(), kConfigFd}, {write_end.get(), kReadyFd}};
  UniqueFd lifeline_end;
  if (hand_over.die_with_parent) {
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a lifeline for the new Pod", errno);
    lifeline_end.reset(ends[0]);
    lifeline.reset(ends[1]);
    launch.descriptors.push_back({lifeline_end.get(), kLifelineFd});
  }
  child = TRY(loop::Child::start(launch));
  write_end.reset();

  watcher = std::make_unique<loop::FdWatcher>(loop, ready_fd.get(), loop::FdWatcher::kRead, [this](uint32_t) { read_ready(); });
  // Its end is seen by itself: whatever the process has started may hold the pipe open for longer.
  end_watcher = std::make_unique<loop::FdWatcher>(loop, child->pidfd(), loop::FdWatcher::kRead, [this](uint32_t) { process_ended(); });
  deadline.emplace(loop, [this] { deadline_passed(); });
  deadline_ms += hand_over.wait_for_scope_ms;
  deadline->start(deadline_ms);
  return {};
}

void PodLaunch::Impl::deadline_passed() {
  if (closed) fail_launch(Code::Unavailable, "Pod `" + name + "` closed its ready pipe without getting ready; its process was ended");
  else fail_launch(Code::Timeout, "Pod `" + name + "` did not get ready within " + std::to_string(deadline_ms) +
                                      " ms (socket did not appear); its process was ended");
}

void PodLaunch::Impl::process_ended() {
  // A line that it wrote in time counts: what comes of it is the owner's business.
  while (!closed) {
    char buffer[4096];
    ssize_t count = ::read(ready_fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    line.append(buffer, static_cast<size_t>(count));
    if (take_line()) return;
  }
  // What it started goes too. It is not reaped yet, so the group's number is still its own.
  child->signal(SIGKILL);
  auto status = child->wait(0);
  fail_launch(Code::Unavailable, "Pod `" + name + "` ended before it was ready" + (status ? " (" + status->describe() + ")" : std::string()));
}

void PodLaunch::Impl::read_ready() {
  char buffer[4096];
  ssize_t count = ::read(ready_fd.get(), buffer, sizeof buffer);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    // The process has closed its end without a word: it is ending.
    closed = true;
    watcher.reset();
    deadline->start(std::min(deadline_ms, kEndMs));
    return;
  }
  line.append(buffer, static_cast<size_t>(count));
  take_line();
}

/// Whether the launch is over with what has come.
bool PodLaunch::Impl::take_line() {
  constexpr std::string_view kWaiting = "INSOMNIA-WAITING\t";
  auto newline = line.find('\n');
  for (; newline != std::string::npos && line.starts_with(kWaiting); newline = line.find('\n')) {
    std::string for_whom = line.substr(kWaiting.size(), newline - kWaiting.size());
    line.erase(0, newline + 1);
    if (waiting) waiting(for_whom);
  }
  if (newline == std::string::npos) {
    if (line.size() <= kMaxReadyLine) return false;
    fail_launch(Code::Internal, "Pod `" + name + "` sent no ready line but other output");
    return true;
  }
  auto fields = text::split(std::string_view(line).substr(0, newline), '\t');
  if (fields.size() < 5 || fields[0] != "INSOMNIA-READY" || fields[1] != name) {
    fail_launch(Code::Internal, "Pod `" + name + "` sent a malformed ready line");
    return true;
  }
  LaunchedPod pod{.child = std::move(*child),
                  .pod_name = std::string(fields[1]),
                  .pod_id = std::string(fields[3]),
                  .instance_id = std::string(fields[4]),
                  .socket_path = std::string(fields[2]),
                  .lifeline = std::move(lifeline)};
  child.reset();
  finish(std::move(pod));
  return true;
}

void PodLaunch::Impl::fail_launch(Code code, std::string message) {
  end_watcher.reset();
  child.reset();  // kills the group and reaps
  std::string tail = stderr_tail(stderr_path, stderr_begin);
  if (!tail.empty()) message += "\n--- child stderr (" + stderr_path + ") ---\n" + tail;
  finish(fail(code, std::move(message)));
}

void PodLaunch::Impl::finish(Result<LaunchedPod> result) {
  watcher.reset();
  end_watcher.reset();
  deadline.reset();
  auto callback = std::move(done);
  callback(std::move(result));  // may destroy this object
}

PodLaunch::PodLaunch(loop::EventLoop& loop, Paths const& paths, RuntimeCommand const& command, HandOver const& hand_over,
                     int64_t deadline_ms, std::function<void(Result<LaunchedPod>)> done, std::function<void(std::string const&)> waiting)
    : impl_(std::make_unique<Impl>(loop, std::move(done), deadline_ms)) {
  impl_->waiting = std::move(waiting);
  auto started = impl_->start(paths, command, hand_over);
  if (started) return;
  impl_->watcher.reset();
  impl_->child.reset();
  loop.post([alive = impl_->alive, impl = impl_.get(), error = std::move(started).error()]() mutable {
    if (*alive) impl->finish(std::unexpected(std::move(error)));
  });
}

pid_t PodLaunch::pid() const { return impl_->child ? impl_->child->pid() : 0; }

PodLaunch::~PodLaunch() { *impl_->alive = false; }

}  // namespace insomnia::pod
