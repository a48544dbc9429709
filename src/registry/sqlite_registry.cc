#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <type_traits>
#include <unordered_map>

#include "base/paths.hh"
#include "base/text.hh"
#include "base/unique_fd.hh"
#include "registry/allocation_table.hh"
#include "registry/dead_rows.hh"
#include "registry/grant.hh"
#include "registry/registry_file.hh"
#include "scope/scope.hh"

namespace insomnia::registry {
namespace {

using Row = AllocationTable::Row;
using scope::ScopeRule;

constexpr int kAttempts = 8;
constexpr int64_t kLookForHolderMs = 50;

class SqliteRegistry final : public Registry {
 public:
  SqliteRegistry(std::string path, Liveness liveness, SqliteOptions options)
      : path_(std::move(path)), liveness_(std::move(liveness)), options_(std::move(options)) {}

  Result<void> open() { return ensure_open(); }

  Result<void> register_pod(Allocation const& row) override {
    TRY(check_row(row));
    return grant(Request{row, std::nullopt}, [&](AllocationTable& table) -> Result<void> {
      TRY(grant_registration(table, row, {liveness_, ""}));
      return {};
    });
  }

  Result<void> delegate(Allocation const& row, std::optional<scope::ScopeConfig> const& delegation,
                        Limits const& limits) override {
    TRY(check_row(row));
    return grant(Request{row, limits}, [&](AllocationTable& table) -> Result<void> {
      TRY(grant_delegation(table, row, delegation, limits, {liveness_, ""}));
      return {};
    });
  }

  Result<std::optional<Blocker>> queue(Allocation const& row, std::optional<scope::ScopeConfig> const& delegation,
                                       Limits const& limits, std::string const& bell) override {
    TRY(check_row(row));
    if (bell.empty()) return fail(Code::InvalidArgument, "a request that waits needs a bell");
    std::optional<Blocker> blocker;
    auto outcome = grant(Request{row, limits}, [&](AllocationTable& table) -> Result<void> {
      Waiting waiting{liveness_, bell};
      blocker = row.state == AllocationState::Live ? TRY(grant_registration(table, row, waiting))
                                                   : TRY(grant_delegation(table, row, delegation, limits, waiting));
      return {};
    });
    if (outcome) return blocker;
    (void)leave_queue(row.pod_id);
    return std::unexpected(std::move(outcome).error());
  }

  Result<void> leave_queue(std::string const& pod_id) override {
    return change(std::nullopt, [&](AllocationTable& table) -> Result<void> {
      auto waiting = TRY(table.waiters());
      for (auto const& waiter : waiting) {
        if (waiter.pod.pod_id == pod_id) TRY(table.remove_waiter(waiter));
      }
      return {};
    });
  }

  Result<void> adopt(std::string const& pod_id, std::string const& instance_id, pid_t pid,
                     std::string const& segment_id) override {
    bool again = false;
    return change(std::nullopt, [&](AllocationTable& table) -> Result<void> {
      auto row = TRY(table.by_pod_id(pod_id));
      bool ours = row && row->pod.instance_id == instance_id;
      bool adopted = std::exchange(again, true) && ours && row->pod.state == AllocationState::Live;
      if (!adopted && (!ours || row->pod.state != AllocationState::Reserved || !liveness_(row->pod))) {
        return fail(Code::NotFound, "there is no reservation for Pod " + pod_id + ", instance " +
                                        instance_id + "; it ends with the Pod that made it, spawn again");
      }
      TRY(claim_segment(table, *row, segment_id));
      return table.set_live(row->id, pid, segment_id);
    });
  }

  Result<void> release(std::string const& pod_id, std::string const& instance_id) override {
    if (options_.withdrawn) options_.withdrawn(pod_id, instance_id);
    bool again = false;
    return change(std::nullopt, [&](AllocationTable& table) -> Result<void> {
      // It was there and went; what took the table's place may not have it.
      if (std::exchange(again, true)) return take_back(table, pod_id, instance_id);
      Row row = TRY(own_row(table, pod_id, instance_id));
      return table.remove(row);
    });
  }

  Result<void> update_segment(std::string const& pod_id, std::string const& instance_id,
                              std::string const& segment_id) override {
    return change(std::nullopt, [&](AllocationTable& table) -> Result<void> {
      Row row = TRY(own_row(table, pod_id, instance_id));
      TRY(claim_segment(table, row, segment_id));
      return table.set_segment(row.id, segment_id);
    });
  }

