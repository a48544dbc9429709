#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hh"
#include "base/error.hh"

struct sqlite3;
struct sqlite3_stmt;

namespace insomnia::registry {

/// Which files lie beside a database. The three are one: without its log a database lacks what was committed
/// last, and with two indexes two processes would write at once.
struct CompanionFiles {
  uint64_t log = 0;    ///< inode of the -wal file, 0 when there is none
  uint64_t index = 0;  ///< of the -shm file
  bool all_there() const { return log != 0 && index != 0; }
  friend bool operator==(CompanionFiles const&, CompanionFiles const&) = default;
};
CompanionFiles companions_of(std::string const& database_path);

/// One SQLite connection with its prepared statements. Used by one thread at a time. Waiting for a lock ends
/// at the limit that the last start_waiting() set.
class Database {
 public:
  /// Opens without touching the file much: damage shows at the first query.
  static Result<std::unique_ptr<Database>> open(std::string const& path, bool read_only);
  ~Database();
  Database(Database const&) = delete;
  Database& operator=(Database const&) = delete;

  /// From now on lock waits end after `limit_ms` with Timeout (0: at once).
  void start_waiting(int64_t limit_ms);
  /// Runs SQL that gives no rows; not cached.
  Result<void> execute(char const* sql);
  /// To be called when the first query has opened log and index: from then on has_moved() looks at them too.
  void remember_files();
  /// Whether the file at the path, or its log or index, is no longer the one that is open here.
  bool has_moved() const;
  /// Whether the file can only be read.
  bool is_read_only() const;
  std::string const& path() const { return path_; }

 private:
  friend class Query;
  explicit Database(std::string path) : path_(std::move(path)) {}
  static int on_busy(void* self, int count);
  std::unexpected<Error> error(std::string_view attempted, int result_code) const;
  Result<sqlite3_stmt*> statement(char const* sql);

  std::string path_;
  SystemClock clock_;
  int64_t deadline_ms_ = 0;
  sqlite3* connection_ = nullptr;
  std::optional<CompanionFiles> companions_;
  std::map<std::string_view, sqlite3_stmt*> statements_;
};

/// One use of a prepared statement: bind in order, then step. `sql` must live as long as the Database (its
/// text is the key of the cache) and must not be in use elsewhere at the same time.
class Query {
 public:
  Query(Database& database, char const* sql);
  ~Query();
  Query(Query const&) = delete;
  Query& operator=(Query const&) = delete;

  /// The text must live until the Query ends.
  Query& bind(std::string_view text);
  Query& bind(int64_t number);

  /// Steps to the next row; false at the end.
  Result<bool> next();
  /// Steps to the end.
  Result<void> run();

  std::string text(int column) const;
  int64_t integer(int column) const;

 private:
  Database& database_;
  Result<sqlite3_stmt*> statement_;
  int bound_ = 0;
};

/// BEGIN … COMMIT; rolled back unless committed.
class Transaction {
 public:
  enum class Kind { Read, Write };
  explicit Transaction(Database& database) : database_(database) {}
  ~Transaction();
  Transaction(Transaction const&) = delete;
  Transaction& operator=(Transaction const&) = delete;

  Result<void> begin(Kind kind);
  Result<void> commit();

 private:
  Database& database_;
  bool open_ = false;
};

/// The process that holds the database's write lock now, as far as the kernel tells.
std::optional<pid_t> write_lock_holder(std::string const& database_path);

}  // namespace insomnia::registry
