#include "cell/hands.hh"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/log.hh"
#include "base/uuid.hh"
#include "cell/exec_protocol.hh"
#include "cell/line_channel.hh"
#include "loop/child.hh"
#include "tools/process_list.hh"

namespace insomnia::cell {
namespace {

constexpr size_t kMaxLine = 64u << 20;
/// For file writes under way.
constexpr int64_t kScopeMs = 2000;
/// For the cell: it stops its processes, looks, changes its view.
constexpr int64_t kViewMs = 5000;
/// For the hands to kill what they started once the socket is closed. They need a little more than a second at worst, a cell three.
constexpr int64_t kLeaveMs = 3000;
constexpr int64_t kLeaveCellMs = 5000;
constexpr int kHandsSocket = 3;

tools::ToolFinished error_answer(uint64_t id, Error const& error) { return {id, tools::failed(error), {}}; }

/// Whether something is taken from the cell: then file tools let go before the view changes; else the view comes first.
bool takes_something(scope::ScopeConfig const& from, scope::ScopeConfig const& to) {
  auto has = [](std::vector<scope::ScopeRule> const& rules, scope::ScopeRule const& rule) { return std::find(rules.begin(), rules.end(), rule) != rules.end(); };
  return std::any_of(to.deny.begin(), to.deny.end(), [&](auto const& rule) { return !has(from.deny, rule); }) ||
         std::any_of(from.allow.begin(), from.allow.end(), [&](auto const& rule) { return !has(to.allow, rule); });
}

}  // namespace

struct Hands::Impl {
  struct Open {
    std::string tool;
    Done done;
  };
  /// A change of the scope, and how far it is: the hands and the view follow it one after the other.
  struct ScopeChange {
    scope::ScopeConfig scope;
    std::function<void(Result<void>)> done;
    bool takes = false;
    enum class At { Waiting, Hands, View } at = At::Waiting;
    int steps_done = 0;
  };
  /// One life of the process.
  struct Process {
    explicit Process(loop::Child started) : child(std::move(started)) {}
    loop::Child child;
    std::unique_ptr<LineChannel> calls;
    std::unique_ptr<LineChannel> control;  ///< of the cell; null when there is none
    std::string no_cell;                   ///< why it could not be made
  };

  Impl(loop::EventLoop& loop_in, HandsConfig config_in)
      : loop(loop_in), config(std::move(config_in)), scope_timer(loop_in, [this] { scope_late(); }) {
    for (auto const& file : config.start.observed) observed[file.path] = file;
  }
  ~Impl() { stop(); }

  // --- the process

  static Result<std::pair<UniqueFd, UniqueFd>> make_socket() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("make a socket for the hands", errno);
    return std::pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
  }

  Result<void> start() {
    auto calls = TRY(make_socket());
    std::optional<std::pair<UniqueFd, UniqueFd>> control;
    if (config.cell) control = TRY(make_socket());
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
    launch.descriptors = {{calls.second.get(), kHandsSocket}};
    if (control) {
      auto locks = config.cell->locks ? config.cell->locks() : std::vector<int>{};
      launch.argv = {config.program, "cell-init", std::to_string(locks.size())};
      launch.descriptors.emplace_back(control->second.get(), kHandsSocket + 1);
      for (size_t i = 0; i < locks.size(); ++i) launch.descriptors.emplace_back(locks[i], kHandsSocket + 2 + static_cast<int>(i));
    }
    if (errors) launch.descriptors.emplace_back(errors.get(), 2);
    config.start.marker = uuid7(loop.clock());
    process = std::make_unique<Process>(TRY(loop::Child::start(launch)));
    process->child.watch(loop, [this](loop::ExitStatus status) { ended(status); });
    process->calls = std::make_unique<LineChannel>(loop, std::move(calls.first), kMaxLine, [this] { read_events(); });
    if (control) {
      process->control = std::make_unique<LineChannel>(loop, std::move(control->first), kMaxLine, [this] { read_cell_events(); });
      CellStart cell = config.cell->start;
      cell.scope = config.start.scope;
      process->control->send(encode_cell_command(cell));
    }
    tools::HandsStart hello = config.start;
    hello.observed = observed_files();
    send(hello);
    return {};
  }

