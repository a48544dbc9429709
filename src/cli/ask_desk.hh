#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "client/pod_tree.hh"
#include "wire/event.hh"

namespace insomnia::cli {

/// Who answers when a tool call needs a permission.
enum class AskMode {
  Terminal,  ///< whoever sits there
  Allow,     ///< yes to all
  Deny,      ///< no to all
  Leave,     ///< somebody else: nothing is answered by itself
};

/// The questions of a Pod and all its descendants, as one client sees them. The same question can come from several Pods; it is answered once, where it
/// was seen first. Pure: events and lines in, answers and texts out.
class AskDesk {
 public:
  struct Host {
    /// To the Pod of this name, which has told of the question.
    std::function<void(std::string const& pod, wire::PermissionAnswer)> answer;
    /// Whole lines for whoever sits there.
    std::function<void(std::string const& text)> show;
    /// A typed answer is awaited now, or no longer.
    std::function<void(bool)> listen;
  };
  AskDesk(AskMode mode, Host host) : mode_(mode), host_(std::move(host)) {}

  void on_event(client::PodOrigin const& origin, wire::Event const& event);
  /// A typed answer to the oldest question: y(es), a(lways), n(o), d or never. False: it is none of these, or nothing is asked; nothing happens then.
  bool on_line(std::string_view line);
  /// From now on; questions that wait are answered by it.
  void set_mode(AskMode mode);
  /// The oldest that waits for its answer; null: none.
  wire::PermissionRequest const* waiting() const { return queue_.empty() ? nullptr : &queue_.front().request; }

 private:
  struct Asked {
    std::string from;  ///< the Pod that told of it
    wire::PermissionRequest request;
  };
  void asked(std::string const& from, wire::PermissionRequest const& request);
  void closed(wire::PermissionClosed const& closed);
  void take(Asked asked);
  void answer(Asked const& asked, bool allow, bool remember);
  void show_next();

  AskMode mode_;
  Host host_;
  std::deque<Asked> queue_;
  std::set<std::string> seen_;
  std::map<std::string, bool> always_;  ///< what was answered for the whole session, by what it holds for: the Pods of the tree that ask the same are not asked again
  std::string shown_;                   ///< the question that somebody is looking at
};

/// The question with all that the call wants to do, safe for a terminal: several lines, the last one says what can be typed. Pure.
std::string question_text(wire::PermissionRequest const& request);
/// How a question ended, in a few words: "allowed", "not allowed: nobody answered in time". Pure.
std::string closed_text(wire::PermissionClosed const& closed);

}  // namespace insomnia::cli
