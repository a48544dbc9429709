#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/attach.hh"
#include "cli/cell.hh"
#include "cli/demo.hh"
#include "cli/doctor.hh"
#include "cli/exec.hh"
#include "cli/logs.hh"
#include "cli/models.hh"
#include "cli/profile.hh"
#include "cli/prompt.hh"
#include "cli/ps.hh"
#include "cli/read.hh"
#include "cli/run.hh"
#include "cli/scope.hh"
#include "cli/send.hh"
#include "cli/restore.hh"
#include "cli/stop.hh"
#include "cli/secret.hh"
#include "cli/trust.hh"
#include "cli/usage.hh"
#include "cli/version.hh"

namespace insomnia::cli {

using Command = std::variant<RunOptions, PsOptions, ScopeOptions, AttachOptions, SendOptions, ReadOptions, StopOptions, RestoreOptions,
                             LogsOptions, DoctorOptions, VersionOptions, DemoOptions, CellOptions, ExecOptions, ProfileOptions, TrustOptions, ModelsOptions, PromptOptions, SecretOptions, UsageOptions, ProvidersOptions>;

/// What the words after `insomnia` mean: a command, or a text to show and an exit code.
struct ParsedCommandLine {
  std::optional<Command> command;
  std::string text;  ///< help, or what is wrong
  int exit_code = kFinished;
};

/// Pure: reads no files and no environment. The hidden subcommands (pod, hands, lua) are not its business.
ParsedCommandLine parse_command_line(std::vector<std::string> const& arguments);

}  // namespace insomnia::cli
