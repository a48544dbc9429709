#include "profile/trust.hh"

#include <fcntl.h>
#include <sys/file.h>

#include <boost/json.hpp>
#include <cerrno>
#include <memory>
#include <optional>

#include "base/io.hh"
#include "base/json.hh"
#include "base/log.hh"
#include "base/sha256.hh"
#include "base/unique_fd.hh"

namespace insomnia::profile {
namespace bj = boost::json;

namespace {

constexpr uint64_t kVersion = 1;

std::string file_of(Paths const& paths) { return paths.data_dir + "/trust.json"; }

Result<TrustedProject> decode_project(bj::value const& value, std::string const& where) {
  if (!value.is_object()) return fail(Code::InvalidArgument, where + " is no object");
  json::Reader reader(value.get_object(), where);
  TrustedProject project;
  project.granted_at_ms = static_cast<int64_t>(reader.uint("granted_at_ms"));
  if (auto const* files = reader.require_object("files")) {
    for (auto const& [path, hash] : *files) {
      if (!hash.is_string()) return fail(Code::InvalidArgument, where + ".files holds what is no hash");
      project.files[std::string(path)] = std::string(hash.get_string());
    }
  }
  TRY(reader.finish());
  return project;
}

Result<std::map<std::string, TrustedProject>> decode(std::string_view text) {
  bj::object object = TRY(json::parse_object(text));
  json::Reader reader(object);
  if (uint64_t version = reader.uint("version"); version != kVersion) reader.reject("version", "is not " + std::to_string(kVersion));
  std::map<std::string, TrustedProject> projects;
  if (auto const* all = reader.require_object("projects")) {
    for (auto const& [path, value] : *all) projects[std::string(path)] = TRY(decode_project(value, "projects"));
  }
  TRY(reader.finish());
  return projects;
}

std::string encode(std::map<std::string, TrustedProject> const& projects) {
  bj::object all;
  for (auto const& [path, project] : projects) {
    bj::object files;
    for (auto const& [file, hash] : project.files) files[file] = hash;
    all[path] = bj::object{{"granted_at_ms", project.granted_at_ms}, {"files", std::move(files)}};
  }
  return json::dump(bj::object{{"version", kVersion}, {"projects", std::move(all)}}) + "\n";
}

}  // namespace

Result<TrustStore> TrustStore::load(Paths const& paths) {
  TrustStore store;
  if (paths.data_dir.empty() || !io::exists(file_of(paths))) return store;
  auto projects = decode(TRY(io::read_file(file_of(paths))));
  if (!projects)
    return fail(Code::InvalidArgument,
                file_of(paths) + " can't be understood, so no project is trusted: " + projects.error().message + "; remove it and trust the projects again");
  store.projects_ = *std::move(projects);
  return store;
}

bool TrustStore::trusts(std::string const& project, std::vector<LuaChunk> const& sources) const {
  auto found = projects_.find(project);
  if (found == projects_.end()) return false;
  for (auto const& source : sources) {
    auto file = found->second.files.find(source.name);
    if (file == found->second.files.end() || file->second != sha256_hex(source.source)) return false;
  }
  return !sources.empty();
}

Result<void> TrustStore::change(Paths const& paths, std::function<void(TrustStore&)> const& change) {
  std::string directory = TRY(paths.require_data_dir());
  TRY(io::make_directories(directory));
  // Two at once: one after the other.
  UniqueFd lock(::open((directory + "/trust.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return fail_errno("open " + directory + "/trust.lock", errno);
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno("lock " + directory + "/trust.lock", errno);
  }
  TrustStore store = TRY(load(paths));
  change(store);
  return io::write_file_atomic(file_of(paths), encode(store.projects_), 0600);
}

Result<void> TrustStore::grant(Paths const& paths, std::string const& project, std::vector<LuaChunk> const& sources, int64_t now_ms) {
  return change(paths, [&](TrustStore& store) {
    TrustedProject trusted{.granted_at_ms = now_ms, .files = {}};
    for (auto const& source : sources) trusted.files[source.name] = sha256_hex(source.source);
    store.projects_[project] = std::move(trusted);
  });
}

Result<bool> TrustStore::revoke(Paths const& paths, std::string const& project) {
  bool was_there = false;
  TRY(change(paths, [&](TrustStore& store) { was_there = store.projects_.erase(project) > 0; }));
  return was_there;
}

std::function<bool(std::string const&, std::vector<LuaChunk> const&)> trust_of(Paths const& paths) {
  auto store = std::make_shared<std::optional<TrustStore>>();
  return [paths, store](std::string const& project, std::vector<LuaChunk> const& sources) {
    if (!*store) {
      auto loaded = TrustStore::load(paths);
      if (!loaded) log::warn(loaded.error().message);
      *store = loaded ? *std::move(loaded) : TrustStore{};
    }
    return (*store)->trusts(project, sources);
  };
}

}  // namespace insomnia::profile
