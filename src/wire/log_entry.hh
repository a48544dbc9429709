#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.hh"
#include "wire/item.hh"
#include "wire/pod_event.hh"
#include "wire/segment.hh"

/// Records of a session log: one per line, tagged by `kind`, `ts` in milliseconds since the epoch. Format: doc/session-format.md.
namespace insomnia::wire {

/// `reasoning`: an effort label or a token budget.
using ReasoningSetting = std::variant<std::string, int64_t>;

/// Settings of every model request of a segment.
struct RequestConfig {
  std::optional<uint32_t> max_tokens;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<uint32_t> top_k;
  std::vector<std::string> stop_sequences;
  std::optional<ReasoningSetting> reasoning;
  friend bool operator==(RequestConfig const&, RequestConfig const&) = default;
};

/// Where a segment's history came from.
struct Lineage {
  std::string segment_id;
  uint64_t at_turn_index = 0;
  friend bool operator==(Lineage const&, Lineage const&) = default;
};

/// Text that the system puts in front of the model; `body` is exactly what the model saw and becomes one system message.
/// `kind`: notification, pod_event, file_attachment, knowledge, workflow, task_reminder, interrupt. Fields that a kind does not
/// have are empty: `message` (notification), `event` (pod_event), `path` (file_attachment), `slug` (knowledge, workflow),
/// `source` (task_reminder).
struct SystemItem {
  std::string kind;
  std::string body;
  std::string message;
  std::optional<PodEvent> event;
  std::string path;
  std::string slug;
  std::string source;
  friend bool operator==(SystemItem const&, SystemItem const&) = default;
};

/// The mail that a record takes in: `sender` is a pod_id, `seq` its number. The log is what makes delivery exactly-once.
struct MailRef {
  std::string sender;
  uint64_t seq = 0;
  friend bool operator==(MailRef const&, MailRef const&) = default;
};

struct SegmentStart {
  std::string session_id;
  std::optional<std::string> system_prompt;
  RequestConfig config;
  std::vector<Item> history;
  std::optional<Lineage> forked_from;
  std::optional<Lineage> compacted_from;
  std::map<std::string, uint64_t> inbox;  ///< last mail taken in, by sender; omitted when empty
  /// Number of the last end that was reported to the parent in the segment that this one continues; omitted when absent.
  std::optional<uint64_t> last_report;
  friend bool operator==(SegmentStart const&, SegmentStart const&) = default;
};
/// A run begins. trigger: user_send, notify, pod_event, system_reminder, wakeup.
struct Invoke {
  std::string trigger;
  /// Whether the parent gave this work, so that its end is reported; omitted when false.
  bool delegated = false;
  friend bool operator==(Invoke const&, Invoke const&) = default;
};
struct UserInput {
  Segments segments;
  std::optional<MailRef> mail;
  friend bool operator==(UserInput const&, UserInput const&) = default;
};
struct SystemItemRecord {
  SystemItem item;
  std::optional<MailRef> mail;
  friend bool operator==(SystemItemRecord const&, SystemItemRecord const&) = default;
};
struct AssistantItem {
  Item item;
  friend bool operator==(AssistantItem const&, AssistantItem const&) = default;
};
struct ToolResultRecord {
  ToolResult item;
  friend bool operator==(ToolResultRecord const&, ToolResultRecord const&) = default;
};
struct TurnEndRecord {
  uint64_t turn_count = 0;
  friend bool operator==(TurnEndRecord const&, TurnEndRecord const&) = default;
};
struct LlmUsage {
  uint64_t history_len = 0;
  uint64_t input_total_tokens = 0;
  uint64_t cache_read_tokens = 0;
  uint64_t cache_write_tokens = 0;
  uint64_t output_tokens = 0;
  friend bool operator==(LlmUsage const&, LlmUsage const&) = default;
};
/// `payload` is JSON text. Domains in use: doc/session-format.md.
struct Extension {
  std::string domain;
  std::string payload;
  friend bool operator==(Extension const&, Extension const&) = default;
};
struct ConfigChanged {
  RequestConfig config;
  friend bool operator==(ConfigChanged const&, ConfigChanged const&) = default;
};
/// result: finished, paused, limit_reached, yielded, cancelled. `report` is the number of the mail to the parent that reports
/// this end; it is sent again under that number until acknowledged.
struct RunCompleted {
  bool interrupted = false;
  std::string result;
  std::optional<uint64_t> report;
  friend bool operator==(RunCompleted const&, RunCompleted const&) = default;
};
struct RunErrored {
  bool interrupted = true;
  std::string message;
  std::optional<uint64_t> report;
  friend bool operator==(RunErrored const&, RunErrored const&) = default;
};
/// A kind that this version does not know, or `assistant_item` with an item of such a kind ("assistant_item.<kind>"): skipped.
struct UnknownEntry {
  std::string kind;
  friend bool operator==(UnknownEntry const&, UnknownEntry const&) = default;
};

using LogRecord = std::variant<SegmentStart, Invoke, UserInput, SystemItemRecord, AssistantItem, ToolResultRecord, TurnEndRecord,
                               LlmUsage, Extension, ConfigChanged, RunCompleted, RunErrored, UnknownEntry>;

struct LogEntry {
  int64_t ts = 0;
  LogRecord record;
  friend bool operator==(LogEntry const&, LogEntry const&) = default;
};

/// Compact JSON without a newline.
std::string encode_log_entry(LogEntry const& entry);
Result<LogEntry> decode_log_entry(std::string_view line);
std::string encode_system_item(SystemItem const& item);
Result<SystemItem> decode_system_item(std::string_view json);

}  // namespace insomnia::wire
