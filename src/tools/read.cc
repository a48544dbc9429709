#include "tools/read.hh"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>

#include "base/sha256.hh"
#include "base/text.hh"
#include "tools/file_identity.hh"
#include "tools/input.hh"
#include "tools/scoped_path.hh"

namespace insomnia::tools {
namespace {

constexpr size_t kBinaryProbe = 8192;

std::string_view kind_of_binary(std::string_view head) {
  struct Magic {
    std::string_view bytes;
    std::string_view kind;
  };
  using namespace std::string_view_literals;
  static constexpr Magic kMagics[] = {
      {"\x7f" "ELF"sv, "ELF program or library"}, {"\x89PNG"sv, "PNG image"}, {"\xff\xd8\xff"sv, "JPEG image"},
      {"GIF8"sv, "GIF image"}, {"RIFF"sv, "RIFF container (WebP, WAV, AVI)"}, {"%PDF"sv, "PDF document"},
      {"PK\x03\x04"sv, "ZIP archive (or jar, docx, xlsx …)"}, {"\x1f\x8b"sv, "gzip archive"}, {"BZh"sv, "bzip2 archive"},
      {"\xfd" "7zXZ"sv, "xz archive"}, {"\x28\xb5\x2f\xfd"sv, "zstd archive"}, {"7z\xbc\xaf"sv, "7z archive"},
      {"SQLite format 3\0"sv, "SQLite database"}, {"\xff\xfe"sv, "UTF-16 text"}, {"\xfe\xff"sv, "UTF-16 text"},
      {"\0asm"sv, "WebAssembly module"}, {"\xca\xfe\xba\xbe"sv, "Java class or Mach-O binary"}, {"OggS"sv, "Ogg media"},
      {"ID3"sv, "MP3 audio"}, {"!<arch>"sv, "static library"}, {"\0\0\x01\0"sv, "icon"}};
  for (auto const& magic : kMagics) {
    if (head.starts_with(magic.bytes)) return magic.kind;
  }
  if (head.size() > 262 && head.substr(257, 5) == "ustar") return "tar archive";
  if (head.size() > 12 && head.substr(4, 4) == "ftyp") return "MP4 media";
  return "unknown type";
}

struct Scan {
  LineWindow window;
  std::string identity;
  bool binary = false;
  std::string kind;
  bool complete = false;  ///< read to the end: the number of lines is known
};

/// Reads the file: all of it when it is to be hashed, else until the window is full.
Result<Scan> scan(Call& call, ReadInput const& input, int fd, struct stat const& info) {
  size_t max_bytes = static_cast<size_t>(call.context.read_bytes);
  Scan result{.window = LineWindow(input.offset, input.limit, max_bytes), .identity = "", .kind = ""};
  bool hashed = static_cast<uint64_t>(info.st_size) <= kMaxHashedFile;
  Sha256 hash;
  uint64_t total = 0;
  bool stopped = false;
  TRY(read_blocks(fd, input.file_path, call.control, [&](std::string_view bytes) {
    if (total == 0) {
      auto head = bytes.substr(0, kBinaryProbe);
      result.binary = head.find('\0') != std::string_view::npos;
      if (result.binary) result.kind = kind_of_binary(head);
    }
    total += bytes.size();
    if (!result.binary) result.window.feed(bytes);
    if (hashed) hash.update(bytes);
    // What grows without end while it is read (a pseudo file) is not followed.
    stopped = (!hashed && (result.binary || result.window.full())) || (hashed && total > kMaxHashedFile);
    return !stopped;
  }));
  result.complete = !stopped;
  if (result.complete) result.window.finish();
  result.identity = hashed && result.complete ? hash.finish() : identity_of_stat(info);
  return result;
}

void record(Call& call, Target const& target, ReadInput const& input, Scan const& scan) {
  auto& tracker = call.context.tracker;
  auto const& window = scan.window;
  if (!scan.complete || scan.binary || window.cut_bytes() > 0) {
    call.observed.push_back(tracker.record_part(target.resolved, scan.identity));
    return;
  }
  SeenLines seen{input.offset, input.offset + window.shown(), window.lines_seen()};
  call.observed.push_back(tracker.record_lines(target.resolved, scan.identity, seen));
}

std::string summary_of(ReadInput const& input, Scan const& scan) {
  auto const& window = scan.window;
  uint64_t shown = window.shown();
  uint64_t total = window.lines_seen();
  std::string text = "Read " + std::to_string(shown) + " line(s) ";
  bool everything = scan.complete && input.offset == 0 && shown == total;
  if (shown > 0 && !everything) {
    text += "[" + std::to_string(input.offset + 1) + ".." + std::to_string(input.offset + shown) + "] of ";
    text += scan.complete ? std::to_string(total) + " " : "many ";
  }
  text += "from " + input.file_path;
  if (shown == 0 && total > 0) {
    text += ": offset " + std::to_string(input.offset) + " is past the end, it has " + std::to_string(total) + " line(s)";
  }
  if (window.cut_bytes() > 0) text += "; line " + std::to_string(input.offset + 1) + " is cut, " + std::to_string(window.cut_bytes()) + " bytes of it are not shown";
  bool more = !scan.complete || input.offset + shown < total;
  if (window.stopped_by_size() && more) text += "; size limit reached, go on with offset " + std::to_string(input.offset + shown);
  if (window.malformed()) text += "; not valid UTF-8, malformed bytes are shown as \uFFFD";
  return text;
}

}  // namespace

Result<ReadInput> parse_read_input(std::string_view json) {
  return parse_input<ReadInput>("Read", json, [](json::Reader& reader, ReadInput& input) {
    input.file_path = reader.string("file_path");
    input.offset = reader.uint_or("offset", input.offset);
    input.limit = std::clamp<uint64_t>(reader.uint_or("limit", input.limit), 1, UINT32_MAX);
  });
}

std::string numbered_line(uint64_t number, std::string_view line) {
  char prefix[32];
  std::snprintf(prefix, sizeof prefix, "%6llu\t", static_cast<unsigned long long>(number));
  return prefix + std::string(line) + "\n";
}

void LineWindow::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    size_t newline = bytes.find('\n');
    std::string_view piece = bytes.substr(0, newline);
    if (!full_ && line_ >= offset_ && current_.size() <= max_bytes_) {
      current_ += piece.substr(0, max_bytes_ + 1 - current_.size());
    }
    current_bytes_ += piece.size();
    if (newline == std::string_view::npos) return;
    end_line();
    bytes.remove_prefix(newline + 1);
  }
}

