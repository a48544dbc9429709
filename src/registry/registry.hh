#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "scope/rule.hh"

namespace insomnia::registry {

enum class AllocationState { Reserved, Live };

/// One row of the machine-wide table: a Pod and the scope that it holds. Rules are canonical. What it has
/// lent to children is not subtracted; it is derived from the children's rows.
struct Allocation {
  std::string pod_name;
  std::string pod_id;
  std::string instance_id;  ///< of the Pod; for a reservation: of the instance that will adopt it
  AllocationState state = AllocationState::Live;
  std::string spawner_instance;  ///< who made the reservation; it dies with that instance
  std::string spawner_name;      ///< the spawner's pod_name, filled in by delegate(): where its lock is found
  std::string delegated_from;    ///< pod_id of the (living) parent, empty for a root
  std::string socket;
  std::string segment_id;  ///< empty until known
  std::string workspace_root;
  std::string task;  ///< first line of the task, for people
  pid_t pid = 0;     ///< for people and for signalling, never for liveness
  int64_t since_ms = 0;
  std::vector<scope::ScopeRule> scope_allow;
  std::vector<scope::ScopeRule> scope_deny;
  friend bool operator==(Allocation const&, Allocation const&) = default;
};

/// What an instance was granted, with all that is needed to put it into a new table.
struct Holding {
  Allocation row;
  std::vector<std::string> ancestors;  ///< pod_ids of the Pods that it was ever below, the nearest first
  friend bool operator==(Holding const&, Holding const&) = default;
};

/// Says whether the process behind a row is alive; asked for `instance_id` of live rows and
/// `spawner_instance` of reservations. The rows that it gets come without their rules. "No" must be final: an
/// instance that is dead stays dead. Production: the lock files (liveness.hh). Tests: a set.
using Liveness = std::function<bool(Allocation const& row)>;

/// Who a queued request waits for: the holder of what it asks for, or another request that was there before it.
struct Blocker {
  std::string pod_name;  ///< of the holder, or of the Pod that the other request is for
  std::string pod_id;
  bool queued = false;          ///< it waits itself
  std::string lock_name;        ///< the Pod and instance whose lock shows that it still stands in the way
  std::string lock_instance;
  std::string wanted;           ///< for people: what is asked for, "write:/path"
  std::string description;      ///< for people: who is in the way, with which rule, at which task
  /// "WANTED is refused: DESCRIPTION"
  std::string refusal() const { return wanted + " is refused: " + description; }
  friend bool operator==(Blocker const&, Blocker const&) = default;
};

/// Limits that delegate() checks in the same transaction.
struct Limits {
  uint32_t max_depth = 8;
  uint32_t max_children = 64;
  uint32_t max_live_pods = 2000;
};

/// The arbiter of names, segments and write scopes. Every operation is one transaction: check and change are
/// never apart. Dead rows that matter to an operation are reclaimed (children re-parented) before it decides.
/// Blocking, one thread at a time: the brain calls it on its registry thread. What is checked, and why that
/// is enough: doc/registry.md.
///
/// Errors: Conflict (write scope held by another; the message names owner, its rule and its task; or a
/// session segment held by another), AlreadyExists (name or pod_id is live), PermissionDenied (`not within`
/// the spawner's effective scope, or outside its delegation scope), NotFound (no such Pod, or another
/// instance holds the name), InvalidArgument (a row that cannot be: bad name, missing id, rules that are not
/// canonical), LimitReached, Timeout (lock not got within 10 s; names the holder if known), Corrupt,
/// Unsupported (made by a newer version, or on a network file system).
class Registry {
 public:
  virtual ~Registry() = default;

  /// Adds a root Pod (delegated_from empty) or re-adds a restored child below its parent. While that parent
  /// is not there, the row is a root. Pods that were once below this one and now hang where it enters come
  /// back below it: their rules are no conflict, lent() tells them.
  virtual Result<void> register_pod(Allocation const& row) = 0;

