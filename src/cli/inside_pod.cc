#include "cli/inside_pod.hh"

#include <map>
#include <string>

namespace insomnia::cli {

std::optional<Error> refusal_inside_pod(std::string_view subcommand, Environment const& environment) {
  static std::map<std::string_view, std::string_view> const tools{
      {"run", "SpawnPod starts a Pod with a part of its scope"}, {"pod", "SpawnPod starts a Pod with a part of its scope"},
      {"demo", "run it outside"},                                {"restore", "RestorePod brings a child back"},
      {"attach", "ReadPodOutput shows what a child said"},       {"send", "SendToPod sends a message to a child"},
      {"stop", "StopPod ends a child"},
      {"trust", "the person who started it decides that"},
      {"secret", "keys are the business of the person who started it"},
      {"exec", "SendToPod asks a child to run a command"},
  };
  auto pod = environment.get("INSOMNIA_POD");
  auto found = tools.find(subcommand);
  if (!pod || pod->empty() || found == tools.end()) return std::nullopt;
  return Error{Code::PermissionDenied, "`insomnia " + std::string(subcommand) + "` can't be used by commands of a Pod, and this is one of Pod `" + *pod +
                                           "` (INSOMNIA_POD): it would act outside of that Pod's scope. The Pod has tools for this: " +
                                           std::string(found->second)};
}

}  // namespace insomnia::cli
