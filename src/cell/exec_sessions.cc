#include "cell/exec_sessions.hh"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "cell/become_program.hh"
#include "cell/namespaces.hh"

namespace insomnia::cell {
namespace {

constexpr int kNotEntered = 125;

}  // namespace

void ExecSessions::add(RunExec exec, std::vector<UniqueFd> descriptors) {
  if (descriptors.size() != kExecDescriptors) return;  // the client sees that its end is closed
  auto& session = sessions_.emplace_back();
  session.exec = std::move(exec);
  session.descriptors = std::move(descriptors);
  // The request may be there already.
  serve();
}

void ExecSessions::append_to(std::vector<pollfd>& polled) const {
  for (auto const& session : sessions_) polled.push_back({.fd = session.descriptors.front().get(), .events = POLLIN, .revents = 0});
}

void ExecSessions::serve() {
  for (auto& session : sessions_) serve(session);
  sessions_.remove_if([](Session const& session) { return session.over; });
}

void ExecSessions::serve(Session& session) {
  char buffer[65536];
  while (!session.over) {
    ssize_t count = ::recv(session.descriptors.front().get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      if (session.pid > 0) ::kill(-session.pid, SIGKILL);
      session.over = true;
      return;
    }
    session.lines.feed({buffer, static_cast<size_t>(count)});
    for (auto line = session.lines.next(); !session.over && (!line || *line); line = session.lines.next()) {
      auto message = line ? decode_exec_message(**line) : Result<ExecMessage>(std::unexpected(line.error()));
      auto* request = message ? std::get_if<ExecRequest>(&*message) : nullptr;
      auto* signal = message ? std::get_if<ExecSignal>(&*message) : nullptr;
      if (request != nullptr && session.pid < 0) start(session, *request);
      else if (signal != nullptr && session.pid > 0) ::kill(-session.pid, signal->number);
      else {
        if (session.pid > 0) ::kill(-session.pid, SIGKILL);
        say(session, ExecRefused{message ? "not what was awaited" : message.error().message});
        session.over = true;
      }
    }
  }
}

void ExecSessions::start(Session& session, ExecRequest const& request) {
  session.pid = ::fork();
  if (session.pid == 0) become(session, request);
  if (session.pid < 0) {
    say(session, ExecRefused{fail_errno("start the command", errno).error().message});
    session.over = true;
    return;
  }
  session.descriptors.resize(1);
  say(session, ExecStarted{session.pid});
}

void ExecSessions::become(Session& session, ExecRequest const& request) {
  ::setsid();
  for (int standard = 0; standard <= 2; ++standard) ::dup2(session.descriptors[static_cast<size_t>(standard) + 1].get(), standard);
  if (request.terminal) ::ioctl(0, TIOCSCTTY, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  Environment environment;
  for (auto const& [name, value] : session.exec.environment) environment.set(name, value);
  for (auto const& [name, value] : request.environment) environment.set(name, value);
  if (auto entered = enter_(request.cwd.value_or(session.exec.cwd)); !entered) {
    std::fprintf(stderr, "insomnia: %s\n", entered.error().message.c_str());
    std::fflush(stderr);
    ::_exit(kNotEntered);
  }
  become_program(request.argv, environment);
}

void ExecSessions::ended(pid_t pid, int wait_status) {
  for (auto session = sessions_.begin(); session != sessions_.end(); ++session) {
    if (session->pid != pid) continue;
    say(*session, ExecEnded{shell_status(wait_status)});
    sessions_.erase(session);
    return;
  }
}

void ExecSessions::say(Session& session, ExecEvent const& event) {
  std::string line = encode_exec_event(event) + "\n";
  // A few short lines fit always, unless nobody is there any more.
  (void)!::send(session.descriptors.front().get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace insomnia::cell
