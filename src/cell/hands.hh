#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "loop/event_loop.hh"
#include "tools/hands_protocol.hh"

namespace insomnia::cell {

/// How strongly the kernel holds what the hands do.
enum class Isolation { None, Landlock, Cell };
std::string_view isolation_name(Isolation isolation);

struct HandsConfig {
  std::string program;          ///< the insomnia binary; started as `program hands`
  tools::HandsStart start;
  std::string stderr_path;      ///< appended to
};

/// The brain's side of the Pod's hands: starts the process at the first call, sends calls, kills the whole group in the
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
  /// Changes the scope of the hands, running or not. `done` is called with an error when writes under way did not end in 2 s (the
  /// old scope is then in force again).
  void set_scope(scope::ScopeConfig scope, std::function<void(Result<void>)> done);
  Isolation isolation() const { return Isolation::None; }
  bool running() const;
  /// All files that the Pod has seen, as HandsStart wants them. Sorted by path.
  std::vector<tools::Observed> observed() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace insomnia::cell
