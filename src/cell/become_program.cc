#include "cell/become_program.hh"

#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace insomnia::cell {

void become_program(std::vector<std::string> const& argv, Environment const& environment) {
  // What whoever started us has forgotten to close leads out.
  ::close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
  std::vector<std::string> entries = environment.lines();
  std::vector<char*> variables, arguments;
  for (auto& entry : entries) variables.push_back(entry.data());
  for (auto const& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  variables.push_back(nullptr);
  arguments.push_back(nullptr);
  // execvpe looks along the PATH of this process.
  ::setenv("PATH", environment.get("PATH").value_or("/usr/local/bin:/usr/bin:/bin").c_str(), 1);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  ::execvpe(arguments[0], arguments.data(), variables.data());
  int error = errno;
  std::fprintf(stderr, "insomnia: %s: %s\n", arguments[0], error == ENOENT ? "not found in the cell" : std::strerror(error));
  ::_exit(error == ENOENT ? 127 : 126);
}

}  // namespace insomnia::cell
