#include "cli/asking.hh"

#include <termios.h>
#include <unistd.h>

#include "cli/output.hh"
#include "cli/trust.hh"

namespace insomnia::cli {
namespace {

/// Reading the terminal from the background would stop the process.
bool in_foreground() { return ::tcgetpgrp(STDIN_FILENO) == ::getpgrp(); }

}  // namespace

AskMode default_ask_mode() { return can_ask() ? AskMode::Terminal : AskMode::Deny; }

Asking::Asking(loop::EventLoop& loop, AskMode mode, bool own_input, Host host)
    : loop_(loop),
      mode_(mode),
      own_input_(own_input),
      host_(std::move(host)),
      desk_(mode, {.answer =
                       [this](std::string const& pod, wire::PermissionAnswer answer) {
                         std::string id = answer.ask;
                         if (auto* view = host_.view()) view->send_to(pod, {wire::AnswerPermissionMethod{std::move(answer)}, std::move(id)});
                       },
                   .show = [this](std::string const& text) { host_.show(text); },
                   .listen = [this](bool on) { listen(on); }}),
      change_input_(loop, [this] {
        if (wanted_ == input_.has_value()) return;
        if (!wanted_) return input_.reset();
        input_.emplace(loop_, STDIN_FILENO,
                       LineInput::Handler{.on_line =
                                              [this](std::string const& line) {
                                                if (!desk_.on_line(line) && desk_.waiting() != nullptr) host_.show("  y, a, n or d?\n");
                                              },
                                          .on_end = [this] { end_of_input(); }});
      }) {}

Asking::~Asking() = default;

void Asking::on_event(client::PodOrigin const& origin, wire::Event const& event) {
  if (mode_ != AskMode::Leave && std::holds_alternative<wire::SnapshotEvent>(event.body)) {
    if (auto* view = host_.view()) view->send_to(origin.pod_name, {wire::ClientOptionsMethod{.answers_permissions = true}, std::nullopt});
  }
  desk_.on_event(origin, event);
}

/// Input is made and destroyed outside of its own callbacks.
void Asking::listen(bool on) {
  if (own_input_) return;
  if (on && !in_foreground()) return end_of_input();
  // What was typed before the question came is no answer to it.
  if (on) ::tcflush(STDIN_FILENO, TCIFLUSH);
  wanted_ = on;
  change_input_.start(0);
}

void Asking::end_of_input() {
  if (host_.note) host_.note("nobody can answer here any more: what is asked is not allowed");
  wanted_ = false;
  change_input_.start(0);
  loop_.post([this] {
    mode_ = AskMode::Deny;
    desk_.set_mode(mode_);
  });
}

}  // namespace insomnia::cli
