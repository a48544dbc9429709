#include "wire/log_entry.hh"

#include <boost/json.hpp>
#include <limits>

#include "base/json.hh"
#include "wire/codec.hh"
#include "wire/json_text.hh"

namespace insomnia::wire {
namespace bj = boost::json;

namespace {

void write_optional(ObjectWriter& writer, std::string_view key, std::optional<double> const& value) {
  append_json_number(writer.key(key), value.value_or(std::numeric_limits<double>::quiet_NaN()));
}
void write_optional(ObjectWriter& writer, std::string_view key, std::optional<uint32_t> const& value) {
  if (value) writer.uint(key, *value);
  else writer.null(key);
}

void write_config(ObjectWriter& writer, RequestConfig const& config) {
  writer.object("config", [&](ObjectWriter& inner) {
    write_optional(inner, "max_tokens", config.max_tokens);
    write_optional(inner, "temperature", config.temperature);
    write_optional(inner, "top_p", config.top_p);
    write_optional(inner, "top_k", config.top_k);
    inner.list("stop_sequences", config.stop_sequences, append_json_string);
    if (!config.reasoning) inner.null("reasoning");
    else if (auto const* effort = std::get_if<std::string>(&*config.reasoning)) inner.string("reasoning", *effort);
    else inner.integer("reasoning", std::get<int64_t>(*config.reasoning));
  });
}

void write_lineage(ObjectWriter& writer, std::string_view key, std::optional<Lineage> const& lineage) {
  if (!lineage) return;
  writer.object(key, [&](ObjectWriter& inner) {
    inner.string("segment_id", lineage->segment_id);
    inner.uint("at_turn_index", lineage->at_turn_index);
  });
}

void write_mail(ObjectWriter& writer, std::optional<MailRef> const& mail) {
  if (!mail) return;
  writer.object("mail", [&](ObjectWriter& inner) {
    inner.string("sender", mail->sender);
    inner.uint("seq", mail->seq);
  });
}

void write_report(ObjectWriter& writer, std::optional<uint64_t> const& report) {
  if (report) writer.uint("report", *report);
}

struct KindOf {
  std::string_view operator()(SegmentStart const&) const { return "segment_start"; }
  std::string_view operator()(Invoke const&) const { return "invoke"; }
  std::string_view operator()(UserInput const&) const { return "user_input"; }
  std::string_view operator()(SystemItemRecord const&) const { return "system_item"; }
  std::string_view operator()(AssistantItem const&) const { return "assistant_item"; }
  std::string_view operator()(ToolResultRecord const&) const { return "tool_result"; }
  std::string_view operator()(TurnEndRecord const&) const { return "turn_end"; }
  std::string_view operator()(LlmUsage const&) const { return "llm_usage"; }
  std::string_view operator()(Extension const&) const { return "extension"; }
  std::string_view operator()(ConfigChanged const&) const { return "config_changed"; }
  std::string_view operator()(RunCompleted const&) const { return "run_completed"; }
  std::string_view operator()(RunErrored const&) const { return "run_errored"; }
  std::string_view operator()(UnknownEntry const& entry) const { return entry.kind; }
};

struct RecordWriter {
  ObjectWriter& writer;
  void operator()(SegmentStart const& r) const {
    writer.string("session_id", r.session_id);
    if (r.system_prompt) writer.string("system_prompt", *r.system_prompt);
    else writer.null("system_prompt");
    write_config(writer, r.config);
    writer.list("history", r.history, codec::write_item);
    write_lineage(writer, "forked_from", r.forked_from);
    write_lineage(writer, "compacted_from", r.compacted_from);
    if (!r.inbox.empty()) {
      writer.object("inbox", [&](ObjectWriter& inner) {
        for (auto const& [sender, seq] : r.inbox) inner.uint(sender, seq);
      });
    }
    if (r.last_report) writer.uint("last_report", *r.last_report);
  }
  void operator()(Invoke const& r) const {
    writer.string("trigger", r.trigger);
    if (r.delegated) writer.boolean("delegated", true);
  }
  void operator()(UserInput const& r) const {
    codec::write_segments(writer, "segments", r.segments);
    write_mail(writer, r.mail);
  }
  void operator()(SystemItemRecord const& r) const {
    codec::write_system_item(writer.key("item"), r.item);
    write_mail(writer, r.mail);
  }
  void operator()(AssistantItem const& r) const { codec::write_item(writer.key("item"), r.item); }
  void operator()(ToolResultRecord const& r) const { codec::write_item(writer.key("item"), r.item); }
  void operator()(TurnEndRecord const& r) const { writer.uint("turn_count", r.turn_count); }
  void operator()(LlmUsage const& r) const {
    writer.uint("history_len", r.history_len);
    writer.uint("input_total_tokens", r.input_total_tokens);
    writer.uint("cache_read_tokens", r.cache_read_tokens);
    writer.uint("cache_write_tokens", r.cache_write_tokens);
    writer.uint("output_tokens", r.output_tokens);
  }
  void operator()(Extension const& r) const {
    writer.string("domain", r.domain);
    append_checked_json(writer.key("payload"), r.payload);
  }
  void operator()(ConfigChanged const& r) const { write_config(writer, r.config); }
  void operator()(RunCompleted const& r) const {
    writer.boolean("interrupted", r.interrupted);
    writer.string("result", r.result);
    write_report(writer, r.report);
  }
  void operator()(RunErrored const& r) const {
    writer.boolean("interrupted", r.interrupted);
    writer.string("message", r.message);
    write_report(writer, r.report);
  }
  void operator()(UnknownEntry const&) const {}
};

std::optional<uint32_t> read_u32(json::Reader& reader, std::string_view key) {
  auto value = reader.optional_uint(key);
  if (!value) return std::nullopt;
  if (*value > std::numeric_limits<uint32_t>::max()) reader.reject(key, "is too large");
  return static_cast<uint32_t>(*value);
}

RequestConfig read_config(json::Reader& outer) {
  RequestConfig config;
  auto const* object = outer.require_object("config");
  if (object == nullptr) return config;
  json::Reader reader(*object, outer.path_of("config"));
  config.max_tokens = read_u32(reader, "max_tokens");
  config.temperature = reader.optional_number("temperature");
  config.top_p = reader.optional_number("top_p");
  config.top_k = read_u32(reader, "top_k");
  reader.require_array("stop_sequences");
  config.stop_sequences = reader.strings("stop_sequences");
  if (auto const* reasoning = reader.find("reasoning"); reasoning != nullptr) {
    if (reasoning->is_string()) config.reasoning = std::string(reasoning->as_string());
    else config.reasoning = reader.integer("reasoning");
  }
  codec::absorb(outer, reader.finish());
  return config;
}

std::optional<Lineage> read_lineage(json::Reader& outer, std::string_view key) {
  auto const* object = outer.object(key);
  if (object == nullptr) return std::nullopt;
  json::Reader reader(*object, outer.path_of(key));
  Lineage lineage{reader.string("segment_id"), reader.uint("at_turn_index")};
  codec::absorb(outer, reader.finish());
  return lineage;
}

std::optional<MailRef> read_mail(json::Reader& outer) {
  auto const* object = outer.object("mail");
  if (object == nullptr) return std::nullopt;
  json::Reader reader(*object, outer.path_of("mail"));
  MailRef mail{reader.string("sender"), reader.uint("seq")};
  codec::absorb(outer, reader.finish());
  return mail;
}

std::map<std::string, uint64_t> read_inbox(json::Reader& outer) {
  std::map<std::string, uint64_t> inbox;
  auto const* object = outer.object("inbox");
  if (object == nullptr) return inbox;
  json::Reader reader(*object, outer.path_of("inbox"));
  for (auto const& member : *object) inbox[std::string(member.key())] = reader.uint(member.key());
  codec::absorb(outer, reader.finish());
  return inbox;
}

/// Items of unknown kinds are left out.
std::vector<Item> read_history(json::Reader& outer) {
  std::vector<Item> history;
  auto const* list = outer.require_array("history");
  if (list == nullptr) return history;
  history.reserve(list->size());
  for (auto const& element : *list) {
    if (!element.is_object()) outer.reject("history", "must be a list of objects");
    if (!outer.ok()) return {};
    auto item = outer.take(codec::read_item(element.as_object(), outer.path_of("history")));
    if (item) history.push_back(*std::move(item));
  }
  return history;
}

SegmentStart read_segment_start(json::Reader& reader) {
  SegmentStart start;
  start.session_id = reader.string("session_id");
  start.system_prompt = reader.optional_string("system_prompt");
  start.config = read_config(reader);
  start.history = read_history(reader);
  start.forked_from = read_lineage(reader, "forked_from");
  start.compacted_from = read_lineage(reader, "compacted_from");
  start.inbox = read_inbox(reader);
  start.last_report = reader.optional_uint("last_report");
  return start;
}

LogRecord read_assistant_item(json::Reader& reader) {
  auto const* object = reader.require_object("item");
  if (object == nullptr) return AssistantItem{};
  auto item = reader.take(codec::read_item(*object, reader.path_of("item")));
  if (item) return AssistantItem{*std::move(item)};
  return UnknownEntry{"assistant_item." + json::Reader(*object).string("kind")};
}

ToolResultRecord read_tool_result(json::Reader& reader) {
  auto const* object = reader.require_object("item");
  if (object == nullptr) return {};
  auto item = reader.take(codec::read_item(*object, reader.path_of("item")));
  if (item && std::holds_alternative<ToolResult>(*item)) return {std::get<ToolResult>(*std::move(item))};
  reader.reject("item", "must be a tool_result");
  return {};
}

SystemItem read_item_of_system(json::Reader& reader) {
  auto const* object = reader.require_object("item");
  if (object == nullptr) return {};
  return reader.take(codec::read_system_item(*object, reader.path_of("item")));
}

LlmUsage read_usage(json::Reader& reader) {
  return {reader.uint("history_len"), reader.uint("input_total_tokens"), reader.uint_or("cache_read_tokens", 0),
          reader.uint_or("cache_write_tokens", 0), reader.uint_or("output_tokens", 0)};
}

LogRecord read_record(std::string const& kind, json::Reader& reader, MemberTexts const& texts) {
  if (kind == "segment_start") return read_segment_start(reader);
  if (kind == "invoke") return Invoke{reader.string("trigger"), reader.boolean_or("delegated", false)};
  if (kind == "user_input") return UserInput{codec::read_segments(reader, "segments"), read_mail(reader)};
  if (kind == "system_item") return SystemItemRecord{read_item_of_system(reader), read_mail(reader)};
  if (kind == "assistant_item") return read_assistant_item(reader);
  if (kind == "tool_result") return read_tool_result(reader);
  if (kind == "turn_end") return TurnEndRecord{reader.uint("turn_count")};
  if (kind == "llm_usage") return read_usage(reader);
  if (kind == "extension") {
    auto payload = texts.find("payload");
    return Extension{reader.string("domain"), payload == texts.end() ? "null" : std::string(payload->second)};
  }
  if (kind == "config_changed") return ConfigChanged{read_config(reader)};
  if (kind == "run_completed") {
    return RunCompleted{reader.boolean_or("interrupted", false), reader.string("result"), reader.optional_uint("report")};
  }
  if (kind == "run_errored") {
    return RunErrored{reader.boolean_or("interrupted", true), reader.string("message"), reader.optional_uint("report")};
  }
  return UnknownEntry{kind};
}

}  // namespace

std::string encode_log_entry(LogEntry const& entry) {
  std::string out;
  {
    ObjectWriter writer(out);
    writer.string("kind", std::visit(KindOf{}, entry.record));
    writer.integer("ts", entry.ts);
    std::visit(RecordWriter{writer}, entry.record);
  }
  return out;
}

Result<LogEntry> decode_log_entry(std::string_view line) {
  bj::object fields;
  MemberTexts texts = TRY(split_object(line, {"payload"}, fields));
  json::Reader reader(fields, "");
  std::string kind = reader.string("kind");
  LogEntry entry;
  entry.ts = reader.optional_integer("ts").value_or(0);
  entry.record = read_record(kind, reader, texts);
  TRY(reader.finish());
  return entry;
}

std::string encode_system_item(SystemItem const& item) {
  std::string out;
  codec::write_system_item(out, item);
  return out;
}

Result<SystemItem> decode_system_item(std::string_view json) {
  bj::object object = TRY(json::parse_object(json));
  return codec::read_system_item(object, "item");
}

namespace codec {

void write_system_item(std::string& out, SystemItem const& item) {
  ObjectWriter writer(out);
  writer.string("kind", item.kind);
  auto write = [&](std::string_view key, std::string const& value, bool always) {
    if (always || !value.empty()) writer.string(key, value);
  };
  write("message", item.message, item.kind == "notification");
  if (item.event) write_pod_event(writer.key("event"), *item.event);
  write("path", item.path, item.kind == "file_attachment");
  write("slug", item.slug, item.kind == "knowledge" || item.kind == "workflow");
  write("source", item.source, item.kind == "task_reminder");
  writer.string("body", item.body);
}

Result<SystemItem> read_system_item(bj::object const& object, std::string where) {
  json::Reader reader(object, std::move(where));
  SystemItem item;
  item.kind = reader.string("kind");
  item.body = reader.string("body");
  item.message = reader.string_or("message", "");
  if (auto const* event = reader.object("event"); event != nullptr) {
    item.event = reader.take(read_pod_event(*event, reader.path_of("event")));
  }
  item.path = reader.string_or("path", "");
  item.slug = reader.string_or("slug", "");
  item.source = reader.string_or("source", item.kind == "task_reminder" ? "task_inactivity" : "");
  TRY(reader.finish());
  return item;
}

}  // namespace codec
}  // namespace insomnia::wire
