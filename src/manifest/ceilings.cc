#include <algorithm>

#include "manifest/manifest.hh"
#include "scope/scope.hh"

namespace insomnia::manifest {
namespace {

/// The smaller of two limits; absent is no limit.
template <class T>
std::optional<T> stricter(std::optional<T> const& a, std::optional<T> const& b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

ToolSelection stricter_tools(ToolSelection const& a, ToolSelection const& b) {
  ToolSelection result{a.allow.empty() ? b.allow : a.allow, a.deny};
  result.deny.insert(result.deny.end(), b.deny.begin(), b.deny.end());
  if (a.allow.empty() || b.allow.empty()) return result;
  std::erase_if(result.allow, [&](std::string const& name) { return std::find(b.allow.begin(), b.allow.end(), name) == b.allow.end(); });
  // An empty list would allow everything.
  if (result.allow.empty()) result.allow.emplace_back(kNoTool);
  return result;
}

Sandbox stricter_sandbox(Sandbox const& a, Sandbox const& b) {
  Sandbox result = a;
  if (b.network == "none" || !result.network) result.network = b.network;
  if (b.required == true || !result.required) result.required = b.required;
  if (!result.on_lend) result.on_lend = b.on_lend;
  for (auto limit : {&Sandbox::max_processes, &Sandbox::max_open_files, &Sandbox::max_cpu_secs, &Sandbox::max_file_bytes, &Sandbox::max_memory_bytes}) {
    result.*limit = stricter(a.*limit, b.*limit);
  }
  return result;
}

}  // namespace

Sandbox effective_sandbox(Config const& config, Ceilings const& ceilings) {
  Sandbox own = config.sandbox.value_or(Sandbox{});
  if (ceilings.depth > 0) {
    // Below a Pod nobody sees more than that Pod was given.
    auto allowed = ceilings.sandbox ? ceilings.sandbox->read : std::vector<std::string>{};
    std::erase_if(own.read, [&](std::string const& path) {
      return std::none_of(allowed.begin(), allowed.end(), [&](std::string const& above) { return scope::is_below(path, above); });
    });
  }
  return ceilings.sandbox ? stricter_sandbox(own, *ceilings.sandbox) : own;
}

Ceilings ceilings_below(Ceilings const& own, Config const& config) {
  Ceilings result = own;
  result.depth = own.depth + 1;
  if (config.permissions) result.permissions.push_back(*config.permissions);
  if (config.tools) result.tools = result.tools ? stricter_tools(*result.tools, *config.tools) : *config.tools;
  if (config.sandbox) result.sandbox = result.sandbox ? stricter_sandbox(*result.sandbox, *config.sandbox) : *config.sandbox;
  if (config.limits) {
    Limits limits = result.limits.value_or(Limits{});
    limits.max_depth = stricter(limits.max_depth, config.limits->max_depth);
    limits.max_children = stricter(limits.max_children, config.limits->max_children);
    limits.max_live_pods = stricter(limits.max_live_pods, config.limits->max_live_pods);
    result.limits = limits;
  }
  if (config.budget) {
    Budget budget = result.budget.value_or(Budget{});
    budget.max_tokens = stricter(budget.max_tokens, config.budget->max_tokens);
    budget.max_cost = stricter(budget.max_cost, config.budget->max_cost);
    budget.max_wall_secs = stricter(budget.max_wall_secs, config.budget->max_wall_secs);
    result.budget = budget;
  }
  return result;
}

}  // namespace insomnia::manifest
