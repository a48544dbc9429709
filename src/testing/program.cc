#include "testing/program.hh"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "base/error.hh"
#include "base/io.hh"

namespace insomnia::testing {
namespace {

UniqueFd make_pipe(UniqueFd& read_end) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) panic("no pipe can be made");
  read_end.reset(ends[0]);
  return UniqueFd(ends[1]);
}

/// Appends what is there; false at the end.
bool take(UniqueFd const& fd, std::string& text) {
  char buffer[65536];
  ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
  if (count > 0) text.append(buffer, static_cast<size_t>(count));
  return count > 0 || (count < 0 && errno == EINTR);
}

}  // namespace

Program::Program(ProgramStart const& start) {
  UniqueFd out = make_pipe(stdout_);
  UniqueFd err = make_pipe(stderr_);
  auto input = io::sealed_memory_file("input", start.input);
  if (!input) panic(input.error().message);
  loop::Launch launch;
  launch.program = start.program;
  launch.argv = start.arguments;
  launch.argv.insert(launch.argv.begin(), start.program);
  launch.environment = start.environment;
  launch.cwd = start.cwd;
  launch.descriptors = {{input->get(), 0}, {out.get(), 1}, {err.get(), 2}};
  auto child = loop::Child::start(launch);
  if (!child) panic(child.error().message);
  child_.emplace(*std::move(child));
  wake_.reset(::eventfd(0, EFD_CLOEXEC));
  reader_ = std::thread([this] { read_output(); });
}

Program::~Program() {
  child_.reset();
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  ::eventfd_write(wake_.get(), 1);
  reader_.join();
}

void Program::close_stdout() {
  {
    std::lock_guard lock(mutex_);
    close_stdout_ = true;
  }
  ::eventfd_write(wake_.get(), 1);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !stdout_; });
}

void Program::read_output() {
  for (;;) {
    pollfd fds[3] = {{stdout_.get(), POLLIN, 0}, {stderr_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    if (::poll(fds, 3, -1) < 0 && errno != EINTR) panic("poll failed");
    std::lock_guard lock(mutex_);
    eventfd_t count = 0;
    if (fds[2].revents != 0) ::eventfd_read(wake_.get(), &count);
    if (stop_) return;
    if ((fds[0].revents != 0 && !take(stdout_, out_)) || close_stdout_) stdout_.reset();
    if (fds[1].revents != 0 && !take(stderr_, err_)) stderr_.reset();
    ended_ = !stdout_ && !stderr_;
    changed_.notify_all();
    if (ended_) return;
  }
}

std::string Program::out() const {
  std::lock_guard lock(mutex_);
  return out_;
}

std::string Program::err() const {
  std::lock_guard lock(mutex_);
  return err_;
}

bool Program::wait_for(std::string const& text, std::string_view fragment, int64_t deadline_ms) const {
  std::unique_lock lock(mutex_);
  auto found = [&] { return text.find(fragment) != std::string::npos; };
  changed_.wait_for(lock, std::chrono::milliseconds(deadline_ms), [&] { return found() || ended_; });
  return found();
}

std::optional<int> Program::wait(int64_t deadline_ms) {
  auto status = child_->status() ? child_->status() : child_->wait(deadline_ms);
  if (!status) return std::nullopt;
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(deadline_ms), [&] { return ended_; });
  return status->signalled ? 128 + status->value : status->value;
}

}  // namespace insomnia::testing
