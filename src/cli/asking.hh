#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cli/ask_desk.hh"
#include "cli/line_input.hh"
#include "cli/live_view.hh"

namespace insomnia::cli {

/// Answers the permission questions of a LiveView's Pods as the mode says: an AskDesk at this process's terminal. Tells each Pod that it does. Give it every
/// event (on_event). Driven by the loop; callbacks must not destroy it.
class Asking {
 public:
  struct Host {
    std::function<LiveView*()> view;
    /// A question for whoever sits at the terminal: whole lines.
    std::function<void(std::string const& text)> show;
    /// Something that is only said (optional).
    std::function<void(std::string const& text)> note = nullptr;
  };
  /// Reads the terminal while a question waits, unless `own_input`: then its owner calls on_line.
  Asking(loop::EventLoop& loop, AskMode mode, bool own_input, Host host);
  ~Asking();

  void on_event(client::PodOrigin const& origin, wire::Event const& event);
  /// As AskDesk::on_line.
  bool on_line(std::string_view line) { return desk_.on_line(line); }
  AskDesk const& desk() const { return desk_; }

 private:
  void listen(bool on);
  void end_of_input();

  loop::EventLoop& loop_;
  AskMode mode_;
  bool own_input_;
  Host host_;
  AskDesk desk_;
  std::optional<LineInput> input_;
  loop::Timer change_input_;
  bool wanted_ = false;
};

/// The mode for a command that nobody told one: the terminal when somebody sits at one, else no.
AskMode default_ask_mode();

}  // namespace insomnia::cli
