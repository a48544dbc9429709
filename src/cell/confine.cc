#include "cell/confine.hh"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/io.hh"
#include "cell/view.hh"

namespace insomnia::cell {
namespace {

/// Where the first process builds the view: a directory that every system has and no scope needs.
constexpr char kView[] = "/sys";
constexpr size_t kLongestError = 4096;

int shell_status(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

/// Does not return. `report`: where a failure before the program's own life is written.
[[noreturn]] void become(ConfinedCommand const& command, int report) {
  auto give_up = [&](Error const& error) {
    (void)io::write_all(report, error.message, "the report");
    ::_exit(125);
  };
  if (auto entered = enter_view(kView, command.cwd); !entered) give_up(entered.error());
  if (auto dropped = drop_capabilities(); !dropped) give_up(dropped.error());
  std::vector<std::string> entries = command.environment.lines();
  std::vector<char*> environment, argv;
  for (auto& entry : entries) environment.push_back(entry.data());
  for (auto const& argument : command.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  environment.push_back(nullptr);
  argv.push_back(nullptr);
  // execvpe looks along the PATH of this process.
  ::setenv("PATH", command.environment.get("PATH").value_or("/usr/local/bin:/usr/bin:/bin").c_str(), 1);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  ::execvpe(argv[0], argv.data(), environment.data());
  int error = errno;
  std::fprintf(stderr, "insomnia: %s: %s\n", argv[0], error == ENOENT ? "not found in the cell" : std::strerror(error));
  ::_exit(error == ENOENT ? 127 : 126);
}

/// The first process: all that end without a parent come to it, and with it all end.
int first_process(ConfinedCommand const& command, int report) {
  // It keeps the host's tree: nobody in the cell may look through it.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (auto built = build_view(command.plan, kView); !built) {
    (void)io::write_all(report, built.error().message, "the report");
    return 125;
  }
  pid_t pid = ::fork();
  if (pid == 0) become(command, report);
  if (pid < 0) {
    (void)io::write_all(report, "fork the command: " + std::string(std::strerror(errno)), "the report");
    return 125;
  }
  ::close(report);
  int status = 0;
  for (;;) {
    int ended = 0;
    pid_t who = ::waitpid(-1, &ended, 0);
    if (who == pid) status = ended;
    if (who == pid || (who < 0 && errno != EINTR)) break;
  }
  ::kill(-1, SIGKILL);
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
  return shell_status(status);
}

}  // namespace

Result<int> run_confined(ConfinedCommand const& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  UniqueFd report_read(ends[0]), report_write(ends[1]);
  auto first = TRY(start_in_namespaces(command.namespaces, [&] { return first_process(command, report_write.get()); }));
  report_write.reset();
  // Ctrl-C is for the command: it gets it from the terminal, as does this process, which waits for its end.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGQUIT, SIG_IGN);
  std::string report = io::read_all(report_read.get(), "the report of the cell", kLongestError).value_or("");
  int status = 0;
  while (::waitpid(first.pid, &status, 0) < 0 && errno == EINTR) {
  }
  for (auto const& path : command.plan.placeholders) ::rmdir(path.c_str());
  if (!report.empty()) return fail(Code::Unavailable, "the cell could not be made: " + report);
  return shell_status(status);
}

}  // namespace insomnia::cell