  /// Reserves part of the spawner's scope for a child: `row.state` is Reserved, `row.delegated_from` the
  /// spawner's pod_id, `row.spawner_instance` its instance. The spawner's denies that overlap the request
  /// belong in `row.scope_deny`. `delegation` is the spawner's delegation scope when its manifest has one;
  /// then it alone decides what may be delegated.
  virtual Result<void> delegate(Allocation const& row, std::optional<scope::ScopeConfig> const& delegation,
                                Limits const& limits) = 0;

  /// Like register_pod() (`row.state` Live) or delegate() (Reserved), but what is busy is waited for: the request gets, or keeps, its place
  /// among those that wait, first come first served, and the answer says for whom it waits. Nothing: it was granted, its place is gone. The
  /// caller calls again when the blocker's lock is free or when the bell rings: `bell` is the path of a FIFO that it reads, into which a byte is
  /// written when the answer may have changed. A request waits as long as its owner lives: the spawner's instance for a delegation, its own
  /// for a registration. A request that would close a circle of waiting is refused at once (Conflict, `deadlock`) and loses its place;
  /// any other refusal as well. While requests wait, an overlapping one that comes later is refused or queued behind them, unless it
  /// asks for a part of what its own ancestors hold.
  virtual Result<std::optional<Blocker>> queue(Allocation const& row, std::optional<scope::ScopeConfig> const& delegation,
                                               Limits const& limits, std::string const& bell) = 0;
  /// Gives up the place of the request for this Pod; no place is fine.
  virtual Result<void> leave_queue(std::string const& pod_id) = 0;

  /// Turns the reservation made for exactly this pod_id and instance_id into a live row. NotFound when it
  /// died with its spawner.
  virtual Result<void> adopt(std::string const& pod_id, std::string const& instance_id, pid_t pid,
                             std::string const& segment_id) = 0;

  /// Removes the row of exactly this instance, live or reserved; its children go to its own parent. A foreign
  /// instance is NotFound.
  virtual Result<void> release(std::string const& pod_id, std::string const& instance_id) = 0;

  virtual Result<void> update_segment(std::string const& pod_id, std::string const& instance_id,
                                      std::string const& segment_id) = 0;

  /// All rows without the dead, ordered by name. Reads show children of dead Pods below the nearest living
  /// ancestor, and never fail because the dead could not be reclaimed.
  virtual Result<std::vector<Allocation>> list() = 0;
  virtual Result<std::optional<Allocation>> find(std::string const& pod_name) = 0;
  virtual Result<std::vector<Allocation>> children(std::string const& pod_id) = 0;

  /// The rules that the Pod has lent to its live children and reservations (their write rules), and those of
  /// Pods further below that none of these covers.
  virtual Result<std::vector<scope::ScopeRule>> lent(std::string const& pod_id) = 0;
};

struct SqliteOptions {
  int64_t busy_limit_ms = 10'000;  ///< how long an operation waits for the lock
  bool read_only = false;          ///< for looking on: nothing is made, repaired or reclaimed
  /// What all living instances hold. Asked while a new file is made, which then begins with these rows; an
  /// error leaves the registry unmade. Without it a new file is empty.
  std::function<Result<std::vector<Holding>>()> census = nullptr;
  /// Told of each row that this object's operations have granted or changed: after the commit and before the
  /// operation answers. What it keeps is what the census of any process must find. An error undoes a grant.
  std::function<Result<void>(Holding const& holding)> granted = nullptr;
  /// Told before a row is released, and of a grant that came to nothing.
  std::function<void(std::string const& pod_id, std::string const& instance_id)> withdrawn = nullptr;
};

/// Opens (and makes) the SQLite registry at `path`, its directory with mode 0700, the file with 0600. Notices
/// when the file is replaced or removed and opens anew. A damaged file is set aside as
/// `<path>.corrupt-<time>`, with a warning, for a new one that begins with what the census finds.
Result<std::unique_ptr<Registry>> open_sqlite_registry(std::string const& path, Liveness liveness,
                                                       SqliteOptions options = {});

}  // namespace insomnia::registry
