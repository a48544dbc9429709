#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cell/init_protocol.hh"
#include "loop/event_loop.hh"
#include "tools/hands_protocol.hh"

namespace insomnia::cell {

/// For hands in a cell.
struct HandsCell {
  CellStart start;          ///< its scope is that of HandsConfig
  /// Descriptors that stay open until everything in the cell has ended; asked at each start.
  std::function<std::vector<int>()> locks;
  bool kill_on_lend = false;
};

struct HandsConfig {
  std::string program;          ///< the insomnia binary; started as `program hands` or `program cell-init`
  tools::HandsStart start;
  std::string stderr_path;      ///< appended to
  std::optional<HandsCell> cell = std::nullopt;  ///< none: the hands are not confined
  /// What people should know of the cell, on the loop.
  std::function<void(std::string)> notice = nullptr;
};

/// The brain's side of the Pod's hands: starts the process at the first call, sends calls, ends everything in the
/// destructor. All on the loop's thread. When the process dies, every open call is answered with an error result that says so and
/// the next call starts a new one. A callback may destroy this object; open calls are then never answered.
class Hands {
 public:
  using Done = std::function<void(tools::ToolFinished)>;

  Hands(loop::EventLoop& loop, HandsConfig config);
  ~Hands();

  /// `id` is chosen by the caller and unique among open calls. `done` is called exactly once, never before call() returns.
  void call(uint64_t id, std::string tool, std::string arguments, Done done);
  void cancel(uint64_t id);
  /// Changes the scope of the hands, running or not, and in a cell of all that runs there. An error means that the old scope is in force: writes under way
  /// did not end in 2 s, or (Conflict, "scope_busy") a process holds something that was to be taken. A cell that does not answer is killed;
  /// then nothing runs, and the new scope is in force.
  void set_scope(scope::ScopeConfig scope, std::function<void(Result<void>)> done);
  /// A command of `insomnia exec` in the cell, which is made if there is none yet: `descriptors` are those of init_protocol.hh, RunExec. What is wrong is said to the client over its session.
  void exec(std::vector<UniqueFd> descriptors);
  bool running() const;
  /// All files that the Pod has seen, as HandsStart wants them. Sorted by path.
  std::vector<tools::Observed> observed() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace insomnia::cell