  Result<std::vector<Allocation>> list() override {
    return look([&](AllocationTable& table, std::vector<Row>& dead) { return living(table, dead); });
  }

  Result<std::optional<Allocation>> find(std::string const& pod_name) override {
    return look([&](AllocationTable& table, std::vector<Row>& dead) -> Result<std::optional<Allocation>> {
      auto row = TRY(table.by_name(pod_name));
      if (!row || !is_alive(*row, dead)) return std::optional<Allocation>();
      TRY(table.load_rules(*row));
      row->pod.delegated_from = TRY(living_ancestor(table, row->pod.delegated_from, dead));
      return std::optional<Allocation>(std::move(row->pod));
    });
  }

  Result<std::vector<Allocation>> children(std::string const& pod_id) override {
    return look([&](AllocationTable& table, std::vector<Row>& dead) -> Result<std::vector<Allocation>> {
      std::vector<Allocation> result;
      auto rows = TRY(living_children(table, pod_id, dead));
      for (auto& row : rows) result.push_back(std::move(row.pod));
      return result;
    });
  }

  Result<std::vector<ScopeRule>> lent(std::string const& pod_id) override {
    return look([&](AllocationTable& table, std::vector<Row>& dead) -> Result<std::vector<ScopeRule>> {
      std::vector<ScopeRule> result;
      std::vector<std::string> parents{pod_id};
      for (size_t at = 0; at < parents.size(); ++at) {
        std::string parent = parents[at];
        auto rows = TRY(living_children(table, parent, dead));
        for (auto const& row : rows) {
          add_lent(result, row.pod, parent == pod_id);
          parents.push_back(row.pod.pod_id);
        }
      }
      return result;
    });
  }

 private:
  /// What a grant is asked for.
  struct Request {
    Allocation const& row;
    std::optional<Limits> limits;  ///< of a delegation
  };

  static Result<void> check_row(Allocation const& row) {
    TRY(check_pod_name(row.pod_name));
    if (row.pod_id.empty() || row.instance_id.empty()) {
      return fail(Code::InvalidArgument,
                  "Pod '" + row.pod_name + "' needs a pod_id and an instance_id to be registered");
    }
    if (row.delegated_from == row.pod_id)
      return fail(Code::InvalidArgument, "Pod '" + row.pod_name + "' cannot be its own parent");
    return check_rules(row);
  }

  /// Opens when nothing is open, or when the file was replaced or removed behind our back.
  Result<void> ensure_open() {
    if (database_ && !database_->has_moved()) return {};
    database_.reset();
    auto opened = open_registry_file(path_, options_);
    if (!opened) return std::unexpected(std::move(opened).error());
    database_ = *std::move(opened);
    return {};
  }

  /// Runs one operation; again when the file was replaced meanwhile, and once more after setting a damaged
  /// one aside.
  template <class Operation>
  auto run(Operation operation) -> std::invoke_result_t<Operation, AllocationTable&> {
    bool repaired = false;
    for (int attempt = 1;; ++attempt) {
      TRY(ensure_open());
      database_->start_waiting(options_.busy_limit_ms);
      AllocationTable table(*database_);
      auto result = operation(table);
      if (result) return result;
      if (result.error().code == Code::Timeout)
        return std::unexpected(name_holder(table, std::move(result).error()));
      if (attempt == kAttempts || options_.read_only) return result;
      if (result.error().code == Code::Corrupt && !repaired) {
        TRY(set_aside(*database_, result.error().message, options_));
        repaired = true;
        database_.reset();
      } else if (!database_->has_moved()) {
        return result;
      }
    }
  }

  Error name_holder(AllocationTable& table, Error error) {
    auto pid = write_lock_holder(path_);
    if (!pid) return error;
    error.message += " (held by process " + std::to_string(*pid);
    database_->start_waiting(kLookForHolderMs);
    if (auto row = table.by_pid(*pid); row && *row) error.message += ", Pod '" + (*row)->pod.pod_name + "'";
    error.message += ")";
    return error;
  }

  /// A change that adds a row. When the file that it was made in was lost at that moment, it is decided anew
  /// in the next one, and what that has of it already does not count.
  template <class Change>
  Result<void> grant(Request const& request, Change decide) {
    int attempts = 0;
    auto outcome = change(request, [&](AllocationTable& table) -> Result<void> {
      if (++attempts > 1) TRY(take_back(table, request.row));
      return decide(table);
    });
    if (!outcome && attempts > 1) {
      (void)change(std::nullopt, [&](AllocationTable& table) { return take_back(table, request.row); });
    }
    return outcome;
  }

