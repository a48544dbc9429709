#include "cell/hands.hh"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/log.hh"
#include "base/uuid.hh"
#include "loop/child.hh"
#include "tools/process_list.hh"
#include "wire/line_reader.hh"

namespace insomnia::cell {
namespace {

constexpr size_t kMaxLine = 64u << 20;
constexpr int64_t kScopeMs = 2000;
/// For the hands to kill what they started once the socket is closed. They need a little more than a second at worst.
constexpr int64_t kLeaveMs = 3000;

tools::ToolFinished error_answer(uint64_t id, Error const& error) { return {id, tools::failed(error), {}}; }

}  // namespace

std::string_view isolation_name(Isolation isolation) {
  switch (isolation) {
    case Isolation::None:
      return "none";
    case Isolation::Landlock:
      return "landlock";
    case Isolation::Cell:
      return "cell";
  }
  panic("unknown isolation");
}

struct Hands::Impl {
  struct Open {
    std::string tool;
    Done done;
  };
  struct ScopeChange {
    scope::ScopeConfig scope;
    std::function<void(Result<void>)> done;
  };
  /// One life of the process.
  struct Process {
    explicit Process(loop::Child started) : child(std::move(started)) {}
    loop::Child child;
    UniqueFd socket;
    std::unique_ptr<loop::FdWatcher> watcher;
    std::string unsent;
    size_t sent = 0;  ///< bytes of `unsent` that are gone
    bool closed = false;
    wire::LineReader lines{kMaxLine};
  };

  Impl(loop::EventLoop& loop_in, HandsConfig config_in)
      : loop(loop_in), config(std::move(config_in)), scope_timer(loop_in, [this] { scope_late(); }) {
    for (auto const& file : config.start.observed) observed[file.path] = file;
  }
  ~Impl() { stop(); }

  // --- the process

