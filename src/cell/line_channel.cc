#include "cell/line_channel.hh"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/descriptor_passing.hh"

namespace insomnia::cell {

LineChannel::LineChannel(loop::EventLoop& loop, UniqueFd socket, size_t max_line, std::function<void()> readable)
    : socket_(std::move(socket)), lines_(max_line) {
  ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
  watcher_ = std::make_unique<loop::FdWatcher>(loop, socket_.get(), loop::FdWatcher::kRead, [this, readable = std::move(readable)](uint32_t ready) {
    if ((ready & loop::FdWatcher::kWrite) != 0) flush();
    if ((ready & loop::FdWatcher::kRead) != 0) readable();
  });
}

void LineChannel::send(std::string_view line, std::vector<UniqueFd> descriptors) {
  if (!socket_) return;
  if (!descriptors.empty()) attached_.push_back({unsent_.size(), std::move(descriptors)});
  unsent_ += line;
  unsent_ += '\n';
  flush();
}

void LineChannel::flush() {
  while (sent_ < unsent_.size()) {
    std::string_view left = std::string_view(unsent_).substr(sent_);
    std::vector<int> raw;
    if (!attached_.empty() && attached_.front().at == sent_) {
      for (auto const& descriptor : attached_.front().descriptors) raw.push_back(descriptor.get());
    }
    // What comes before descriptors is sent without them.
    auto next = std::find_if(attached_.begin(), attached_.end(), [&](Attached const& one) { return one.at > sent_; });
    if (next != attached_.end()) left = left.substr(0, next->at - sent_);
    ssize_t count = base::send_with_descriptors(socket_.get(), left, raw, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;  // full, or gone: then reading notices
    if (!raw.empty()) attached_.pop_front();
    sent_ += static_cast<size_t>(count);
  }
  if (sent_ == unsent_.size()) {
    std::string().swap(unsent_);
    sent_ = 0;
  }
  uint32_t wanted = loop::FdWatcher::kRead | (unsent_.empty() ? 0u : uint32_t{loop::FdWatcher::kWrite});
  if (watcher_ && watcher_->interest() != wanted) watcher_->set_interest(wanted);
}

bool LineChannel::receive() {
  if (!socket_) return false;
  char buffer[65536];
  ssize_t count = 0;
  do {
    count = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count <= 0) {
    closed_ = count == 0 || errno != EAGAIN;
    return false;
  }
  lines_.feed({buffer, static_cast<size_t>(count)});
  return true;
}

Result<std::optional<std::string>> LineChannel::next() {
  return lines_.next();
}

void LineChannel::shut() {
  watcher_.reset();
  socket_.reset();
}

}  // namespace insomnia::cell
