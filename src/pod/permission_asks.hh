#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "loop/event_loop.hh"
#include "manifest/permission.hh"
#include "wire/event.hh"
#include "wire/log_entry.hh"
#include "wire/pod_event.hh"

namespace insomnia::pod {

/// What was answered for the whole session: by PermissionQuestion::key.
using RememberedAnswers = std::map<std::string, bool, std::less<>>;

/// The questions whether tool calls may run, of this Pod and of those below it that nobody is attached to: who is told, who may answer, when it is
/// over (doc/protocol.md, "Permissions"). The first answer counts; without one it is no. Does nothing by itself but through its Host. All on the loop's thread.
class PermissionAsks {
 public:
  struct Host {
    std::function<void(wire::EventBody const&)> broadcast;
    /// Whether somebody is attached to this Pod who answers questions.
    std::function<bool()> attended;
    /// False: there is no parent that lives.
    std::function<bool(wire::PodEvent)> tell_parent;
    /// To the child with this pod_id; nothing when it is gone.
    std::function<void(std::string const& child, wire::PermissionAnswered)> tell_child;
  };
  struct Self {
    std::string pod_name;
    std::string pod_id;
  };
  struct Call {
    uint64_t id = 0;  ///< the engine's number of it
    std::string call_id;
    std::string tool;
    std::string arguments;
  };
  struct Outcome {
    bool allow = false;
    std::string why;  ///< of a no, for the model: "the answer is no"
  };

  PermissionAsks(loop::EventLoop& loop, Self self, RememberedAnswers remembered, Host host);
  ~PermissionAsks();

  /// `done` is called once, perhaps at once.
  void ask(Call const& call, std::vector<manifest::PermissionQuestion> questions, manifest::AskLimits const& limits, std::function<void(Outcome)> done);
  /// Whether this call waits for an answer; then it gets its outcome, a no.
  bool cancel(uint64_t call);
  /// All of this Pod's own.
  void cancel_all();

  /// A client's answer. Errors: NotFound (no such question is open), Conflict (somebody was faster, and the answer is on its way down).
  Result<void> answer(wire::PermissionAnswer const& answer);
  /// An answer that the parent's side gave.
  void parent_answered(wire::PermissionAnswered const& answered);

  void child_asked(std::string const& child, wire::PermissionAsked const& asked);
  void child_settled(std::string const& child, wire::PermissionSettled const& settled);
  void child_ended(std::string const& child);

  /// Somebody who answers has come or gone.
  void attendance_changed();
  /// What is open and can be answered here, oldest first.
  std::vector<wire::PermissionRequest> open() const;
  /// Answers that are to be remembered and are not in the log yet; they are taken to be from now on.
  std::optional<wire::LogRecord> take_unlogged();

  /// Times between two tellings of the same question, and after how many of them a child that tells nothing more is given up.
  static constexpr int64_t kTellAgainMs = 10'000;
  static constexpr int64_t kGoneMs = 35'000;
  /// Questions of Pods below that are kept at once.
  static constexpr size_t kMaxForwarded = 256;

 private:
  struct Ask {
    wire::PermissionRequest request;
    // Of this Pod's own:
    uint64_t call = 0;
    std::vector<manifest::PermissionQuestion> questions;
    manifest::AskLimits limits;
    std::function<void(Outcome)> done;  ///< null: it is a child's
    int64_t deadline = 0;               ///< steady
    // Of a child's:
    std::string child;
    int64_t last_told = 0;
    std::optional<wire::PermissionAnswered> answered;  ///< and on its way down
    // Of both:
    bool told_parent = false;
    int64_t tell_again = 0;
    std::optional<int64_t> unattended_since;
    bool own() const { return done != nullptr; }
  };
  using Asks = std::map<std::string, Ask>;  ///< by id, which is in order of time

  int64_t now() const { return loop_.clock().steady_ms(); }
  std::optional<bool> known(std::vector<manifest::PermissionQuestion> const& questions) const;
  void route(Ask& ask);
  void settle(Asks::iterator it, bool allow, std::string by);
  void close(Asks::iterator it, wire::PermissionClosed closed);
  void give(Ask& ask, wire::PermissionAnswer answer, std::string by);
  void settle_known();
  void tick();
  void set_timer();

  loop::EventLoop& loop_;
  Self const self_;
  Host host_;
  RememberedAnswers remembered_;
  RememberedAnswers unlogged_;
  Asks asks_;
  loop::Timer timer_;
};

/// The answers that a session's log remembers.
RememberedAnswers replay_remembered(std::vector<wire::Extension> const& extensions);

}  // namespace insomnia::pod
