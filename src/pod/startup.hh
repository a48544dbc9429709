#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hh"
#include "base/environment.hh"
#include "base/error.hh"
#include "base/paths.hh"
#include "pod/hand_over.hh"
#include "pod/mailbox.hh"
#include "pod/pod_main.hh"
#include "pod/store.hh"
#include "profile/profile_set.hh"
#include "prompt/system_prompt.hh"
#include "scope/scope.hh"
#include "session/log.hh"
#include "tools/hands_protocol.hh"
#include "tools/task_store.hh"
#include "tools/tool.hh"
#include "usage/metered_gate.hh"

/// The steps by which a Pod process finds out who it is and what it has. Each is a function of its inputs; pod_main puts them together.
namespace insomnia::pod {

/// The hand-over from the descriptor, the JSON option, or, for people, from --manifest and the other options.
Result<HandOver> read_hand_over(PodOptions const& options, Environment const& environment, Paths const& paths);

/// Fresh, spawned, or continued: the state that this process starts with. `stored` is what the last instance left.
Result<PodState> initial_state(HandOver const& hand_over, std::optional<PodState> const& stored, Environment const& environment,
                               Paths const& paths, Clock const& clock);

/// A continued session, folded; empty when nothing was logged.
Result<session::LoadedSegment> load_session(Paths const& paths, PodState const& state);

/// The task list that the calls in the history left.
tools::TaskStore replay_tasks(std::vector<wire::Item> const& history);
/// What the Pod has seen of files (domain tools.observed), the latest per path.
/// Who pays for the Pod's model calls: those above it, as its parent has handed them over, and last itself.
std::vector<manifest::Account> paying_accounts(PodState const& state, manifest::Config const& config, int64_t now_ms);
/// What its gate has to know.
usage::MeteredGate::Settings gate_settings(Paths const& paths, std::vector<manifest::Account> payers, llm::Catalogue const& catalogue, llm::ModelConfig const& model);

std::vector<tools::Observed> replay_observed(std::vector<wire::Extension> const& extensions);
/// The letter with the last end that was reported, to be sent again.
std::optional<Mail> last_report(PodState const& state, std::string const& instance_id, std::vector<std::string> const& lines);

/// The tools that manifest and ceilings leave.
std::vector<tools::Definition> select_tools(std::vector<tools::Definition> all, manifest::Manifest const& manifest,
                                            manifest::Ceilings const& ceilings);

/// All tools of a Pod that runs with this manifest below these ceilings, in the order of the request.
Result<std::vector<tools::Definition>> tools_of_pod(prompt::PromptCatalog const& prompts, profile::ProfileSet const& profiles, manifest::Manifest const& manifest, manifest::Ceilings const& ceilings);

/// What its system prompt is made from, but for the time. `alert`: why AGENTS.md is not part of it; "" otherwise.
prompt::SystemPromptInput system_prompt_input(manifest::Manifest const& manifest, std::string const& cwd, std::string const& workspace, std::vector<tools::Definition> const& tools,
                                              scope::Scope const& scope, std::string& alert);

/// The environment of commands: an allow-list, so that no key of the brain reaches them.
std::map<std::string, std::string> command_environment(Environment const& environment, std::string const& pod_name);

}  // namespace insomnia::pod
