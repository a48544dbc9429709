#include "session/segment_writer.hh"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/io.hh"
#include "wire/log_entry.hh"

namespace insomnia::session {
namespace {

constexpr size_t kChunk = 64 << 10;

/// What text::trim takes away, newlines aside.
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

/// mkdir -p of which each step survives a power failure.
Result<void> make_durable_directory(std::string const& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return io::sync_directory(io::parent_path(path));
  if (errno == ENOENT && path != "/" && path != ".") {
    TRY(make_durable_directory(io::parent_path(path)));
    if (::mkdir(path.c_str(), 0700) == 0) return io::sync_directory(io::parent_path(path));
  }
  if (errno != EEXIST) return fail_errno("create directory " + path, errno);
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return fail_errno("stat " + path, errno);
  if (!S_ISDIR(info.st_mode)) return fail_errno("create directory " + path, ENOTDIR);
  return {};
}

Result<uint64_t> size_of(int fd, std::string const& path) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail_errno("stat " + path, errno);
  if (!S_ISREG(info.st_mode)) return fail(Code::InvalidArgument, "open " + path + ": it is not a regular file");
  return static_cast<uint64_t>(info.st_size);
}

Result<void> read_at(int fd, char* buffer, size_t size, uint64_t offset, std::string const& path) {
  while (size > 0) {
    ssize_t count = ::pread(fd, buffer, size, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("read " + path, errno);
    if (count == 0) return fail(Code::Conflict, "read " + path + ": it became shorter meanwhile");
    buffer += count;
    size -= static_cast<size_t>(count);
    offset += static_cast<uint64_t>(count);
  }
  return {};
}

/// Finds the end of the last whole record, looking at lines from the last one backwards. The same rules as in load_segment: a
/// line without newline or with a NUL is torn, white space says nothing, everything else is a record.
class TailScan {
 public:
  explicit TailScan(uint64_t size) : keep_(size), line_end_(size) {}

  /// The byte before the ones seen so far. False: a whole record was found, keep() is the answer.
  bool look(char c, uint64_t offset) {
    if (c == '\n') {
      if (!end_of_line(offset + 1)) return false;
      terminated_ = true;
      has_nul_ = false;
      blank_ = true;
      line_end_ = offset + 1;
      return true;
    }
    if (c == '\0') has_nul_ = true;
    if (!is_blank(c)) blank_ = false;
    return true;
  }
  /// The line that was seen backwards begins at `start`.
  bool end_of_line(uint64_t start) {
    if (start == line_end_) return true;  // nothing after the last newline
    bool torn = !terminated_ || has_nul_;
    if (torn) keep_ = start;
    return torn || blank_;
  }
  uint64_t keep() const { return keep_; }

 private:
  uint64_t keep_;
  uint64_t line_end_;
  bool terminated_ = false;
  bool has_nul_ = false;
  bool blank_ = true;
};

Result<uint64_t> end_of_records(int fd, uint64_t size, std::string const& path) {
  TailScan scan(size);
  std::string chunk;
  for (uint64_t end = size; end > 0;) {
    uint64_t start = end > kChunk ? end - kChunk : 0;
    chunk.resize(end - start);
    TRY(read_at(fd, chunk.data(), chunk.size(), start, path));
    for (size_t at = chunk.size(); at > 0; --at) {
      if (!scan.look(chunk[at - 1], start + at - 1)) return scan.keep();
    }
    end = start;
  }
  scan.end_of_line(0);
  return scan.keep();
}

/// Where the record with the number `entries` (from 0) begins.
Result<uint64_t> offset_of(int fd, uint64_t size, uint64_t entries, std::string const& path) {
  std::string chunk;
  uint64_t found = 0;
  bool blank = true;
  for (uint64_t start = 0; start < size && found < entries; start += chunk.size()) {
    chunk.resize(std::min<uint64_t>(kChunk, size - start));
    TRY(read_at(fd, chunk.data(), chunk.size(), start, path));
    for (size_t at = 0; at < chunk.size(); ++at) {
      char c = chunk[at];
      if (c != '\n') {
        if (!is_blank(c)) blank = false;
        continue;
      }
      if (!blank && ++found == entries) return start + at + 1;
      blank = true;
    }
  }
  if (entries == 0) return 0;
  return fail(Code::InvalidArgument, "cut " + path + " to " + std::to_string(entries) + " records: it has only " +
                                         std::to_string(found));
}

bool sync_file(int fd) {
  while (::fdatasync(fd) != 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

}  // namespace

Result<void> SegmentWriter::prepare(std::string const& sessions_dir, Location const& location) {
  TRY(check_location(location));
  return make_durable_directory(io::parent_path(segment_path(sessions_dir, location)));
}

Result<SegmentWriter> SegmentWriter::create(std::string const& sessions_dir, Location const& location) {
  TRY(prepare(sessions_dir, location));
  std::string path = segment_path(sessions_dir, location);
  std::string directory = io::parent_path(path);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("create " + path, errno);
  if (auto synced = io::sync_directory(directory); !synced) {
    ::unlink(path.c_str());
    return std::unexpected(synced.error());
  }
  return SegmentWriter(std::move(path), std::move(fd), 0, 0);
}

Result<SegmentWriter> SegmentWriter::open(std::string const& sessions_dir, Location const& location) {
  TRY(check_location(location));
  std::string path = segment_path(sessions_dir, location);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail_errno("open " + path, errno);
  uint64_t size = TRY(size_of(fd.get(), path));
  uint64_t keep = TRY(end_of_records(fd.get(), size, path));
  SegmentWriter writer(std::move(path), std::move(fd), keep, size - keep);
  if (keep < size) {
    TRY(writer.cut_back());
    TRY(writer.sync());
  }
  return writer;
}

Result<std::string> SegmentWriter::join(std::vector<std::string> const& lines) const {
  std::string bytes;
  for (auto const& line : lines) {
    if (line.size() > kMaxRecordBytes) {
      return fail(Code::LimitReached, "append to " + path_ + ": a record of " + std::to_string(line.size()) +
                                          " bytes is longer than the limit of " + std::to_string(kMaxRecordBytes));
    }
    if (line.empty() || line.find('\n') != std::string::npos || line.find('\0') != std::string::npos) {
      return fail(Code::InvalidArgument, "append to " + path_ + ": a record must be one line that is not empty");
    }
    bytes += line;
    bytes += '\n';
  }
  if (size_ + bytes.size() > kMaxSegmentBytes) {
    return fail(Code::LimitReached, "append to " + path_ + ": the segment would get longer than " +
                                        std::to_string(kMaxSegmentBytes) + " bytes; compact the session to go on in a new one");
  }
  return bytes;
}

Result<void> SegmentWriter::check_usable() {
  if (sync_failed_) {
    return fail(Code::Io, "append to " + path_ + ": an earlier sync failed, so the disk may lack records; check the disk and " +
                              "restart the Pod, it goes on from what is there");
  }
  if (cut_is_due_) TRY(cut_back());
  uint64_t now = TRY(size_of(fd_.get(), path_));
  if (now != size_) {
    return fail(Code::Conflict, "append to " + path_ + ": it has " + std::to_string(now) + " bytes where this Pod wrote " +
                                    std::to_string(size_) + ", so somebody else changed it; nothing was written");
  }
  return {};
}

Result<void> SegmentWriter::cut_back() {
  while (::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) {
    if (errno == EINTR) continue;
    cut_is_due_ = true;
    return fail_errno("cut " + path_ + " back to its last whole record", errno);
  }
  cut_is_due_ = false;
  return {};
}

Result<void> SegmentWriter::append(std::vector<std::string> const& lines, bool durable) {
  if (lines.empty()) return durable ? sync() : Result<void>{};
  TRY(check_usable());
  std::string bytes = TRY(join(lines));
  if (size_ == 0) {
    auto first = wire::decode_log_entry(lines.front());
    if (!first || !std::holds_alternative<wire::SegmentStart>(first->record)) {
      return fail(Code::InvalidArgument, "append to " + path_ + ": the first record of a segment must be a segment_start");
    }
  }
  if (auto written = io::write_all(fd_.get(), bytes, path_); !written) {
    Error error = std::move(written).error();
    error.message += cut_back() ? "; the log is as it was before" : "; the rest is cut off at the next start";
    return std::unexpected(std::move(error));
  }
  if (durable && !sync_file(fd_.get())) {
    Error error = errno_error("sync " + path_, errno);
    sync_failed_ = true;
    (void)cut_back();
    return std::unexpected(std::move(error));
  }
  size_ += bytes.size();
  return {};
}

Result<void> SegmentWriter::sync() {
  if (sync_failed_) return check_usable();
  if (sync_file(fd_.get())) return {};
  int error = errno;
  sync_failed_ = true;
  return fail_errno("sync " + path_, error);
}

Result<void> SegmentWriter::truncate(uint64_t entries) {
  TRY(check_usable());
  uint64_t keep = TRY(offset_of(fd_.get(), size_, entries, path_));
  if (keep == size_) return {};
  uint64_t before = std::exchange(size_, keep);
  if (auto cut = cut_back(); !cut) {
    size_ = before;  // a failed cut changes nothing
    cut_is_due_ = false;
    return cut;
  }
  return sync();
}

}  // namespace insomnia::session
