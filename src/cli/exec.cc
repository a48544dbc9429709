#include "cli/exec.hh"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/clock.hh"
#include "base/descriptor_passing.hh"
#include "base/io.hh"
#include "base/paths.hh"
#include "base/text.hh"
#include "base/unix_address.hh"
#include "cell/exec_protocol.hh"
#include "cli/exit_code.hh"
#include "cli/live_pods.hh"
#include "cli/output.hh"
#include "cli/stdio_relay.hh"
#include "pod/poke_socket.hh"
#include "wire/line_reader.hh"

namespace insomnia::cli {
namespace {

/// For the Pod to take the request and make its cell.
constexpr int64_t kStartMs = 30'000;
/// So many times Ctrl-C, and the command is left to its end by SIGKILL.
constexpr int kPatience = 3;

/// Variables that say what the caller's terminal can do.
constexpr char const* kOfTheTerminal[] = {"TERM", "COLORTERM", "NO_COLOR"};

Result<cell::ExecRequest> request_of(ExecOptions const& options, Environment const& environment, bool terminal) {
  cell::ExecRequest request{.argv = options.command, .cwd = std::nullopt, .environment = {}, .terminal = terminal};
  for (auto const& word : options.command) {
    if (!text::is_utf8(word)) return fail(Code::InvalidArgument, "a word of the command is not UTF-8: " + text::to_utf8(word));
  }
  if (!options.cwd.empty()) {
    request.cwd = io::absolute(options.cwd, TRY(io::current_directory()));
    if (!text::is_utf8(*request.cwd)) return fail(Code::InvalidArgument, "the directory is not UTF-8: " + text::to_utf8(*request.cwd));
  }
  for (auto const* name : kOfTheTerminal) {
    if (auto value = environment.get(name); value && text::is_utf8(*value)) request.environment[name] = *value;
  }
  for (auto const& name : options.env) {
    auto value = environment.get(name);
    if (!value) return fail(Code::InvalidArgument, "--env " + name + ": there is no such variable");
    if (!text::is_utf8(*value)) return fail(Code::InvalidArgument, "--env " + name + ": its value is not UTF-8");
    request.environment[name] = *value;
  }
  return request;
}

/// The other end of the session and the command's descriptors go to the Pod.
Result<void> hand_over(std::string const& path, std::vector<UniqueFd> const& descriptors) {
  sockaddr_un address = TRY(unix_address(path));
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("make a socket", errno);
  timeval limit{.tv_sec = 5, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(socket.get(), reinterpret_cast<sockaddr const*>(&address), sizeof address) != 0) return fail_errno("connect to " + path, errno);
  std::vector<int> raw;
  for (auto const& descriptor : descriptors) raw.push_back(descriptor.get());
  if (base::send_with_descriptors(socket.get(), pod::kExecDatagram, raw, MSG_NOSIGNAL) < 0) return fail_errno("send to " + path, errno);
  return {};
}

class Session {
 public:
  Session(UniqueFd socket, StdioRelay& relay, std::string pod) : socket_(std::move(socket)), relay_(relay), pod_(std::move(pod)) {}

  Result<int> run(cell::ExecRequest const& request) {
    sigset_t signals;
    ::sigemptyset(&signals);
    for (int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}) ::sigaddset(&signals, number);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    UniqueFd signal_fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    say(request);
    SystemClock clock;
    int64_t deadline = clock.steady_ms() + kStartMs;
    while (!status_) {
      std::vector<pollfd> polled{{.fd = socket_.get(), .events = POLLIN, .revents = 0}, {.fd = signal_fd.get(), .events = POLLIN, .revents = 0}};
      if (started_) relay_.append_to(polled);
      int64_t left = started_ ? -1 : std::max<int64_t>(0, deadline - clock.steady_ms());
      if (::poll(polled.data(), polled.size(), static_cast<int>(left)) == 0) {
        return fail(Code::Timeout, "Pod `" + pod_ + "` did not start the command within " + std::to_string(kStartMs / 1000) + " s");
      }
      if (polled[1].revents != 0 && !take_signals(signal_fd.get())) return kInterrupted;
      if (started_) relay_.serve();
      if (polled[0].revents != 0) TRY(take_events());
    }
    relay_.drain();
    return *status_;
  }

 private:
  void say(cell::ExecMessage const& message) {
    std::string line = cell::encode_exec_message(message) + "\n";
    std::string_view left = line;
    while (!left.empty()) {
      ssize_t count = ::send(socket_.get(), left.data(), left.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return;  // reading notices
      left.remove_prefix(static_cast<size_t>(count));
    }
  }

  /// False: enough.
  bool take_signals(int fd) {
    signalfd_siginfo info{};
    while (::read(fd, &info, sizeof info) == sizeof info) {
      int number = static_cast<int>(info.ssi_signo);
      if (number == SIGWINCH) {
        relay_.resize();
        continue;
      }
      if (!started_ || (number == SIGINT && ++interrupts_ > kPatience)) return false;
      say(cell::ExecSignal{number});
    }
    return true;
  }

  Result<void> take_events() {
    char buffer[4096];
    ssize_t count = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return {};
    if (count <= 0) {
      relay_.drain();
      return fail(Code::Unavailable, started_ ? "Pod `" + pod_ + "` or its cell has ended, and the command with it"
                                              : "Pod `" + pod_ + "` ended, or could not make its cell; `insomnia doctor` says what this machine allows");
    }
    lines_.feed({buffer, static_cast<size_t>(count)});
    for (;;) {
      auto line = TRY(lines_.next());
      if (!line) return {};
      auto event = TRY(cell::decode_exec_event(*line));
      if (std::holds_alternative<cell::ExecStarted>(event)) started_ = true;
      if (auto* ended = std::get_if<cell::ExecEnded>(&event)) status_ = ended->status;
      if (auto* refused = std::get_if<cell::ExecRefused>(&event)) return fail(Code::Unavailable, refused->message);
    }
  }

  UniqueFd socket_;
  StdioRelay& relay_;
  std::string pod_;
  wire::LineReader lines_{cell::kMaxExecLine};
  bool started_ = false;
  int interrupts_ = 0;
  std::optional<int> status_;
};

Result<int> run(ExecOptions const& options, Environment const& environment) {
  auto pod = TRY(find_live_pod(Paths::resolve(environment), options.name));
  if (pod.state == registry::AllocationState::Reserved) return fail(Code::Unavailable, "Pod `" + options.name + "` is just being started by its parent; try again in a moment");
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("make a socket", errno);
  UniqueFd ours(ends[0]);
  std::vector<UniqueFd> theirs;
  theirs.emplace_back(ends[1]);
  StdioRelay relay = TRY(StdioRelay::open());
  auto request = TRY(request_of(options, environment, relay.is_terminal()));
  for (auto& descriptor : relay.take_command_side()) theirs.push_back(std::move(descriptor));
  TRY(hand_over(pod::poke_path(pod.socket), theirs));
  theirs.clear();
  return Session(std::move(ours), relay, options.name).run(request);
}

}  // namespace

int exec_in_pod(ExecOptions const& options, Environment const& environment) {
  if (options.command.empty()) {
    print_error("no command; write: insomnia exec NAME -- COMMAND");
    return kUsage;
  }
  auto status = run(options, environment);
  return status ? *status : fail_with(status.error());
}

}  // namespace insomnia::cli