  Result<void> start() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("make a socket for the hands", errno);
    UniqueFd ours(ends[0]);
    UniqueFd theirs(ends[1]);
    ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
    UniqueFd errors;
    if (!config.stderr_path.empty()) {
      errors.reset(::open(config.stderr_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
      if (!errors) log::warn(errno_error("open " + config.stderr_path, errno).message);
    }
    loop::Launch launch;
    launch.program = config.program;
    launch.argv = {config.program, "hands"};
    for (auto const& [name, value] : config.start.environment) launch.environment.set(name, value);
    launch.cwd = "/";  // or the file system it stands on could not be unmounted
    launch.descriptors = {{theirs.get(), 3}};
    if (errors) launch.descriptors.emplace_back(errors.get(), 2);
    config.start.marker = uuid7(loop.clock());
    process = std::make_unique<Process>(TRY(loop::Child::start(launch)));
    process->socket = std::move(ours);
    process->child.watch(loop, [this](loop::ExitStatus status) { ended(status.describe()); });
    process->watcher = std::make_unique<loop::FdWatcher>(loop, process->socket.get(), loop::FdWatcher::kRead,
                                                         [this](uint32_t ready) { socket_ready(ready); });
    tools::HandsStart hello = config.start;
    hello.observed = observed_files();
    send(hello);
    return {};
  }

  /// Closing the socket lets the hands kill what they started; if they don't end in time they are killed themselves.
  void stop() {
    if (!process) return;
    process->watcher.reset();
    process->socket.reset();
    auto status = process->child.wait(kLeaveMs);
    bool clean = status && status->ok();
    process.reset();
    if (!clean) tools::kill_marked(config.start.marker);
  }

  /// The process is gone and reaped. What it had answered before is still in the socket.
  void ended(std::string const& how) {
    auto dead = std::move(process);
    // They could not do it themselves.
    tools::kill_marked(config.start.marker);
    std::vector<tools::HandsEvent> events;
    while (dead->socket && receive(*dead)) take_lines(*dead, events);
    std::vector<std::pair<Done, tools::ToolFinished>> answers;
    for (auto& event : events) {
      auto* finished = std::get_if<tools::ToolFinished>(&event);
      if (Done done = finished != nullptr ? match(*finished) : nullptr) answers.emplace_back(std::move(done), std::move(*finished));
    }
    for (auto& [id, call] : std::exchange(open, {})) {
      std::string text = "the hands process ended (" + how + ") while running " + call.tool +
                         "; the call may have had effects; look at what it changed before you repeat it";
      answers.emplace_back(std::move(call.done), error_answer(id, {Code::Unavailable, text}));
    }
    auto settled = settle_scope_changes();
    std::weak_ptr still_here = alive;
    for (auto& [done, answer] : answers) {
      if (!still_here.expired()) done(std::move(answer));
    }
    for (auto& change : settled) {
      if (!still_here.expired()) change.done({});
    }
  }

  void drop_connection() {
    process->watcher.reset();
    process->socket.reset();
    process->child.signal(SIGKILL);
  }

  // --- the wire

  void send(tools::HandsCommand const& command) {
    if (!process->socket) return;  // its end is on the way
    process->unsent += tools::encode_command(command);
    process->unsent += '\n';
    flush();
  }

  void flush() {
    while (process->sent < process->unsent.size()) {
      std::string_view left = std::string_view(process->unsent).substr(process->sent);
      ssize_t count = ::send(process->socket.get(), left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) break;  // full, or gone: then reading notices
      process->sent += static_cast<size_t>(count);
    }
    if (process->sent == process->unsent.size()) {
      std::string().swap(process->unsent);
      process->sent = 0;
    }
    uint32_t wanted = loop::FdWatcher::kRead | (process->unsent.empty() ? 0u : uint32_t{loop::FdWatcher::kWrite});
    if (process->watcher && process->watcher->interest() != wanted) process->watcher->set_interest(wanted);
  }

  void socket_ready(uint32_t ready) {
    if ((ready & loop::FdWatcher::kWrite) != 0) flush();
    if ((ready & loop::FdWatcher::kRead) != 0) read_events();
  }

  /// Takes bytes off the socket. False: there are none now, or never again.
  bool receive(Process& from) {
    char buffer[65536];
    ssize_t count = 0;
    do {
      count = ::recv(from.socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    if (count <= 0) {
      from.closed = count == 0 || errno != EAGAIN;
      return false;
    }
    from.lines.feed({buffer, static_cast<size_t>(count)});
    return true;
  }

  /// The whole lines that are there, decoded; false when one cannot be understood.
  bool take_lines(Process& from, std::vector<tools::HandsEvent>& events) {
    for (;;) {
      auto line = from.lines.next();
      if (line && !*line) return true;
      auto event = line ? tools::decode_hands_event(**line) : Result<tools::HandsEvent>(std::unexpected(line.error()));
      if (!event) {
        log::warn("hands: not understood: " + event.error().message);
        return false;
      }
      events.push_back(*std::move(event));
    }
  }

  void read_events() {
    constexpr int kRounds = 64;  // the loop has others to serve
    std::weak_ptr still_here = alive;
    for (int round = 0; round < kRounds && process && process->socket; ++round) {
      bool more = receive(*process);
      std::vector<tools::HandsEvent> events;
      // The end of the process answers what is open then.
      if (process->closed || !take_lines(*process, events)) drop_connection();
      for (auto& event : events) {
        if (auto* finished = std::get_if<tools::ToolFinished>(&event)) {
          if (Done done = match(*finished)) done(std::move(*finished));
        } else if (auto* set = std::get_if<tools::ScopeSet>(&event)) {
          take_scope_set(set->id);
        }
        if (still_here.expired()) return;
      }
      if (!more) return;
    }
  }

  /// Who waits for this answer.
  Done match(tools::ToolFinished const& finished) {
    for (auto const& file : finished.observed) observed[file.path] = file;
    auto call = open.find(finished.id);
    if (call == open.end()) return nullptr;
    Done done = std::move(call->second.done);
    open.erase(call);
    return done;
  }

  std::vector<tools::Observed> observed_files() const {
    std::vector<tools::Observed> files;
    for (auto const& [path, file] : observed) files.push_back(file);
    return files;
  }

  // --- calls

  void call(uint64_t id, std::string tool, std::string arguments, Done done) {
    Error refused;
    if (arguments.size() > kMaxLine / 8) {
      refused = {Code::LimitReached, "the arguments are longer than 8 MiB; write large files in parts or with a command"};
    } else if (!process) {
      if (auto started = start(); !started) refused = std::move(started).error().with_context("start the hands process");
    }
    if (!refused.message.empty()) {
      loop.post([done = std::move(done), answer = error_answer(id, refused)] { done(answer); });
      return;
    }
    open[id] = {tool, std::move(done)};
    send(tools::ToolRequest{id, std::move(tool), std::move(arguments)});
  }

  // --- the scope

  void set_scope(ScopeChange change) {
    changes.push_back(std::move(change));
    if (changes.size() == 1) next_scope_change();
  }

  /// Sends the first change that waits.
  void next_scope_change() {
    if (changes.empty()) return;
    if (process) {
      send(tools::SetScope{++scope_id, changes.front().scope});
      scope_timer.start(kScopeMs);
      return;
    }
    loop.post([this, still_here = std::weak_ptr(alive)] {
      if (still_here.expired()) return;
      if (process) return next_scope_change();
      for (auto const& change : settle_scope_changes()) {
        if (!still_here.expired()) change.done({});
      }
    });
  }

  void take_scope_set(uint64_t id) {
    if (id != scope_id || changes.empty() || !scope_timer.active()) return;
    scope_timer.cancel();
    ScopeChange change = std::move(changes.front());
    changes.pop_front();
    config.start.scope = std::move(change.scope);
    next_scope_change();
    change.done({});
  }

  void scope_late() {
    if (changes.empty()) return;
    ScopeChange change = std::move(changes.front());
    changes.pop_front();
    if (process) send(tools::SetScope{++scope_id, config.start.scope});
    next_scope_change();
    change.done(fail(Code::Timeout, "a file write under way did not end within 2 s, so the scope was left as it was; try again"));
  }

  /// No process runs: nothing is under way, and the next one starts with the last scope that was asked for.
  std::vector<ScopeChange> settle_scope_changes() {
    scope_timer.cancel();
    std::vector<ScopeChange> settled(std::make_move_iterator(changes.begin()), std::make_move_iterator(changes.end()));
    changes.clear();
    if (!settled.empty()) config.start.scope = settled.back().scope;
    return settled;
  }

  loop::EventLoop& loop;
  HandsConfig config;
  std::unique_ptr<Process> process;
  std::map<uint64_t, Open> open;
  std::map<std::string, tools::Observed> observed;
  std::deque<ScopeChange> changes;  ///< the first one is with the process
  uint64_t scope_id = 0;
  loop::Timer scope_timer;
  std::shared_ptr<int> alive = std::make_shared<int>(0);
};

Hands::Hands(loop::EventLoop& loop, HandsConfig config) : impl_(std::make_unique<Impl>(loop, std::move(config))) {}
Hands::~Hands() = default;

void Hands::call(uint64_t id, std::string tool, std::string arguments, Done done) {
  impl_->call(id, std::move(tool), std::move(arguments), std::move(done));
}

void Hands::cancel(uint64_t id) {
  if (impl_->process && impl_->open.contains(id)) impl_->send(tools::CancelTool{id});
}

void Hands::set_scope(scope::ScopeConfig scope, std::function<void(Result<void>)> done) {
  impl_->set_scope({std::move(scope), std::move(done)});
}

bool Hands::running() const { return impl_->process != nullptr; }

std::vector<tools::Observed> Hands::observed() const { return impl_->observed_files(); }

}  // namespace insomnia::cell
