#pragma once

#include <functional>
#include <memory>
#include <string>

#include "loop/event_loop.hh"

namespace insomnia::cli {

/// Lines typed on a descriptor, on the loop; a file or /dev/null, which no loop can watch, is read ahead.
/// Does not own the descriptor. Callbacks must not destroy it.
class LineInput {
 public:
  struct Handler {
    std::function<void(std::string line)> on_line;  ///< without its newline
    std::function<void()> on_end;                   ///< once: nothing more will come
  };
  LineInput(loop::EventLoop& loop, int fd, Handler handler);

 private:
  void ready();
  void take(std::string_view bytes);
  void end();

  int fd_;
  Handler handler_;
  std::string pending_;
  std::unique_ptr<loop::FdWatcher> watcher_;
  loop::Timer begin_;
  bool ended_ = false;
};

}  // namespace insomnia::cli
