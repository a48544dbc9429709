#include "pod/report_receiver.hh"

#include <algorithm>

#include "pod/store.hh"
#include "registry/liveness.hh"

namespace insomnia::pod {
namespace {

/// Links of stored Pods can run in circles when names and files were moved by hand.
constexpr int kMaxLinks = 64;

}  // namespace

bool will_read_mail(Paths const& paths, ParentLink const& pod) {
  auto holder = registry::lock_holder(paths.pod_lock(pod.pod_name));
  if (holder && *holder && (*holder)->instance_id == pod.instance_id) return true;
  auto state = read_pod_state(paths, pod.pod_name);
  if (!state) return true;  // damaged: people may repair it, and find the mail there
  if (!*state || (*state)->pod_id != pod.pod_id) return false;
  return (*state)->ended != "done" || (holder && *holder);
}

std::optional<ParentLink> report_receiver(Paths const& paths, registry::Registry& registry, std::string const& own_pod_id, ParentLink const& parent) {
  auto rows = registry.list().value_or(std::vector<registry::Allocation>{});  // without them the stored links have to do
  auto by_id = [&](std::string const& pod_id) {
    return std::find_if(rows.begin(), rows.end(), [&](auto const& row) { return row.pod_id == pod_id && !pod_id.empty(); });
  };
  if (auto own = by_id(own_pod_id); own != rows.end()) {
    if (auto above = by_id(own->delegated_from); above != rows.end() && above->pod_id != parent.pod_id) {
      return ParentLink{above->pod_id, above->instance_id, above->pod_name, above->socket};
    }
  }
  ParentLink link = parent;
  for (int i = 0; i < kMaxLinks; ++i) {
    auto state = read_pod_state(paths, link.pod_name);
    if (!state || !*state || (*state)->pod_id != link.pod_id || !(*state)->parent) return std::nullopt;
    link = *(*state)->parent;
    if (will_read_mail(paths, link)) return link;
  }
  return std::nullopt;
}

}  // namespace insomnia::pod
