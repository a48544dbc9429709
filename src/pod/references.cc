#include "pod/references.hh"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/io.hh"
#include "base/text.hh"

namespace insomnia::pod {
namespace {

constexpr size_t kMaxListed = 100;

std::unexpected<Error> reject(std::string const& path, std::string const& why) {
  return fail(Code::InvalidArgument, "file ref @" + path + " was not resolved: " + why);
}

Result<std::string> list_folder(std::string const& shown, std::string const& path, scope::Scope const& scope) {
  auto names = TRY(io::list_directory(path));
  std::string folders;
  std::string links;
  std::string files;
  size_t count = 0;
  for (auto const& name : names) {
    std::string member = path + "/" + name;
    struct stat info{};
    if (count >= kMaxListed || !scope.is_readable(member) || ::lstat(member.c_str(), &info) != 0) continue;
    ++count;
    if (S_ISDIR(info.st_mode)) folders += name + "/\n";
    else if (S_ISLNK(info.st_mode)) links += name + "@\n";
    else files += name + "\n";
  }
  std::string body = folders + links + files;
  return "[Dir: " + shown + "]\n" + text::to_utf8(body.empty() ? "(empty directory)" : body);
}

Result<std::string> read_start(std::string const& shown, std::string const& path, uint64_t limit) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (!fd) return fail_errno("open " + path, errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("stat " + path, errno);
  if (!S_ISREG(info.st_mode)) return reject(shown, "it is not a regular file");
  std::string bytes(std::min<uint64_t>(limit, static_cast<uint64_t>(info.st_size)), '\0');
  size_t got = 0;
  while (got < bytes.size()) {
    ssize_t count = ::read(fd.get(), bytes.data() + got, bytes.size() - got);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("read " + path, errno);
    if (count == 0) break;
    got += static_cast<size_t>(count);
  }
  bytes.resize(got);
  bool cut = static_cast<uint64_t>(info.st_size) > limit;
  std::string_view shown_bytes = bytes;
  // A character that the limit cuts is left out; anything else that is not UTF-8 makes the file binary.
  for (int dropped = 0; cut && dropped < 3 && !text::is_utf8(shown_bytes); ++dropped) shown_bytes.remove_suffix(1);
  if (!text::is_utf8(shown_bytes) || shown_bytes.find('\0') != std::string_view::npos) return reject(shown, "it is a binary file");
  std::string body = "[File: " + shown + "]\n" + std::string(shown_bytes);
  if (cut) body += "\n[...truncated, " + std::to_string(info.st_size) + " bytes total — read the rest with Read]";
  return body;
}

Result<wire::SystemItem> resolve_file(std::string const& shown, std::string const& cwd, scope::Scope const& scope, uint64_t limit) {
  std::string path = io::absolute(shown, cwd);
  auto resolved = io::real_path(path);
  if (!resolved) return reject(shown, "there is no such file");
  if (!scope.is_readable(*resolved)) return reject(shown, "it is outside the Pod's scope");
  struct stat info{};
  if (::stat(resolved->c_str(), &info) != 0) return reject(shown, "there is no such file");
  bool folder = S_ISDIR(info.st_mode);
  if (folder && *resolved != path) return reject(shown, "it reaches a directory through a symbolic link or `..`");
  std::string body = folder ? TRY(list_folder(shown, *resolved, scope)) : TRY(read_start(shown, *resolved, limit));
  return wire::SystemItem{.kind = "file_attachment", .body = std::move(body), .message = "", .event = std::nullopt, .path = shown};
}

}  // namespace

std::vector<Result<wire::SystemItem>> resolve_references(wire::Segments const& input, std::string const& cwd, scope::Scope const& scope,
                                                         uint64_t limit) {
  std::vector<Result<wire::SystemItem>> items;
  for (auto const& segment : input) {
    if (auto const* file = std::get_if<wire::FileRefSegment>(&segment)) items.push_back(resolve_file(file->path, cwd, scope, limit));
    if (auto const* knowledge = std::get_if<wire::KnowledgeRefSegment>(&segment)) {
      items.push_back(fail(Code::InvalidArgument, "#" + knowledge->slug + " was not resolved: this Pod has no knowledge store"));
    }
    if (auto const* workflow = std::get_if<wire::WorkflowInvokeSegment>(&segment)) {
      items.push_back(fail(Code::InvalidArgument, "/" + workflow->slug + " was not resolved: this Pod has no workflows"));
    }
  }
  return items;
}

}  // namespace insomnia::pod
