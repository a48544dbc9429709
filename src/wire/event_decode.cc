#include <boost/json.hpp>
#include <limits>
#include <map>

#include "base/json.hh"
#include "base/text.hh"
#include "wire/codec.hh"
#include "wire/event.hh"
#include "wire/json_text.hh"

namespace insomnia::wire {
namespace bj = boost::json;

namespace {

/// The `data` of one event: typed fields, and what stays text.
struct Data {
  json::Reader& fields;
  MemberTexts const& texts;

  std::string string(std::string_view key) { return fields.string(key); }
  uint64_t uint(std::string_view key) { return fields.uint(key); }

  std::string text(std::string_view key) {
    auto found = texts.find(key);
    if (found != texts.end()) return std::string(found->second);
    fields.reject(key, "is missing");
    return "";
  }
  std::vector<std::string> text_list(std::string_view key) {
    auto found = texts.find(key);
    if (found != texts.end()) return fields.take(split_list(found->second));
    fields.reject(key, "is missing");
    return {};
  }
};

PodStatus read_status(json::Reader& reader, std::string_view key, std::string const& name) {
  if (name == "running") return PodStatus::Running;
  if (name == "paused") return PodStatus::Paused;
  if (name != "idle") reader.reject(key, "must be \"idle\", \"running\" or \"paused\"");
  return PodStatus::Idle;
}

Greeting read_greeting(json::Reader& outer) {
  Greeting greeting;
  auto const* object = outer.require_object("greeting");
  if (object == nullptr) return greeting;
  json::Reader reader(*object, outer.path_of("greeting"));
  greeting.pod_name = reader.string("pod_name");
  greeting.pod_id = reader.string_or("pod_id", "");
  greeting.instance_id = reader.string_or("instance_id", "");
  greeting.cwd = reader.string_or("cwd", "");
  greeting.provider = reader.string_or("provider", "");
  greeting.model = reader.string_or("model", "");
  greeting.scope_summary = reader.string_or("scope_summary", "");
  greeting.tools = reader.strings("tools");
  greeting.context_window = reader.uint_or("context_window", 0);
  greeting.context_tokens = reader.uint_or("context_tokens", 0);
  greeting.isolation = reader.string_or("isolation", "");
  codec::absorb(outer, reader.finish());
  return greeting;
}

/// Calls `read_one(reader of the element)` for each object of a list; absent is empty.
template <class T, class ReadOne>
std::vector<T> read_list(json::Reader& outer, std::string_view key, ReadOne read_one) {
  std::vector<T> result;
  auto const* list = outer.array(key);
  if (list == nullptr) return result;
  for (auto const& element : *list) {
    if (!element.is_object()) outer.reject(key, "must be a list of objects");
    if (!outer.ok()) return {};
    json::Reader reader(element.as_object(), outer.path_of(key));
    result.push_back(read_one(reader));
    codec::absorb(outer, reader.finish());
  }
  return result;
}

std::optional<InFlight> read_in_flight(json::Reader& outer) {
  auto const* object = outer.object("in_flight");
  if (object == nullptr) return std::nullopt;
  json::Reader reader(*object, outer.path_of("in_flight"));
  InFlight in_flight;
  in_flight.text = reader.string_or("text", "");
  in_flight.thinking = reader.string_or("thinking", "");
  in_flight.tool_calls = read_list<InFlightToolCall>(reader, "tool_calls", [](json::Reader& call) {
    return InFlightToolCall{call.string("id"), call.string("name"), call.string_or("arguments", "")};
  });
  codec::absorb(outer, reader.finish());
  return in_flight;
}

ChildInfo read_child(json::Reader& reader) {
  ChildInfo child;
  child.pod_name = reader.string("pod_name");
  child.pod_id = reader.string_or("pod_id", "");
  child.socket_path = reader.string_or("socket_path", "");
  child.state = reader.string("state");
  child.task = reader.string_or("task", "");
  child.profile = reader.string_or("profile", "");
  child.scope = codec::read_rules(reader, "scope");
  return child;
}

EventBody snapshot(Data& d) {
  SnapshotEvent e;
  e.entries = d.text_list("entries");
  e.greeting = read_greeting(d.fields);
  e.status = read_status(d.fields, "status", d.fields.string_or("status", "idle"));
  e.in_flight = read_in_flight(d.fields);
  e.children = read_list<ChildInfo>(d.fields, "children", read_child);
  e.settled = d.fields.boolean_or("settled", false);
  e.permission_requests = read_list<PermissionRequest>(d.fields, "permission_requests", codec::read_permission_request);
  return e;
}

EventBody llm_retry(Data& d) {
  LlmRetryEvent e;
  e.llm_call = d.uint("llm_call");
  e.failed_attempt = d.uint("failed_attempt");
  e.max_attempts = d.uint("max_attempts");
  e.wait_ms = d.uint("wait_ms");
  e.elapsed_ms = d.uint("elapsed_ms");
  if (auto status = d.fields.optional_integer("status")) {
    if (*status < 0 || *status > std::numeric_limits<int>::max()) d.fields.reject("status", "is out of range");
    else e.status = static_cast<int>(*status);
  }
  e.error = d.string("error");
  return e;
}

EventBody completions(Data& d) {
  CompletionsEvent e;
  e.kind = d.string("kind");
  d.fields.require_array("entries");
  e.entries = read_list<CompletionEntry>(d.fields, "entries", [](json::Reader& entry) {
    return CompletionEntry{entry.string("value"), entry.boolean_or("is_dir", false)};
  });
  return e;
}

EventBody rewind_applied(Data& d) {
  RewindAppliedEvent e;
  e.entries = d.text_list("entries");
  e.input = codec::read_segments(d.fields, "input");
  auto const* object = d.fields.require_object("summary");
  if (object == nullptr) return e;
  json::Reader summary(*object, d.fields.path_of("summary"));
  e.truncated_to_entries = summary.uint("truncated_to_entries");
  e.discarded_entries = summary.uint("discarded_entries");
  e.tool_side_effect_warning = summary.boolean_or("tool_side_effect_warning", false);
  codec::absorb(d.fields, summary.finish());
  return e;
}

EventBody pod_restored(Data& d) {
  PodRestoredEvent e;
  auto const* object = d.fields.require_object("result");
  if (object == nullptr) return e;
  json::Reader result(*object, d.fields.path_of("result"));
  e.action = result.string("action");
  e.pod_name = result.string("pod_name");
  e.socket_path = result.string("socket_path");
  e.status = result.optional_string("status");
  codec::absorb(d.fields, result.finish());
  return e;
}

EventBody child(Data& d) {
  ChildEvent e;
  auto const* object = d.fields.require_object("child");
  if (object == nullptr) return e;
  json::Reader reader(*object, d.fields.path_of("child"));
  e.child = read_child(reader);
  codec::absorb(d.fields, reader.finish());
  return e;
}

struct Kind {
  EventBody (*read)(Data&);
  std::vector<std::string_view> as_text = {};
};

std::map<std::string_view, Kind> const& kinds() {
  static std::map<std::string_view, Kind> const kKinds = {
      {"snapshot", {snapshot, {"entries"}}},
      {"segment_rotated", {[](Data& d) -> EventBody { return SegmentRotatedEvent{d.text("entry")}; }, {"entry"}}},
      {"system_item", {[](Data& d) -> EventBody { return SystemItemEvent{d.text("item")}; }, {"item"}}},
      {"invoke_start", {[](Data& d) -> EventBody { return InvokeStartEvent{d.string("kind")}; }}},
      {"user_message", {[](Data& d) -> EventBody { return UserMessageEvent{codec::read_segments(d.fields, "segments")}; }}},
      {"turn_start", {[](Data& d) -> EventBody { return TurnStartEvent{d.uint("turn")}; }}},
      {"turn_end",
       {[](Data& d) -> EventBody { return TurnEndEvent{d.uint("turn"), d.fields.string_or("result", "finished")}; }}},
      {"llm_call_start", {[](Data& d) -> EventBody { return LlmCallStartEvent{d.uint("llm_call")}; }}},
      {"llm_call_end", {[](Data& d) -> EventBody { return LlmCallEndEvent{d.uint("llm_call")}; }}},
      {"llm_retry", {llm_retry}},
      {"llm_continuation",
       {[](Data& d) -> EventBody {
         return LlmContinuationEvent{d.uint("llm_call"), d.uint("attempt"), d.uint("max_attempts"), d.string("reason")};
       }}},
      {"text_delta", {[](Data& d) -> EventBody { return TextDeltaEvent{d.string("text")}; }}},
      {"text_done", {[](Data& d) -> EventBody { return TextDoneEvent{d.string("text")}; }}},
      {"thinking_start", {[](Data&) -> EventBody { return ThinkingStartEvent{}; }}},
      {"thinking_delta", {[](Data& d) -> EventBody { return ThinkingDeltaEvent{d.string("text")}; }}},
      {"thinking_done", {[](Data& d) -> EventBody { return ThinkingDoneEvent{d.string("text")}; }}},
      {"tool_call_start", {[](Data& d) -> EventBody { return ToolCallStartEvent{d.string("id"), d.string("name")}; }}},
      {"tool_call_args_delta",
       {[](Data& d) -> EventBody { return ToolCallArgsDeltaEvent{d.string("id"), d.string("json")}; }}},
      {"tool_call_done",
       {[](Data& d) -> EventBody { return ToolCallDoneEvent{d.string("id"), d.string("name"), d.string("arguments")}; }}},
      {"tool_result",
       {[](Data& d) -> EventBody {
         return ToolResultEvent{d.string("id"), d.string("summary"), d.fields.optional_string("output"),
                                d.fields.boolean_or("is_error", false)};
       }}},
      {"usage",
       {[](Data& d) -> EventBody {
         return UsageEvent{d.fields.optional_uint("input_tokens"), d.fields.optional_uint("output_tokens"),
                           d.fields.optional_uint("cache_read_input_tokens")};
       }}},
      {"run_end", {[](Data& d) -> EventBody { return RunEndEvent{d.string("result")}; }}},
      {"status",
       {[](Data& d) -> EventBody {
         return StatusEvent{read_status(d.fields, "status", d.string("status")), d.fields.boolean_or("settled", false)};
       }}},
      {"error", {[](Data& d) -> EventBody { return ErrorEvent{d.string("code"), d.string("message")}; }}},
      {"completions", {completions}},
      {"rewind_targets",
       {[](Data& d) -> EventBody { return RewindTargetsEvent{d.uint("head_entries"), d.text("targets")}; }, {"targets"}}},
      {"rewind_applied", {rewind_applied, {"entries"}}},
      {"pods_listed", {[](Data& d) -> EventBody { return PodsListedEvent{d.text("pods")}; }, {"pods"}}},
      {"pod_restored", {pod_restored}},
      {"alert",
       {[](Data& d) -> EventBody {
         return AlertEvent{d.string("level"), d.string("source"), d.string("message"), d.fields.integer("timestamp_ms")};
       }}},
      {"compact_start", {[](Data&) -> EventBody { return CompactStartEvent{}; }}},
      {"compact_done", {[](Data& d) -> EventBody { return CompactDoneEvent{d.string("new_segment_id")}; }}},
      {"compact_failed", {[](Data& d) -> EventBody { return CompactFailedEvent{d.string("error")}; }}},
      {"child", {child}},
      {"permission_request", {[](Data& d) -> EventBody { return PermissionRequestEvent{codec::read_permission_request(d.fields)}; }}},
      {"permission_closed", {[](Data& d) -> EventBody { return PermissionClosedEvent{codec::read_permission_closed(d.fields)}; }}},
      {"disconnect", {[](Data& d) -> EventBody { return DisconnectEvent{d.fields.string_or("reason", "")}; }}},
      {"shutdown", {[](Data&) -> EventBody { return ShutdownEvent{}; }}},
  };
  return kKinds;
}

Result<EventBody> read_body(std::string const& name, std::string_view data) {
  auto kind = kinds().find(name);
  if (kind == kinds().end()) {
    TRY(check_json(data));
    return UnknownEvent{name};
  }
  bj::object fields;
  MemberTexts texts = TRY(split_object(data, kind->second.as_text, fields));
  json::Reader reader(fields, "data");
  Data parts{reader, texts};
  EventBody body = kind->second.read(parts);
  TRY(reader.finish());
  return body;
}

Result<Event> read_event(std::string_view line) {
  bj::object fields;
  std::string_view data = "{}";
  TRY(for_each_member(line, [&](std::string const& key, std::string_view value) -> Result<void> {
    if (key == "data") {
      data = value == "null" ? "{}" : value;  // checked by read_body
      return {};
    }
    fields[key] = TRY(json::parse(value));
    return {};
  }));
  json::Reader reader(fields);
  Event event;
  std::string name = reader.string("event");
  event.seq = reader.optional_uint("seq");
  event.id = reader.optional_string("id");
  TRY(reader.finish());
  event.body = TRY(read_body(name, data));
  return event;
}

}  // namespace

Result<Event> decode_event(std::string_view line) {
  auto event = read_event(line);
  if (!event) return std::unexpected(std::move(event).error().with_context("invalid event"));
  return event;
}

}  // namespace insomnia::wire
