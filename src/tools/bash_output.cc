#include "tools/bash_output.hh"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/io.hh"
#include "base/log.hh"
#include "tools/thread.hh"

namespace insomnia::tools {

BashOutput::~BashOutput() {
  if (file_.fd) spill_.keep(file_.path, in_file_);
}

void BashOutput::append(std::string_view bytes) {
  if (bytes.empty()) return;
  bytes_ += bytes.size();
  newlines_ += static_cast<uint64_t>(std::count(bytes.begin(), bytes.end(), '\n'));
  ends_with_newline_ = bytes.back() == '\n';
  if (file_.fd) {
    write_to_file(bytes);
    tail_ += bytes;
    if (tail_.size() > 2 * kTail) tail_.erase(0, tail_.size() - kTail);
    return;
  }
  tail_ += bytes;
  if (!is_short()) to_file();
  if (tail_.size() > 2 * kTail) tail_.erase(0, tail_.size() - kTail);
}

std::optional<std::string> BashOutput::to_file() {
  if (file_.fd) return file_.path;
  if (!file_error_.empty()) return std::nullopt;
  auto file = spill_.create("bash");
  if (!file) {
    file_error_ = file.error().message;
    return std::nullopt;
  }
  file_ = *std::move(file);
  write_to_file(tail_);
  return file_.path;
}

void BashOutput::write_to_file(std::string_view bytes) {
  if (!file_error_.empty() || in_file_ >= kMaxFile) return;
  bytes = bytes.substr(0, kMaxFile - in_file_);
  if (auto written = io::write_all(file_.fd.get(), bytes, file_.path); !written) {
    file_error_ = written.error().message;
    return;
  }
  in_file_ += bytes.size();
}

uint64_t BashOutput::lines() const { return newlines_ + (ends_with_newline_ ? 0 : 1); }

bool BashOutput::is_short() const { return bytes_ <= kInlineBytes && lines() <= kInlineLines; }

std::string_view BashOutput::last_lines(uint64_t& count) const {
  std::string_view tail = tail_;
  if (tail.size() > kTail) tail.remove_prefix(tail.size() - kTail);
  count = 0;
  if (tail.empty()) return tail;
  size_t at = tail.size() - (tail.back() == '\n' ? 1 : 0);
  for (;;) {
    ++count;
    size_t newline = at == 0 ? std::string_view::npos : tail.rfind('\n', at - 1);
    if (newline == std::string_view::npos) return tail;
    if (count == kInlineLines) return tail.substr(newline + 1);
    at = newline;
  }
}

bool drain_pipe(int pipe, BashOutput& output) {
  char buffer[16384];
  // Bounded, so that a command that never stops printing does not keep its caller from looking at the clock.
  for (int round = 0; round < 64; ++round) {
    ssize_t count = ::read(pipe, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    output.append({buffer, static_cast<size_t>(count)});
  }
  return true;
}

BackgroundOutputs::BackgroundOutputs() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

BackgroundOutputs::~BackgroundOutputs() {
  stopping_ = true;
  if (wake_) ::eventfd_write(wake_.get(), 1);
  if (thread_) ::pthread_join(*thread_, nullptr);
}

void BackgroundOutputs::add(UniqueFd pipe, std::unique_ptr<BashOutput> output) {
  output->drop_tail();
  std::lock_guard lock(mutex_);
  added_.push_back({std::move(pipe), std::move(output)});
  ::eventfd_write(wake_.get(), 1);
  if (thread_) return;
  auto thread = start_thread([this] { run(); });
  if (thread) {
    thread_ = *thread;
  } else {
    log::warn(thread.error().message + ": the output of a background job is lost");
    added_.clear();
  }
}

void BackgroundOutputs::run() {
  std::vector<Job> jobs;
  while (!stopping_) {
    std::vector<pollfd> polled{{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
    for (auto const& job : jobs) polled.push_back({.fd = job.pipe.get(), .events = POLLIN, .revents = 0});
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
    for (size_t i = jobs.size(); i-- > 0;) {
      if (polled[i + 1].revents == 0) continue;
      bool more = drain_pipe(jobs[i].pipe.get(), *jobs[i].output);
      jobs[i].output->drop_tail();
      if (!more) jobs.erase(jobs.begin() + static_cast<std::ptrdiff_t>(i));
    }
    eventfd_t ignored = 0;
    ::eventfd_read(wake_.get(), &ignored);
    std::lock_guard lock(mutex_);
    for (auto& job : added_) jobs.push_back(std::move(job));
    added_.clear();
  }
}

}  // namespace insomnia::tools
