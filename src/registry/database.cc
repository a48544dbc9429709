#include "registry/database.hh"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>

namespace insomnia::registry {
namespace {

constexpr int kCheckpointPages = 512;

Code code_of(int result_code) {
  switch (result_code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return Code::Timeout;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::Corrupt;
    case SQLITE_FULL:
      return Code::NoSpace;
    case SQLITE_READONLY:
      return result_code == SQLITE_READONLY_DBMOVED ? Code::Unavailable : Code::PermissionDenied;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Code::PermissionDenied;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      return Code::Io;
    default:
      return Code::Internal;
  }
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(std::string const& path, bool read_only) {
  // Pages are allocated as they are needed, not twenty at once: every Pod keeps its connection open and seldom uses it.
  // (Refused when the process has used SQLite before; then it only costs memory.)
  [[maybe_unused]] static int const configured = sqlite3_config(SQLITE_CONFIG_PAGECACHE, nullptr, 0, 0);
  std::unique_ptr<Database> database(new Database(path));
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
              (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
  int code = sqlite3_open_v2(path.c_str(), &database->connection_, flags, nullptr);
  if (code != SQLITE_OK) return database->error("open", code);
  sqlite3_busy_handler(database->connection_, &Database::on_busy, database.get());
  sqlite3_wal_autocheckpoint(database->connection_, kCheckpointPages);
  // For the same reason no 48 KiB in reserve for small objects.
  sqlite3_db_config(database->connection_, SQLITE_DBCONFIG_LOOKASIDE, nullptr, 0, 0);
  // The last one to close would delete the -wal file by its name, which may be that of a new database when
  // this one was set aside.
  sqlite3_db_config(database->connection_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  return database;
}

Database::~Database() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(connection_);
}

void Database::start_waiting(int64_t limit_ms) {
  deadline_ms_ = clock_.steady_ms() + limit_ms;
}

int Database::on_busy(void* self, int count) {
  auto& database = *static_cast<Database*>(self);
  int64_t left_ms = database.deadline_ms_ - database.clock_.steady_ms();
  if (left_ms <= 0) return 0;
  // Short waits at first, up to 10 ms; the jitter keeps waiters from knocking in step.
  int64_t wait_us = std::min<int64_t>(10'000, 100LL << std::min(count, 7));
  uint32_t random = 0;
  sqlite3_randomness(sizeof random, &random);
  wait_us = std::min(left_ms * 1000, wait_us / 2 + random % wait_us);
  timespec wait{.tv_sec = 0, .tv_nsec = static_cast<long>(wait_us) * 1000};
  ::nanosleep(&wait, nullptr);
  return 1;
}

std::unexpected<Error> Database::error(std::string_view attempted, int result_code) const {
  Code code = code_of(result_code);
  if (code == Code::Timeout) return fail(code, "timed out waiting for the pod registry " + path_);
  std::string message = "pod registry " + path_ + ": " + std::string(attempted) + ": ";
  message += connection_ ? sqlite3_errmsg(connection_) : sqlite3_errstr(result_code);
  int os_errno = connection_ && code == Code::Io ? sqlite3_system_errno(connection_) : 0;
  if (os_errno != 0) return fail_errno(std::move(message), os_errno);
  return fail(code, std::move(message));
}

Result<void> Database::execute(char const* sql) {
  int code = sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(sql, code);
  return {};
}

CompanionFiles companions_of(std::string const& database_path) {
  auto inode = [&](char const* suffix) -> uint64_t {
    struct stat info{};
    return ::stat((database_path + suffix).c_str(), &info) == 0 ? info.st_ino : 0;
  };
  return {inode("-wal"), inode("-shm")};
}

void Database::remember_files() {
  companions_ = companions_of(path_);
}

bool Database::has_moved() const {
  int moved = 0;
  int code = sqlite3_file_control(connection_, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  if (code == SQLITE_OK && moved != 0) return true;
  return companions_ && *companions_ != companions_of(path_);
}

bool Database::is_read_only() const {
  return sqlite3_db_readonly(connection_, "main") == 1;
}

Result<sqlite3_stmt*> Database::statement(char const* sql) {
  auto found = statements_.find(sql);
  if (found != statements_.end()) {
    if (sqlite3_stmt_busy(found->second)) panic("a registry statement is used twice at a time");
    return found->second;
  }
  sqlite3_stmt* prepared = nullptr;
  int code = sqlite3_prepare_v3(connection_, sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
  // Our SQL is fixed: when it does not fit the tables, they are not ours.
  if (code == SQLITE_ERROR) {
    return fail(Code::Corrupt,
                "pod registry " + path_ + ": the tables are not as expected: " + sqlite3_errmsg(connection_));
  }
  if (code != SQLITE_OK) return error("prepare", code);
  statements_.emplace(sql, prepared);
  return prepared;
}

Query::Query(Database& database, char const* sql)
    : database_(database), statement_(database.statement(sql)) {}

Query::~Query() {
  if (!statement_) return;
  sqlite3_reset(*statement_);
  sqlite3_clear_bindings(*statement_);
}

Query& Query::bind(std::string_view text) {
  // An empty view may have no address, which SQLite would take for NULL.
  char const* bytes = text.empty() ? "" : text.data();
  if (statement_) sqlite3_bind_text64(*statement_, ++bound_, bytes, text.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

Query& Query::bind(int64_t number) {
  if (statement_) sqlite3_bind_int64(*statement_, ++bound_, number);
  return *this;
}

Result<bool> Query::next() {
  if (!statement_) return std::unexpected(statement_.error());
  int code = sqlite3_step(*statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_.error("query", code);
}

Result<void> Query::run() {
  while (TRY(next())) {
  }
  return {};
}

std::string Query::text(int column) const {
  auto const* bytes = reinterpret_cast<char const*>(sqlite3_column_text(*statement_, column));
  return bytes ? std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(*statement_, column)))
               : std::string();
}

int64_t Query::integer(int column) const {
  return sqlite3_column_int64(*statement_, column);
}

Transaction::~Transaction() {
  // Fails when an error has ended the transaction already; that is what is wanted.
  if (open_) (void)Query(database_, "rollback").run();
}

Result<void> Transaction::begin(Kind kind) {
  TRY(Query(database_, kind == Kind::Write ? "begin immediate" : "begin").run());
  open_ = true;
  return {};
}

Result<void> Transaction::commit() {
  TRY(Query(database_, "commit").run());
  open_ = false;
  return {};
}

}  // namespace insomnia::registry
