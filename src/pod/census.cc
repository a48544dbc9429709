#include "pod/census.hh"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <ctime>
#include <map>
#include <set>

#include "base/clock.hh"
#include "base/io.hh"
#include "base/text.hh"

namespace insomnia::pod {
namespace {

using registry::Allocation;
using registry::AllocationState;
using registry::Holding;
using registry::LockHolder;

constexpr long kPauseNs = 5'000'000;

std::string data_lock(Paths const& paths, std::string_view name) { return paths.pod_dir(name) + "/lock"; }

/// Folders of Pods below `root`: <root>/<name>/lock is a lock.
Result<std::vector<std::string>> pod_folders(std::string const& root) {
  if (root.empty()) return std::vector<std::string>();
  auto names = TRY(io::list_directory(root));
  std::erase_if(names, [](std::string const& name) { return !check_pod_name(name); });
  return names;
}

/// What a Pod that lives holds: nothing as long as it has not been granted anything.
using Held = std::optional<std::vector<Holding>>;

Result<Held> held_in(std::string const& folder) {
  auto holder = TRY(registry::lock_holder(folder + "/lock"));
  if (!holder) return Held();
  if (holder->instance_id.empty()) return fail(Code::Unavailable, folder + "/lock is held, and the file does not say by whom");
  return Held(TRY(registry::read_holdings(folder + "/holds.json", holder->instance_id)));
}

Result<Held> held_in_patiently(std::string const& folder, Clock const& clock, int64_t deadline_ms) {
  for (;;) {
    auto held = held_in(folder);
    if (held) return held;
    if (clock.steady_ms() >= deadline_ms) {
      return fail(Code::Unavailable, "it is not known what the living Pod `" + std::string(io::base_name(folder)) +
                                         "` holds, so nothing can be granted: " + held.error().message + "; stop that Pod");
    }
    timespec pause{.tv_sec = 0, .tv_nsec = kPauseNs};
    ::nanosleep(&pause, nullptr);
  }
}

/// What is reserved for an instance that lives already is in its own row; what was for one that has ended is free.
Result<bool> is_over(Paths const& paths, Allocation const& reservation) {
  for (auto const& lock : {paths.pod_lock(reservation.pod_name), data_lock(paths, reservation.pod_name)}) {
    if (TRY(registry::has_left(lock, reservation.instance_id))) {
      return !TRY(pod_holder(paths, reservation.pod_name, reservation.instance_id));
    }
  }
  return false;
}

std::vector<Holding> parents_first(std::vector<Holding> holdings) {
  std::map<std::string, Holding> left;
  for (auto& holding : holdings) left.emplace(holding.row.pod_id, std::move(holding));
  std::vector<Holding> result;
  while (!left.empty()) {
    size_t before = result.size();
    for (auto it = left.begin(); it != left.end();) {
      auto const& ancestors = it->second.ancestors;
      bool waits = std::any_of(ancestors.begin(), ancestors.end(), [&](std::string const& id) { return left.contains(id); });
      if (waits) {
        ++it;
        continue;
      }
      result.push_back(std::move(it->second));
      it = left.erase(it);
    }
    if (result.size() > before) continue;
    // A circle: files can say anything.
    result.push_back(std::move(left.begin()->second));
    left.erase(left.begin());
  }
  return result;
}

/// Whether the signal would not end the process: it is blocked in its first thread, or caught.
bool takes_signal(pid_t pid, int signal) {
  auto status = io::read_file("/proc/" + std::to_string(pid) + "/status", 65536);
  if (!status) return false;
  uint64_t taken = 0;
  for (auto line : text::split(*status, '\n')) {
    if (!line.starts_with("SigBlk:") && !line.starts_with("SigCgt:")) continue;
    auto digits = text::trim(line.substr(7));
    uint64_t mask = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), mask, 16);
    taken |= mask;
  }
  return (taken >> (signal - 1) & 1) != 0;
}

