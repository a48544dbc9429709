// Whatever a segment file holds, the writer and the reader agree on its records: after SegmentWriter::open the file has no
// torn tail, loads to the same records as before, and takes the next one.
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>

#include "base/io.hh"
#include "session/log.hh"

namespace {

using namespace insomnia;

std::string make_directory() {
  // Each input costs a sync: in memory if there is such a place.
  std::string path = std::string(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + "/segment_tail_fuzz.XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) panic("cannot make a temporary directory");
  return path;
}

struct Directory {
  std::string path = make_directory();
  ~Directory() { (void)io::remove_tree(path); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) {
  static Directory const directory;
  session::Location location{"session", "segment"};
  std::string path = session::segment_path(directory.path, location);
  if (!io::make_directories(io::parent_path(path))) panic("cannot make the session's directory");
  if (!io::replace_file(path, {reinterpret_cast<char const*>(data), size})) panic("cannot write the segment");

  auto before = session::salvage_segment(directory.path, location);
  if (!before) panic(before.error().message);
  auto writer = session::SegmentWriter::open(directory.path, location);
  if (!writer) panic(writer.error().message);
  auto after = session::salvage_segment(directory.path, location);
  if (!after) panic(after.error().message);
  if (after->lines != before->lines) panic("cutting the tail changed records");
  if (after->damage != before->damage) panic("cutting the tail changed the damage");
  if (before->damage) return 0;
  if (after->torn_bytes != 0 || writer->cut_bytes() != before->torn_bytes) panic("reader and writer see different tails");

  std::string record = after->lines.empty() ? R"({"kind":"segment_start","ts":1,"session_id":"s","config":{"stop_sequences":[]},"history":[]})"
                                            : R"({"kind":"turn_end","ts":1,"turn_count":1})";
  if (writer->size() == 0 || !after->lines.empty()) {
    if (auto appended = writer->append({record}, false); !appended) panic(appended.error().message);
    auto loaded = session::load_segment(directory.path, location);
    if (!loaded) panic(loaded.error().message);
    if (loaded->lines.size() != before->lines.size() + 1 || loaded->lines.back() != record) panic("the record is not there");
  }
  return 0;
}
