#include "cli/command_line.hh"

#include <CLI/CLI.hpp>
#include <algorithm>

namespace insomnia::cli {
namespace {

constexpr char const* kExitCodes =
    "Exit codes: 0 done, 1 failed, 2 wrong command line, 3 stopped at a limit, 4 refused by scope or "
    "permission, 130 interrupted.";

/// All that is parsed into, and the parser that points at it.
struct Parser {
  Parser();

  CLI::App app{
      "Runs LLM agents as operating-system processes: each a Pod with its own process, session log and file "
      "scope.",
      "insomnia"};
  RunOptions run;
  PsOptions ps;
  ScopeOptions scope;
  AttachOptions attach;
  SendOptions send;
  ReadOptions read;
  StopOptions stop;
  RestoreOptions restore;
  LogsOptions logs;
  DoctorOptions doctor;
  VersionOptions version;
  DemoOptions demo;
  CellOptions cell;
  ExecOptions exec;
  ProfileOptions profile;
  TrustOptions trust;
  SecretOptions secret;
  UsageOptions usage;
  ProvidersOptions providers;
  ModelsOptions models;
  PromptOptions prompt;
  std::string help_topic;
  bool version_flag = false;

  Command command_of(std::string const& name) const;

 private:
  CLI::App* command(std::string const& name, std::string const& purpose, std::string const& examples);
  void add_run();
  void add_ps();
  void add_scope();
  void add_talking();
  void add_stop_and_logs();
  void add_cell();
  void add_profile();
  void add_secret();
  void add_usage();
  void add_rest();
};

CLI::App* Parser::command(std::string const& name, std::string const& purpose, std::string const& examples) {
  CLI::App* result = app.add_subcommand(name, purpose);
  std::string footer = examples.empty() ? "" : "Examples:\n" + examples + "\n";
  result->footer(footer + kExitCodes);
  return result;
}

void Parser::add_run() {
  auto* sub = command("run", "Give a new Pod (or a stored one) a task and watch it work",
                      "  insomnia run \"Make the tests pass\"\n"
                      "  insomnia run \"Review this\" --scope read:. --model anthropic/claude-sonnet-4-6\n"
                      "  git diff | insomnia run - --name review --json\n"
                      "\n"
                      "A Pod of the same name that was started in the same directory is continued. Ctrl-C "
                      "pauses the Pod, a second one\n"
                      "stops it and its children, a third one leaves at once.\n");
  sub->add_option("TASK", run.task, "what to do, in quotes; - reads it from standard input")->required();
  sub->add_option("--name", run.name, "name of the Pod; default: the directory's name");
  sub->add_option("--manifest", run.manifest, "a manifest file (TOML)");
  sub->add_option("--profile", run.profile, "a profile");
  sub->add_option("--model", run.model, "provider/model");
  sub->add_option("--scope", run.scope,
                  "read:PATH or write:PATH, repeatable; default: write on the directory")
      ->allow_extra_args(false);
  sub->add_option("--cwd", run.cwd, "the directory to work in; default: this one");
  sub->add_option("--max-turns", run.max_turns, "stop a run after so many model calls")
      ->check(CLI::Range(1u, 1'000'000u));
  sub->add_option("--wait-for-scope", run.wait_for_scope_s,
                  "when another Pod holds the scope, wait so many seconds for it, first come first served")
      ->type_name("SECONDS")
      ->check(CLI::Range(0u, 86'400u));
  sub->add_flag("--json", run.json, "print events as JSON lines, children's with a \"pod\" field");
  sub->add_flag("--detach", run.detach, "return as soon as the task is accepted; prints the Pod's name");
  sub->add_flag("--keep", run.keep, "leave the Pod running when it is done");
  auto* yes = sub->add_flag_callback("--yes", [this] { run.asks = AskMode::Allow; }, "allow every tool call that the permission policy asks about");
  auto* deny = sub->add_flag_callback("--deny-asks", [this] { run.asks = AskMode::Deny; }, "refuse them; the default where nobody sits at a terminal");
  auto* leave = sub->add_flag_callback("--leave-asks", [this] { run.asks = AskMode::Leave; }, "leave them to others who are attached");
  yes->excludes(deny)->excludes(leave);
  deny->excludes(leave);
}

void Parser::add_ps() {
  auto* sub =
      command("ps", "List the Pods that are running, with -a also those that are stored",
              "  insomnia ps --tree\n"
              "  insomnia ps -a\n"
              "  insomnia ps --json | jq -r '.[].pod_name'\n"
              "\n"
              "A stored Pod is `restorable` (`insomnia run --name NAME \"…\"` continues it), `needs key` "
              "(the same, once the key\n"
              "of its model is there) or `gone` (what was stored is damaged or missing).\n");
  sub->add_flag("-a,--all", ps.all, "also Pods that are stored but not running");
  sub->add_flag("--tree", ps.tree, "children below their parents");
  sub->add_flag("--json", ps.json, "a JSON list");
}

void Parser::add_scope() {
  auto* sub =
      command("scope", "Show who may write at a path, and who may read it",
              "  insomnia scope src\n"
              "  insomnia scope src/main.cc --json | jq -r .writer\n"
              "\n"
              "The Pod that may write there, with its rule; the Pods that lent it the path; those that "
              "may read it; for a directory\n"
              "also who holds parts of it. The path need not exist.\n");
  sub->add_option("PATH", scope.path, "a file or directory, relative or absolute")->required();
  sub->add_flag("--json", scope.json, "a JSON object");
}

void Parser::add_talking() {
  auto* sub = command("attach", "Watch a running Pod and type to it",
                      "  insomnia attach site\n"
                      "\n"
                      "A line is the next task when the Pod is idle, a message while it works. /pause, "
                      "/resume, /cancel and /quit do what\n"
                      "they say. Leaving changes nothing for the Pod.\n");
  sub->add_option("NAME", attach.name, "the Pod")->required();

  sub =
      command("send", "Give a running Pod a message", "  insomnia send site \"Also update the changelog\"\n");
  sub->add_option("NAME", send.name, "the Pod")->required();
  sub->add_option("MESSAGE", send.message, "the message, in quotes; - reads it from standard input")
      ->required();

  sub = command("read", "Print the last answer of a Pod, running or stored",
                "  insomnia read site\n  insomnia read site --last 3\n");
  sub->add_option("NAME", read.name, "the Pod")->required();
  sub->add_option("--last", read.last, "so many answers, oldest first")
      ->check(CLI::Range(size_t{1}, size_t{1'000'000}));
  sub->add_flag("--json", read.json, "a JSON object");
}

void Parser::add_stop_and_logs() {
  auto* sub = command("stop", "End a running Pod; its session stays",
                      "  insomnia stop site --tree\n"
                      "\n"
                      "The Pod is asked to end. When it does not in time it gets SIGTERM, then SIGKILL.\n");
  sub->add_option("NAME", stop.name, "the Pod")->required();
  sub->add_flag("--tree", stop.tree, "its descendants too, deepest first");
  sub->add_flag("--force", stop.force, "give it one second, not ten");
  sub->add_option("--timeout", stop.timeout_seconds, "seconds to wait before signals are sent; default: 10")
      ->check(CLI::Range(0u, 3'600u));

  sub = command("restore", "Bring back Pods that were interrupted, with their children and their scope",
                "  insomnia restore site\n  insomnia restore --all\n"
                "\n"
                "After a reboot or a crash: parents first, children as children, each with the scope that it had or "
                "less. Interrupted\n"
                "work goes on from its last finished step. `insomnia ps --all` shows what can be restored.\n");
  sub->add_option("NAME", restore.name, "the Pod; those above and below it come back too");
  sub->add_flag("--all", restore.all, "all that were not done and were not stopped");
  sub->add_flag("--json", restore.json, "a JSON list");

  sub = command("logs", "Show the session of a Pod, running or stored",
                "  insomnia logs site\n  insomnia logs -f site\n");
  sub->add_option("NAME", logs.name, "the Pod")->required();
  sub->add_flag("-f,--follow", logs.follow, "go on with what a running Pod does");
  sub->add_flag("--json", logs.json, "the records as JSON lines; with -f: events");
}

void Parser::add_cell() {
  auto* sub = command("cell", "Run a command under a scope that the kernel holds",
                      "  insomnia cell --scope write:build --scope read:. -- make\n"
                      "  insomnia cell --network none -- ./untrusted.sh\n"
                      "  insomnia cell --scope write:src --explain\n"
                      "\n"
                      "The command sees the system's directories, the paths of its scope, and a HOME and /tmp of its own. "
                      "Keys and variables\n"
                      "with secrets stay outside. What it starts ends with it.\n");
  sub->add_option("--scope", cell.scope,
                  "read:PATH, write:PATH, deny-read:PATH or deny-write:PATH, repeatable; default: write on this directory")
      ->allow_extra_args(false);
  auto* manifest = sub->add_option("--manifest", cell.manifest, "take scope and sandbox from this file, as `run` does");
  sub->add_option("--profile", cell.profile, "take scope and sandbox from this profile")->excludes(manifest);
  sub->add_option("--network", cell.network, "full (default), or none: loopback of its own only")->check(CLI::IsMember({"full", "none"}));
  sub->add_option("--isolation", cell.isolation, "cell, or landlock: what machines without namespaces have; default: the strongest there is")->check(CLI::IsMember({"cell", "landlock"}));
  sub->add_option("--env", cell.env, "pass this variable too; repeatable")->allow_extra_args(false);
  sub->add_flag("--explain", cell.explain, "print what would be mounted, and do nothing");
  sub->add_option("COMMAND", cell.command, "the command, after --");

  sub = command("exec", "Run a command in the cell of a running Pod",
                "  insomnia exec site -- git status\n"
                "  insomnia exec site -- bash\n"
                "\n"
                "The command sees what the Pod's own commands see, and ends with the Pod at the latest.\n");
  sub->add_option("NAME", exec.name, "the Pod")->required();
  sub->add_option("--cwd", exec.cwd, "where to run it; default: where the Pod works");
  sub->add_option("--env", exec.env, "pass this variable too; repeatable")->allow_extra_args(false);
  sub->add_option("COMMAND", exec.command, "the command, after --");
}

void Parser::add_profile() {
  auto* sub = command("profile", "List, show, check and write profiles",
                      "  insomnia profile list\n"
                      "  insomnia profile show project:reviewer\n"
                      "  insomnia profile check ./reviewer.lua\n"
                      "  insomnia profile new reviewer --project\n"
                      "\n"
                      "A profile is a recipe for Pods, in Lua or TOML: model, prompt, limits, tools. `insomnia run --profile NAME` starts a Pod by it, and "
                      "models choose\n"
                      "one for each Pod that they spawn. NAME is one of `list`, `source:name`, or a path.\n");
  sub->require_subcommand(1);
  auto action = [&, sub](std::string const& name, std::string const& purpose, ProfileOptions::Action value) {
    auto* result = sub->add_subcommand(name, purpose);
    result->callback([this, value] { profile.action = value; });
    return result;
  };
  auto* list = action("list", "the profiles at hand: built in, the user's, the project's", ProfileOptions::Action::List);
  list->add_flag("--json", profile.json, "a JSON list");
  auto* show = action("show", "what a profile comes to, and where each value is from", ProfileOptions::Action::Show);
  show->add_option("NAME", profile.selector, "the profile; default: the default one");
  show->add_flag("--json", profile.json, "a JSON object");
  action("check", "whether a profile and its modules are right: exit code 0 or 1", ProfileOptions::Action::Check)->add_option("NAME", profile.selector, "the profile, or its file; default: the default one");
  auto* make = action("new", "write a commented starter", ProfileOptions::Action::New);
  make->add_option("NAME", profile.selector, "its name")->required();
  make->add_flag("--project", profile.project, "for this project, in .insomnia, not for this user");

  sub = command("models", "List the models that are known, their prices, and whose key is there", "  insomnia models\n  insomnia models --json | jq -r '.[] | select(.key != \"missing\") | .ref'\n  insomnia models --check openrouter/openai/gpt-5.5\n");
  sub->add_option("--check", models.check, "call this model once (a few hundred tokens) and say what works: key, streaming, tools, reasoning, and what it cost");
  sub->add_flag("--json", models.json, "a JSON list");

  sub = command("prompt", "Show the prompt that a Pod started here would have", "  insomnia prompt show\n  insomnia prompt show --profile reviewer --tools\n");
  sub->require_subcommand(1);
  auto* shown_prompt = sub->add_subcommand("show", "print it, and say how large it is");
  auto* of_manifest = shown_prompt->add_option("--manifest", prompt.manifest, "with the settings of this file, as `run` takes it");
  shown_prompt->add_option("--profile", prompt.profile, "with the settings of this profile")->excludes(of_manifest);
  shown_prompt->add_flag("--tools", prompt.tools, "also the tools, as the model gets them");

  sub = command("trust", "Allow this project's profiles what needs your word",
                "  insomnia trust\n"
                "  insomnia trust --show\n"
                "  insomnia trust --revoke\n"
                "\n"
                "A profile that came with the code must not choose where your keys are sent, what is permitted, or what its children may do. "
                "Without trust it goes\n"
                "without such settings. The word holds for the files as they are: one that changes is asked for again.\n");
  auto* shown = sub->add_flag("--show", trust.show, "how it stands; exit code 4 when it is not trusted as it is");
  sub->add_flag("--revoke", trust.revoke, "take it back")->excludes(shown);
  sub->add_flag("--yes", trust.yes, "do not ask");
}

void Parser::add_secret() {
  auto* sub = command("secret", "Keep the keys of model providers",
                      "  insomnia secret set anthropic            asks for the key, without showing it\n"
                      "  pass show openai | insomnia secret set openai\n"
                      "  insomnia secret list\n"
                      "  insomnia secret remove openai\n"
                      "\n"
                      "The name is a provider's id (`insomnia models`), or one that a manifest's `auth = { kind = \"secret_ref\", ref = \"NAME\" }` names. Keys of the\n"
                      "environment count more. They are kept in files that you alone can read, and are never printed.\n");
  sub->require_subcommand(1);
  auto action = [&, sub](std::string const& name, std::string const& purpose, SecretOptions::Action value) {
    auto* result = sub->add_subcommand(name, purpose);
    result->callback([this, value] { secret.action = value; });
    return result;
  };
  action("list", "the names of what is stored", SecretOptions::Action::List);
  action("set", "store a key", SecretOptions::Action::Set)->add_option("NAME", secret.name, "whose key")->required();
  action("remove", "forget a key", SecretOptions::Action::Remove)->add_option("NAME", secret.name, "whose key")->required();
}

void Parser::add_usage() {
  auto* sub = command("usage", "Show what model calls have cost",
                      "  insomnia usage --since 7d --by model\n"
                      "  insomnia usage --by day --json | jq '.[].cost'\n"
                      "\n"
                      "By pod, by model, by day, or by tree: a Pod with all below it. Money as the catalogue has prices (`insomnia models`); what has none is unknown.\n");
  sub->add_option("--since", usage.since, "12h, 7d, 2w, or a day like 2026-11-01; default: all");
  sub->add_option("--by", usage.by, "pod, model, day or tree; default: pod")->check(CLI::IsMember({"pod", "model", "day", "tree"}));
  sub->add_flag("--json", usage.json, "a JSON list");
  sub = command("providers", "Show how providers limit the rate of calls",
                "  insomnia providers\n"
                "\n"
                "All Pods of a user share one gate for each provider. A refusal closes it for all of them for as long as the provider says, and spaces their calls\n"
                "afterwards, until calls succeed again.\n");
  sub->add_flag("--json", providers.json, "a JSON list");
}

void Parser::add_rest() {
  auto* sub = command("doctor", "Check kernel, libraries, directories and keys", "  insomnia doctor\n");
  sub->add_flag("--json", doctor.json, "a JSON object");
  sub =
      command("demo", "Watch three Pods repair a small project, without network or key", "  insomnia demo\n");
  sub->add_flag("--keep", demo.keep, "leave the project and the sessions on disk and say where");
  sub = command("version", "Print the version", "");
  sub->add_flag("--json", version.json, "a JSON object");
  sub = command("help", "Explain a command", "");
  sub->add_option("COMMAND", help_topic, "the command");
}

Parser::Parser() {
  app.set_help_flag("-h,--help", "show this help");
  app.add_flag("--version", version_flag, "print the version");
  app.require_subcommand(0, 1);
  add_run();
  add_ps();
  add_scope();
  add_talking();
  add_stop_and_logs();
  add_cell();
  add_profile();
  add_secret();
  add_usage();
  add_rest();
  app.footer(
      std::string("Examples:\n"
                  "  insomnia demo                            see it work, without network or key\n"
                  "  insomnia run \"Make the tests pass\"       start a Pod in this directory\n"
                  "  insomnia ps --tree                       who is at work, and where they may write\n"
                  "  insomnia help run                        all about one command\n\n") +
      kExitCodes);
}

Command Parser::command_of(std::string const& name) const {
  if (name == "run") return run;
  if (name == "ps") return ps;
  if (name == "scope") return scope;
  if (name == "cell") return cell;
  if (name == "exec") return exec;
  if (name == "profile") return profile;
  if (name == "trust") return trust;
  if (name == "secret") return secret;
  if (name == "usage") return usage;
  if (name == "providers") return providers;
  if (name == "models") return models;
  if (name == "prompt") return prompt;
  if (name == "attach") return attach;
  if (name == "send") return send;
  if (name == "read") return read;
  if (name == "stop") return stop;
  if (name == "restore") return restore;
  if (name == "logs") return logs;
  if (name == "doctor") return doctor;
  if (name == "demo") return demo;
  return version;
}

ParsedCommandLine wrong(std::string text) {
  return {.text = std::move(text), .exit_code = kUsage};
}

/// CLI11's words, with the mistake that people really make explained.
std::string explain(CLI::ParseError const& error, std::string const& command) {
  std::string text = error.what();
  while (text.ends_with('\n')) text.pop_back();
  if (dynamic_cast<CLI::ExtrasError const*>(&error) != nullptr && (command == "run" || command == "send")) {
    text += "; put the text in quotes";
  }
  return text + "\nTry `insomnia help" + (command.empty() ? "" : " " + command) + "`.";
}

ParsedCommandLine help_on(CLI::App& app, std::string const& topic) {
  app.clear();  // else it tells of the command that was just parsed
  if (topic.empty()) return {.text = app.help()};
  try {
    return {.text = app.get_subcommand(topic)->help()};
  } catch (CLI::OptionNotFound const&) {
    return wrong("unknown command `" + topic + "`\nTry `insomnia help`.");
  }
}

}  // namespace

ParsedCommandLine parse_command_line(std::vector<std::string> const& arguments) {
  Parser parser;
  auto commands = parser.app.get_subcommands([](CLI::App*) { return true; });
  auto is_command = [&](std::string const& word) {
    return std::any_of(commands.begin(), commands.end(),
                       [&](CLI::App* sub) { return sub->get_name() == word; });
  };
  if (arguments.empty()) return wrong(parser.app.help());
  if (std::string const& first = arguments.front(); !first.starts_with('-') && !is_command(first)) {
    return wrong("unknown command `" + first +
                 "`; a task is given with `insomnia run \"…\"`\nTry `insomnia help`.");
  }
  try {
    parser.app.parse(
        std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (CLI::CallForHelp const&) {
    auto chosen = parser.app.get_subcommands();
    return {.text = chosen.empty() ? parser.app.help() : chosen.front()->help()};
  } catch (CLI::ParseError const& error) {
    auto chosen = parser.app.get_subcommands();
    return wrong(explain(error, chosen.empty() ? "" : chosen.front()->get_name()));
  }
  if (parser.version_flag) return {.command = VersionOptions{}};
  auto chosen = parser.app.get_subcommands();
  if (chosen.empty()) return wrong(parser.app.help());
  std::string name = chosen.front()->get_name();
  if (name == "help") return help_on(parser.app, std::string(parser.help_topic));
  return {.command = parser.command_of(name)};
}

}  // namespace insomnia::cli
