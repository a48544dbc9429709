#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pod/children.hh"
#include "pod/core.hh"
#include "tools/tool.hh"
#include "wire/pod_event.hh"

namespace insomnia::pod {

struct WaitForPodsInput {
  std::vector<std::string> names;  ///< empty: all children that work
  bool any = false;
  int64_t timeout_ms = 600'000;
  friend bool operator==(WaitForPodsInput const&, WaitForPodsInput const&) = default;
};
Result<WaitForPodsInput> decode_wait_for_pods(std::string_view arguments);
tools::Definition wait_for_pods_definition();

/// The WaitForPods calls of this Pod's model. Nothing is polled: whoever owns this says what has happened. Each call is answered exactly once;
/// destroying the object silences those that still wait.
class PodWaits {
 public:
  using Done = std::function<void(tools::Output)>;
  PodWaits(PodCore& core, Children& children);
  ~PodWaits();

  /// `done` may be called before this returns: when there is nothing to wait for, or the input is wrong.
  void start(uint64_t id, std::string_view arguments, Done done);
  void cancel(uint64_t id);
  /// All waits end now; the answers give the reason.
  void end_all(std::string const& reason);
  /// An end was taken in; `sender` as in its letter.
  void heard(std::string const& sender, wire::PodEvent const& event);
  /// The children's work or life may have changed. Looked at a little later, when all of it has been taken in.
  void look_again();

 private:
  struct Watched {
    std::string pod_name;
    std::string pod_id;
    std::string instance_id;
    bool was_done = false;              ///< before the wait began
    std::optional<wire::PodEvent> end;  ///< the last one heard while waiting
  };
  struct Wait {
    std::vector<Watched> pods;
    bool any = false;
    Done done;
    std::unique_ptr<loop::Timer> deadline;
  };

  Result<std::vector<Watched>> watched(std::vector<std::string> const& names);
  bool at_work(Watched const& pod);
  bool is_over(Wait const& wait);
  void look();
  void finish(uint64_t id, std::string const& reason);
  tools::Output answer(Wait const& wait, std::string const& reason);
  std::string describe(Watched const& pod);

  PodCore& core_;
  Children& children_;
  std::map<uint64_t, Wait> waits_;
  bool look_posted_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace insomnia::pod