  /// One write transaction. The dead that could decide about `request` are looked for before it, so that the lock
  /// is held shortly: they stay dead. `decide` is called again when the file proves to have been replaced.
  template <class Change>
  Result<void> change(std::optional<Request> const& request, Change decide) {
    if (options_.read_only)
      return fail(Code::PermissionDenied, "pod registry " + path_ + " is open for reading only");
    return run([&](AllocationTable& table) -> Result<void> {
      std::vector<Row> dead;
      if (request) {
        // One snapshot: otherwise each of its many queries would lock the file for itself.
        Transaction snapshot(*database_);
        TRY(snapshot.begin(Transaction::Kind::Read));
        dead = TRY(find_dead_rows(table, liveness_, request->row, request->limits));
        TRY(snapshot.commit());
      }
      Result<void> outcome;
      {
        Transaction transaction(*database_);
        TRY(transaction.begin(Transaction::Kind::Write));
        if (database_->has_moved()) return fail(Code::Unavailable, "pod registry " + path_ + " was replaced");
        TRY(remove(table, dead));
        outcome = decide(table);
        if (outcome) {
          auto changed = TRY(table.take_changed());
          TRY(transaction.commit());
          ring(table.take_bells());
          return confirm(table, changed);
        }
        (void)table.take_bells();  // nothing of it happened
      }
      if (!dead.empty()) (void)reclaim(table, dead);
      return outcome;
    });
  }

  /// A grant counts when whoever makes the table anew learns of it, and the table is still the one that counts.
  /// In this order: a table that takes its place afterwards has been filled with it.
  Result<void> confirm(AllocationTable& table, std::vector<AllocationTable::Changed> const& changed) {
    Result<void> noted;
    for (auto const& row : changed) {
      if (noted && options_.granted) noted = options_.granted(row.holding);
    }
    bool moved = database_->has_moved();
    if (noted && !moved) return {};
    for (auto const& row : changed) {
      if (!row.granted) continue;
      Allocation const& pod = row.holding.row;
      if (options_.withdrawn) options_.withdrawn(pod.pod_id, pod.instance_id);
      if (!moved) TRY(give_up(table, pod));
    }
    if (moved) return fail(Code::Unavailable, "pod registry " + path_ + " was replaced");
    return noted;
  }

  Result<void> give_up(AllocationTable& table, Allocation const& pod) {
    Transaction transaction(*database_);
    TRY(transaction.begin(Transaction::Kind::Write));
    TRY(take_back(table, pod));
    TRY(transaction.commit());
    ring(table.take_bells());
    return {};
  }

  /// Removes the row of exactly this instance, if it is there.
  static Result<void> take_back(AllocationTable& table, std::string const& pod_id,
                                std::string const& instance_id) {
    auto row = TRY(table.by_pod_id(pod_id));
    if (!row || row->pod.instance_id != instance_id) return {};
    return table.remove(*row);
  }
  static Result<void> take_back(AllocationTable& table, Allocation const& pod) {
    return take_back(table, pod.pod_id, pod.instance_id);
  }

  /// One read transaction; what it finds dead is reclaimed afterwards if that costs no waiting.
  template <class Look>
  auto look(Look collect) -> std::invoke_result_t<Look, AllocationTable&, std::vector<Row>&> {
    return run(
        [&](AllocationTable& table) -> std::invoke_result_t<Look, AllocationTable&, std::vector<Row>&> {
          std::vector<Row> dead;
          Transaction transaction(*database_);
          TRY(transaction.begin(Transaction::Kind::Read));
          auto result = collect(table, dead);
          if (!result) return result;
          TRY(transaction.commit());
          if (!dead.empty() && !options_.read_only) {
            database_->start_waiting(0);
            (void)reclaim(table, dead);
          }
          return result;
        });
  }

  Result<void> reclaim(AllocationTable& table, std::vector<Row> const& dead) {
    Transaction transaction(*database_);
    TRY(transaction.begin(Transaction::Kind::Write));
    TRY(remove(table, dead));
    TRY(transaction.commit());
    ring(table.take_bells());
    return {};
  }

