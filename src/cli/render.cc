#include "cli/render.hh"

#include <algorithm>
#include <utility>

#include "base/text.hh"
#include "cli/ask_desk.hh"
#include "cli/output.hh"
#include "cli/table.hh"
#include "cli/tool_label.hh"
#include "scope/scope.hh"

namespace insomnia::cli {
namespace {

template <class... Ts>
struct Overload : Ts... {
  using Ts::operator()...;
};

constexpr size_t kGenerousWidth = 200;
constexpr size_t kErrorOutputLines = 5;
/// A child that never ends a line is not collected for ever.
constexpr size_t kLongestLine = 64 << 10;

std::string call_key(client::PodOrigin const& origin, std::string_view id) {
  return origin.pod_name + '\0' + std::string(id);
}

}  // namespace

std::string Renderer::event(client::PodOrigin const& origin, wire::Event const& event) {
  out_.clear();
  take(origin, event);
  return std::move(out_);
}

std::string Renderer::history(client::PodOrigin const& origin, std::vector<std::string> const& entries) {
  out_.clear();
  for (auto const& text : entries) {
    if (auto entry = wire::decode_log_entry(text)) show_entry(origin, *entry, false);
  }
  return std::move(out_);
}

std::string Renderer::finish() {
  out_.clear();
  end_root_line();
  for (auto& [name, pod] : pods_) {
    if (pod.line.empty()) continue;
    out_ += "  [" + name + "] " + pod.line + "\n";
    pod.line.clear();
  }
  return std::move(out_);
}

void Renderer::take(client::PodOrigin const& origin, wire::Event const& event) {
  auto say = [&](Style style, std::string const& content) { line(origin, style, content); };
  std::visit(
      Overload{
          [&](wire::SnapshotEvent const& body) { snapshot(origin, body); },
          [&](wire::UserMessageEvent const& body) { user_said(origin, body.segments); },
          [&](wire::TextDeltaEvent const& body) { text(origin, body.text); },
          [&](wire::TextDoneEvent const& body) { text_done(origin, body.text); },
          [&](wire::ToolCallDoneEvent const& body) { tool_call(origin, body.id, body.name, body.arguments); },
          [&](wire::ToolResultEvent const& body) { tool_result(origin, body); },
          [&](wire::LlmCallStartEvent const&) { ++totals_.calls; },
          [&](wire::UsageEvent const& body) {
            totals_.input_tokens += body.input_tokens.value_or(0);
            totals_.output_tokens += body.output_tokens.value_or(0);
            totals_.cached_tokens += body.cache_read_input_tokens.value_or(0);
          },
          [&](wire::LlmRetryEvent const& body) {
            say(Style::Yellow, "↻ the model call failed (" +
                                   (body.status ? "HTTP " + std::to_string(*body.status) + ": " : "") +
                                   body.error + "), attempt " + std::to_string(body.failed_attempt + 1) +
                                   " of " + std::to_string(body.max_attempts) + " in " +
                                   short_duration(static_cast<int64_t>(body.wait_ms)));
          },
          [&](wire::LlmContinuationEvent const& body) {
            say(Style::Yellow, "↻ the answer broke off (" + body.reason + "), continuing (" +
                                   std::to_string(body.attempt) + " of " + std::to_string(body.max_attempts) +
                                   ")");
          },
          [&](wire::SystemItemEvent const& body) {
            // A live item comes as JSON of the item alone; in the log it is wrapped in a record.
            auto entry = wire::decode_log_entry(R"({"kind":"system_item","ts":0,"item":)" + body.item + "}");
            if (!entry) return;
            if (auto const* record = std::get_if<wire::SystemItemRecord>(&entry->record))
              system_said(origin, record->item);
          },
          [&](wire::RunEndEvent const& body) { run_ended(origin, body.result); },
          [&](wire::ErrorEvent const& body) { say(Style::Red, "✗ " + body.code + ": " + body.message); },
          [&](wire::AlertEvent const& body) {
            say(body.level == "error" ? Style::Red : Style::Yellow,
                "! " + body.message + " (" + body.source + ")");
          },
          [&](wire::PermissionRequestEvent const& body) { asked(origin, body.request); },
          [&](wire::PermissionClosedEvent const& body) { ask_closed(origin, body.closed); },
          [&](wire::CompactStartEvent const&) { say(Style::Dim, "∷ compacting the conversation"); },
          [&](wire::CompactDoneEvent const&) { say(Style::Dim, "∷ the conversation was compacted"); },
          [&](wire::CompactFailedEvent const& body) {
            say(Style::Yellow, "! compaction failed: " + body.error);
          },
          [&](wire::RewindAppliedEvent const& body) {
            say(Style::Dim,
                "↶ the session was taken back by " + std::to_string(body.discarded_entries) + " entries");
          },
          [&](wire::ChildEvent const& body) { child_changed(origin, body.child); },
          [&](wire::DisconnectEvent const& body) {
            say(Style::Yellow, "! the Pod closed this connection: " + body.reason);
          },
          [](auto const&) {},  // bookkeeping that a reader does not need, and kinds from the future
      },
      event.body);
}

void Renderer::snapshot(client::PodOrigin const& origin, wire::SnapshotEvent const& snapshot) {
  PodView& pod = view(origin);
  if (pod.known)
    return line(origin, Style::Yellow, "! connected again; what was said in between is not shown");
  pod.known = true;
  if (origin.depth > 0 || options_.root_history) {
    size_t first = 0;
    if (options_.history_limit > 0 && snapshot.entries.size() > options_.history_limit) {
      first = snapshot.entries.size() - options_.history_limit;
      line(origin, Style::Dim, "… " + std::to_string(first) + " earlier entries");
    }
    for (size_t i = first; i < snapshot.entries.size(); ++i) {
      // What a child did before we reached it belongs to this run when we saw it begin.
      if (auto entry = wire::decode_log_entry(snapshot.entries[i])) show_entry(origin, *entry, pod.announced);
    }
  }
  for (auto const& request : snapshot.permission_requests) asked(origin, request);
  if (!snapshot.in_flight) return;
  if (!snapshot.in_flight->text.empty()) text(origin, snapshot.in_flight->text);
  for (auto const& call : snapshot.in_flight->tool_calls) {
    if (!pod.calls.contains(call.id)) tool_call(origin, call.id, call.name, call.arguments);
  }
}

void Renderer::child_changed(client::PodOrigin const& origin, wire::ChildInfo const& child) {
  client::PodOrigin place{child.pod_name, origin.depth + 1};
  PodView& pod = view(place);
  bool alive = child.state != "stopped" && child.state != "crashed";
  if (alive && !pod.announced) {
    pod.announced = true;
    if (children_.insert(child.pod_name + '\0' + child.pod_id).second) ++totals_.children;
    std::string what = "started";
    if (!child.scope.empty()) what += ", " + scope::describe_rules(child.scope);
    if (!child.profile.empty()) what += ", profile " + child.profile;
    return line(place, Style::Bold, "+ " + what);
  }
  if (child.state == "paused") return line(place, Style::Yellow, "‖ paused");
  if (alive) return;
  end_child_line(place, pod);
  line(place, child.state == "crashed" ? Style::Red : Style::Dim,
       child.state == "crashed" ? "✗ crashed" : "- ended");
  pods_.erase(child.pod_name);
}

void Renderer::show_entry(client::PodOrigin const& origin, wire::LogEntry const& entry, bool count_usage) {
  std::visit(Overload{
                 [&](wire::SegmentStart const& record) {
                   if (record.compacted_from)
                     line(origin, Style::Dim, "∷ what was said before was compacted");
                   for (auto const& item : record.history) show_item(origin, item);
                 },
                 [&](wire::UserInput const& record) { user_said(origin, record.segments); },
                 [&](wire::SystemItemRecord const& record) { system_said(origin, record.item); },
                 [&](wire::AssistantItem const& record) { show_item(origin, record.item); },
                 [&](wire::ToolResultRecord const& record) { show_item(origin, record.item); },
                 [&](wire::LlmUsage const& record) {
                   if (!count_usage) return;
                   ++totals_.calls;
                   totals_.input_tokens += record.input_total_tokens;
                   totals_.cached_tokens += record.cache_read_tokens;
                   totals_.output_tokens += record.output_tokens;
                 },
                 [&](wire::RunCompleted const& record) { run_ended(origin, record.result); },
                 [&](wire::RunErrored const& record) { line(origin, Style::Red, "✗ " + record.message); },
                 [](auto const&) {},
             },
             entry.record);
}

void Renderer::show_item(client::PodOrigin const& origin, wire::Item const& item) {
  std::visit(
      Overload{
          [&](wire::Message const& message) {
            if (message.role == wire::Role::Assistant) text_done(origin, wire::message_text(message));
            if (message.role == wire::Role::User)
              user_said(origin, wire::text_segments(wire::message_text(message)));
          },
          [&](wire::ToolCall const& call) { tool_call(origin, call.call_id, call.name, call.arguments); },
          [&](wire::ToolResult const& result) {
            tool_result(origin, {.id = result.call_id,
                                 .summary = result.summary,
                                 .output = result.content,
                                 .is_error = result.is_error});
          },
          [](wire::Reasoning const&) {},
      },
      item);
}

void Renderer::user_said(client::PodOrigin const& origin, wire::Segments const& segments) {
  if (origin.depth == 0 && !options_.echo_input) return;
  line(origin, Style::Green, "> " + wire::flatten(segments));
}

void Renderer::system_said(client::PodOrigin const& origin, wire::SystemItem const& item) {
  std::string what = item.kind;
  if (item.event) {
    what = wire::render_pod_event(*item.event);
    what = what.substr(0, what.find('\n'));
  } else if (!item.message.empty()) {
    what = item.message;
  } else if (!item.path.empty() || !item.slug.empty()) {
    what += " " + item.path + item.slug;
  } else if (item.kind == "interrupt") {
    what = "the run before was interrupted";
  } else {
    return;
  }
  line(origin, Style::Dim, "◂ " + what);
}

void Renderer::text(client::PodOrigin const& origin, std::string_view text) {
  PodView& pod = view(origin);
  pod.text_streamed = true;
  if (!pod.text_begun) {
    // Models like to begin with empty lines.
    while (text.starts_with('\n') || text.starts_with('\r')) text.remove_prefix(1);
    if (text.empty()) return;
    pod.text_begun = true;
  }
  if (origin.depth == 0) return root_text(text);
  pod.line += text;
  for (size_t newline; (newline = pod.line.find('\n')) != std::string::npos;) {
    std::string whole = pod.line.substr(0, newline);
    pod.line.erase(0, newline + 1);
    line(origin, Style::Plain, whole, true);
  }
  if (pod.line.size() > kLongestLine) end_child_line(origin, pod);
}

void Renderer::text_done(client::PodOrigin const& origin, std::string_view whole) {
  PodView& pod = view(origin);
  if (!pod.text_streamed) text(origin, whole);
  pod.text_streamed = false;
  pod.text_begun = false;
  if (origin.depth == 0) return end_root_line();
  end_child_line(origin, pod);
}

void Renderer::end_child_line(client::PodOrigin const& origin, PodView& pod) {
  if (!text::trim(pod.line).empty()) line(origin, Style::Plain, pod.line, true);
  pod.line.clear();
}

void Renderer::root_text(std::string_view text) {
  while (!text.empty()) {
    size_t newline = text.find('\n');
    std::string_view piece = text.substr(0, newline);
    if (!piece.empty()) {
      out_ += text::for_terminal(piece);
      root_line_open_ = true;
      last_call_.clear();
    }
    if (newline == std::string_view::npos) return;
    if (!root_line_open_) out_ += '\n';  // an empty line
    end_root_line();
    text.remove_prefix(newline + 1);
  }
}

void Renderer::end_root_line() {
  if (root_line_open_) out_ += '\n';
  root_line_open_ = false;
  out_ += deferred_;
  if (!deferred_.empty()) last_call_.clear();
  deferred_.clear();
  deferred_lines_ = 0;
}

void Renderer::tool_call(client::PodOrigin const& origin, std::string const& id, std::string_view name,
                         std::string_view arguments) {
  std::string label = tool_label(name, arguments, options_.cwd);
  view(origin).calls[id] = label;
  line(origin, Style::Bold, "● " + label);
  if (deferred_.empty()) last_call_ = call_key(origin, id);
}

void Renderer::tool_result(client::PodOrigin const& origin, wire::ToolResultEvent const& result) {
  PodView& pod = view(origin);
  std::string label;
  if (auto it = pod.calls.find(result.id); it != pod.calls.end()) {
    if (last_call_ != call_key(origin, result.id)) label = safe_line(it->second, 40) + ": ";
    pod.calls.erase(it);
  }
  Style style = result.is_error ? Style::Red : Style::Dim;
  line(origin, style, "  ⎿ " + label + result.summary);
  if (!result.is_error || !result.output) return;
  size_t shown = 0;
  for (std::string_view text : text::split(*result.output, '\n')) {
    if (text::trim(text).empty()) continue;
    if (shown++ == kErrorOutputLines) return line(origin, style, "    …");
    line(origin, style, "    " + std::string(text));
  }
}

/// Several Pods tell of the same question; the first one is shown.
void Renderer::asked(client::PodOrigin const& origin, wire::PermissionRequest const& request) {
  std::string label = tool_label(request.tool, request.arguments, options_.cwd);
  if (!asks_.emplace(request.ask, label).second) return;
  std::string whose = request.pod_name == origin.pod_name ? "" : request.pod_name + ": ";
  line(origin, Style::Yellow, "? " + whose + label + " waits for a permission" + (request.reasons.empty() ? "" : " (" + request.reasons.front() + ")"));
}

void Renderer::ask_closed(client::PodOrigin const& origin, wire::PermissionClosed const& closed) {
  auto it = asks_.find(closed.ask);
  if (it == asks_.end() || it->second.empty()) return;
  line(origin, closed.allow ? Style::Dim : Style::Yellow, "  " + safe_line(std::exchange(it->second, ""), 60) + ": " + closed_text(closed));
}

void Renderer::run_ended(client::PodOrigin const& origin, std::string_view result) {
  if (result == "finished" || result == "yielded") return;
  std::string what = std::string(result);
  if (result == "limit_reached") what = "stopped at its turn limit";
  if (result == "rolled_back") what = "taken back: nothing had been answered yet";
  line(origin, result == "failed" ? Style::Red : Style::Yellow, "■ run " + what);
}

void Renderer::line(client::PodOrigin const& origin, Style style, std::string_view content, bool whole) {
  std::string before = prefix(origin);
  size_t indent = 0;  // one_line trims; keep what is meant as indentation
  while (indent < content.size() && content[indent] == ' ') ++indent;
  std::string shown;
  if (whole) {
    shown = text::for_terminal(content.ends_with('\r') ? content.substr(0, content.size() - 1) : content);
  } else {
    size_t width = options_.width > 0 ? options_.width : kGenerousWidth;
    size_t used = text::length(before) + indent;
    shown = std::string(indent, ' ') +
            safe_line(content.substr(indent), std::max<size_t>(20, width > used ? width - used : 0));
  }
  std::string text = (before.empty() ? "" : painted(Style::Dim, before)) + painted(style, shown) + "\n";
  if (root_line_open_ && origin.depth > 0 && deferred_lines_ < kMaxDeferred) {
    deferred_ += text;
    ++deferred_lines_;
    return;
  }
  end_root_line();
  last_call_.clear();
  out_ += text;
}

std::string Renderer::prefix(client::PodOrigin const& origin) const {
  if (origin.depth == 0) return "";
  return std::string(2 * origin.depth, ' ') + "[" + safe_line(origin.pod_name, 64) + "] ";
}

std::string Renderer::painted(Style style, std::string_view text) const {
  std::string_view code;
  switch (style) {
    case Style::Plain:
      break;
    case Style::Dim:
      code = "\x1b[2m";
      break;
    case Style::Red:
      code = "\x1b[31m";
      break;
    case Style::Green:
      code = "\x1b[32m";
      break;
    case Style::Yellow:
      code = "\x1b[33m";
      break;
    case Style::Bold:
      code = "\x1b[1m";
      break;
  }
  if (!options_.colour || code.empty() || text.empty()) return std::string(text);
  return std::string(code) + std::string(text) + "\x1b[0m";
}

std::string Renderer::summary(int64_t elapsed_ms) const {
  auto count = [](uint64_t number, std::string const& one, std::string const& many) {
    return std::to_string(number) + " " + (number == 1 ? one : many);
  };
  std::string result = short_number(totals_.input_tokens) + " tokens in";
  if (totals_.cached_tokens > 0) result += " (" + short_number(totals_.cached_tokens) + " cached)";
  result += ", " + short_number(totals_.output_tokens) + " out · " + count(totals_.calls, "call", "calls");
  if (totals_.children > 0) result += " · " + count(totals_.children, "child", "children");
  return result + " · " + short_duration(elapsed_ms);
}

}  // namespace insomnia::cli
