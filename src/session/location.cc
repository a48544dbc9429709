#include "session/location.hh"

#include <algorithm>

#include "base/io.hh"
#include "base/text.hh"
#include "base/uuid.hh"

namespace insomnia::session {
namespace {

constexpr std::string_view kSuffix = ".jsonl";

bool is_file_name(std::string_view id) {
  return !id.empty() && id.size() <= 128 && id.front() != '.' && id.find('/') == std::string_view::npos &&
         id.find('\0') == std::string_view::npos;
}

}  // namespace

std::string segment_path(std::string const& sessions_dir, Location const& location) {
  return sessions_dir + "/" + location.session_id + "/" + location.segment_id + std::string(kSuffix);
}

Result<void> check_location(Location const& location) {
  for (auto const* id : {&location.session_id, &location.segment_id}) {
    if (!is_file_name(*id)) {
      return fail(Code::InvalidArgument, "`" + text::one_line(*id, 64) + "` is not the id of a session or segment");
    }
  }
  return {};
}

Result<std::vector<std::string>> list_sessions(std::string const& sessions_dir) {
  std::vector<std::string> names = TRY(io::list_directory(sessions_dir));
  std::erase_if(names, [](std::string const& name) { return !is_uuid(name); });
  std::reverse(names.begin(), names.end());
  return names;
}

Result<std::vector<std::string>> list_segments(std::string const& sessions_dir, std::string const& session_id) {
  if (!is_file_name(session_id)) return std::vector<std::string>{};
  std::vector<std::string> ids;
  for (std::string const& name : TRY(io::list_directory(sessions_dir + "/" + session_id))) {
    if (!name.ends_with(kSuffix)) continue;
    std::string id = name.substr(0, name.size() - kSuffix.size());
    if (is_uuid(id)) ids.push_back(std::move(id));
  }
  std::reverse(ids.begin(), ids.end());
  return ids;
}

Result<std::optional<Location>> find_segment(std::string const& sessions_dir, std::string const& segment_id) {
  if (!is_uuid(segment_id)) return std::nullopt;
  for (std::string const& session_id : TRY(list_sessions(sessions_dir))) {
    Location location{session_id, segment_id};
    if (io::exists(segment_path(sessions_dir, location))) return location;
  }
  return std::nullopt;
}

}  // namespace insomnia::session
