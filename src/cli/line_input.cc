#include "cli/line_input.hh"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/io.hh"

namespace insomnia::cli {
namespace {

constexpr size_t kMaxAhead = 16 << 20;
constexpr size_t kMaxLine = 8 << 20;

/// epoll takes terminals, pipes and sockets; not files, and not /dev/null.
bool can_be_watched(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return false;
  if (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode)) return true;
  return S_ISCHR(info.st_mode) && ::isatty(fd) == 1;
}

}  // namespace

LineInput::LineInput(loop::EventLoop& loop, int fd, Handler handler)
    : fd_(fd), handler_(std::move(handler)), begin_(loop, [this] {
        if (auto all = io::read_all(fd_, "standard input", kMaxAhead)) take(*all);
        end();
      }) {
  if (can_be_watched(fd)) {
    watcher_ =
        std::make_unique<loop::FdWatcher>(loop, fd, loop::FdWatcher::kRead, [this](uint32_t) { ready(); });
  } else {
    begin_.start(0);
  }
}

void LineInput::ready() {
  char buffer[4096];
  ssize_t count = ::read(fd_, buffer, sizeof buffer);
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (count <= 0) return end();
  take({buffer, static_cast<size_t>(count)});
}

void LineInput::take(std::string_view bytes) {
  pending_ += bytes;
  for (size_t newline; !ended_ && (newline = pending_.find('\n')) != std::string::npos;) {
    std::string line = pending_.substr(0, newline);
    pending_.erase(0, newline + 1);
    handler_.on_line(std::move(line));
  }
  if (pending_.size() > kMaxLine) end();
}

void LineInput::end() {
  if (ended_) return;
  if (watcher_) watcher_->set_interest(0);
  if (!pending_.empty()) handler_.on_line(std::move(pending_));
  pending_.clear();
  ended_ = true;
  handler_.on_end();
}

}  // namespace insomnia::cli
