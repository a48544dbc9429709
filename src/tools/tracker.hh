#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hh"
#include "tools/hands_protocol.hh"

namespace insomnia::tools {

/// Which lines of a file a Read has shown: [first, end) of `total`, counted from 0.
struct SeenLines {
  uint64_t first = 0;
  uint64_t end = 0;
  uint64_t total = 0;
};

/// What the Pod knows of files: the identity of the content that it last read or wrote, by canonical path, and whether it saw
/// all of it. Write and Edit ask it before they change anything. Called from any thread.
class Tracker {
 public:
  explicit Tracker(std::vector<Observed> const& past);

  /// All of the content was written, or read at once.
  Observed record_whole(std::string const& path, std::string const& identity);
  /// A part was read. Parts of one and the same content add up.
  Observed record_lines(std::string const& path, std::string const& identity, SeenLines seen);
  /// Something was read of which no line was shown in full, or the file is too large to know.
  Observed record_part(std::string const& path, std::string const& identity);
  /// Edit replaced the content that was known: what was whole stays whole.
  Observed record_edit(std::string const& path, std::string const& identity);

  /// An error when the content with this identity was not the last one seen. `whole` asks for more: that all of it was seen.
  /// `shown` is the path as the model knows it.
  Result<void> verify(std::string const& path, std::string_view identity, bool whole, std::string const& shown) const;

  /// The files touched last, newest first, at most 20.
  std::vector<std::string> recent(size_t count) const;

 private:
  struct Seen {
    std::string identity;
    bool whole = false;
    std::vector<std::pair<uint64_t, uint64_t>> lines;  ///< sorted, disjoint, not adjacent
  };
  Seen& touch(std::string const& path, std::string const& identity);

  mutable std::mutex mutex_;
  std::map<std::string, Seen> files_;
  std::deque<std::string> recent_;
};

}  // namespace insomnia::tools
