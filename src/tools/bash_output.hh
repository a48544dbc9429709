#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hh"
#include "tools/spill.hh"

namespace insomnia::tools {

/// What a command prints. Short outputs stay in memory; a longer one goes to a spill file, of which the first 64 MiB are kept,
/// and its last 256 KiB are also held in memory. One thread at a time.
class BashOutput {
 public:
  explicit BashOutput(SpillStore& spill) : spill_(spill) {}
  ~BashOutput();
  BashOutput(BashOutput const&) = delete;
  BashOutput& operator=(BashOutput const&) = delete;

  void append(std::string_view bytes);
  /// Makes sure that what there is so far is in the file. Gives its path, or nothing when none can be written.
  std::optional<std::string> to_file();

  uint64_t bytes() const { return bytes_; }
  uint64_t lines() const;
  /// Short enough to be shown as it is.
  bool is_short() const;
  /// All of it. REQUIRES: is_short().
  std::string const& all() const { return tail_; }
  /// The last 80 lines, or what of them is in the last 256 KiB.
  std::string_view last_lines(uint64_t& count) const;
  /// Whether the file has less than was printed.
  bool is_cut() const { return bytes_ > kMaxFile; }
  /// Why the output is not in a file, when it should be.
  std::string const& file_error() const { return file_error_; }
  void drop_tail() { std::string().swap(tail_); }

  static constexpr size_t kInlineBytes = 12288;
  static constexpr size_t kInlineLines = 80;
  static constexpr size_t kTail = 262144;
  static constexpr uint64_t kMaxFile = 64u << 20;

 private:
  void write_to_file(std::string_view bytes);

  SpillStore& spill_;
  SpillStore::File file_;
  std::string file_error_;
  std::string tail_;
  uint64_t bytes_ = 0;
  uint64_t newlines_ = 0;
  uint64_t in_file_ = 0;
  bool ends_with_newline_ = true;
};

/// Goes on reading the output of background jobs after their call has ended, so that they can go on writing. One thread, started
/// with the first; the destructor stops it.
class BackgroundOutputs {
 public:
  BackgroundOutputs();
  ~BackgroundOutputs();
  /// `pipe` must be non-blocking.
  void add(UniqueFd pipe, std::unique_ptr<BashOutput> output);

 private:
  struct Job {
    UniqueFd pipe;
    std::unique_ptr<BashOutput> output;
  };
  void run();
  std::mutex mutex_;
  std::vector<Job> added_;
  UniqueFd wake_;
  std::atomic<bool> stopping_{false};
  std::optional<pthread_t> thread_;
};

/// Reads what is there. Nothing more to come: false.
bool drain_pipe(int pipe, BashOutput& output);

}  // namespace insomnia::tools
