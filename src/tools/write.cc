#include "tools/write.hh"

#include <sys/stat.h>

#include <cerrno>
#include <optional>

#include "tools/file_identity.hh"
#include "tools/input.hh"
#include "tools/replace_file.hh"
#include "tools/scoped_path.hh"

namespace insomnia::tools {
namespace {

/// The identity of what is at the target now, checked against what the Pod knows; nothing when there is no file.
Result<std::optional<std::string>> verified_identity(Call& call, Target const& target) {
  struct stat info{};
  if (::lstat(target.resolved.c_str(), &info) != 0) {
    if (errno == ENOENT) return std::optional<std::string>{};
    if (errno == ENOTDIR) return fail(Code::InvalidArgument, "a part of the path is a file, not a directory: " + target.given);
    return fail_errno("look at " + target.given, errno);
  }
  if (S_ISDIR(info.st_mode)) return fail(Code::InvalidArgument, "path is a directory: " + target.given);
  UniqueFd fd = TRY(open_regular(target));
  std::string identity = TRY(identity_of_file(fd.get(), target.given, call.control));
  TRY(call.context.tracker.verify(target.resolved, identity, true, target.given));
  return std::optional(identity);
}

}  // namespace

Result<WriteInput> parse_write_input(std::string_view json) {
  return parse_input<WriteInput>("Write", json, [](json::Reader& reader, WriteInput& input) {
    input.file_path = reader.string("file_path");
    input.content = reader.string("content");
  });
}

Result<Output> run_write(Call& call, WriteInput const& input) {
  auto& context = call.context;
  Target target = TRY(locate(*context.gate.scope(), input.file_path, scope::Permission::Write));
  auto ticket = context.gate.begin_write(target.resolved);
  if (!ticket) return std::unexpected(refusal(*context.gate.scope(), input.file_path, target.resolved, scope::Permission::Write));
  auto before = TRY(verified_identity(call, target));
  TRY(replace_file(call, target, before, input.content));
  call.observed.push_back(context.tracker.record_whole(target.resolved, identity_of_content(input.content)));
  return Output{(before ? "Overwrote " : "Created ") + input.file_path + " (" + std::to_string(input.content.size()) + " bytes)"};
}

}  // namespace insomnia::tools
