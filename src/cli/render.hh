#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "client/pod_tree.hh"
#include "wire/event.hh"
#include "wire/log_entry.hh"

namespace insomnia::cli {

struct RenderOptions {
  bool colour = false;
  size_t width = 0;          ///< columns for lines that may be cut (tool calls); 0: a fixed, generous limit
  std::string cwd;           ///< paths below it are shown relative to it
  bool echo_input = true;    ///< show what the user said to the root (children's tasks are always shown)
  bool root_history = true;  ///< show the root's session so far when its first snapshot comes
  size_t history_limit = 0;  ///< at most so many of its last entries; 0: all
};

/// What a run has cost so far, over all Pods that were followed.
struct RunTotals {
  uint64_t input_tokens = 0;
  uint64_t cached_tokens = 0;  ///< part of input_tokens
  uint64_t output_tokens = 0;
  uint64_t calls = 0;
  uint64_t children = 0;  ///< descendants of every depth
  friend bool operator==(RunTotals const&, RunTotals const&) = default;
};

/// Turns the events of a Pod and its descendants into terminal text. Pure: events in, text out; nothing that
/// a model or a file said reaches the terminal as an escape sequence.
///
/// The root's text is passed on as it streams. Children's lines are whole lines with a prefix, indented by
/// depth; while the root is in the middle of a line they wait for its end, but not for ever (kMaxDeferred
/// lines).
class Renderer {
 public:
  static constexpr size_t kMaxDeferred = 40;

  explicit Renderer(RenderOptions options) : options_(std::move(options)) {}

  /// The text to write now; may be empty.
  std::string event(client::PodOrigin const& origin, wire::Event const& event);
  /// A stored session (log entries as JSON text; what cannot be decoded is skipped).
  std::string history(client::PodOrigin const& origin, std::vector<std::string> const& entries);
  /// Ends what is still open. Nothing may follow but more events.
  std::string finish();

  RunTotals const& totals() const { return totals_; }
  /// "12.3k tokens in (10.0k cached), 840 out · 7 calls · 2 children · 12.4 s"
  std::string summary(int64_t elapsed_ms) const;

 private:
  enum class Style { Plain, Dim, Red, Green, Yellow, Bold };
  struct PodView {
    std::string line;                          ///< a child's unfinished line of text
    bool text_streamed = false;                ///< deltas came since the last end of a text
    bool text_begun = false;                   ///< something visible of the present text was shown
    bool known = false;                        ///< its snapshot came
    bool announced = false;                    ///< its parent told of it while we listened
    std::map<std::string, std::string> calls;  ///< open tool calls: id, label
  };

  void take(client::PodOrigin const& origin, wire::Event const& event);
  void snapshot(client::PodOrigin const& origin, wire::SnapshotEvent const& snapshot);
  void child_changed(client::PodOrigin const& origin, wire::ChildInfo const& child);
  void show_entry(client::PodOrigin const& origin, wire::LogEntry const& entry, bool count_usage);
  void show_item(client::PodOrigin const& origin, wire::Item const& item);
  void user_said(client::PodOrigin const& origin, wire::Segments const& segments);
  void system_said(client::PodOrigin const& origin, wire::SystemItem const& item);
  void text(client::PodOrigin const& origin, std::string_view text);
  void text_done(client::PodOrigin const& origin, std::string_view whole);
  void tool_call(client::PodOrigin const& origin, std::string const& id, std::string_view name,
                 std::string_view arguments);
  void tool_result(client::PodOrigin const& origin, wire::ToolResultEvent const& result);
  void run_ended(client::PodOrigin const& origin, std::string_view result);
  void asked(client::PodOrigin const& origin, wire::PermissionRequest const& request);
  void ask_closed(client::PodOrigin const& origin, wire::PermissionClosed const& closed);
  /// One whole line of a Pod; `content` is made safe and cut to the width unless `whole`.
  void line(client::PodOrigin const& origin, Style style, std::string_view content, bool whole = false);
  void end_child_line(client::PodOrigin const& origin, PodView& pod);
  void root_text(std::string_view text);
  void end_root_line();
  std::string painted(Style style, std::string_view text) const;
  std::string prefix(client::PodOrigin const& origin) const;
  PodView& view(client::PodOrigin const& origin) { return pods_[origin.pod_name]; }

  RenderOptions options_;
  std::map<std::string, PodView> pods_;
  std::map<std::string, std::string> asks_;  ///< open questions: id, label; also those that were closed, without
  std::set<std::string> children_;  ///< ids of the descendants that were counted
  RunTotals totals_;
  std::string out_;
  bool root_line_open_ = false;
  std::string deferred_;
  size_t deferred_lines_ = 0;
  /// Pod and call of the line that was written last, if that was a tool call: its result needs no name then.
  std::string last_call_;
};

}  // namespace insomnia::cli
