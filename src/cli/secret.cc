#include "cli/secret.hh"

#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.hh"
#include "cli/exit_code.hh"
#include "cli/output.hh"
#include "cli/trust.hh"
#include "llm/secrets.hh"

namespace insomnia::cli {
namespace {

constexpr size_t kMaxKey = 64 << 10;
constexpr char kInterrupt = 3;

/// What is typed is not shown while this lives.
class HiddenInput {
 public:
  HiddenInput() {
    hidden_ = ::tcgetattr(STDIN_FILENO, &before_) == 0;
    termios hidden = before_;
    // Ctrl-C comes as a character: the terminal must not be left as it is now.
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG);
    hidden.c_lflag |= ECHONL;
    if (hidden_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  }
  ~HiddenInput() {
    if (hidden_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  HiddenInput(HiddenInput const&) = delete;
  HiddenInput& operator=(HiddenInput const&) = delete;

 private:
  termios before_{};
  bool hidden_ = false;
};

std::string first_line() {
  std::string line;
  char c = 0;
  while (line.size() < kMaxKey) {
    ssize_t count = ::read(STDIN_FILENO, &c, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count > 0 && c == kInterrupt) return "";
    if (count <= 0 || c == '\n') break;
    line += c;
  }
  return line;
}

Result<int> run(SecretOptions const& options, Environment const& environment) {
  switch (options.action) {
    case SecretOptions::Action::List: {
      auto names = TRY(llm::list_secrets(environment));
      for (auto const& name : names) print(name + "\n");
      if (names.empty()) print_note("none is stored; `insomnia secret set anthropic` stores one");
      return kFinished;
    }
    case SecretOptions::Action::Remove:
      if (!TRY(llm::remove_secret(environment, options.name))) return fail(Code::NotFound, "there is no secret `" + options.name + "`");
      print_note("removed");
      return kFinished;
    case SecretOptions::Action::Set: break;
  }
  if (!llm::is_secret_name(options.name)) return fail(Code::InvalidArgument, "`" + text::one_line(options.name, 80) + "` is no name of a secret; a provider's id is one (`insomnia models`)");
  std::string key;
  if (can_ask()) {
    Output(STDERR_FILENO).write("Key for " + options.name + " (it is not shown): ");
    HiddenInput hidden;
    key = first_line();
  } else {
    key = first_line();
  }
  TRY(llm::write_secret(environment, options.name, key));
  print_note("stored; `insomnia models` shows what it is good for");
  return kFinished;
}

}  // namespace

int keep_secrets(SecretOptions const& options, Environment const& environment) {
  auto done = run(options, environment);
  return done ? *done : fail_with(done.error());
}

}  // namespace insomnia::cli
