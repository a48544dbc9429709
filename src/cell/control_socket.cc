#include "cell/control_socket.hh"

#include <sys/socket.h>

#include <cerrno>
#include <iterator>
#include <utility>

#include "base/descriptor_passing.hh"
#include "base/log.hh"

namespace insomnia::cell {
namespace {

constexpr size_t kMaxLine = 64u << 20;

}  // namespace

ControlSocket::ControlSocket(int fd) : fd_(fd), lines_(kMaxLine) {}

ssize_t ControlSocket::take(int flags) {
  char buffer[65536];
  ssize_t count = base::receive_with_descriptors(fd_, buffer, flags, received_);
  if (count > 0) lines_.feed({buffer, static_cast<size_t>(count)});
  return count;
}

Result<CellStart> ControlSocket::read_start() {
  for (;;) {
    auto line = TRY(lines_.next());
    if (line) {
      auto command = TRY(decode_cell_command(*line));
      if (auto* start = std::get_if<CellStart>(&command)) return std::move(*start);
      return fail(Code::InvalidArgument, "the first command must be start");
    }
    ssize_t count = take(0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return fail(Code::Unavailable, "the brain is gone");
  }
}

bool ControlSocket::receive(Handler const& handler) {
  ssize_t count = take(MSG_DONTWAIT);
  // What came with the start is there without a byte to receive.
  if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)) return false;
  for (;;) {
    auto line = lines_.next();
    if (line && !*line) return true;
    auto command = line ? decode_cell_command(**line) : Result<CellCommand>(std::unexpected(line.error()));
    auto* change = command ? std::get_if<ChangeScope>(&*command) : nullptr;
    auto* exec = command ? std::get_if<RunExec>(&*command) : nullptr;
    if (change != nullptr) {
      handler.change(*change);
    } else if (exec != nullptr && received_.size() >= kExecDescriptors) {
      // They come with the first byte of their line, so they are there.
      std::vector<UniqueFd> descriptors(std::make_move_iterator(received_.begin()), std::make_move_iterator(received_.begin() + kExecDescriptors));
      received_.erase(received_.begin(), received_.begin() + kExecDescriptors);
      handler.exec(std::move(*exec), std::move(descriptors));
    } else {
      log::warn("cell: not understood: " + (command ? std::string("not what was awaited") : command.error().message));
      return false;
    }
  }
}

void ControlSocket::send(CellEvent const& event) const {
  std::string line = encode_cell_event(event) + "\n";
  std::string_view left = line;
  while (!left.empty()) {
    ssize_t count = ::send(fd_, left.data(), left.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return;
    left.remove_prefix(static_cast<size_t>(count));
  }
}

}  // namespace insomnia::cell
