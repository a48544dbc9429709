#include "cell/plan_request.hh"

#include <utility>

#include "cell/host.hh"

namespace insomnia::cell {

PlanRequest plan_request(CellStart const& start, FileFacts const& facts) {
  Environment environment;
  for (auto const& [name, value] : start.environment) environment.set(name, value);
  PlanRequest request{.scope = scope::Scope::from_resolved(start.scope),
                      .own_files = start.own_files,
                      .system = system_paths(facts),
                      .also_readable = user_programs(environment, facts),
                      .masked = start.masked,
                      .privates = start.isolation == Isolation::Cell ? start.privates : std::vector<PrivateDirectory>{}};
  request.also_readable.insert(request.also_readable.end(), start.readable.begin(), start.readable.end());
  for (auto& path : secret_paths(environment, facts)) request.masked.push_back(std::move(path));
  for (auto& path : kernel_mounts()) request.masked.push_back(std::move(path));
  return request;
}

}  // namespace insomnia::cell
