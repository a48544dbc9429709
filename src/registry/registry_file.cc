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
#include "registry/put_back.hh"

namespace insomnia::registry {
namespace {

constexpr int kTries = 3;

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
  // Looked at before SQLite makes what is missing.
  CompanionFiles companions = companions_of(path);
  auto database = TRY(Database::open(path, options.read_only));
  database->start_waiting(options.busy_limit_ms);
  auto found = AllocationTable(*database).version();
  // The first query opens the log by its name. If the file is still the one at the path, that was its own
  // log.
  database->remember_files();
  if (database->has_moved()) return std::unique_ptr<Database>();
  bool incomplete = !options.read_only && !companions.all_there();
  if (!found && incomplete) return fail(Code::Corrupt, "its log or its index is missing");
  int64_t version = TRY(std::move(found));
  if (version == 0) return std::unique_ptr<Database>();
  if (version != AllocationTable::kVersion) {
    return fail(Code::Unsupported, "pod registry " + path + " has version " + std::to_string(version) +
                                       ", this insomnia knows version " +
                                       std::to_string(AllocationTable::kVersion) +
                                       "; stop the Pods of the other version and remove it");
  }
  if (options.read_only) return database;
  if (incomplete) return fail(Code::Corrupt, "its log or its index is missing");
  if (companions_of(path) != companions) return std::unique_ptr<Database>();
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
  int64_t number = SystemClock().wall_ms();
  auto aside_path = [&] { return path + ".corrupt-" + std::to_string(number); };
  while (io::exists(aside_path()) || io::exists(aside_path() + "-wal")) ++number;  // an earlier one of the same millisecond is kept too
  std::string aside = aside_path();
  TRY(rename_if_there(path + "-wal", aside + "-wal"));
  TRY(rename_if_there(path, aside));
  log::warn("the pod registry was damaged (" + std::string(why) + "); it is kept as " + aside +
            ", and a new one is made of what the living Pods hold");
  return {};
}

/// Nothing when somebody else has made one meanwhile.
/// REQUIRES: the change lock is held, and there is no file at the path.
Result<std::unique_ptr<Database>> make(std::string const& path, SqliteOptions const& options) {
  // What counted until now is gone from the path. Whoever is granted something in it from now on notices that
  // before it relies on it; what was granted before is found by the census.
  std::vector<Holding> living;
  if (options.census) living = TRY(options.census());
  for (auto suffix : {"-wal", "-shm", "-journal"}) ::unlink((path + suffix).c_str());
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd && errno == EEXIST) return std::unique_ptr<Database>();
  if (!fd) return fail_errno("create " + path, errno);
  fd.reset();
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
  AllocationTable table(*database);
  TRY(table.create());
  TRY(put_back(table, living));
  TRY(transaction.commit());
  TRY(database->execute("pragma synchronous = normal"));
  database->remember_files();
  if (database->has_moved()) return std::unique_ptr<Database>();
  return database;
}

/// Clears the path of a file without tables: whoever made it has died over it.
/// REQUIRES: the change lock is held.
Result<void> clear_away(std::string const& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || info.st_size == 0) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + path, errno);
    return {};
  }
  return move_away(path, "it has no tables");
}

/// Nothing when the answer must be found while nobody else makes or sets aside: any failure may be the sight
/// of that.
std::optional<Result<std::unique_ptr<Database>>> open_without_lock(std::string const& path,
                                                                   SqliteOptions const& options) {
  if (!io::exists(path) || !companions_of(path).all_there()) return std::nullopt;
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

  for (int i = 0; i < kTries; ++i) {
    TRY(io::make_directories(io::parent_path(path), 0700));
    TRY(refuse_network_file_system(io::parent_path(path)));
    FileLock lock = TRY(lock_for_change(path, options));
    if (io::exists(path)) {
      auto opened = open_existing(path, options);
      if (opened && *opened) return opened;
      if (!opened && opened.error().code != Code::Corrupt) return opened;
      if (opened) TRY(clear_away(path));
      else TRY(move_away(path, opened.error().message));
    }
    if (auto made = TRY(make(path, options))) return made;
  }
  return fail(Code::Unavailable, "pod registry " + path + " is removed again and again while it is made");
}

Result<void> set_aside(Database& database, std::string_view why, SqliteOptions const& options) {
  FileLock lock = TRY(lock_for_change(database.path(), options));
  if (database.has_moved()) return {};
  return move_away(database.path(), why);
}

}  // namespace insomnia::registry
