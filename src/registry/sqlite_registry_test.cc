#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "registry/contract_test.hh"
#include "registry/registry_file.hh"

namespace insomnia::registry {
namespace {

std::string file_in(std::string const& directory) {
  return directory + "/run/registry.db";
}

std::unique_ptr<Registry> open_in(std::string const& directory, Liveness liveness,
                                  SqliteOptions options = {}) {
  auto opened = open_sqlite_registry(file_in(directory), std::move(liveness), options);
  EXPECT_TRUE(opened) << opened.error().message;
  return opened ? std::move(*opened) : nullptr;
}

INSTANTIATE_TEST_SUITE_P(Sqlite, RegistryContract,
                         testing::Values(Implementation{"Sqlite",
                                                        [](std::string const& directory, Liveness liveness) {
                                                          return open_in(directory, std::move(liveness));
                                                        }}),
                         [](auto const& info) { return info.param.name; });

class SqliteRegistryTest : public testing::Test {
 protected:
  std::unique_ptr<Registry> open(SqliteOptions options = {}) {
    return open_in(directory_.path(), instances_.liveness(), options);
  }
  std::string file() const { return file_in(directory_.path()); }
  unsigned mode(std::string const& path) const {
    struct stat info{};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 0777;
  }
  void damage(size_t from, size_t count) {
    std::string content = *io::read_file(file());
    for (size_t at = from; at < std::min(content.size(), from + count); ++at)
      content[at] = static_cast<char>(0xA5);
    ASSERT_TRUE(io::replace_file(file(), content));
  }
  std::vector<std::string> set_aside_files() const {
    std::vector<std::string> result;
    auto names = io::list_directory(directory_ / "run").value();
    for (auto const& name : names) {
      if (name.starts_with("registry.db.corrupt-") && !name.ends_with("-wal")) result.push_back(name);
    }
    return result;
  }
  size_t rows(Registry& registry) { return registry.list().value().size(); }

  scope::TestDirectory directory_;
  Instances instances_;
};

/// A connection of somebody else, who holds the write lock until the end.
class Holder {
 public:
  explicit Holder(std::string const& path) {
    EXPECT_EQ(sqlite3_open(path.c_str(), &connection_), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(connection_, "begin immediate", nullptr, nullptr, nullptr), SQLITE_OK);
  }
  Holder(Holder const&) = delete;
  Holder& operator=(Holder const&) = delete;
  ~Holder() { sqlite3_close(connection_); }

 private:
  sqlite3* connection_ = nullptr;
};

TEST_F(SqliteRegistryTest, Case38FileAndDirectoryAreForTheUserAlone) {
  auto registry = open();
  ASSERT_TRUE(registry->register_pod(pod("a", {write_rule("/w")})));
  EXPECT_EQ(mode(directory_ / "run"), 0700u);
  EXPECT_EQ(mode(file()), 0600u);
  EXPECT_EQ(mode(file() + "-wal"), 0600u);
  EXPECT_EQ(mode(file() + "-shm"), 0600u);
}

TEST_F(SqliteRegistryTest, R5AWaitForTheLockEndsWithAnErrorThatNamesTheHolder) {
  auto registry = open({.busy_limit_ms = 20});
  Allocation row = pod("holder", {write_rule("/w")});
  row.pid = ::getpid();
  ASSERT_TRUE(registry->register_pod(row));
  Holder holder(file());
  EXPECT_TRUE(failed(registry->register_pod(pod("b", {write_rule("/x")})), Code::Timeout,
                     {"timed out waiting for the pod registry", file(),
                      "process " + std::to_string(::getpid()), "Pod 'holder'"}));
  EXPECT_EQ(rows(*registry), 1u) << "reading goes on";
}

TEST_F(SqliteRegistryTest, ReadsLeaveTheDeadOutAlsoWhenTheyCannotBeReclaimed) {
  auto registry = open({.busy_limit_ms = 20});
  ASSERT_TRUE(registry->register_pod(pod("g", {write_rule("/w")})));
  ASSERT_TRUE(registry->delegate(child("g", "p", {write_rule("/w/p")}), std::nullopt, {}));
  ASSERT_TRUE(registry->adopt("p-id", "p-1", 1, ""));
  ASSERT_TRUE(registry->delegate(child("p", "c", {write_rule("/w/p/c")}), std::nullopt, {}));
  ASSERT_TRUE(registry->adopt("c-id", "c-1", 1, ""));
  instances_.dead.insert("p-1");
  auto check = [](Registry& reader) {
    auto list = reader.list().value();
    ASSERT_EQ(list.size(), 2u);
    EXPECT_EQ(list[0].pod_name, "c");
    EXPECT_EQ(list[0].delegated_from, "g-id");
    EXPECT_EQ(reader.find("p").value(), std::nullopt);
    EXPECT_EQ(reader.find("c").value()->delegated_from, "g-id");
    EXPECT_EQ(reader.children("g-id").value(), std::vector<Allocation>{list[0]});
    EXPECT_EQ(reader.lent("g-id").value(), Rules{write_rule("/w/p/c")});
  };
  {
    Holder holder(file());
    check(*registry);
    check(*open({.read_only = true}));
  }
  check(*registry);
}

TEST_F(SqliteRegistryTest, AReaderMakesAndChangesNothing) {
  auto missing = open_sqlite_registry(file(), instances_.liveness(), {.read_only = true});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::NotFound);
  EXPECT_FALSE(io::exists(directory_ / "run"));
  auto writer = open();
  ASSERT_TRUE(writer->register_pod(pod("a", {write_rule("/w")})));
  auto reader = open({.read_only = true});
  EXPECT_TRUE(failed(reader->release("a-id", "a-1"), Code::PermissionDenied, {"reading only"}));
  EXPECT_EQ(rows(*reader), 1u);
}

TEST_F(SqliteRegistryTest, AFileThatIsNoDatabaseIsSetAsideOnce) {
  ASSERT_TRUE(io::make_directories(directory_ / "run"));
  ASSERT_TRUE(io::replace_file(file(), std::string(5000, 'x')));
  auto registry = open();
  EXPECT_EQ(rows(*registry), 0u);
  ASSERT_EQ(set_aside_files().size(), 1u);
  EXPECT_EQ(io::read_file(directory_ / ("run/" + set_aside_files()[0])).value(), std::string(5000, 'x'));
  ASSERT_TRUE(registry->register_pod(pod("a", {write_rule("/w")})));
  EXPECT_EQ(rows(*open()), 1u);
  EXPECT_EQ(set_aside_files().size(), 1u);
}

TEST_F(SqliteRegistryTest, AnEmptyFileIsANewRegistry) {
  ASSERT_TRUE(io::make_directories(directory_ / "run"));
  ASSERT_TRUE(io::replace_file(file(), ""));
  ASSERT_TRUE(open()->register_pod(pod("a", {write_rule("/w")})));
  EXPECT_EQ(set_aside_files().size(), 0u);
}

TEST_F(SqliteRegistryTest, DamageInTheMiddleIsFoundByTheOperationThatMeetsIt) {
  {
    auto registry = open();
    for (int i = 0; i < 50; ++i) {
      std::string name = "p" + std::to_string(i);
      ASSERT_TRUE(registry->register_pod(pod(name, {write_rule("/w/" + name)})));
    }
  }
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(file().c_str(), &connection), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(connection, "pragma wal_checkpoint(truncate)", nullptr, nullptr, nullptr),
            SQLITE_OK);
  // The last connection to close removes the log, which would be damage by itself.
  auto other = open();
  sqlite3_close(connection);
  damage(4096, 1 << 20);
  auto registry = open();
  EXPECT_EQ(rows(*registry), 0u);
  EXPECT_EQ(set_aside_files().size(), 1u);
  ASSERT_TRUE(registry->register_pod(pod("again", {write_rule("/w")})));
}

