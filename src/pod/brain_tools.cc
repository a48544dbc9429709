// The part of the brain that runs tools.
#include <algorithm>
#include <boost/json.hpp>
#include <iterator>

#include "base/io.hh"
#include "base/json.hh"
#include "base/text.hh"
#include "manifest/permission.hh"
#include "pod/brain.hh"
#include "tools/refused_paths.hh"

namespace insomnia::pod {
namespace {

constexpr char const* kInEveryCell[] = {"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt", "/dev", "/proc", "/sys", "/tmp", "/nix"};

std::string list_names(std::vector<tools::Definition> const& tools) {
  std::string result;
  for (auto const& tool : tools) result += (result.empty() ? "" : ", ") + tool.name;
  return result;
}

/// The `file_path` of a call, or "".
std::string file_path_of(wire::ToolCall const& call) {
  auto object = json::parse_object(call.arguments);
  if (!object) return "";
  auto const* path = object->if_contains("file_path");
  return path != nullptr && path->is_string() ? std::string(path->as_string()) : "";
}

/// The log record that keeps what the Pod has seen of files, so that a restart does not forget it.
wire::LogRecord observed_record(std::vector<tools::Observed> const& observed) {
  boost::json::array files;
  for (auto const& file : observed) files.push_back({{"path", text::to_utf8(file.path)}, {"sha256", file.sha256}, {"whole", file.whole}});
  return wire::Extension{"tools.observed", json::dump(boost::json::object{{"files", std::move(files)}})};
}

}  // namespace

// ---- Tools

void Brain::run_tool(uint64_t id, wire::ToolCall const& call) {
  tools::Definition const* definition = nullptr;
  for (auto const& tool : tools_) {
    if (tool.name == call.name) definition = &tool;
  }
  if (definition == nullptr) {
    std::string text = "Tool '" + call.name + "' not found; this Pod has: " + list_names(tools_);
    tool_done(id, call.name, tools::Output{.summary = text, .content = std::nullopt, .is_error = true});
    return;
  }
  // The manifest's policy and those of all ancestors.
  auto policies = core_.state.ceilings.permissions;
  if (core_.manifest.config.permissions) policies.push_back(*core_.manifest.config.permissions);
  auto decision = manifest::decide(policies, call.name, call.arguments, core_.state.cwd);
  if (decision.allowed()) return start_tool(id, call, definition->place);
  auto refuse = [this, id, name = call.name](std::string text) {
    tool_done(id, name, tools::Output{.summary = std::move(text), .content = std::nullopt, .is_error = true});
  };
  if (decision.action == manifest::PermissionAction::Deny) return refuse(std::move(decision.refusal));
  auto questions = decision.questions;
  asks_.ask({id, call.call_id, call.name, call.arguments}, std::move(questions), manifest::ask_limits(policies),
            [this, id, call, place = definition->place, questions = std::move(decision.questions), refuse](PermissionAsks::Outcome outcome) {
              if (outcome.allow) start_tool(id, call, place);
              else refuse(manifest::not_given(call.name, questions, outcome.why));
            });
}

void Brain::start_tool(uint64_t id, wire::ToolCall const& call, tools::Place place) {
  if (place == tools::Place::Brain) {
    run_brain_tool(id, call);
    return;
  }
  if (std::string refusal = scope_refusal(call); !refusal.empty()) {
    refuse_naming_holder(id, call, std::move(refusal));
    return;
  }
  hands_.call(id, call.name, call.arguments, [this, id, name = call.name](tools::ToolFinished finished) {
    if (name == "Bash") explain_refusals(finished.output);
    tool_done(id, name, std::move(finished.output), finished.observed);
  });
}

/// Landlock allows whole directories, so it narrows.
constexpr std::string_view kNarrowed =
    "\n[on this machine commands can't make, rename or remove anything directly in a directory that has a read-only or lent part somewhere below it (a repository's .git/hooks, "
    "say), and a directory made since is theirs only from the next command on. Write makes files and directories there; so does a command in a directory below. It is not a "
    "matter of file modes: don't change them]";

/// A command knows only that a file system is read-only, a file is missing or permission is denied: which rule that is, who holds the path and what can be done
/// is added.
void Brain::explain_refusals(tools::Output& output) const {
  auto isolation = cell::parse_isolation(greeting_.isolation).value_or(cell::Isolation::None);
  if (isolation == cell::Isolation::None || !output.content) return;
  auto refused = tools::refused_paths(*output.content, core_.state.cwd);
  std::string notes;
  auto add = [&](std::string const& path, scope::Permission wanted) {
    // What is missing there is missing on the machine.
    bool of_cell = std::any_of(std::begin(kInEveryCell), std::end(kInEveryCell), [&](auto const* directory) { return scope::is_below(path, directory); });
    if (wanted == scope::Permission::Read && of_cell) return;
    if (std::string why = core_.authority.refusal_by_rules(path, wanted); !why.empty()) notes += "\n[" + why + "]";
  };
  for (auto const& path : refused.read_only) add(path, scope::Permission::Write);
  for (auto const& path : refused.missing) add(path, scope::Permission::Read);
  if (isolation == cell::Isolation::Landlock) {
    bool narrowed = false;
    for (auto const& path : refused.denied) {
      auto size = notes.size();
      add(path, io::exists(path) ? scope::Permission::Read : scope::Permission::Write);
      if (notes.size() == size && io::exists(path)) add(path, scope::Permission::Write);
      narrowed = narrowed || notes.size() == size;
    }
    if (narrowed) notes += kNarrowed;
  }
  if (notes.empty()) return;
  if (output.content->ends_with('\n')) notes.erase(0, 1);
  *output.content += notes;
}

PermissionAsks::Host Brain::permission_host() {
  return {.broadcast = [this](wire::EventBody const& event) { emit(event); },
          .attended = [this] { return server_ != nullptr && server_->attended(); },
          .tell_parent =
              [this](wire::PodEvent event) {
                if (!core_.state.parent || !parent_lives()) return false;
                tell_parent(std::move(event));
                return true;
              },
          .tell_child =
              [this](std::string const& child, wire::PermissionAnswered answered) {
                if (auto const* record = children_.find_by_id(child)) poke_sender_.tell(record->socket_path, std::move(answered));
              }};
}

std::string Brain::scope_refusal(wire::ToolCall const& call) const {
  if (call.name != "Read" && call.name != "Write" && call.name != "Edit") return "";
  std::string text = file_path_of(call);
  if (!text.starts_with('/')) return "";  // the tool says what is wrong with it
  auto wanted = call.name == "Read" ? scope::Permission::Read : scope::Permission::Write;
  return means_the_machine(text) ? core_.authority.refusal_by_rules(text, wanted) : core_.authority.refusal(text, wanted);
}

/// Whether a path in the Pod's own HOME or /tmp names something of the machine all the same: it lies beside what the scope has there (of a project in
/// /tmp, say), or the machine has it and the Pod's own does not. Then the rules decide, or a file would be written where nobody looks for it.
bool Brain::means_the_machine(std::string const& path) const {
  auto resolved = scope::resolve_path(path);
  cell::PrivateDirectory const* nearest = nullptr;
  for (auto const& own : privates_) {
    bool inside = resolved && cell::is_strictly_below(*resolved, own.path);
    if (inside && (nearest == nullptr || own.path.size() > nearest->path.size())) nearest = &own;
  }
  if (nearest == nullptr) return false;
  auto const& rules = core_.authority.own().allow_rules();
  auto leads_to_scope = [&](std::string_view at) { return std::any_of(rules.begin(), rules.end(), [&](auto const& rule) { return scope::is_below(rule.target, at); }); };
  // Where the path leaves the way to the scope.
  size_t end = resolved->find('/', nearest->path.size() + 1);
  while (end != std::string::npos && leads_to_scope(std::string_view(*resolved).substr(0, end))) end = resolved->find('/', end + 1);
  std::string place = resolved->substr(0, end);
  if (io::parent_path(place) != nearest->path) return true;
  return io::exists(place) && !io::exists(nearest->source + place.substr(nearest->path.size()));
}

void Brain::refuse_naming_holder(uint64_t id, wire::ToolCall const& call, std::string refusal) {
  using Holder = std::optional<registry::Allocation>;
  core_.registry_worker.run<Holder>(
      [registry = core_.registry.get(), path = file_path_of(call), self = core_.state.pod_id]() -> Holder {
        auto resolved = scope::resolve_path(path);
        auto rows = registry->list();
        if (!resolved || !rows) return std::nullopt;
        Holder holder;
        size_t depth = 0;
        for (auto const& row : *rows) {
          if (row.pod_id == self || !scope::Scope::from_resolved({row.scope_allow, row.scope_deny}).decide_resolved(*resolved).permission) continue;
          for (auto const& rule : row.scope_allow) {
            bool writes = rule.permission == scope::Permission::Write && scope::matches(rule, *resolved);
            if (!writes || rule.target.size() < depth) continue;
            holder = row;  // the deepest rule is the effective one
            depth = rule.target.size();
          }
        }
        return holder;
      },
      [this, alive = alive_, id, name = call.name, refusal = std::move(refusal)](Holder holder) {
        if (!*alive) return;
        std::string text = refusal;
        if (holder && name != "Read") {
          text += ". Pod `" + holder->pod_name + "` holds it now" + (holder->task.empty() ? "" : " (its task: " + text::one_line(holder->task, 80) + ")");
        }
        tool_done(id, name, tools::failed({Code::PermissionDenied, text}));
      });
}

void Brain::tool_done(uint64_t id, std::string const& tool, tools::Output output, std::vector<tools::Observed> const& observed) {
  output = tools::limit_output(std::move(output), core_.manifest.output_limit(tool));
  agent::ToolDone done{.id = id,
                       .result = {.call_id = "", .summary = std::move(output.summary), .content = std::move(output.content), .is_error = output.is_error},
                       .extra = {}};
  if (!observed.empty()) done.extra.push_back(observed_record(observed));
  if (auto remembered = asks_.take_unlogged()) done.extra.push_back(*std::move(remembered));
  brain_calls_.erase(id);
  feed(std::move(done));
}

void Brain::cancel_tool(uint64_t id) {
  if (asks_.cancel(id)) return;
  auto it = brain_calls_.find(id);
  if (it == brain_calls_.end()) {
    hands_.cancel(id);
  } else if (auto cancel = it->second) {
    cancel();
  }
}

void Brain::run_brain_tool(uint64_t id, wire::ToolCall const& call) {
  auto answer = [this, id, alive = alive_, name = call.name](tools::Output output) {
    if (*alive) tool_done(id, name, std::move(output));
  };
  auto& cancel = brain_calls_[id];
  if (call.name == "SpawnPod") {
    cancel = [this, id] {
      if (auto it = spawns_.find(id); it != spawns_.end()) it->second->cancel();
    };
    spawn_pod(id, call.arguments);
  } else if (call.name == "WaitForPods") {
    cancel = [this, id] { waits_.cancel(id); };
    waits_.start(id, call.arguments, answer);
  } else if (call.name == "SendToPod") child_tools_.send(call.arguments, answer);
  else if (call.name == "ReadPodOutput") child_tools_.read_output(call.arguments, answer);
  else if (call.name == "StopPod") child_tools_.stop(call.arguments, answer);
  else if (call.name == "RestorePod") {
    auto input = decode_named_pod("RestorePod", call.arguments);
    if (input) restore_pod(input->name, answer);
    else answer(tools::failed(input.error()));
  }
  else if (call.name == "ListPods") child_tools_.list(answer);
  else answer(tasks_.execute(call.name, call.arguments));
}

void Brain::spawn_pod(uint64_t id, std::string const& arguments) {
  auto done = [this, id](tools::Output output) {
    // The transaction is under way while it calls this: it goes afterwards.
    core_.loop.post([this, alive = alive_, id] {
      if (!*alive) return;
      spawns_.erase(id);
      settled_may_have_changed();
    });
    tool_done(id, "SpawnPod", std::move(output));
  };
  auto transaction = std::make_unique<SpawnTransaction>(core_, children_, profiles_, spawn_host(), std::move(done));
  SpawnTransaction& running = *transaction;
  spawns_.emplace(id, std::move(transaction));
  running.start(arguments);
}

SpawnTransaction::Host Brain::spawn_host() {
  return {.apply_scope = [this](std::function<void(Result<void>)> applied) { apply_scope(std::move(applied)); },
          .tell_parent = [this](wire::ScopeSubDelegated event) { tell_parent(std::move(event)); }};
}

void Brain::start_restore(RestorableChild child, std::function<void(tools::Output)> done) {
  uint64_t id = next_restore_++;
  auto finished = [this, id, done = std::move(done)](tools::Output output) {
    core_.loop.post([this, alive = alive_, id] {
      if (!*alive) return;
      restores_.erase(id);
      settled_may_have_changed();
    });
    done(std::move(output));
  };
  auto transaction = std::make_unique<SpawnTransaction>(core_, children_, profiles_, spawn_host(), std::move(finished));
  SpawnTransaction& running = *transaction;
  restores_.emplace(id, std::move(transaction));
  running.restore(std::move(child));
}

/// RestorePod: one child that this Pod had and that is not alive.
void Brain::restore_pod(std::string const& name, std::function<void(tools::Output)> done) {
  auto const* record = children_.find(name);
  if (record != nullptr && !record->grandchild && children_.is_living(record->pod_id)) {
    done({.summary = "already_live: pod `" + name + "` is live at " + record->socket_path, .content = std::nullopt, .is_error = false});
    return;
  }
  std::string pod_id = children_.stored_id(name);
  core_.log_worker.run<Result<RestorableChild>>(
      [paths = core_.paths, name, pod_id, self = core_.state.pod_id]() -> Result<RestorableChild> {
        if (!pod_id.empty()) return read_restorable(paths, name, pod_id);
        // Of those that have ended only the last ones are remembered; what is stored of one says whose it is.
        auto state = read_pod_state(paths, name);
        if (!state || !*state || !(*state)->parent || (*state)->parent->pod_id != self) {
          return fail(Code::InvalidArgument, "no spawned pod named `" + name + "`; only Pods that you spawned can be restored");
        }
        return read_restorable(paths, name, (*state)->pod_id);
      },
      [this, alive = alive_, done = std::move(done)](Result<RestorableChild> child) {
        if (!*alive) return;
        if (child) return start_restore(*std::move(child), done);
        Error error = std::move(child).error();
        if (error.code == Code::NotFound || error.code == Code::Unavailable) error.code = Code::InvalidArgument;
        done(tools::failed(error));
      });
}

void Brain::apply_scope(std::function<void(Result<void>)> done) { hands_.set_scope(core_.authority.effective().rules(), std::move(done)); }

}  // namespace insomnia::pod