bool wake(Paths const& paths, Allocation const& row) {
  if (row.state != AllocationState::Live) return false;
  auto holder = pod_holder(paths, row.pod_name, row.instance_id);
  if (!holder || !*holder || (*holder)->pid <= 1) return false;
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, (*holder)->pid, 0)));
  auto started = registry::process_start_time((*holder)->pid);
  if (!process || !started || *started != (*holder)->start_time || !takes_signal((*holder)->pid, SIGUSR1)) return false;
  // It may have ended, and its pid been given away, before there was the descriptor: it still holds its lock, or it was not this one.
  auto again = pod_holder(paths, row.pod_name, row.instance_id);
  if (!again || *again != *holder) return false;
  return ::syscall(SYS_pidfd_send_signal, process.get(), SIGUSR1, nullptr, 0) == 0;
}

}  // namespace

std::vector<std::string> holdings_files(Paths const& paths, std::string_view name) {
  return {paths.pod_dir(name) + "/holds.json", paths.pod_runtime_dir(name) + "/holds.json"};
}

Result<std::vector<Holding>> living_pods(Paths const& paths, int64_t patience_ms) {
  SystemClock clock;
  int64_t deadline_ms = clock.steady_ms() + patience_ms;
  std::vector<Holding> living;
  std::vector<Holding> reserved;
  std::set<std::string> known;
  auto take = [&](Holding holding) {
    if (holding.row.state == AllocationState::Reserved) reserved.push_back(std::move(holding));
    else if (known.insert(holding.row.pod_id).second) living.push_back(std::move(holding));
  };
  // Pods of another data directory are found by the runtime directory that they share with ours.
  std::set<std::string> found;
  for (auto const& root : {paths.data_dir.empty() ? std::string() : paths.pods_dir(), paths.runtime_dir}) {
    auto names = TRY(pod_folders(root));
    for (auto const& name : names) {
      if (found.contains(name)) continue;
      auto held = TRY(held_in_patiently(root + "/" + name, clock, deadline_ms));
      if (!held) continue;
      found.insert(name);
      for (auto& holding : *held) take(std::move(holding));
    }
  }
  for (auto& holding : reserved) {
    if (known.contains(holding.row.pod_id) || TRY(is_over(paths, holding.row))) continue;
    known.insert(holding.row.pod_id);
    living.push_back(std::move(holding));
  }
  return parents_first(std::move(living));
}

Result<std::string> any_living_pod(Paths const& paths) {
  auto names = TRY(pod_folders(paths.pods_dir()));
  for (auto const& name : names) {
    auto holder = registry::lock_holder(data_lock(paths, name));
    if (!holder || *holder) return name;
  }
  return std::string();
}

Result<std::optional<LockHolder>> pod_holder(Paths const& paths, std::string_view name, std::string_view instance_id) {
  for (auto const& lock : {paths.pod_lock(name), data_lock(paths, name)}) {
    auto holder = TRY(registry::lock_holder(lock));
    if (holder && (instance_id.empty() || holder->instance_id == instance_id)) return holder;
  }
  return std::optional<LockHolder>();
}

size_t wake_pods(Paths const& paths, std::vector<Allocation> const& rows) {
  return static_cast<size_t>(std::count_if(rows.begin(), rows.end(), [&](Allocation const& row) { return wake(paths, row); }));
}

Result<std::unique_ptr<registry::Registry>> open_registry(Paths const& paths, registry::Holdings* own, std::function<void()> after_change) {
  registry::SqliteOptions options;
  options.census = [paths]() -> Result<std::vector<Holding>> {
    auto living = TRY(living_pods(paths));
    std::vector<Allocation> rows;
    for (auto const& holding : living) rows.push_back(holding.row);
    wake_pods(paths, rows);
    return living;
  };
  if (own != nullptr) {
    options.granted = [own, after_change](Holding const& holding) -> Result<void> {
      TRY(own->add(holding));
      if (after_change) after_change();
      return {};
    };
    options.withdrawn = [own](std::string const& pod_id, std::string const& instance_id) { own->remove(pod_id, instance_id); };
  }
  return registry::open_sqlite_registry(paths.registry_db(), registry::lock_liveness(paths.runtime_dir, paths.data_dir), std::move(options));
}

}  // namespace insomnia::pod
