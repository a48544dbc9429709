#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.hh"
#include "scope/rule.hh"
#include "wire/permission.hh"
#include "wire/segment.hh"

/// Pod to clients: `{"event":"<snake>","data":{…},"seq":7,"id":"…"}`; events without data have no `data`.
/// Log entries and system items travel as JSON text (wire::decode_log_entry).
namespace insomnia::wire {

enum class PodStatus { Idle, Running, Paused };
std::string_view status_name(PodStatus status);

/// Built once at start. `isolation` says what stands around the hands: "none", "landlock" or "cell".
struct Greeting {
  std::string pod_name;
  std::string pod_id;
  std::string instance_id;
  std::string cwd;
  std::string provider;
  std::string model;
  std::string scope_summary;
  std::vector<std::string> tools;
  uint64_t context_window = 0;
  uint64_t context_tokens = 0;
  std::string isolation;
  friend bool operator==(Greeting const&, Greeting const&) = default;
};

/// A tool call whose result is not there yet.
struct InFlightToolCall {
  std::string id;
  std::string name;
  std::string arguments;
  friend bool operator==(InFlightToolCall const&, InFlightToolCall const&) = default;
};
/// What was streamed since the last committed entry, for clients that attach in the middle.
struct InFlight {
  std::string text;
  std::string thinking;
  std::vector<InFlightToolCall> tool_calls;
  friend bool operator==(InFlight const&, InFlight const&) = default;
};

/// What a parent knows of a child. state: starting, running, idle, paused, stopped, crashed. Live events about children; also in
/// the snapshot, so that a client can draw the tree.
struct ChildInfo {
  std::string pod_name;
  std::string pod_id;
  std::string socket_path;
  std::string state;
  std::string task;
  std::string profile;
  std::vector<scope::ScopeRule> scope;
  friend bool operator==(ChildInfo const&, ChildInfo const&) = default;
};

struct SnapshotEvent {
  std::vector<std::string> entries;  ///< JSON text of each LogEntry
  Greeting greeting;
  PodStatus status = PodStatus::Idle;
  std::optional<InFlight> in_flight;
  std::vector<ChildInfo> children;
  /// Idle, no child at work and no mail: nothing more will happen by itself.
  bool settled = false;
  std::vector<PermissionRequest> permission_requests;  ///< those that are open
  friend bool operator==(SnapshotEvent const&, SnapshotEvent const&) = default;
};
struct SegmentRotatedEvent {
  std::string entry;
  friend bool operator==(SegmentRotatedEvent const&, SegmentRotatedEvent const&) = default;
};
struct SystemItemEvent {
  std::string item;
  friend bool operator==(SystemItemEvent const&, SystemItemEvent const&) = default;
};
struct InvokeStartEvent {
  std::string kind;
  friend bool operator==(InvokeStartEvent const&, InvokeStartEvent const&) = default;
};
struct UserMessageEvent {
  Segments segments;
  friend bool operator==(UserMessageEvent const&, UserMessageEvent const&) = default;
};
struct TurnStartEvent {
  uint64_t turn = 0;
  friend bool operator==(TurnStartEvent const&, TurnStartEvent const&) = default;
};
struct TurnEndEvent {
  uint64_t turn = 0;
  std::string result = "finished";
  friend bool operator==(TurnEndEvent const&, TurnEndEvent const&) = default;
};
struct LlmCallStartEvent {
  uint64_t llm_call = 0;
  friend bool operator==(LlmCallStartEvent const&, LlmCallStartEvent const&) = default;
};
struct LlmCallEndEvent {
  uint64_t llm_call = 0;
  friend bool operator==(LlmCallEndEvent const&, LlmCallEndEvent const&) = default;
};
struct LlmRetryEvent {
  uint64_t llm_call = 0;
  uint64_t failed_attempt = 1;
  uint64_t max_attempts = 0;
  uint64_t wait_ms = 0;
  uint64_t elapsed_ms = 0;
  std::optional<int> status;
  std::string error;
  friend bool operator==(LlmRetryEvent const&, LlmRetryEvent const&) = default;
};
struct LlmContinuationEvent {
  uint64_t llm_call = 0;
  uint64_t attempt = 1;
  uint64_t max_attempts = 3;
  std::string reason;
  friend bool operator==(LlmContinuationEvent const&, LlmContinuationEvent const&) = default;
};
struct TextDeltaEvent {
  std::string text;
  friend bool operator==(TextDeltaEvent const&, TextDeltaEvent const&) = default;
};
struct TextDoneEvent {
  std::string text;
  friend bool operator==(TextDoneEvent const&, TextDoneEvent const&) = default;
};
struct ThinkingStartEvent {
  friend bool operator==(ThinkingStartEvent const&, ThinkingStartEvent const&) = default;
};
struct ThinkingDeltaEvent {
  std::string text;
  friend bool operator==(ThinkingDeltaEvent const&, ThinkingDeltaEvent const&) = default;
};
struct ThinkingDoneEvent {
  std::string text;
  friend bool operator==(ThinkingDoneEvent const&, ThinkingDoneEvent const&) = default;
};
struct ToolCallStartEvent {
  std::string id;
  std::string name;
  friend bool operator==(ToolCallStartEvent const&, ToolCallStartEvent const&) = default;
};
struct ToolCallArgsDeltaEvent {
  std::string id;
  std::string json;
  friend bool operator==(ToolCallArgsDeltaEvent const&, ToolCallArgsDeltaEvent const&) = default;
};
struct ToolCallDoneEvent {
  std::string id;
  std::string name;
  std::string arguments;
  friend bool operator==(ToolCallDoneEvent const&, ToolCallDoneEvent const&) = default;
};
struct ToolResultEvent {
  std::string id;
  std::string summary;
  std::optional<std::string> output;
  bool is_error = false;
  friend bool operator==(ToolResultEvent const&, ToolResultEvent const&) = default;
};
struct UsageEvent {
  std::optional<uint64_t> input_tokens;  ///< the whole prompt, cached parts included
  std::optional<uint64_t> output_tokens;
  std::optional<uint64_t> cache_read_input_tokens;
  friend bool operator==(UsageEvent const&, UsageEvent const&) = default;
};
/// result: finished, paused, limit_reached, rolled_back, cancelled, failed. The base had no run_end for the last two; here every
/// run has one.
struct RunEndEvent {
  std::string result;
  friend bool operator==(RunEndEvent const&, RunEndEvent const&) = default;
};
struct StatusEvent {
  PodStatus status = PodStatus::Idle;
  bool settled = false;  ///< see SnapshotEvent; omitted when false
  friend bool operator==(StatusEvent const&, StatusEvent const&) = default;
};
/// code: already_running, not_running, not_paused, provider_error, tool_error, invalid_request, internal.
struct ErrorEvent {
  std::string code;
  std::string message;
  friend bool operator==(ErrorEvent const&, ErrorEvent const&) = default;
};
struct CompletionEntry {
  std::string value;
  bool is_dir = false;
  friend bool operator==(CompletionEntry const&, CompletionEntry const&) = default;
};
struct CompletionsEvent {
  std::string kind;
  std::vector<CompletionEntry> entries;
  friend bool operator==(CompletionsEvent const&, CompletionsEvent const&) = default;
};
/// `targets` is the JSON text of the list.
struct RewindTargetsEvent {
  uint64_t head_entries = 0;
  std::string targets;
  friend bool operator==(RewindTargetsEvent const&, RewindTargetsEvent const&) = default;
};
struct RewindAppliedEvent {
  std::vector<std::string> entries;
  Segments input;
  uint64_t truncated_to_entries = 0;
  uint64_t discarded_entries = 0;
  bool tool_side_effect_warning = false;
  friend bool operator==(RewindAppliedEvent const&, RewindAppliedEvent const&) = default;
};
/// `pods` is the JSON text of the list of VisiblePodItem (doc/protocol.md).
struct PodsListedEvent {
  std::string pods;
  friend bool operator==(PodsListedEvent const&, PodsListedEvent const&) = default;
};
struct PodRestoredEvent {
  std::string action;
  std::string pod_name;
  std::string socket_path;
  std::optional<std::string> status;
  friend bool operator==(PodRestoredEvent const&, PodRestoredEvent const&) = default;
};
struct AlertEvent {
  std::string level;   ///< warn, error
  std::string source;  ///< pod, worker, compactor, agents_md
  std::string message;
  int64_t timestamp_ms = 0;
  friend bool operator==(AlertEvent const&, AlertEvent const&) = default;
};
struct CompactStartEvent {
  friend bool operator==(CompactStartEvent const&, CompactStartEvent const&) = default;
};
struct CompactDoneEvent {
  std::string new_segment_id;
  friend bool operator==(CompactDoneEvent const&, CompactDoneEvent const&) = default;
};
struct CompactFailedEvent {
  std::string error;
  friend bool operator==(CompactFailedEvent const&, CompactFailedEvent const&) = default;
};
/// New: a child was started, changed its state, or ended.
struct ChildEvent {
  ChildInfo child;
  friend bool operator==(ChildEvent const&, ChildEvent const&) = default;
};
/// New: a tool call of this Pod, or of one below that nobody is attached to, waits for a person's word (AnswerPermissionMethod).
struct PermissionRequestEvent {
  PermissionRequest request;
  friend bool operator==(PermissionRequestEvent const&, PermissionRequestEvent const&) = default;
};
/// New: such a question needs no answer any more.
struct PermissionClosedEvent {
  PermissionClosed closed;
  friend bool operator==(PermissionClosedEvent const&, PermissionClosedEvent const&) = default;
};
/// New: why the Pod closes this connection ("too slow", "line too long").
struct DisconnectEvent {
  std::string reason;
  friend bool operator==(DisconnectEvent const&, DisconnectEvent const&) = default;
};
struct ShutdownEvent {
  friend bool operator==(ShutdownEvent const&, ShutdownEvent const&) = default;
};
/// A kind that this version does not know.
struct UnknownEvent {
  std::string event;
  friend bool operator==(UnknownEvent const&, UnknownEvent const&) = default;
};

using EventBody =
    std::variant<SnapshotEvent, SegmentRotatedEvent, SystemItemEvent, InvokeStartEvent, UserMessageEvent, TurnStartEvent,
                 TurnEndEvent, LlmCallStartEvent, LlmCallEndEvent, LlmRetryEvent, LlmContinuationEvent, TextDeltaEvent,
                 TextDoneEvent, ThinkingStartEvent, ThinkingDeltaEvent, ThinkingDoneEvent, ToolCallStartEvent,
                 ToolCallArgsDeltaEvent, ToolCallDoneEvent, ToolResultEvent, UsageEvent, RunEndEvent, StatusEvent, ErrorEvent,
                 CompletionsEvent, RewindTargetsEvent, RewindAppliedEvent, PodsListedEvent, PodRestoredEvent, AlertEvent,
                 CompactStartEvent, CompactDoneEvent, CompactFailedEvent, ChildEvent, PermissionRequestEvent, PermissionClosedEvent, DisconnectEvent, ShutdownEvent, UnknownEvent>;

struct Event {
  EventBody body;
  /// Position in the Pod's one ordered lane; absent in replies to a single client.
  std::optional<uint64_t> seq;
  /// The `id` of the request that this answers.
  std::optional<std::string> id;
  friend bool operator==(Event const&, Event const&) = default;
};

/// The `event` tag, e.g. "text_delta".
std::string_view event_name(EventBody const& body);
std::string encode_event(Event const& event);
/// Unknown fields are skipped, an unknown event becomes UnknownEvent.
Result<Event> decode_event(std::string_view line);

}  // namespace insomnia::wire