  /// Closing the sockets lets the hands kill what they started; if they don't end in time they are killed themselves.
  void stop() {
    if (!process) return;
    bool in_cell = process->control != nullptr;
    process->calls->shut();
    if (in_cell) process->control->shut();
    auto status = process->child.wait(in_cell ? kLeaveCellMs : kLeaveMs);
    if (!status && in_cell) {
      kill_process();
      status = process->child.wait(kLeaveMs);
    }
    bool clean = status && status->ok();
    process.reset();
    if (!clean) tools::kill_marked(config.start.marker);
  }

  /// Of a cell the outer process is told to: it ends only when the first one of the cell, and with it everything there, has ended.
  void kill_process() {
    if (process->control) process->child.signal(SIGTERM, false);
    else process->child.signal(SIGKILL);
  }

  /// A cell tells of its end by an exit code.
  static std::string how_it_ended(loop::ExitStatus status, bool in_cell) {
    if (in_cell && !status.signalled && status.value > 128) status = {.signalled = true, .value = status.value - 128};
    return status.describe();
  }

  /// The process is gone and reaped. What it had answered before is still in the socket.
  void ended(loop::ExitStatus status) {
    auto dead = std::move(process);
    bool in_cell = dead->control != nullptr;
    // They could not do it themselves. The kernel has ended all of a cell before it could say how.
    if (!in_cell || status.signalled) tools::kill_marked(config.start.marker);
    std::vector<tools::HandsEvent> events;
    while (dead->calls->receive()) take_lines(*dead->calls, events);
    if (in_cell) {
      std::vector<CellEvent> said;
      while (dead->control->receive()) take_cell_lines(*dead->control, said);
      for (auto const& event : said) {
        if (auto const* built = std::get_if<CellBuilt>(&event); built != nullptr && built->error) dead->no_cell = *built->error;
      }
    }
    std::vector<std::pair<Done, tools::ToolFinished>> answers;
    for (auto& event : events) {
      auto* finished = std::get_if<tools::ToolFinished>(&event);
      if (Done done = finished != nullptr ? match(*finished) : nullptr) answers.emplace_back(std::move(done), std::move(*finished));
    }
    for (auto& [id, call] : std::exchange(open, {})) {
      std::string text = !dead->no_cell.empty() ? dead->no_cell
                                                : "the hands process ended (" + how_it_ended(status, in_cell) + ") while running " + call.tool +
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
    process->calls->shut();
    // A cell ends by itself when its hands have.
    if (!process->control) kill_process();
  }

  // --- the wire

  void send(tools::HandsCommand const& command) { process->calls->send(tools::encode_command(command)); }

  /// The whole lines that are there, decoded; false when one cannot be understood.
  template <class Event, class Decode>
  static bool take(LineChannel& channel, std::vector<Event>& events, Decode decode) {
    for (;;) {
      auto line = channel.next();
      if (line && !*line) return true;
      auto event = line ? decode(**line) : Result<Event>(std::unexpected(line.error()));
      if (!event) {
        log::warn("hands: not understood: " + event.error().message);
        return false;
      }
      events.push_back(*std::move(event));
    }
  }
  static bool take_lines(LineChannel& channel, std::vector<tools::HandsEvent>& events) { return take(channel, events, &tools::decode_hands_event); }
  static bool take_cell_lines(LineChannel& channel, std::vector<CellEvent>& events) { return take(channel, events, &decode_cell_event); }

  void read_events() {
    constexpr int kRounds = 64;  // the loop has others to serve
    std::weak_ptr still_here = alive;
    for (int round = 0; round < kRounds && process && !process->calls->is_shut(); ++round) {
      bool more = process->calls->receive();
      std::vector<tools::HandsEvent> events;
      // The end of the process answers what is open then.
      if (process->calls->closed() || !take_lines(*process->calls, events)) drop_connection();
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

  void read_cell_events() {
    std::weak_ptr still_here = alive;
    bool more = process->control->receive();
    std::vector<CellEvent> events;
    if (process->control->closed()) {
      process->control->shut();  // its end follows
    } else if (more && !take_cell_lines(*process->control, events)) {
      process->control->shut();
      kill_process();
    }
    for (auto& event : events) {
      if (auto* built = std::get_if<CellBuilt>(&event)) {
        if (process && built->error) process->no_cell = *built->error;
      } else if (auto* changed = std::get_if<ScopeChanged>(&event)) {
        if (!changed->killed.empty()) tell("killed because what they held was lent: " + describe(changed->killed));
        if (is_awaited(changed->id, ScopeChange::At::View)) step_done();
      } else if (auto* refused = std::get_if<ScopeRefused>(&event)) {
        if (is_awaited(refused->id, ScopeChange::At::View)) view_refused(*refused);
      } else if (auto* notice = std::get_if<CellNotice>(&event)) {
        tell(notice->message);
      }
      if (still_here.expired()) return;
    }
  }

  void tell(std::string text) {
    if (config.notice) config.notice(std::move(text));
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

  // --- exec

  void exec(std::vector<UniqueFd> descriptors) {
    if (descriptors.size() != kExecDescriptors) return;
    auto refuse = [&](std::string const& why) {
      std::string line = encode_exec_event(ExecRefused{why}) + "\n";
      (void)!::send(descriptors.front().get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    };
    if (!config.cell) return refuse("this Pod runs without a cell; what it does, you can do where you are");
    if (!process) {
      if (auto started = start(); !started) return refuse(started.error().message);
    }
    RunExec command{config.start.cwd, config.start.environment};
    command.environment["INSOMNIA_CALL"] = config.start.marker + ".exec";
    process->control->send(encode_cell_command(command), std::move(descriptors));
  }

  // --- the scope

  void set_scope(ScopeChange change) {
    changes.push_back(std::move(change));
    if (changes.size() == 1) next_scope_change();
  }

  /// Begins with the first change that waits.
  void next_scope_change() {
    if (changes.empty()) return;
    if (process) {
      changes.front().takes = takes_something(config.start.scope, changes.front().scope);
      next_step();
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

  void next_step() {
    ScopeChange& change = changes.front();
    int steps = process->control ? 2 : 1;
    if (change.steps_done == steps) return finish_change({});
    bool hands_first = change.takes || steps == 1;
    bool hands_now = hands_first == (change.steps_done == 0);
    change.at = hands_now ? ScopeChange::At::Hands : ScopeChange::At::View;
    if (hands_now) {
      send(tools::SetScope{++scope_id, change.scope});
      scope_timer.start(kScopeMs);
    } else {
      process->control->send(encode_cell_command(ChangeScope{++scope_id, change.scope, config.cell->kill_on_lend}));
      scope_timer.start(kViewMs);
    }
  }

  bool is_awaited(uint64_t id, ScopeChange::At at) const {
    return id == scope_id && !changes.empty() && changes.front().at == at && scope_timer.active();
  }

  void step_done() {
    scope_timer.cancel();
    ++changes.front().steps_done;
    next_step();
  }

  void finish_change(Result<void> outcome) {
    ScopeChange change = std::move(changes.front());
    changes.pop_front();
    if (outcome) config.start.scope = std::move(change.scope);
    else if (process && change.takes) send(tools::SetScope{++scope_id, config.start.scope});  // it may have taken the new one
    next_scope_change();
    change.done(std::move(outcome));
  }

  void take_scope_set(uint64_t id) {
    if (is_awaited(id, ScopeChange::At::Hands)) step_done();
  }

  void view_refused(ScopeRefused const& refused) {
    scope_timer.cancel();
    if (refused.holders.empty()) {
      finish_change(fail(Code::Conflict, "scope_busy: " + refused.message + "; try again"));
    } else {
      finish_change(fail(Code::Conflict, "scope_busy: " + refused.message + ". Nobody may hold what is lent: let it end, or kill it, then try again"));
    }
  }

  void scope_late() {
    if (changes.empty()) return;
    if (changes.front().at == ScopeChange::At::View) {
      // Nobody knows what it shows: it ends, and with nothing running the new scope is in force.
      log::warn("the cell did not confirm a change of its view; it is killed");
      kill_process();
      return;
    }
    finish_change(fail(Code::Timeout, "a file write under way did not end within 2 s, so the scope was left as it was; try again"));
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
  std::deque<ScopeChange> changes;  ///< the first one is under way
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
  impl_->set_scope({.scope = std::move(scope), .done = std::move(done)});
}

void Hands::exec(std::vector<UniqueFd> descriptors) { impl_->exec(std::move(descriptors)); }

bool Hands::running() const { return impl_->process != nullptr; }

std::vector<tools::Observed> Hands::observed() const { return impl_->observed_files(); }

}  // namespace insomnia::cell
