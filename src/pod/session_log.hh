#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loop/worker.hh"
#include "session/log.hh"
#include "wire/log_entry.hh"

namespace insomnia::pod {

/// The brain's session log: records are encoded on the loop's thread and written in order on the log thread. Keeps the mirror that new
/// clients get. The segment's file is made with the first append.
class SessionLog {
 public:
  SessionLog(loop::Worker& worker, Clock const& clock, std::string sessions_dir, session::Location location);
  /// What is being written is written; `done` of it is not called any more.
  ~SessionLog() { *alive_ = false; }

  /// Continues a stored segment; `lines` are what was read from it.
  void adopt(std::vector<std::string> lines) {
    mirror_ = std::move(lines);
    exists_ = true;
  }
  /// Work that the first append of a new segment would wait for, done while there is time. Its failure is that append's to tell.
  void prepare();
  /// `done` comes on the loop's thread, in the order of the calls.
  void append(std::vector<wire::LogRecord> const& records, bool durable, std::function<void(Result<void>)> done);

  /// All committed lines, without those of runs that were rolled back.
  std::vector<std::string> const& lines() const { return mirror_; }
  session::Location const& location() const { return location_; }
  /// No record yet: the first append must begin with a SegmentStart.
  bool empty() const { return !exists_; }

 private:
  void mirror(std::vector<wire::LogRecord> const& records, std::vector<std::string> lines);

  loop::Worker& worker_;
  Clock const& clock_;
  std::string sessions_dir_;
  session::Location location_;
  std::vector<std::string> mirror_;
  std::optional<size_t> run_start_;  ///< where the open run's invoke stands in the mirror
  bool exists_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  /// Touched on the log thread only.
  std::shared_ptr<std::optional<session::SegmentWriter>> writer_ = std::make_shared<std::optional<session::SegmentWriter>>();
};

}  // namespace insomnia::pod
