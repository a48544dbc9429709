#pragma once

#include <poll.h>
#include <sys/types.h>

#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.hh"
#include "cell/exec_protocol.hh"
#include "cell/init_protocol.hh"
#include "wire/line_reader.hh"

namespace insomnia::cell {

/// The commands of `insomnia exec` that run in a cell, in the process that has started the hands.
class ExecSessions {
 public:
  /// `enter`: puts the child between fork and exec under all that holds the Pod's commands, its working directory too.
  explicit ExecSessions(std::function<Result<void>(std::string const& cwd)> enter) : enter_(std::move(enter)) {}

  /// `descriptors`: kExecDescriptors.
  void add(RunExec exec, std::vector<UniqueFd> descriptors);
  /// What to wait for, at the end of the list.
  void append_to(std::vector<pollfd>& polled) const;
  /// Looks at all sessions. Whoever has lost its client loses its process group.
  void serve();
  /// Tells the client when it was the command of a session that has ended.
  void ended(pid_t pid, int wait_status);

 private:
  struct Session {
    RunExec exec;
    std::vector<UniqueFd> descriptors;  ///< the first is the session's socket
    wire::LineReader lines{kMaxExecLine};
    pid_t pid = -1;
    bool over = false;
  };
  void serve(Session& session);
  void start(Session& session, ExecRequest const& request);
  [[noreturn]] void become(Session& session, ExecRequest const& request);
  static void say(Session& session, ExecEvent const& event);

  std::function<Result<void>(std::string const& cwd)> enter_;
  std::list<Session> sessions_;
};

}  // namespace insomnia::cell
