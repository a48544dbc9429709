#include "tools/tracker.hh"

#include <algorithm>

namespace insomnia::tools {
namespace {

constexpr size_t kRecent = 20;

using Range = std::pair<uint64_t, uint64_t>;

void add_range(std::vector<Range>& ranges, Range added) {
  std::vector<Range> merged;
  for (auto const& range : ranges) {
    if (range.second < added.first || added.second < range.first) {
      merged.push_back(range);
    } else {
      added = {std::min(added.first, range.first), std::max(added.second, range.second)};
    }
  }
  merged.push_back(added);
  std::sort(merged.begin(), merged.end());
  ranges = std::move(merged);
}

}  // namespace

Tracker::Tracker(std::vector<Observed> const& past) {
  for (auto const& file : past) files_[file.path] = {file.sha256, file.whole, {}};
}

/// REQUIRES: mutex_ held.
Tracker::Seen& Tracker::touch(std::string const& path, std::string const& identity) {
  std::erase(recent_, path);
  recent_.push_front(path);
  if (recent_.size() > kRecent) recent_.pop_back();
  Seen& seen = files_[path];
  if (seen.identity != identity) seen = {identity, false, {}};
  return seen;
}

Observed Tracker::record_whole(std::string const& path, std::string const& identity) {
  std::lock_guard lock(mutex_);
  Seen& seen = touch(path, identity);
  seen.whole = true;
  seen.lines.clear();
  return {path, identity, true};
}

Observed Tracker::record_lines(std::string const& path, std::string const& identity, SeenLines lines) {
  std::lock_guard lock(mutex_);
  Seen& seen = touch(path, identity);
  if (!seen.whole && lines.first < lines.end) add_range(seen.lines, {lines.first, lines.end});
  if (lines.total == 0 || (seen.lines.size() == 1 && seen.lines[0] == Range(0, lines.total))) seen.whole = true;
  if (seen.whole) seen.lines.clear();
  return {path, identity, seen.whole};
}

Observed Tracker::record_part(std::string const& path, std::string const& identity) {
  std::lock_guard lock(mutex_);
  return {path, identity, touch(path, identity).whole};
}

Observed Tracker::record_edit(std::string const& path, std::string const& identity) {
  std::lock_guard lock(mutex_);
  auto before = files_.find(path);
  bool whole = before != files_.end() && before->second.whole;
  touch(path, identity).whole = whole;
  return {path, identity, whole};
}

Result<void> Tracker::verify(std::string const& path, std::string_view identity, bool whole,
                             std::string const& shown) const {
  std::lock_guard lock(mutex_);
  auto known = files_.find(path);
  if (known == files_.end()) {
    return fail(Code::InvalidArgument, "file has not been read in this session; read it first: " + shown);
  }
  if (known->second.identity != identity) {
    return fail(Code::InvalidArgument, "file was modified externally after last read: " + shown + "; read it again");
  }
  if (whole && !known->second.whole) {
    auto const& lines = known->second.lines;
    uint64_t next = !lines.empty() && lines[0].first == 0 ? lines[0].second : 0;
    return fail(Code::InvalidArgument, "file was only read in part: " + shown + "; Write replaces all of it, so read the rest first (offset " +
                                           std::to_string(next) + "), or change the part you know with Edit");
  }
  return {};
}

std::vector<std::string> Tracker::recent(size_t count) const {
  std::lock_guard lock(mutex_);
  return {recent_.begin(), recent_.begin() + static_cast<std::ptrdiff_t>(std::min(count, recent_.size()))};
}

}  // namespace insomnia::tools
