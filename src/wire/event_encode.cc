#include "base/text.hh"
#include "wire/codec.hh"
#include "wire/event.hh"
#include "wire/json_writer.hh"

namespace insomnia::wire {
namespace {

struct NameOf {
  std::string_view operator()(SnapshotEvent const&) const { return "snapshot"; }
  std::string_view operator()(SegmentRotatedEvent const&) const { return "segment_rotated"; }
  std::string_view operator()(SystemItemEvent const&) const { return "system_item"; }
  std::string_view operator()(InvokeStartEvent const&) const { return "invoke_start"; }
  std::string_view operator()(UserMessageEvent const&) const { return "user_message"; }
  std::string_view operator()(TurnStartEvent const&) const { return "turn_start"; }
  std::string_view operator()(TurnEndEvent const&) const { return "turn_end"; }
  std::string_view operator()(LlmCallStartEvent const&) const { return "llm_call_start"; }
  std::string_view operator()(LlmCallEndEvent const&) const { return "llm_call_end"; }
  std::string_view operator()(LlmRetryEvent const&) const { return "llm_retry"; }
  std::string_view operator()(LlmContinuationEvent const&) const { return "llm_continuation"; }
  std::string_view operator()(TextDeltaEvent const&) const { return "text_delta"; }
  std::string_view operator()(TextDoneEvent const&) const { return "text_done"; }
  std::string_view operator()(ThinkingStartEvent const&) const { return "thinking_start"; }
  std::string_view operator()(ThinkingDeltaEvent const&) const { return "thinking_delta"; }
  std::string_view operator()(ThinkingDoneEvent const&) const { return "thinking_done"; }
  std::string_view operator()(ToolCallStartEvent const&) const { return "tool_call_start"; }
  std::string_view operator()(ToolCallArgsDeltaEvent const&) const { return "tool_call_args_delta"; }
  std::string_view operator()(ToolCallDoneEvent const&) const { return "tool_call_done"; }
  std::string_view operator()(ToolResultEvent const&) const { return "tool_result"; }
  std::string_view operator()(UsageEvent const&) const { return "usage"; }
  std::string_view operator()(RunEndEvent const&) const { return "run_end"; }
  std::string_view operator()(StatusEvent const&) const { return "status"; }
  std::string_view operator()(ErrorEvent const&) const { return "error"; }
  std::string_view operator()(CompletionsEvent const&) const { return "completions"; }
  std::string_view operator()(RewindTargetsEvent const&) const { return "rewind_targets"; }
  std::string_view operator()(RewindAppliedEvent const&) const { return "rewind_applied"; }
  std::string_view operator()(PodsListedEvent const&) const { return "pods_listed"; }
  std::string_view operator()(PodRestoredEvent const&) const { return "pod_restored"; }
  std::string_view operator()(AlertEvent const&) const { return "alert"; }
  std::string_view operator()(CompactStartEvent const&) const { return "compact_start"; }
  std::string_view operator()(CompactDoneEvent const&) const { return "compact_done"; }
  std::string_view operator()(CompactFailedEvent const&) const { return "compact_failed"; }
  std::string_view operator()(ChildEvent const&) const { return "child"; }
  std::string_view operator()(PermissionRequestEvent const&) const { return "permission_request"; }
  std::string_view operator()(PermissionClosedEvent const&) const { return "permission_closed"; }
  std::string_view operator()(DisconnectEvent const&) const { return "disconnect"; }
  std::string_view operator()(ShutdownEvent const&) const { return "shutdown"; }
  std::string_view operator()(UnknownEvent const& event) const { return event.event; }
};

void write_unless_empty(ObjectWriter& writer, std::string_view key, std::string const& value) {
  if (!value.empty()) writer.string(key, value);
}

void write_count(ObjectWriter& writer, std::string_view key, std::optional<uint64_t> const& count) {
  if (count) writer.uint(key, *count);
  else writer.null(key);
}

/// A list that came as JSON text; nothing means no element.
void write_list_text(ObjectWriter& writer, std::string_view key, std::string const& list) {
  append_checked_json(writer.key(key), text::trim(list).empty() ? "[]" : std::string_view(list));
}

void write_greeting(ObjectWriter& writer, Greeting const& greeting) {
  writer.string("pod_name", greeting.pod_name);
  writer.string("cwd", greeting.cwd);
  writer.string("provider", greeting.provider);
  writer.string("model", greeting.model);
  writer.string("scope_summary", greeting.scope_summary);
  writer.list("tools", greeting.tools, append_json_string);
  writer.uint("context_window", greeting.context_window);
  writer.uint("context_tokens", greeting.context_tokens);
  write_unless_empty(writer, "pod_id", greeting.pod_id);
  write_unless_empty(writer, "instance_id", greeting.instance_id);
  write_unless_empty(writer, "isolation", greeting.isolation);
}

void write_in_flight(ObjectWriter& writer, InFlight const& in_flight) {
  write_unless_empty(writer, "text", in_flight.text);
  write_unless_empty(writer, "thinking", in_flight.thinking);
  if (in_flight.tool_calls.empty()) return;
  writer.list("tool_calls", in_flight.tool_calls, [](std::string& out, InFlightToolCall const& call) {
    ObjectWriter inner(out);
    inner.string("id", call.id);
    inner.string("name", call.name);
    inner.string("arguments", call.arguments);
  });
}

void write_child(ObjectWriter& writer, ChildInfo const& child) {
  writer.string("pod_name", child.pod_name);
  write_unless_empty(writer, "pod_id", child.pod_id);
  write_unless_empty(writer, "socket_path", child.socket_path);
  writer.string("state", child.state);
  write_unless_empty(writer, "task", child.task);
  write_unless_empty(writer, "profile", child.profile);
  if (!child.scope.empty()) codec::write_rules(writer, "scope", child.scope);
}

/// Writes the members of `data`.
struct DataWriter {
  ObjectWriter& writer;