void LineWindow::finish() {
  if (current_bytes_ > 0) end_line();
}

void LineWindow::end_line() {
  uint64_t number = line_++;
  uint64_t bytes = std::exchange(current_bytes_, 0);
  if (full_ || number < offset_) return;
  std::string line = std::exchange(current_, "");
  if (line.size() == bytes && line.ends_with('\r')) line.pop_back(), --bytes;
  bool malformed = !text::is_utf8(line);
  std::string shown = numbered_line(number + 1, malformed && line.size() == bytes ? text::to_utf8(line) : line);
  if (text_.size() + shown.size() > max_bytes_) {
    full_ = true;
    stopped_by_size_ = true;
    if (!text_.empty()) return;
    line = text::prefix(line, max_bytes_ > 32 ? max_bytes_ - 32 : 0);
    cut_bytes_ = bytes - line.size();
    malformed = !text::is_utf8(line);
    shown = numbered_line(number + 1, text::to_utf8(line));
    if (shown.size() > max_bytes_) shown = std::string(text::prefix(shown, max_bytes_));
  }
  malformed_ = malformed_ || malformed;
  text_ += shown;
  if (++shown_ >= limit_) full_ = true;
}

Result<Output> run_read(Call& call, ReadInput const& input) {
  auto scope = call.context.gate.scope();
  Target target = TRY(locate(*scope, input.file_path, scope::Permission::Read));
  UniqueFd fd = TRY(open_regular(target));
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("stat " + input.file_path, errno);
  Scan found = TRY(scan(call, input, fd.get(), info));
  record(call, target, input, found);
  if (found.binary) {
    return Output{"binary file, not shown: " + input.file_path + " (" + std::to_string(info.st_size) + " bytes, " + found.kind + ")"};
  }
  return Output{summary_of(input, found), found.window.text()};
}

}  // namespace insomnia::tools
