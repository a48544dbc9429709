#include "pod/grandchildren.hh"

#include <algorithm>
#include <set>

#include "base/log.hh"

namespace insomnia::pod {
namespace {

/// So many may be known before the registry is asked whether they all live.
constexpr size_t kFewGrandchildren = 64;

using Rows = std::vector<registry::Allocation>;

registry::Allocation const* find_row(Rows const& rows, std::string_view pod_name) {
  auto it = std::find_if(rows.begin(), rows.end(), [&](auto const& row) { return row.pod_name == pod_name; });
  return it == rows.end() ? nullptr : &*it;
}

/// The row of the Pod directly below `ancestor` that `row` hangs on; null when it does not hang there.
registry::Allocation const* branch_of(Rows const& rows, registry::Allocation const* row, std::string const& ancestor) {
  for (size_t steps = 0; row != nullptr && steps < rows.size(); ++steps) {
    if (row->delegated_from == ancestor) return row;
    auto above = std::find_if(rows.begin(), rows.end(), [&](auto const& other) { return other.pod_id == row->delegated_from; });
    row = above == rows.end() ? nullptr : &*above;
  }
  return nullptr;
}

}  // namespace

Grandchildren::Grandchildren(PodCore& core, std::function<void(wire::PodEvent)> tell_parent)
    : core_(core), tell_parent_(std::move(tell_parent)), look_above_(kFewGrandchildren) {}

Grandchildren::~Grandchildren() { *alive_ = false; }

void Grandchildren::lent(ChildRecord const& child, wire::ScopeSubDelegated const& event) {
  auto& records = core_.state.spawned_children;
  if (std::any_of(records.begin(), records.end(), [&](auto const& record) { return record.pod_name == event.sub_pod; })) return;
  ChildRecord record;
  record.pod_name = event.sub_pod;
  record.socket_path = event.sub_socket;
  record.scope_delegated = event.scope;
  record.callback_address = child.socket_path;
  record.state = "live";
  record.grandchild = true;
  records.push_back(std::move(record));
  core_.persist();
  tell_parent_(event);
  auto known = static_cast<size_t>(std::count_if(records.begin(), records.end(), [](auto const& other) { return other.grandchild; }));
  if (known > look_above_) look();
}

void Grandchildren::returned(ChildRecord const& child, wire::ScopeReturned const& event) {
  auto const& records = core_.state.spawned_children;
  bool known = std::any_of(records.begin(), records.end(), [&](auto const& record) {
    return record.grandchild && record.pod_name == event.sub_pod && record.callback_address == child.socket_path;
  });
  if (!known || !forget(event.sub_pod)) return;
  core_.persist();
  tell_parent_(event);
}

bool Grandchildren::forget(std::string const& pod_name) {
  return std::erase_if(core_.state.spawned_children, [&](auto const& record) { return record.grandchild && record.pod_name == pod_name; }) > 0;
}

bool Grandchildren::any_below(ChildRecord const& child) const {
  auto const& records = core_.state.spawned_children;
  return std::any_of(records.begin(), records.end(),
                     [&](auto const& record) { return record.grandchild && record.callback_address == child.socket_path; });
}

void Grandchildren::child_ended(ChildRecord const& child, Rows const& rows) {
  std::vector<wire::ScopeReturned> ended;
  for (auto& record : core_.state.spawned_children) {
    if (!record.grandchild || record.callback_address != child.socket_path) continue;
    auto const* branch = branch_of(rows, find_row(rows, record.pod_name), core_.state.pod_id);
    if (branch != nullptr) record.callback_address = branch->socket;
    else ended.push_back({"", record.pod_name, record.scope_delegated, std::nullopt});
  }
  for (auto const& event : ended) {
    forget(event.sub_pod);
    tell_parent_(event);
  }
}

void Grandchildren::look() {
  // Only those known by now: who is told of while the registry answers lives.
  std::set<std::string> asked;
  for (auto const& record : core_.state.spawned_children) {
    if (record.grandchild) asked.insert(record.pod_name);
  }
  if (asked.empty()) return;
  look_above_ = SIZE_MAX;
  core_.registry_worker.run<Result<Rows>>(
      [registry = core_.registry.get()] { return registry->list(); },
      [this, alive = alive_, asked = std::move(asked)](Result<Rows> const& rows) {
        if (!*alive) return;
        if (!rows) log::warn("Pods below the children can't be looked up: " + rows.error().message);
        std::vector<wire::ScopeReturned> ended;
        size_t known = 0;
        for (auto const& record : core_.state.spawned_children) {
          if (!record.grandchild) continue;
          ++known;
          if (!rows || !asked.contains(record.pod_name) || find_row(*rows, record.pod_name) != nullptr) continue;
          ended.push_back({"", record.pod_name, record.scope_delegated, std::nullopt});
        }
        look_above_ = std::max(kFewGrandchildren, 2 * (known - ended.size()));
        for (auto const& event : ended) {
          forget(event.sub_pod);
          tell_parent_(event);
        }
        if (!ended.empty()) core_.persist();
      });
}

}  // namespace insomnia::pod
