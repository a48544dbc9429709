#include "session/log.hh"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>

#include "base/text.hh"

namespace insomnia::session {
namespace {

constexpr size_t kChunk = 256 << 10;

/// Takes the bytes of a segment as they come and folds its records. Entirely passive.
class Loader {
 public:
  /// False: there is damage, nothing more is wanted.
  bool feed(std::string_view bytes);
  void finish();

  std::optional<Damage> const& damage() const { return damage_; }
  LoadedSegment take();

 private:
  void take_piece(std::string_view piece);
  void end_line();
  void take_record(std::string_view line);
  void stop(uint64_t line, std::string reason) {
    if (!damage_) damage_ = Damage{line, std::move(reason)};
  }

  LoadedSegment loaded_;
  Replay replay_;
  std::optional<Damage> damage_;

  std::string line_;         ///< what came of the current line; empty once it has a NUL
  uint64_t line_number_ = 1;
  uint64_t line_start_ = 0;  ///< offsets in the file
  uint64_t offset_ = 0;
  bool has_nul_ = false;
  std::optional<uint64_t> torn_start_;
  uint64_t torn_line_ = 0;
};

bool Loader::feed(std::string_view bytes) {
  while (!bytes.empty() && !damage_) {
    size_t end = bytes.find('\n');
    take_piece(bytes.substr(0, end));
    if (end == std::string_view::npos) break;
    ++offset_;
    end_line();
    bytes.remove_prefix(end + 1);
  }
  return !damage_;
}

void Loader::take_piece(std::string_view piece) {
  offset_ += piece.size();
  if (!has_nul_ && piece.find('\0') != std::string_view::npos) {
    has_nul_ = true;
    std::string().swap(line_);
  }
  if (has_nul_) return;
  if (line_.size() + piece.size() > kMaxRecordBytes) {
    stop(line_number_, "it is longer than " + std::to_string(kMaxRecordBytes) + " bytes");
    return;
  }
  line_ += piece;
}

void Loader::end_line() {
  std::string_view line = text::trim(line_);
  if (has_nul_) {
    if (!torn_start_) {
      torn_start_ = line_start_;
      torn_line_ = line_number_;
    }
  } else if (!line.empty()) {
    if (torn_start_) stop(torn_line_, "it holds NUL bytes, and records follow");
    else take_record(line);
  }
  line_.clear();
  has_nul_ = false;
  line_start_ = offset_;
  ++line_number_;
}

void Loader::take_record(std::string_view line) {
  auto entry = wire::decode_log_entry(line);
  if (!entry) return stop(line_number_, entry.error().message);
  if (loaded_.lines.empty() && !std::holds_alternative<wire::SegmentStart>(entry->record)) {
    return stop(line_number_, "the first record of a segment must be a segment_start");
  }
  if (offset_ > kMaxSegmentBytes) {
    return stop(line_number_, "the segment is longer than " + std::to_string(kMaxSegmentBytes) + " bytes");
  }
  replay_.apply(*entry);
  loaded_.lines.emplace_back(line);
}

void Loader::finish() {
  bool unfinished = offset_ > line_start_;
  if (unfinished && !torn_start_) torn_start_ = line_start_;
  if (torn_start_) loaded_.torn_bytes = offset_ - *torn_start_;
}

LoadedSegment Loader::take() {
  loaded_.state = replay_.take();
  loaded_.damage = damage_;
  return std::move(loaded_);
}

Result<UniqueFd> open_segment(std::string const& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return fail_errno("open " + path, errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("stat " + path, errno);
  if (!S_ISREG(info.st_mode)) return fail(Code::InvalidArgument, "open " + path + ": it is not a regular file");
  return fd;
}

}  // namespace

Result<LoadedSegment> salvage_segment(std::string const& sessions_dir, Location const& location) {
  TRY(check_location(location));
  std::string path = segment_path(sessions_dir, location);
  UniqueFd fd = TRY(open_segment(path));
  auto buffer = std::make_unique<char[]>(kChunk);
  Loader loader;
  for (;;) {
    ssize_t count = ::read(fd.get(), buffer.get(), kChunk);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("read " + path, errno);
    if (count == 0) break;
    if (!loader.feed({buffer.get(), static_cast<size_t>(count)})) return loader.take();
  }
  loader.finish();
  return loader.take();
}

Result<LoadedSegment> load_segment(std::string const& sessions_dir, Location const& location) {
  LoadedSegment loaded = TRY(salvage_segment(sessions_dir, location));
  if (!loaded.damage) return loaded;
  size_t good = loaded.lines.size();
  return fail(Code::Corrupt, segment_path(sessions_dir, location) + ": line " + std::to_string(loaded.damage->line) +
                                 " is damaged: " + loaded.damage->reason + ". The file is left as it is; " +
                                 (good == 0 ? "nothing before it can be used, so start a new session"
                                            : "the " + std::to_string(good) +
                                                  " records before it are good, so fork the session there"));
}

Result<ReplayedState> replay_until_turn(std::vector<std::string> const& lines, uint64_t turn_count) {
  Replay replay;
  for (auto const& line : lines) {
    wire::LogEntry entry = TRY(wire::decode_log_entry(line));
    replay.apply(entry);
    if (turn_count == 0 && std::holds_alternative<wire::SegmentStart>(entry.record)) break;
    auto const* turn_end = std::get_if<wire::TurnEndRecord>(&entry.record);
    if (turn_end != nullptr && turn_end->turn_count == turn_count) break;
  }
  return replay.take();
}

}  // namespace insomnia::session
