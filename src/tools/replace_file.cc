#include "tools/replace_file.hh"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/io.hh"
#include "tools/file_identity.hh"

namespace insomnia::tools {
namespace {

using scope::Permission;

std::string temporary_name() {
  uint64_t number = 0;
  if (::getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number) number = static_cast<uint64_t>(::getpid());
  return ".insomnia-" + std::to_string(number) + ".tmp";
}

/// What the directory of a write is: an open descriptor and the name below it.
struct Location {
  UniqueFd directory;
  std::string path;  ///< of the directory
  std::string name;
  bool writable_in_scope = false;
};

Result<UniqueFd> open_directory(ToolContext const& context, std::string const& path) {
  if (auto given = context.directories.find(path); given != context.directories.end()) {
    UniqueFd fd(::openat(given->second.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return fail_errno("open " + path, errno);
    return fd;
  }
  auto fd = open_resolved(path, O_RDONLY | O_DIRECTORY);
  if (!fd && fd.error().os_errno == EACCES) return open_resolved(path, O_PATH | O_DIRECTORY);
  return fd;
}

/// Opens the target's directory; with `make`, the missing ones are made, each only where the scope allows it.
Result<Location> open_location(ToolContext const& context, std::string const& resolved, bool make) {
  auto const shared_scope = context.gate.scope();
  scope::Scope const& scope = *shared_scope;
  Location location;
  location.path = io::parent_path(resolved);
  location.name = std::string(io::base_name(resolved));
  std::string existing = location.path;
  std::vector<std::string> missing;
  struct stat info{};
  while (make && existing != "/" && ::lstat(existing.c_str(), &info) != 0 && errno == ENOENT) {
    missing.emplace_back(io::base_name(existing));
    existing = io::parent_path(existing);
  }
  location.directory = TRY(open_directory(context, existing));
  std::reverse(missing.begin(), missing.end());
  for (auto const& name : missing) {
    existing = existing == "/" ? "/" + name : existing + "/" + name;
    if (scope.decide_resolved(existing).permission != Permission::Write) {
      return std::unexpected(refusal(scope, existing, existing, Permission::Write).with_context("create directory"));
    }
    int parent = location.directory.get();
    if (::mkdirat(parent, name.c_str(), 0777) != 0 && errno != EEXIST) return fail_errno("create directory " + existing, errno);
    UniqueFd next(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return fail_errno("open directory " + existing, errno);
    location.directory = std::move(next);
  }
  location.writable_in_scope = scope.decide_resolved(location.path).permission == Permission::Write;
  return location;
}

void sync_location(Location const& location) {
  // The content is synced; a directory that cannot be is no reason to call the write failed.
  if (::fsync(location.directory.get()) != 0) return;
}

/// The file beside the target that becomes it; removed unless it did.
class Temporary {
 public:
  Temporary(Location const& location, unsigned mode) : location_(location), name_(temporary_name()) {
    fd_.reset(::openat(location.directory.get(), name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    error_ = fd_ ? 0 : errno;
  }
  ~Temporary() {
    if (fd_ && !done_) ::unlinkat(location_.directory.get(), name_.c_str(), 0);
  }
  Temporary(Temporary const&) = delete;
  Temporary& operator=(Temporary const&) = delete;

  int fd() const { return fd_.get(); }
  int error() const { return error_; }
  std::string shown() const { return location_.path + "/" + name_; }
  /// Renames it to the target; gives errno.
  int rename(unsigned flags) {
    int directory = location_.directory.get();
    int result = ::renameat2(directory, name_.c_str(), directory, location_.name.c_str(), flags);
    if (result != 0) return errno;
    done_ = true;
    return 0;
  }
  /// The same for file systems without RENAME_NOREPLACE.
  int link() {
    int directory = location_.directory.get();
    return ::linkat(directory, name_.c_str(), directory, location_.name.c_str(), 0) == 0 ? 0 : errno;
  }

 private:
  Location const& location_;
  std::string name_;
  UniqueFd fd_;
  int error_ = 0;
  bool done_ = false;
};

/// Copies extended attributes, ACLs among them. False when one could not be copied.
bool copy_attributes(int from, int to) {
  ssize_t size = ::flistxattr(from, nullptr, 0);
  if (size <= 0) return size == 0 || errno == ENOTSUP;
  std::string names(static_cast<size_t>(size), '\0');
  size = ::flistxattr(from, names.data(), names.size());
  if (size < 0) return false;
  names.resize(static_cast<size_t>(size));
  for (size_t at = 0; at < names.size(); at += std::char_traits<char>::length(&names[at]) + 1) {
    char const* name = &names[at];
    ssize_t length = ::fgetxattr(from, name, nullptr, 0);
    if (length < 0) return false;
    std::string value(static_cast<size_t>(length), '\0');
    length = ::fgetxattr(from, name, value.data(), value.size());
    if (length < 0) return false;
    if (::fsetxattr(to, name, value.data(), static_cast<size_t>(length), 0) == 0) continue;
    // Security labels that the kernel sets by itself need not be ours to set; they are there already.
    std::string present(value.size(), '\0');
    if (::fgetxattr(to, name, present.data(), present.size()) != length || present != value) return false;
  }
  return true;
}

/// Gives `to` what people set on `from`. False when that is not possible.
bool copy_metadata(int from, struct stat const& info, int to) {
  struct stat fresh{};
  if (::fstat(to, &fresh) != 0) return false;
  bool owner_differs = fresh.st_uid != info.st_uid || fresh.st_gid != info.st_gid;
  if (owner_differs && ::fchown(to, info.st_uid, info.st_gid) != 0) return false;
  if (!copy_attributes(from, to)) return false;
  return ::fchmod(to, info.st_mode & 07777) == 0;
}

Error changed(std::string const& given) {
  return {Code::Conflict, "file was modified externally after last read: " + given + "; it changed while it was being written, so it was "
                          "left as it is; read it again"};
}

/// Whether the file at the target still has the identity that the caller knows.
Result<void> check_unchanged(Call& call, Target const& target, std::string const& expected) {
  UniqueFd fd = TRY(open_regular(target));
  if (TRY(identity_of_file(fd.get(), target.given, call.control)) != expected) return std::unexpected(changed(target.given));
  return {};
}

Result<void> write_at(int fd, std::string_view bytes, std::string const& what) {
  off_t offset = 0;
  while (!bytes.empty()) {
    ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("write " + what, errno);
    offset += count;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<void> overwrite(int fd, std::string_view content, std::string const& what) {
  TRY(write_at(fd, content, what));
  if (::ftruncate(fd, static_cast<off_t>(content.size())) != 0) return fail_errno("truncate " + what, errno);
  if (::fsync(fd) != 0) return fail_errno("fsync " + what, errno);
  return {};
}

Result<void> copy_content(int from, int to, std::string const& what, CallControl const& control) {
  Result<void> written{};
  TRY(read_blocks(from, what, control, [&](std::string_view bytes) {
    written = io::write_all(to, bytes, what);
    return written.has_value();
  }));
  return written;
}

Result<void> rewrite_in_place(Call& call, Target const& target, Location const& location, std::string const& expected, std::string_view content) {
  UniqueFd fd(::openat(location.directory.get(), location.name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK));
  if (!fd) return fail_errno("open " + target.given, errno);
  // Room first: a full disk is then noticed while the old content is untouched.
  if (!content.empty() && ::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(content.size())) != 0 &&
      (errno == ENOSPC || errno == EDQUOT)) {
    return fail_errno("make room for " + target.given, errno);
  }
  SpillStore::File old = TRY(call.context.spill.create("old-content"));
  auto kept = copy_content(fd.get(), old.fd.get(), target.given, call.control);
  if (kept && ::fsync(old.fd.get()) != 0) kept = fail_errno("fsync " + old.path, errno);
  auto unchanged = kept ? check_unchanged(call, target, expected) : kept;
  if (!unchanged) {
    call.context.spill.remove(old.path);
    return unchanged;
  }
  auto written = overwrite(fd.get(), content, target.given);
  if (written) {
    call.context.spill.remove(old.path);
    return {};
  }
  auto before = io::read_file(old.path, size_t{1} << 30);
  if (before && overwrite(fd.get(), *before, target.given)) {
    call.context.spill.remove(old.path);
    return std::unexpected(std::move(written).error().with_context("the old content was put back"));
  }
  call.context.spill.forget(old.path);
  return std::unexpected(std::move(written).error().with_context("the file is damaged, its old content is in " + old.path));
}

/// Whether the file beside the target was taken or the target must be rewritten in place.
enum class Way { Renamed, InPlace };

Result<Way> rename_over(Call& call, Target const& target, Location const& location, std::string const& expected,
                        std::string_view content) {
  UniqueFd old = TRY(open_regular(target));
  struct stat info{};
  if (::fstat(old.get(), &info) != 0) return fail_errno("stat " + target.given, errno);
  if (info.st_nlink > 1 || !location.writable_in_scope) return Way::InPlace;
  Temporary fresh(location, 0600);
  if (fresh.fd() < 0) {
    if (fresh.error() == EACCES || fresh.error() == EPERM || fresh.error() == EROFS) return Way::InPlace;
    return fail_errno("create " + fresh.shown(), fresh.error());
  }
  TRY(write_at(fresh.fd(), content, fresh.shown()));
  if (!copy_metadata(old.get(), info, fresh.fd())) return Way::InPlace;
  if (::fsync(fresh.fd()) != 0) return fail_errno("fsync " + fresh.shown(), errno);
  TRY(call.control.check());
  TRY(check_unchanged(call, target, expected));
  int error = fresh.rename(0);
  if (error == EBUSY || error == EXDEV) return Way::InPlace;  // the target is a mount point
  if (error != 0) return fail_errno("rename " + fresh.shown() + " to " + target.given, error);
  sync_location(location);
  return Way::Renamed;
}

Result<void> replace_existing(Call& call, Target const& target, Location const& location, std::string const& expected,
                              std::string_view content) {
  // A rename would get past a mode that forbids writing.
  if (::faccessat(location.directory.get(), location.name.c_str(), W_OK, AT_EACCESS) != 0 && errno != ENOENT) {
    if (errno == EACCES) {
      return fail(Code::PermissionDenied, "the mode of the file forbids writing: " + target.given + "; change it with chmod first");
    }
    return fail_errno("write " + target.given, errno);
  }
  if (TRY(rename_over(call, target, location, expected, content)) == Way::Renamed) return {};
  TRY(call.control.check());
  return rewrite_in_place(call, target, location, expected, content);
}

Error appeared(std::string const& given) {
  return {Code::Conflict, "file was created by somebody else meanwhile: " + given + "; read it first"};
}

/// Where the directory may not be written but the file may.
Result<void> create_in_place(Target const& target, Location const& location, std::string_view content) {
  UniqueFd fd(::openat(location.directory.get(), location.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!fd && errno == EEXIST) return std::unexpected(appeared(target.given));
  if (!fd) return fail_errno("create " + target.given, errno);
  auto written = overwrite(fd.get(), content, target.given);
  if (!written) ::unlinkat(location.directory.get(), location.name.c_str(), 0);
  return written;
}

Result<void> create(Call& call, Target const& target, Location const& location, std::string_view content) {
  if (!location.writable_in_scope) return create_in_place(target, location, content);
  Temporary fresh(location, 0666);
  if (fresh.fd() < 0) return fail_errno("create a file in " + location.path, fresh.error());
  TRY(write_at(fresh.fd(), content, fresh.shown()));
  if (::fsync(fresh.fd()) != 0) return fail_errno("fsync " + fresh.shown(), errno);
  TRY(call.control.check());
  int error = fresh.rename(RENAME_NOREPLACE);
  if (error == EINVAL || error == ENOSYS) error = fresh.link();
  if (error == EEXIST) return std::unexpected(appeared(target.given));
  if (error != 0) return fail_errno("rename " + fresh.shown() + " to " + target.given, error);
  sync_location(location);
  return {};
}

}  // namespace

Result<void> replace_file(Call& call, Target const& target, std::optional<std::string> const& expected,
                          std::string_view content) {
  Location location = TRY(open_location(call.context, target.resolved, !expected));
  if (!expected) return create(call, target, location, content);
  return replace_existing(call, target, location, *expected, content);
}

}  // namespace insomnia::tools