  void operator()(SnapshotEvent const& e) const {
    writer.list("entries", e.entries, append_json_text);
    writer.object("greeting", [&](ObjectWriter& inner) { write_greeting(inner, e.greeting); });
    writer.string("status", status_name(e.status));
    if (e.in_flight) writer.object("in_flight", [&](ObjectWriter& inner) { write_in_flight(inner, *e.in_flight); });
    if (!e.children.empty()) {
      writer.list("children", e.children, [](std::string& out, ChildInfo const& child) {
        ObjectWriter inner(out);
        write_child(inner, child);
      });
    }
    if (e.settled) writer.boolean("settled", true);
    if (!e.permission_requests.empty()) {
      writer.list("permission_requests", e.permission_requests, [](std::string& out, PermissionRequest const& request) {
        ObjectWriter inner(out);
        codec::write_permission_request(inner, request);
      });
    }
  }
  void operator()(SegmentRotatedEvent const& e) const { writer.json("entry", e.entry); }
  void operator()(SystemItemEvent const& e) const { writer.json("item", e.item); }
  void operator()(InvokeStartEvent const& e) const { writer.string("kind", e.kind); }
  void operator()(UserMessageEvent const& e) const { codec::write_segments(writer, "segments", e.segments); }
  void operator()(TurnStartEvent const& e) const { writer.uint("turn", e.turn); }
  void operator()(TurnEndEvent const& e) const {
    writer.uint("turn", e.turn);
    writer.string("result", e.result);
  }
  void operator()(LlmCallStartEvent const& e) const { writer.uint("llm_call", e.llm_call); }
  void operator()(LlmCallEndEvent const& e) const { writer.uint("llm_call", e.llm_call); }
  void operator()(LlmRetryEvent const& e) const {
    writer.uint("llm_call", e.llm_call);
    writer.uint("failed_attempt", e.failed_attempt);
    writer.uint("max_attempts", e.max_attempts);
    writer.uint("wait_ms", e.wait_ms);
    writer.uint("elapsed_ms", e.elapsed_ms);
    if (e.status) writer.integer("status", *e.status);
    writer.string("error", e.error);
  }
  void operator()(LlmContinuationEvent const& e) const {
    writer.uint("llm_call", e.llm_call);
    writer.uint("attempt", e.attempt);
    writer.uint("max_attempts", e.max_attempts);
    writer.string("reason", e.reason);
  }
  void operator()(TextDeltaEvent const& e) const { writer.string("text", e.text); }
  void operator()(TextDoneEvent const& e) const { writer.string("text", e.text); }
  void operator()(ThinkingDeltaEvent const& e) const { writer.string("text", e.text); }
  void operator()(ThinkingDoneEvent const& e) const { writer.string("text", e.text); }
  void operator()(ToolCallStartEvent const& e) const {
    writer.string("id", e.id);
    writer.string("name", e.name);
  }
  void operator()(ToolCallArgsDeltaEvent const& e) const {
    writer.string("id", e.id);
    writer.string("json", e.json);
  }
  void operator()(ToolCallDoneEvent const& e) const {
    writer.string("id", e.id);
    writer.string("name", e.name);
    writer.string("arguments", e.arguments);
  }
  void operator()(ToolResultEvent const& e) const {
    writer.string("id", e.id);
    writer.string("summary", e.summary);
    if (e.output) writer.string("output", *e.output);
    writer.boolean("is_error", e.is_error);
  }
  void operator()(UsageEvent const& e) const {
    write_count(writer, "input_tokens", e.input_tokens);
    write_count(writer, "output_tokens", e.output_tokens);
    if (e.cache_read_input_tokens) writer.uint("cache_read_input_tokens", *e.cache_read_input_tokens);
  }
  void operator()(RunEndEvent const& e) const { writer.string("result", e.result); }
  void operator()(StatusEvent const& e) const {
    writer.string("status", status_name(e.status));
    if (e.settled) writer.boolean("settled", true);
  }
  void operator()(ErrorEvent const& e) const {
    writer.string("code", e.code);
    writer.string("message", e.message);
  }
  void operator()(CompletionsEvent const& e) const {
    writer.string("kind", e.kind);
    writer.list("entries", e.entries, [](std::string& out, CompletionEntry const& entry) {
      ObjectWriter inner(out);
      inner.string("value", entry.value);
      inner.boolean("is_dir", entry.is_dir);
    });
  }
  void operator()(RewindTargetsEvent const& e) const {
    writer.uint("head_entries", e.head_entries);
    write_list_text(writer, "targets", e.targets);
  }
  void operator()(RewindAppliedEvent const& e) const {
    writer.list("entries", e.entries, append_json_text);
    codec::write_segments(writer, "input", e.input);
    writer.object("summary", [&](ObjectWriter& inner) {
      inner.uint("truncated_to_entries", e.truncated_to_entries);
      inner.uint("discarded_entries", e.discarded_entries);
      inner.boolean("tool_side_effect_warning", e.tool_side_effect_warning);
    });
  }
  void operator()(PodsListedEvent const& e) const { write_list_text(writer, "pods", e.pods); }
  void operator()(PodRestoredEvent const& e) const {
    writer.object("result", [&](ObjectWriter& inner) {
      inner.string("action", e.action);
      inner.string("pod_name", e.pod_name);
      inner.string("socket_path", e.socket_path);
      if (e.status) inner.string("status", *e.status);
    });
  }
  void operator()(AlertEvent const& e) const {
    writer.string("level", e.level);
    writer.string("source", e.source);
    writer.string("message", e.message);
    writer.integer("timestamp_ms", e.timestamp_ms);
  }
  void operator()(CompactDoneEvent const& e) const { writer.string("new_segment_id", e.new_segment_id); }
  void operator()(CompactFailedEvent const& e) const { writer.string("error", e.error); }
  void operator()(ChildEvent const& e) const {
    writer.object("child", [&](ObjectWriter& inner) { write_child(inner, e.child); });
  }
  void operator()(PermissionRequestEvent const& e) const { codec::write_permission_request(writer, e.request); }
  void operator()(PermissionClosedEvent const& e) const { codec::write_permission_closed(writer, e.closed); }
  void operator()(DisconnectEvent const& e) const { writer.string("reason", e.reason); }

