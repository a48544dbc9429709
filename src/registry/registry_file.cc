#include "registry/registry_file.hh"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <optional>

#include "base/io.hh"
#include "base/log.hh"
#include "registry/allocation_table.hh"
#include "registry/file_lock.hh"

namespace insomnia::registry {
namespace {

/// Locks and shared memory do not work across machines, and the promise is about one.
Result<void> refuse_network_file_system(std::string const& directory) {
  // NFS, SMB, SMB2, CIFS, AFS, Coda, NCP, Ceph, Lustre
  constexpr unsigned long kNetwork[] = {0x6969,     0x517B, 0xFE534D42, 0xFF534D42, 0x5346414F,
                                        0x73757245, 0x564C, 0x00C36400, 0x0BD00BD0};
  struct statfs info{};
  if (::statfs(directory.c_str(), &info) != 0)
    return fail_errno("look at the file system of " + directory, errno);
  auto type = static_cast<unsigned long>(info.f_type) & 0xFFFFFFFF;
  if (std::find(std::begin(kNetwork), std::end(kNetwork), type) == std::end(kNetwork)) return {};
  return fail(Code::Unsupported, "the runtime directory " + directory +
                                     " is on a network file system, which cannot hold the pod registry; set "
                                     "INSOMNIA_RUNTIME_DIR to a local directory");
}

Result<FileLock> lock_for_change(std::string const& path, SqliteOptions const& options) {
  auto lock = FileLock::wait(path + ".lock", options.busy_limit_ms);
  if (!lock && lock.error().code == Code::Timeout) {
    return fail(Code::Timeout, "timed out waiting for the pod registry " + path +
                                   " (another process is making or repairing it)");
  }
  return lock;
}

/// Nothing when the file has no tables yet, or was replaced while it was opened.
Result<std::unique_ptr<Database>> open_existing(std::string const& path, SqliteOptions const& options) {
  auto database = TRY(Database::open(path, options.read_only));
  database->start_waiting(options.busy_limit_ms);
  auto found = AllocationTable(*database).version();
  // The first query opens the log by its name. If the file is still the one at the path, that was its own
  // log.
  if (database->has_moved()) return std::unique_ptr<Database>();
  int64_t version = TRY(std::move(found));
  if (version == 0) return std::unique_ptr<Database>();
  if (version != AllocationTable::kVersion) {
    return fail(Code::Unsupported, "pod registry " + path + " has version " + std::to_string(version) +
                                       ", this insomnia knows version " +
                                       std::to_string(AllocationTable::kVersion) +
                                       "; stop the Pods of the other version and remove it");
  }
  TRY(database->execute("pragma synchronous = normal"));
  return database;
}

Result<void> rename_if_there(std::string const& from, std::string const& to) {
  if (::rename(from.c_str(), to.c_str()) == 0 || errno == ENOENT) return {};
  return fail_errno("rename " + from + " to " + to, errno);
}

/// REQUIRES: the change lock is held. The log goes first: without its database it is nothing, but a new
/// database must not find it.
Result<void> move_away(std::string const& path, std::string_view why) {
  std::string aside = path + ".corrupt-" + std::to_string(SystemClock().wall_ms());
  TRY(rename_if_there(path + "-wal", aside + "-wal"));
  TRY(rename_if_there(path, aside));
  log::warn("the pod registry was damaged (" + std::string(why) + "); it is kept as " + aside +
            ", a new one is made, and living Pods must register again");
  return {};
}

/// REQUIRES: the change lock is held.
Result<std::unique_ptr<Database>> make(std::string const& path, SqliteOptions const& options) {
  if (!io::exists(path)) {
    for (auto suffix : {"-wal", "-shm", "-journal"}) ::unlink((path + suffix).c_str());
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) return fail_errno("create " + path, errno);
  }
  auto database = TRY(Database::open(path, false));
  database->start_waiting(options.busy_limit_ms);
  // Until it has tables the file has nothing to lose, and whoever finds it half made starts over.
  TRY(database->execute("pragma synchronous = off"));
  // Rows are few and short: small pages keep every Pod's copy of them small, and the log too.
  TRY(database->execute("pragma page_size = 1024"));
  {
    Query mode(*database, "pragma journal_mode = wal");
    if (!TRY(mode.next()) || mode.text(0) != "wal") {
      return fail(Code::Unsupported, "the file system of " + path +
                                         " cannot hold the pod registry (no shared memory); set "
                                         "INSOMNIA_RUNTIME_DIR to a local directory");
    }
  }
  Transaction transaction(*database);
  TRY(transaction.begin(Transaction::Kind::Write));
  TRY(AllocationTable(*database).create());
  TRY(transaction.commit());
  TRY(database->execute("pragma synchronous = normal"));
  return database;
}

/// Nothing when the answer must be found while nobody else makes or sets aside: any failure may be the sight
/// of that.
std::optional<Result<std::unique_ptr<Database>>> open_without_lock(std::string const& path,
                                                                   SqliteOptions const& options) {
  if (!io::exists(path)) return std::nullopt;
  auto opened = open_existing(path, options);
  if (opened && *opened) return opened;
  if (!opened && (opened.error().code == Code::Unsupported || opened.error().code == Code::Timeout))
    return opened;
  return std::nullopt;
}

Result<std::unique_ptr<Database>> open_to_look(std::string const& path, SqliteOptions const& options) {
  if (!io::exists(path))
    return fail(Code::NotFound, "there is no pod registry at " + path + "; no Pod has run yet");
  auto opened = TRY(open_existing(path, options));
  if (!opened) return fail(Code::NotFound, "the pod registry " + path + " is empty; no Pod has run yet");
  return opened;
}

}  // namespace

Result<std::unique_ptr<Database>> open_registry_file(std::string const& path, SqliteOptions const& options) {
  if (options.read_only) return open_to_look(path, options);
  if (auto opened = open_without_lock(path, options)) return *std::move(opened);

  TRY(io::make_directories(io::parent_path(path), 0700));
  TRY(refuse_network_file_system(io::parent_path(path)));
  FileLock lock = TRY(lock_for_change(path, options));
  if (io::exists(path)) {
    auto opened = open_existing(path, options);
    if (opened && *opened) return opened;
    if (!opened && opened.error().code != Code::Corrupt) return opened;
    if (!opened) TRY(move_away(path, opened.error().message));
  }
  return make(path, options);
}

Result<void> set_aside(Database& database, std::string_view why, SqliteOptions const& options) {
  FileLock lock = TRY(lock_for_change(database.path(), options));
  if (database.has_moved()) return {};
  return move_away(database.path(), why);
}

}  // namespace insomnia::registry
