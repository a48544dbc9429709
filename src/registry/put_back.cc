#include "registry/put_back.hh"

#include <algorithm>
#include <unordered_map>

namespace insomnia::registry {
namespace {

using Parents = std::unordered_map<std::string, std::string>;

bool is_below(Parents const& parents, std::string const& pod_id, std::string const& above) {
  for (auto at = parents.find(pod_id); at != parents.end(); at = parents.find(at->second)) {
    if (at->first == above) return true;
  }
  return false;
}

}  // namespace

Result<void> put_back(AllocationTable& table, std::vector<Holding> const& living) {
  Parents parents;
  for (auto const& holding : living) parents[holding.row.pod_id] = "";
  for (auto const& holding : living) {
    auto parent =
        std::find_if(holding.ancestors.begin(), holding.ancestors.end(), [&](std::string const& id) {
          return parents.contains(id) && !is_below(parents, id, holding.row.pod_id);
        });
    if (parent != holding.ancestors.end()) parents[holding.row.pod_id] = *parent;
  }
  for (auto const& holding : living) {
    Allocation const& pod = holding.row;
    auto other = TRY(table.by_name(pod.pod_name));
    if (!other) other = TRY(table.by_pod_id(pod.pod_id));
    if (other) {
      return fail(Code::Unavailable, "the pod registry cannot be made anew: Pods " + other->pod.pod_id +
                                         " and " + pod.pod_id + " both live as '" + pod.pod_name +
                                         "'; stop one of them");
    }
    Holding free = holding;
    if (TRY(table.by_segment(pod.segment_id))) free.row.segment_id.clear();
    TRY(table.put_back(free, parents.at(pod.pod_id)));
  }
  return {};
}

}  // namespace insomnia::registry
