#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hh"
#include "loop/event_loop.hh"
#include "wire/line_reader.hh"

namespace insomnia::cell {

/// Lines both ways over a stream socket, on the loop's thread: what does not fit is sent later, `readable` is called when something has come (or
/// the other side is gone).
class LineChannel {
 public:
  LineChannel(loop::EventLoop& loop, UniqueFd socket, size_t max_line, std::function<void()> readable);

  /// One line, without its end. Nothing happens when the channel is shut.
  void send(std::string_view line) { send(line, {}); }
  /// Descriptors (at most base::kMostDescriptors) come to the other side with the first byte of the line.
  void send(std::string_view line, std::vector<UniqueFd> descriptors);
  /// Takes what is there off the socket, a bounded part of it. False: there is nothing now, or never again (see closed()).
  bool receive();
  /// The next whole line that was received. The error is final: what comes can't be understood as lines.
  Result<std::optional<std::string>> next();
  /// The other side has closed it.
  bool closed() const { return closed_; }
  /// Stops watching and closes our side; what was received can still be taken.
  void shut();
  bool is_shut() const { return !socket_; }

 private:
  void flush();

  UniqueFd socket_;
  std::unique_ptr<loop::FdWatcher> watcher_;
  std::string unsent_;
  size_t sent_ = 0;  ///< bytes of `unsent_` that are gone
  struct Attached {
    size_t at;  ///< in `unsent_`
    std::vector<UniqueFd> descriptors;
  };
  std::deque<Attached> attached_;
  bool closed_ = false;
  wire::LineReader lines_;
};

}  // namespace insomnia::cell