TEST_F(SqliteRegistryTest, TablesThatAreNotOursAreDamage) {
  ASSERT_TRUE(io::make_directories(directory_ / "run"));
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(file().c_str(), &connection), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(connection, "create table pods (x); pragma user_version = 2", nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(connection);
  auto registry = open();
  ASSERT_TRUE(registry->register_pod(pod("a", {write_rule("/w")})));
  EXPECT_EQ(set_aside_files().size(), 1u);
}

TEST_F(SqliteRegistryTest, ANewerVersionIsRefusedAndKept) {
  ASSERT_TRUE(io::make_directories(directory_ / "run"));
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(file().c_str(), &connection), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(connection, "create table future (x); pragma user_version = 99", nullptr, nullptr,
                         nullptr),
            SQLITE_OK);
  sqlite3_close(connection);
  auto refused = open_sqlite_registry(file(), instances_.liveness());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unsupported);
  EXPECT_NE(refused.error().message.find("version 99"), std::string::npos);
  EXPECT_EQ(set_aside_files().size(), 0u);
}

TEST_F(SqliteRegistryTest, OthersFollowWhenTheFileIsSetAside) {
  auto first = open(), second = open();
  ASSERT_TRUE(first->register_pod(pod("a", {write_rule("/w")})));
  EXPECT_EQ(rows(*second), 1u);
  auto damaged = open_registry_file(file(), {});
  ASSERT_TRUE(damaged);
  ASSERT_TRUE(set_aside(**damaged, "test", {}));
  ASSERT_TRUE(set_aside(**damaged, "test", {})) << "it is gone already: nothing to do";
  EXPECT_EQ(rows(*first), 0u);
  // Living Pods register again.
  ASSERT_TRUE(second->register_pod(pod("a", {write_rule("/w")})));
  EXPECT_TRUE(failed(first->register_pod(pod("b", {write_rule("/w")})), Code::Conflict, {"'a'"}));
  EXPECT_EQ(set_aside_files().size(), 1u);
  damaged->reset();
  EXPECT_EQ(rows(*open()), 1u) << "closing the old one must not touch the new one's files";
}

TEST_F(SqliteRegistryTest, ADirectoryThatVanishesIsMadeAnew) {
  auto registry = open();
  ASSERT_TRUE(registry->register_pod(pod("a", {write_rule("/w")})));
  ASSERT_TRUE(io::remove_tree(directory_ / "run"));
  ASSERT_TRUE(registry->register_pod(pod("a", {write_rule("/w")})));
  EXPECT_EQ(rows(*open()), 1u);
}

TEST_F(SqliteRegistryTest, AConflictCheckUsesTheIndex) {
  auto registry = open();
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(file().c_str(), &connection), SQLITE_OK);
  for (auto where : {"path = '/a'", "path > '/a/' and path < '/a0'"}) {
    std::string plan;
    std::string sql = "explain query plan select pod, path, recursive from rules where " +
                      std::string(where) + " and deny = 0 and writes = 1";
    auto collect = [](void* out, int, char** values, char**) {
      *static_cast<std::string*>(out) += values[3];
      return 0;
    };
    ASSERT_EQ(sqlite3_exec(connection, sql.c_str(), collect, &plan, nullptr), SQLITE_OK);
    EXPECT_NE(plan.find("SEARCH rules USING COVERING INDEX write_rules_by_path"), std::string::npos) << plan;
  }
  sqlite3_close(connection);
}

}  // namespace
}  // namespace insomnia::registry
