#include "pod/stored_pods.hh"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/io.hh"
#include "base/text.hh"
#include "llm/catalogue.hh"
#include "pod/store.hh"
#include "session/location.hh"
#include "wire/log_entry.hh"

namespace insomnia::pod {
namespace {

constexpr size_t kFirstLook = 64 << 10;
constexpr size_t kMaxReason = 500;

/// Up to `limit` bytes from the start of the file.
Result<std::string> read_start(int fd, std::string const& path, size_t limit) {
  std::string bytes(limit, '\0');
  size_t size = 0;
  while (size < limit) {
    ssize_t count = ::pread(fd, bytes.data() + size, limit - size, static_cast<off_t>(size));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("read " + path, errno);
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  bytes.resize(size);
  return bytes;
}

Error damaged(std::string const& path, std::string const& why) {
  return {Code::Corrupt, "its session " + path + " is damaged: " + why};
}

/// Whether what a segment begins with is the beginning of a segment. A log without any whole record is an
/// empty session and no damage (doc/session-format.md).
Result<void> check_start(std::string_view bytes, bool is_all, std::string const& path) {
  bool torn = false;
  while (!bytes.empty()) {
    size_t end = bytes.find('\n');
    std::string_view line = text::trim(bytes.substr(0, end));
    bool whole = end != std::string_view::npos;
    bytes.remove_prefix(whole ? end + 1 : bytes.size());
    if (line.empty()) continue;
    if (line.find('\0') != std::string_view::npos) {
      torn = true;
      continue;
    }
    if (torn) return std::unexpected(damaged(path, "it begins with NUL bytes, and records follow"));
    if (!whole && is_all) break;  // a record that was never completed
    if (!whole) {
      // A long history. A quotation mark inside a text is escaped, so this can't be part of one.
      if (line.starts_with('{') && line.find(R"("kind":"segment_start")") != std::string_view::npos)
        return {};
      return std::unexpected(damaged(path, "its first record is no segment_start"));
    }
    auto entry = wire::decode_log_entry(line);
    if (!entry)
      return std::unexpected(damaged(path, "its first record can't be read: " + entry.error().message));
    if (!std::holds_alternative<wire::SegmentStart>(entry->record))
      return std::unexpected(damaged(path, "its first record is no segment_start"));
    return {};
  }
  if (torn && !is_all) return std::unexpected(damaged(path, "it begins with NUL bytes"));
  return {};
}

/// Looks at the active segment; sets `last_active_ms` whenever the file is there.
Result<void> check_session(Paths const& paths, session::Location const& location, int64_t& last_active_ms) {
  if (location.session_id.empty() || location.segment_id.empty())
    return fail(Code::NotFound, "nothing was ever logged: it has no session");
  TRY(session::check_location(location));
  std::string path = session::segment_path(paths.sessions_dir(), location);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd && (errno == ENOENT || errno == ENOTDIR))
    return fail(Code::NotFound, "its session " + path + " is missing: nothing was logged, or it was removed");
  if (!fd) return fail_errno("open its session " + path, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("stat its session " + path, errno);
  if (!S_ISREG(info.st_mode)) return std::unexpected(damaged(path, "it is not a regular file"));
  last_active_ms = static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000 + info.st_mtim.tv_nsec / 1'000'000;
  std::string bytes = TRY(read_start(fd.get(), path, kFirstLook));
  return check_start(bytes, bytes.size() < kFirstLook, path);
}

/// Whether the Pod's model could be called, as far as this can be known without calling it.
Result<void> check_model(manifest::ModelManifest model, Result<llm::Catalogue> const& catalogue,
                         Environment const& environment, Paths const& paths) {
  if (!catalogue) return std::unexpected(catalogue.error());
  if (model.empty()) model = TRY(llm::default_model(environment, paths.config_dir)).model;
  auto resolved = TRY(catalogue->resolve(model));
  TRY(llm::resolve_key(resolved, environment));
  return {};
}

std::string reason_of(Error const& error) {
  return text::one_line(error.message, kMaxReason);
}

StoredPod describe(std::string const& name, Result<std::optional<PodState>> const& read,
                   Result<llm::Catalogue> const& catalogue, Environment const& environment,
                   Paths const& paths) {
  StoredPod pod{.pod_name = name};
  if (!read) {
    pod.reason = reason_of(read.error());
    return pod;
  }
  if (!*read) {
    pod.reason = paths.pod_dir(name) + "/metadata.json is missing";
    return pod;
  }
  PodState const& state = **read;
  pod.pod_id = state.pod_id;
  if (state.parent) {
    pod.parent_pod_id = state.parent->pod_id;
    pod.parent_pod_name = state.parent->pod_name;
  }
  pod.task = state.task;
  pod.workspace_root = state.workspace_root;
  pod.scope = state.config.scope;
  pod.session_id = state.session_id;
  pod.segment_id = state.segment_id;
  if (auto session = check_session(paths, {state.session_id, state.segment_id}, pod.last_active_ms);
      !session) {
    pod.reason = reason_of(session.error());
    return pod;
  }
  auto model = check_model(state.config.model, catalogue, environment, paths);
  pod.state = model ? StoredState::Restorable : StoredState::NeedsKey;
  if (!model) pod.reason = reason_of(model.error());
  return pod;
}

/// Whether a directory without metadata has ever been more than the place of a lock. A Pod that was refused
/// at its start leaves that.
bool only_a_lock(std::string const& directory) {
  auto names = io::list_directory(directory);
  return names &&
         std::all_of(names->begin(), names->end(), [](std::string const& name) { return name == "lock"; });
}

bool is_directory(std::string const& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

std::string_view stored_state_name(StoredState state) {
  switch (state) {
    case StoredState::Restorable:
      return "restorable";
    case StoredState::NeedsKey:
      return "needs key";
    case StoredState::Gone:
      return "gone";
  }
  return "gone";
}

Result<std::vector<StoredPod>> stored_pods(Paths const& paths, Environment const& environment) {
  TRY(paths.require_data_dir());
  std::vector<StoredPod> result;
  auto names = TRY(io::list_directory(paths.pods_dir()));
  auto catalogue = llm::Catalogue::load(paths.config_dir);
  // Keys belong to providers. Without rows nobody is warned of each stored model that has none.
  if (catalogue) catalogue->models.clear();
  for (auto const& name : names) {
    std::string directory = paths.pod_dir(name);
    if (!check_pod_name(name) || !is_directory(directory)) continue;
    auto state = read_pod_state(paths, name);
    if (state && !*state && only_a_lock(directory)) continue;
    result.push_back(describe(name, state, catalogue, environment, paths));
  }
  return result;
}

}  // namespace insomnia::pod