  /// Whoever does not hear it looks again when its blocker ends.
  static void ring(std::vector<std::string> const& bells) {
    for (auto const& bell : bells) {
      // As a reader too: one that dies meanwhile must not make the write end this process (SIGPIPE).
      UniqueFd fd(::open(bell.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
      struct stat info{};
      if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISFIFO(info.st_mode)) continue;
      [[maybe_unused]] ssize_t written = ::write(fd.get(), "!", 1);
    }
  }

  /// Removes those of the rows that are still what they were when they were found dead.
  static Result<void> remove(AllocationTable& table, std::vector<Row> const& dead) {
    for (auto const& row : dead) {
      auto now = TRY(table.by_id(row.id));
      bool same = now && now->pod.instance_id == row.pod.instance_id && now->pod.state == row.pod.state &&
                  now->pod.spawner_instance == row.pod.spawner_instance;
      if (same) TRY(table.remove(*now));
    }
    return {};
  }

  static Result<Row> own_row(AllocationTable& table, std::string const& pod_id,
                             std::string const& instance_id) {
    auto row = TRY(table.by_pod_id(pod_id));
    if (!row) return fail(Code::NotFound, "Pod " + pod_id + " is not registered");
    if (row->pod.instance_id != instance_id) {
      return fail(Code::NotFound, "Pod '" + row->pod.pod_name + "' is held by instance " +
                                      row->pod.instance_id + ", not by " + instance_id);
    }
    return *std::move(row);
  }

  Result<void> claim_segment(AllocationTable& table, Row const& row, std::string const& segment_id) {
    auto holder = TRY(table.by_segment(segment_id));
    if (!holder || holder->id == row.id) return {};
    if (!liveness_(holder->pod)) return table.remove(*holder);
    return std::unexpected(segment_conflict(holder->pod));
  }

  bool is_alive(Row const& row, std::vector<Row>& dead) const {
    if (liveness_(row.pod)) return true;
    dead.push_back(row);
    return false;
  }

  Result<std::vector<Allocation>> living(AllocationTable& table, std::vector<Row>& dead) {
    auto rows = TRY(table.all());
    TRY(table.load_rules(rows));
    std::unordered_map<std::string, std::string> parent_of_dead;
    std::vector<Allocation> result;
    for (auto& row : rows) {
      if (is_alive(row, dead))
        result.push_back(std::move(row.pod));
      else
        parent_of_dead.emplace(row.pod.pod_id, row.pod.delegated_from);
    }
    for (auto& pod : result) {
      for (auto found = parent_of_dead.find(pod.delegated_from); found != parent_of_dead.end();
           found = parent_of_dead.find(pod.delegated_from)) {
        pod.delegated_from = found->second;
      }
    }
    return result;
  }

  Result<std::string> living_ancestor(AllocationTable& table, std::string pod_id, std::vector<Row>& dead) {
    while (!pod_id.empty()) {
      auto row = TRY(table.by_pod_id(pod_id));
      if (!row) return std::string();
      if (is_alive(*row, dead)) break;
      pod_id = row->pod.delegated_from;
    }
    return pod_id;
  }

  /// By name, with rules. Children of dead children count as children.
  Result<std::vector<Row>> living_children(AllocationTable& table, std::string const& pod_id,
                                           std::vector<Row>& dead) {
    std::vector<Row> result;
    std::vector<std::string> parents{pod_id};
    for (size_t at = 0; at < parents.size(); ++at) {
      std::string parent = parents[at];
      auto rows = TRY(table.below(parent));
      for (auto& row : rows) {
        if (!is_alive(row, dead)) {
          parents.push_back(row.pod.pod_id);
          continue;
        }
        TRY(table.load_rules(row));
        row.pod.delegated_from = pod_id;
        result.push_back(std::move(row));
      }
    }
    std::sort(result.begin(), result.end(),
              [](Row const& a, Row const& b) { return a.pod.pod_name < b.pod.pod_name; });
    return result;
  }

  static void add_lent(std::vector<ScopeRule>& lent, Allocation const& child, bool direct) {
    for (auto const& rule : child.scope_allow) {
      if (rule.permission != scope::Permission::Write) continue;
      bool known = !direct && std::any_of(lent.begin(), lent.end(),
                                          [&](ScopeRule const& other) { return covers_fully(other, rule); });
      if (!known) lent.push_back(rule);
    }
  }

  std::string path_;
  Liveness liveness_;
  SqliteOptions options_;
  std::unique_ptr<Database> database_;
};

}  // namespace

Result<std::unique_ptr<Registry>> open_sqlite_registry(std::string const& path, Liveness liveness,
                                                       SqliteOptions options) {
  auto registry = std::make_unique<SqliteRegistry>(path, std::move(liveness), std::move(options));
  TRY(registry->open());
  return std::unique_ptr<Registry>(std::move(registry));
}

}  // namespace insomnia::registry
