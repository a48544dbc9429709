#pragma once

namespace insomnia::cli {

/// Exit codes of the command line; scripts rely on them (doc/cli.md).
enum ExitCode : int {
  kFinished = 0,      ///< done
  kFailed = 1,        ///< an error; its text is on stderr
  kUsage = 2,         ///< the command line itself is wrong
  kLimitReached = 3,  ///< the run stopped at a limit (turns, budget)
  kRefused = 4,       ///< refused by scope or permission before anything ran
  kInterrupted = 130  ///< stopped by a signal or by a human
};

}  // namespace insomnia::cli
