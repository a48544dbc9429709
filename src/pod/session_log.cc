#include "pod/session_log.hh"

#include "base/io.hh"

namespace insomnia::pod {

SessionLog::SessionLog(loop::Worker& worker, Clock const& clock, std::string sessions_dir, session::Location location)
    : worker_(worker), clock_(clock), sessions_dir_(std::move(sessions_dir)), location_(std::move(location)) {}

void SessionLog::prepare() {
  if (exists_) return;
  worker_.run([dir = sessions_dir_, location = location_] { (void)session::SegmentWriter::prepare(dir, location); });
}

void SessionLog::append(std::vector<wire::LogRecord> const& records, bool durable, std::function<void(Result<void>)> done) {
  auto lines = std::make_shared<std::vector<std::string>>();
  for (auto const& record : records) lines->push_back(wire::encode_log_entry({clock_.wall_ms(), record}));
  auto job = [writer = writer_, lines, durable, dir = sessions_dir_, location = location_]() -> Result<void> {
    if (!*writer) {
      bool is_new = !io::exists(session::segment_path(dir, location));
      auto opened = is_new ? session::SegmentWriter::create(dir, location) : session::SegmentWriter::open(dir, location);
      if (!opened) return std::unexpected(std::move(opened).error());
      writer->emplace(*std::move(opened));
    }
    return (*writer)->append(*lines, durable);
  };
  bool was_empty = !exists_;
  exists_ = true;
  worker_.run<Result<void>>(std::move(job), [this, alive = alive_, was_empty, records, lines, done = std::move(done)](Result<void> result) {
    if (!*alive) return;
    // The first record of a segment was not written: the next append brings it again.
    if (!result && was_empty && mirror_.empty()) exists_ = false;
    if (result) mirror(records, std::move(*lines));
    done(std::move(result));
  });
}

void SessionLog::mirror(std::vector<wire::LogRecord> const& records, std::vector<std::string> lines) {
  for (size_t i = 0; i < records.size(); ++i) {
    if (std::holds_alternative<wire::Invoke>(records[i]) && !run_start_) run_start_ = mirror_.size();
    bool ends = std::holds_alternative<wire::RunCompleted>(records[i]) || std::holds_alternative<wire::RunErrored>(records[i]);
    auto const* completed = std::get_if<wire::RunCompleted>(&records[i]);
    if (completed != nullptr && completed->result == "rolled_back" && run_start_) {
      mirror_.resize(*run_start_);
      run_start_.reset();
      continue;
    }
    if (ends) run_start_.reset();
    mirror_.push_back(std::move(lines[i]));
  }
}

}  // namespace insomnia::pod
