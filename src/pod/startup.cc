#include "pod/startup.hh"

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "agent/history.hh"
#include "base/io.hh"
#include "base/json.hh"
#include "base/log.hh"
#include "base/text.hh"
#include "base/uuid.hh"
#include "llm/catalogue.hh"
#include "pod/launch.hh"
#include "pod/pod_tools.hh"
#include "profile/discovery.hh"
#include "profile/trust.hh"
#include "scope/scope.hh"

namespace insomnia::pod {

Result<HandOver> read_hand_over(PodOptions const& options, Environment const&, Paths const& paths) {
  if (options.adopt && options.callback.empty()) return fail(Code::InvalidArgument, "--adopt requires --callback");
  if (options.spawn_config_fd) {
    UniqueFd fd(*options.spawn_config_fd);
    auto text = io::read_all(fd.get(), "--spawn-config-fd");
    if (!text) return std::unexpected(std::move(text).error().with_context("failed to read --spawn-config-fd"));
    auto hand_over = decode_hand_over(*text);
    if (!hand_over) return std::unexpected(std::move(hand_over).error().with_context("failed to parse --spawn-config-fd"));
    return hand_over;
  }
  if (!options.spawn_config_json.empty()) {
    auto hand_over = decode_hand_over(options.spawn_config_json);
    if (!hand_over) return std::unexpected(std::move(hand_over).error().with_context("failed to parse --spawn-config-json"));
    return hand_over;
  }

  HandOver hand_over;
  std::string cwd = TRY(io::current_directory());
  std::string workspace = options.workspace.empty() ? cwd : TRY(io::real_path(options.workspace));
  manifest::Config config = manifest::builtin_defaults();
  if (!options.manifest_path.empty()) {
    std::string file = io::absolute(options.manifest_path, cwd);
    auto layer = TRY(manifest::parse_toml(TRY(io::read_file(file, 4u << 20)), file));
    config = manifest::merge(std::move(config), manifest::resolve_paths(std::move(layer), io::parent_path(file)));
  } else {
    profile::ProfileReading reading{
        .workspace = workspace, .start_host = profile::host_process(RuntimeCommand::self().program), .trusts = profile::trust_of(paths)};
    auto selected = TRY(profile::read_selected_profile(options.profile, profile::discover_profiles(profile::profile_places(paths, cwd), reading), reading));
    config = manifest::merge(std::move(config), selected.profile.config);
    hand_over.profile = selected.label;
    hand_over.ceilings = selected.ceilings;
    // The default profile says nothing of what its Pod is; the directory does.
    if (!options.profile.empty() && selected.pod_name != "insomnia") config.pod_name = selected.pod_name;
    if (!selected.profile.left_out.empty())
      log::warn(selected.label + ": nobody has trusted this project, so its profile is used without " + manifest::keys_of(selected.profile.left_out));
  }
  if (!options.name.empty()) config.pod_name = options.name;
  if (!options.model.empty()) {
    config.model = {};
    config.model.ref = options.model;
  }
  if (!config.pod_name) config.pod_name = sanitize_pod_name(io::base_name(cwd), "workspace");
  hand_over.cwd = cwd;
  hand_over.workspace_root = workspace;
  if (config.scope.allow.empty()) config.scope.allow.push_back({hand_over.workspace_root, scope::Permission::Write, true});
  hand_over.config = std::move(config);
  return hand_over;
}

Result<PodState> initial_state(HandOver const& hand_over, std::optional<PodState> const& stored, Environment const& environment, Paths const& paths,
                               Clock const& clock) {
  std::string name = hand_over.config.pod_name.value_or("");
  TRY(check_pod_name(name));
  bool continued = stored && (hand_over.pod_id.empty() || hand_over.pod_id == stored->pod_id);
  if (hand_over.restore && !continued) {
    return fail(Code::NotFound, "there is no stored Pod named `" + name + "` with the id " + hand_over.pod_id + ": there is nothing to restore");
  }
  PodState state;
  if (continued) {
    state = *stored;
    if (hand_over.restore && hand_over.parent) {
      // What the parent reserved: the stored scope, less what the parent has been denied since.
      state.config.scope = hand_over.config.scope;
      state.ceilings = hand_over.ceilings;
    }
    // The stored manifest is the authority for what the Pod may do; a model can be chosen anew.
    if (!hand_over.config.model.empty() && !hand_over.restore) state.config.model = hand_over.config.model;
    if (!hand_over.task.empty()) state.task = hand_over.task;
    // Continued by hand it is a root; restored while its parent is gone it stays that one's child for the registry.
    if (!hand_over.parent && !hand_over.restore) state.parent.reset();
  } else {
    state.pod_id = hand_over.pod_id.empty() ? uuid7(clock) : hand_over.pod_id;
    state.config = hand_over.config;
    state.ceilings = hand_over.ceilings;
    state.cwd = hand_over.cwd.empty() ? TRY(io::current_directory()) : hand_over.cwd;
    state.workspace_root = hand_over.workspace_root.empty() ? state.cwd : hand_over.workspace_root;
    state.task = hand_over.task;
    state.profile = hand_over.profile;
    state.session_id = uuid7(clock);
    state.segment_id = uuid7(clock);
  }
  if (hand_over.parent) state.parent = hand_over.parent;
  if (!hand_over.restore || hand_over.parent) state.exit_when_settled = hand_over.exit_when_settled;
  state.ended.clear();
  state.resume = false;
  state.pod_name = name;
  state.config.pod_name = name;
  if (state.config.model.empty()) state.config.model = TRY(llm::default_model(environment, paths.config_dir)).model;
  if (state.session_id.empty()) state.session_id = uuid7(clock);
  if (state.segment_id.empty()) state.segment_id = uuid7(clock);
  return state;
}

Result<session::LoadedSegment> load_session(Paths const& paths, PodState const& state) {
  session::Location location{state.session_id, state.segment_id};
  if (!io::exists(session::segment_path(paths.sessions_dir(), location))) return session::LoadedSegment{};
  return session::load_segment(paths.sessions_dir(), location);
}

tools::TaskStore replay_tasks(std::vector<wire::Item> const& history) {
  std::set<std::string> succeeded;
  for (auto const& item : history) {
    auto const* result = std::get_if<wire::ToolResult>(&item);
    if (result != nullptr && !result->is_error) succeeded.insert(result->call_id);
  }
  tools::TaskStore store;
  for (auto const& item : history) {
    auto const* call = std::get_if<wire::ToolCall>(&item);
    if (call == nullptr || !succeeded.contains(call->call_id)) continue;
    if (call->name == "TaskCreate" || call->name == "TaskUpdate") store.execute(call->name, call->arguments);
  }
  return store;
}

std::vector<manifest::Account> paying_accounts(PodState const& state, manifest::Config const& config, int64_t now_ms) {
  auto accounts = state.ceilings.accounts;
  manifest::Ceilings above;
  above.budget = state.ceilings.budget;
  auto own = manifest::ceilings_below(above, config).budget;
  accounts.push_back({state.pod_id, state.pod_name, static_cast<uint64_t>(now_ms), own.value_or(manifest::Budget{})});
  return accounts;
}

usage::MeteredGate::Settings gate_settings(Paths const& paths, std::vector<manifest::Account> payers, llm::Catalogue const& catalogue, llm::ModelConfig const& model) {
  usage::MeteredGate::Settings settings;
  settings.path = paths.usage_db();
  settings.payers = std::move(payers);
  settings.provider = model.provider_id.empty() ? model.scheme : model.provider_id;
  settings.model = model.model_id;
  settings.gate = model.provider_id.empty() ? model.base_url : model.provider_id;
  for (auto const& entry : catalogue.models) {
    if (entry.provider == model.provider_id && entry.id == model.model_id) settings.price = entry.price;
  }
  settings.costs_nothing = !settings.price && model.auth.kind == manifest::Auth::Kind::None;
  return settings;
}

std::vector<tools::Observed> replay_observed(std::vector<wire::Extension> const& extensions) {
  std::map<std::string, tools::Observed> latest;
  for (auto const& extension : extensions) {
    if (extension.domain != "tools.observed") continue;
    auto object = json::parse_object(extension.payload);
    if (!object) continue;
    json::Reader reader(*object);
    auto const* files = reader.array("files");
    if (files == nullptr) continue;
    for (auto const& file : *files) {
      if (!file.is_object()) continue;
      json::Reader entry(file.as_object());
      std::string path = entry.string("path");
      if (entry.ok()) latest[path] = {path, entry.string_or("sha256", ""), entry.boolean_or("whole", true)};
    }
  }
  std::vector<tools::Observed> result;
  for (auto& [path, file] : latest) result.push_back(std::move(file));
  return result;
}

std::optional<Mail> last_report(PodState const& state, std::string const& instance_id, std::vector<std::string> const& lines) {
  if (!state.parent) return std::nullopt;
  std::optional<wire::LogEntry> end;
  std::string answer;
  bool run_seen = false;
  uint64_t taken = 0;
  auto note_mail = [&](std::optional<wire::MailRef> const& mail) {
    if (mail && mail->sender == state.parent->pod_id) taken = std::max(taken, mail->seq);
  };
  for (auto it = lines.rbegin(); it != lines.rend(); ++it) {
    auto entry = wire::decode_log_entry(*it);
    if (!entry) continue;
    wire::LogRecord const& record = entry->record;
    if (!end) {
      auto const* completed = std::get_if<wire::RunCompleted>(&record);
      auto const* errored = std::get_if<wire::RunErrored>(&record);
      if ((completed != nullptr && completed->report) || (errored != nullptr && errored->report)) end = *std::move(entry);
      continue;
    }
    if (auto const* input = std::get_if<wire::UserInput>(&record)) note_mail(input->mail);
    if (auto const* item = std::get_if<wire::SystemItemRecord>(&record)) note_mail(item->mail);
    if (auto const* start = std::get_if<wire::SegmentStart>(&record)) {
      auto last = start->inbox.find(state.parent->pod_id);
      if (last != start->inbox.end()) note_mail(wire::MailRef{last->first, last->second});
    }
    // The answer is the text of the run's last turn that had any; an earlier run's is none of this end's.
    if (std::holds_alternative<wire::Invoke>(record)) run_seen = true;
    if (std::holds_alternative<wire::TurnEndRecord>(record) && !answer.empty()) run_seen = true;
    auto const* item = run_seen ? nullptr : std::get_if<wire::AssistantItem>(&record);
    auto const* message = item == nullptr ? nullptr : std::get_if<wire::Message>(&item->item);
    if (message != nullptr) answer.insert(0, wire::message_text(*message));
  }
  if (!end) return std::nullopt;
  Mail mail{.to_pod_id = state.parent->pod_id,
            .from_pod_id = state.pod_id,
            .from_instance_id = instance_id,
            .from_pod_name = state.pod_name,
            .seq = 0,
            .taken = taken,
            .event = std::nullopt,
            .text = ""};
  std::optional<std::string> last;
  if (!answer.empty()) last = answer;
  if (auto const* errored = std::get_if<wire::RunErrored>(&end->record)) {
    mail.seq = *errored->report;
    mail.event = wire::Errored{state.pod_name, errored->message, last};
    return mail;
  }
  auto const& completed = std::get<wire::RunCompleted>(end->record);
  mail.seq = *completed.report;
  if (completed.result == "finished") mail.event = wire::TurnEnded{state.pod_name, last, 0};
  else if (completed.result == "limit_reached") mail.event = wire::LimitReachedEvent{state.pod_name, last};
  else mail.event = wire::Interrupted{state.pod_name, last, completed.result == "paused"};
  return mail;
}

std::vector<tools::Definition> select_tools(std::vector<tools::Definition> all, manifest::Manifest const& manifest, manifest::Ceilings const& ceilings) {
  auto contains = [](std::vector<std::string> const& names, std::string const& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  for (auto const* selection : {&manifest.config.tools, &ceilings.tools}) {
    if (!*selection) continue;
    auto const& [allow, deny] = **selection;
    std::erase_if(all, [&](auto const& tool) { return (!allow.empty() && !contains(allow, tool.name)) || contains(deny, tool.name); });
  }
  return all;
}

std::map<std::string, std::string> command_environment(Environment const& environment, std::string const& pod_name) {
  std::map<std::string, std::string> result;
  for (auto* name : {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ", "TMPDIR"}) {
    if (auto value = environment.get(name)) result[name] = *value;
  }
  if (!result.contains("PATH")) result["PATH"] = "/usr/local/bin:/usr/bin:/bin";
  // Nobody is there to page, to colour for, or to answer a question.
  result["TERM"] = "dumb";
  result["NO_COLOR"] = "1";
  result["PAGER"] = "cat";
  result["GIT_PAGER"] = "cat";
  result["GIT_TERMINAL_PROMPT"] = "0";
  result["DEBIAN_FRONTEND"] = "noninteractive";
  result["INSOMNIA_POD"] = pod_name;
  return result;
}

Result<std::vector<tools::Definition>> tools_of_pod(prompt::PromptCatalog const& prompts, profile::ProfileSet const& profiles,
                                                    manifest::Manifest const& manifest, manifest::Ceilings const& ceilings) {
  std::string spawn_description = TRY(prompts.render(
      "spawn_pod_tool_description",
      {{"available_profiles", profiles.description_list()}, {"default_profile", profiles.default_name()}, {"profile_diagnostic", profiles.diagnostic}}));
  auto definitions = tools::builtin_definitions();
  for (auto& definition : pod_tool_definitions(std::move(spawn_description))) definitions.push_back(std::move(definition));
  definitions = select_tools(std::move(definitions), manifest, ceilings);
  std::sort(definitions.begin(), definitions.end(), [](auto const& a, auto const& b) { return a.name < b.name; });
  return definitions;
}

prompt::SystemPromptInput system_prompt_input(manifest::Manifest const& manifest, std::string const& cwd, std::string const& workspace,
                                              std::vector<tools::Definition> const& tools, scope::Scope const& scope, std::string& alert) {
  prompt::SystemPromptInput input;
  input.instruction = manifest.instruction();
  input.instruction_text = manifest.config.worker.instruction_text;
  input.pod_name = manifest.pod_name();
  input.cwd = cwd;
  input.language = manifest.language();
  for (auto const& tool : tools) input.tools.push_back(tool.name);
  input.scope_summary = scope.summary();
  auto agents_md = prompt::read_agents_md(cwd, workspace, [&](std::string const& path) { return scope.is_readable(path); });
  if (agents_md) input.agents_md = *std::move(agents_md);
  else alert = agents_md.error().message;
  return input;
}

}  // namespace insomnia::pod