  void operator()(ThinkingStartEvent const&) const {}
  void operator()(CompactStartEvent const&) const {}
  void operator()(ShutdownEvent const&) const {}
  void operator()(UnknownEvent const&) const {}
};

bool has_data(EventBody const& body) {
  return !std::holds_alternative<ThinkingStartEvent>(body) && !std::holds_alternative<CompactStartEvent>(body) &&
         !std::holds_alternative<ShutdownEvent>(body) && !std::holds_alternative<UnknownEvent>(body);
}

/// A snapshot can be large: growing by doubling would copy it several times.
size_t expected_size(EventBody const& body) {
  size_t size = 128;
  auto const* snapshot = std::get_if<SnapshotEvent>(&body);
  if (snapshot == nullptr) return size;
  for (auto const& entry : snapshot->entries) size += entry.size() + 1;
  return size + 4096;
}

}  // namespace

std::string_view status_name(PodStatus status) {
  switch (status) {
    case PodStatus::Idle: return "idle";
    case PodStatus::Running: return "running";
    case PodStatus::Paused: return "paused";
  }
  return "idle";
}

std::string_view event_name(EventBody const& body) { return std::visit(NameOf{}, body); }

std::string encode_event(Event const& event) {
  std::string out;
  out.reserve(expected_size(event.body));
  {
    ObjectWriter writer(out);
    writer.string("event", event_name(event.body));
    if (has_data(event.body)) {
      writer.object("data", [&](ObjectWriter& data) { std::visit(DataWriter{data}, event.body); });
    }
    if (event.seq) writer.uint("seq", *event.seq);
    if (event.id) writer.string("id", *event.id);
  }
  return out;
}

}  // namespace insomnia::wire
