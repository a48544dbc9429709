#include "tools/bash.hh"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/clock.hh"
#include "base/io.hh"
#include "base/text.hh"
#include "tools/bash_output.hh"
#include "tools/input.hh"
#include "tools/thread.hh"

namespace insomnia::tools {
namespace {

/// Between SIGTERM and SIGKILL: tools remove their lock files.
constexpr int64_t kGraceMs = 1000;
/// What is shown of a long output.
constexpr size_t kShownBytes = 32768;
constexpr size_t kShownSurvivors = 10;

enum class End { Exited, TimedOut, Cancelled };

std::string find_bash(std::map<std::string, std::string> const& environment) {
  auto path = environment.find("PATH");
  std::string_view directories = path == environment.end() ? "" : std::string_view(path->second);
  for (auto directory : text::split(directories, ':')) {
    std::string candidate = std::string(directory) + "/bash";
    if (directory.starts_with('/') && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  for (auto const* candidate : {"/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"}) {
    if (::access(candidate, X_OK) == 0) return candidate;
  }
  return "";
}

/// One command from its start to its result.
class Run {
 public:
  Run(Call& call, BashInput const& input) : call_(call), input_(input) {}

  Result<Output> run() {
    started_ms_ = clock_.steady_ms();
    TRY(start());
    wait_for_shell();
    take_late_output();
    return result();
  }

 private:
  Result<void> start() {
    std::string bash = find_bash(call_.context.environment);
    if (bash.empty()) return fail(Code::NotFound, "bash is not installed: it is neither on the PATH of commands nor in /bin");
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe for the command's output", errno);
    pipe_.reset(ends[0]);
    UniqueFd output_end(ends[1]);
    ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
    loop::Launch launch;
    launch.program = bash;
    launch.argv = {"bash", "-c", input_.command};
    for (auto const& [name, value] : call_.context.environment) launch.environment.set(name, value);
    launch.cwd = call_.context.cwd;
    launch.descriptors = {{output_end.get(), 1}, {output_end.get(), 2}};
    command_.emplace(TRY(start_guarded(std::move(launch))));
    return {};
  }

  /// What a guard does to a thread is for good, so it is done to one that ends with the start.
  Result<Command> start_guarded(loop::Launch launch) {
    ToolContext& context = call_.context;
    if (!context.guard) return context.processes.start(std::move(launch));
    auto starting = context.gate.begin_start();
    std::optional<Result<Command>> started;
    pthread_t thread = TRY(start_thread([&] {
      if (auto guarded = context.guard(starting.scope()); !guarded) started.emplace(std::unexpected(guarded.error()));
      else started.emplace(context.processes.start(std::move(launch)));
    }));
    ::pthread_join(thread, nullptr);
    return *std::move(started);
  }

  /// Until the shell has ended, of itself or because the time was up or the call was cancelled; then reaps it.
  void wait_for_shell() {
    int64_t deadline = clock_.steady_ms() + static_cast<int64_t>(input_.timeout) * 1000;
    bool more = true;
    for (;;) {
      int64_t left = deadline - clock_.steady_ms();
      pollfd polled[] = {{.fd = command_->shell.pidfd(), .events = POLLIN, .revents = 0},
                         {.fd = more ? pipe_.get() : -1, .events = POLLIN, .revents = 0},
                         {.fd = end_ == End::Exited ? call_.control.fd() : -1, .events = POLLIN, .revents = 0}};
      if (left > 0 && ::poll(polled, 3, static_cast<int>(std::min<int64_t>(left, 1'000'000))) < 0 && errno != EINTR) break;
      if (polled[1].revents != 0) more = drain_pipe(pipe_.get(), *output_);
      if (polled[0].revents != 0) break;
      bool cancelled = end_ == End::Exited && call_.control.cancelled();
      if (!cancelled && clock_.steady_ms() < deadline) continue;
      if (end_ != End::Exited) break;  // the grace is over too
      end_ = cancelled ? End::Cancelled : End::TimedOut;
      command_->shell.signal(SIGTERM);
      deadline = clock_.steady_ms() + kGraceMs;
    }
    if (end_ != End::Exited) call_.context.processes.kill(*command_);
    status_ = call_.context.processes.reap(*command_);
  }

  /// What was printed before the shell ended, and what ends soon after it.
  void take_late_output() {
    int64_t deadline = clock_.steady_ms() + call_.context.late_output_ms;
    for (;;) {
      int64_t left = deadline - clock_.steady_ms();
      if (!drain_pipe(pipe_.get(), *output_)) {
        pipe_.reset();
        break;
      }
      if (left <= 0) return;
      pollfd polled{.fd = pipe_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&polled, 1, static_cast<int>(left)) < 0 && errno != EINTR) return;
    }
    // The pipe is closed before its last holder has ended: without this, a process on its way out would be told as a survivor.
    call_.context.processes.wait_for_survivors(*command_, deadline);
  }

  std::string ending() const {
    if (end_ == End::Cancelled) return " (cancelled)";
    if (end_ == End::TimedOut) return " (timed out after " + std::to_string(input_.timeout) + "s)";
    if (status_.signalled) {
      return " (terminated by signal " + std::to_string(status_.value) + ", " + ::strsignal(status_.value) + ")";
    }
    return status_.value == 0 ? "" : " (exit " + std::to_string(status_.value) + ")";
  }

  std::string duration() const {
    int64_t ms = clock_.steady_ms() - started_ms_;
    if (ms < 1000 || end_ == End::TimedOut) return "";
    return " [" + std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) + " s]";
  }

  std::string tail_text() const {
    uint64_t count = 0;
    std::string_view tail = output_->last_lines(count);
    if (tail.size() <= kShownBytes) return text::to_utf8(tail);
    return "…" + text::to_utf8(text::suffix(tail, kShownBytes));
  }

  std::string long_output() {
    uint64_t shown = 0;
    output_->last_lines(shown);
    auto path = output_->to_file();
    std::string place = path ? " at " + *path : ", not kept: " + output_->file_error();
    std::string bytes = std::to_string(output_->bytes());
    std::string head = "[showing last " + std::to_string(shown);
    if (output_->bytes() > BashOutput::kTail) {
      head += " lines (tail of " + bytes + "-byte output) — full" + place;
    } else {
      head += " of " + std::to_string(output_->lines()) + " lines — full output (" + bytes + " bytes)" + place;
    }
    if (output_->is_cut()) head += ", which keeps the first 64 MiB";
    return head + "]\n" + tail_text();
  }

  std::string partial_output() {
    auto path = output_->to_file();
    std::string place = path ? "full at " + *path : "not kept: " + output_->file_error();
    return "[partial output before " + std::string(end_ == End::TimedOut ? "timeout" : "cancel") + " — " + place + "]\n" + tail_text();
  }

  std::string survivor_text() {
    auto survivors = call_.context.processes.survivors(*command_);
    if (survivors.empty()) return "";
    std::string text = "[still running:";
    for (size_t i = 0; i < survivors.size() && i < kShownSurvivors; ++i) {
      text += (i == 0 ? " pid " : ", pid ") + std::to_string(survivors[i].pid) + " (" + command_of(survivors[i].pid) + ")";
    }
    if (survivors.size() > kShownSurvivors) text += " and " + std::to_string(survivors.size() - kShownSurvivors) + " more";
    if (pipe_) {
      if (auto path = output_->to_file()) text += "; output goes on to " + *path;
    }
    return text + "; killed when the Pod ends]";
  }

  Result<Output> result() {
    Output output;
    output.summary = text::to_utf8(bash_title(input_.command)) + ending() + duration();
    output.is_error = end_ != End::Exited || !status_.ok();
    std::string content;
    if (output_->bytes() > 0) {
      content = end_ != End::Exited ? partial_output() : output_->is_short() ? text::to_utf8(output_->all()) : long_output();
    }
    if (end_ == End::Exited) {
      std::string survivors = survivor_text();
      if (!survivors.empty() && !content.empty() && !content.ends_with('\n')) content += '\n';
      content += survivors;
    }
    // A NUL is legal UTF-8, but neither models nor terminals take it.
    if (!content.empty()) output.content = text::replace_all(content, std::string_view("\0", 1), "\uFFFD");
    if (pipe_) {
      output_->to_file();
      call_.context.background.add(std::move(pipe_), std::move(output_));
    }
    return output;
  }

  Call& call_;
  BashInput const& input_;
  SystemClock clock_;
  int64_t started_ms_ = 0;
  UniqueFd pipe_;
  std::optional<Command> command_;
  std::unique_ptr<BashOutput> output_ = std::make_unique<BashOutput>(call_.context.spill);
  End end_ = End::Exited;
  loop::ExitStatus status_;
};

}  // namespace

Result<BashInput> parse_bash_input(std::string_view json) {
  return parse_input<BashInput>("Bash", json, [](json::Reader& reader, BashInput& input) {
    input.command = reader.string("command");
    input.timeout = std::clamp<uint64_t>(reader.uint_or("timeout", input.timeout), 1, 600);
    if (text::trim(input.command).empty()) reader.reject("command", "must not be empty");
    if (input.command.find('\0') != std::string::npos) reader.reject("command", "must not contain a NUL character");
  });
}

std::string bash_title(std::string_view command) {
  constexpr size_t kShown = 80;
  std::string line = text::to_utf8(text::trim(text::split(text::trim(command), '\n').front()));
  if (text::length(line) <= kShown) return "$ " + line;
  size_t cut = 0;
  for (size_t characters = 0; cut < line.size(); ++cut) {
    bool starts_character = (static_cast<unsigned char>(line[cut]) & 0xC0) != 0x80;
    if (starts_character && characters++ == kShown - 3) break;
  }
  return "$ " + line.substr(0, cut) + "...";
}

Result<Output> run_bash(Call& call, BashInput const& input) {
  TRY(call.control.check());
  return Run(call, input).run();
}

}  // namespace insomnia::tools
