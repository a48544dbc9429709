#include "tools/edit.hh"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/text.hh"
#include "tools/file_identity.hh"
#include "tools/input.hh"
#include "tools/read.hh"
#include "tools/replace_file.hh"
#include "tools/scoped_path.hh"

namespace insomnia::tools {
namespace {

constexpr uint64_t kMaxFile = 64u << 20;
constexpr size_t kContext = 3;
constexpr size_t kMaxPreviewLine = 400;

bool ends_lines_with_return(std::string_view content) {
  bool any = false;
  for (size_t at = content.find('\n'); at != std::string_view::npos; at = content.find('\n', at + 1)) {
    if (at == 0 || content[at - 1] != '\r') return false;
    any = true;
  }
  return any;
}

Result<std::string> read_content(Call& call, Target const& target) {
  UniqueFd fd = TRY(open_regular(target));
  std::string content;
  bool too_large = false;
  TRY(read_blocks(fd.get(), target.given, call.control, [&](std::string_view bytes) {
    too_large = content.size() + bytes.size() > kMaxFile;
    if (!too_large) content += bytes;
    return !too_large;
  }));
  if (too_large) {
    return fail(Code::LimitReached, "file is larger than 64 MiB: " + target.given + "; change it with a command, e.g. sed in Bash");
  }
  return content;
}

/// Read shows no \r, so in a file whose lines all end with \r\n the line ends of both strings mean that too.
Replaced replace_in(std::string_view content, EditInput const& input) {
  bool literal = input.old_string.find('\r') != std::string::npos || input.new_string.find('\r') != std::string::npos;
  if (literal || !ends_lines_with_return(content)) {
    return replace_string(content, input.old_string, input.new_string, input.replace_all);
  }
  return replace_string(content, text::replace_all(input.old_string, "\n", "\r\n"),
                        text::replace_all(input.new_string, "\n", "\r\n"), input.replace_all);
}

}  // namespace

Result<EditInput> parse_edit_input(std::string_view json) {
  return parse_input<EditInput>("Edit", json, [](json::Reader& reader, EditInput& input) {
    input.file_path = reader.string("file_path");
    input.old_string = reader.string("old_string");
    input.new_string = reader.string("new_string");
    input.replace_all = reader.boolean_or("replace_all", false);
    if (!reader.ok()) return;
    if (input.old_string.empty()) reader.reject("old_string", "must not be empty");
    if (input.old_string == input.new_string) reader.reject("new_string", "must differ from old_string");
  });
}

Replaced replace_string(std::string_view content, std::string_view from, std::string_view to, bool all) {
  Replaced result;
  size_t at = 0;
  for (;;) {
    size_t found = content.find(from, at);
    if (found == std::string_view::npos) break;
    if (++result.count == 1) result.first = found;
    if (all || result.count == 1) {
      result.content.append(content.substr(at, found - at)).append(to);
    } else {
      result.content.append(content.substr(at, found + from.size() - at));
    }
    at = found + from.size();
  }
  result.content.append(content.substr(at));
  return result;
}

std::string preview(std::string_view content, size_t at) {
  auto lines_before = static_cast<size_t>(std::count(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
  size_t first = lines_before > kContext ? lines_before - kContext : 0;
  size_t start = at;
  for (size_t steps = lines_before - first + 1; steps > 0; --steps) {
    size_t newline = start == 0 ? std::string_view::npos : content.rfind('\n', start - 1);
    if (newline == std::string_view::npos) {
      start = 0;
      break;
    }
    start = steps == 1 ? newline + 1 : newline;
  }
  std::string result;
  for (size_t number = first; number <= lines_before + kContext && start < content.size(); ++number) {
    size_t end = std::min(content.find('\n', start), content.size());
    std::string_view line = content.substr(start, end - start);
    if (line.ends_with('\r')) line.remove_suffix(1);
    bool cut = line.size() > kMaxPreviewLine;
    result += numbered_line(number + 1, std::string(text::prefix(line, kMaxPreviewLine)) + (cut ? "…" : ""));
    start = end + 1;
  }
  return result;
}

Result<Output> run_edit(Call& call, EditInput const& input) {
  auto& context = call.context;
  Target target = TRY(locate(*context.gate.scope(), input.file_path, scope::Permission::Write));
  auto ticket = context.gate.begin_write(target.resolved);
  if (!ticket) return std::unexpected(refusal(*context.gate.scope(), input.file_path, target.resolved, scope::Permission::Write));
  std::string content = TRY(read_content(call, target));
  std::string identity = identity_of_content(content);
  TRY(context.tracker.verify(target.resolved, identity, false, input.file_path));
  if (!text::is_utf8(content)) return fail(Code::InvalidArgument, "file is not valid UTF-8: " + input.file_path);
  Replaced replaced = replace_in(content, input);
  if (replaced.count == 0) {
    return fail(Code::InvalidArgument, "string not found in file: " + input.file_path + "; it must match exactly, white space included");
  }
  if (replaced.count > 1 && !input.replace_all) {
    return fail(Code::InvalidArgument, "string is not unique in file (" + std::to_string(replaced.count) +
                                           " occurrences); pass replace_all=true or disambiguate: " + input.file_path);
  }
  TRY(replace_file(call, target, identity, replaced.content));
  call.observed.push_back(context.tracker.record_edit(target.resolved, identity_of_content(replaced.content)));
  std::string plural = replaced.count == 1 ? " replacement)" : " replacements)";
  return Output{"Edited " + input.file_path + " (" + std::to_string(replaced.count) + plural, preview(replaced.content, replaced.first)};
}

}  // namespace insomnia::tools
