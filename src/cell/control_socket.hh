#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

#include "base/unique_fd.hh"
#include "cell/init_protocol.hh"
#include "wire/line_reader.hh"

namespace insomnia::cell {

/// The cell's end of its control socket. Does not own the descriptor. A copy by fork goes on where this one is.
class ControlSocket {
 public:
  explicit ControlSocket(int fd);
  int fd() const { return fd_; }
  /// Waits for the first message.
  Result<CellStart> read_start();
  struct Handler {
    std::function<void(ChangeScope const&)> change;
    std::function<void(RunExec, std::vector<UniqueFd>)> exec;  ///< with its kExecDescriptors
  };
  /// Takes what has come: calls the handler for each request that is whole. False when nobody is at the other end any more, or it does not make sense.
  bool receive(Handler const& handler);
  /// Blocks until it is sent; silent when nobody is at the other end.
  void send(CellEvent const& event) const;

 private:
  /// As recv does; descriptors that come with it are kept.
  ssize_t take(int flags);

  int fd_;
  wire::LineReader lines_;
  std::vector<UniqueFd> received_;
};

}  // namespace insomnia::cell
