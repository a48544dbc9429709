#include "wire/pod_event.hh"

#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"
#include "wire/codec.hh"

namespace insomnia::wire {
namespace bj = boost::json;

namespace {

/// What the parent's model gets of an answer (or an error text) without asking.
constexpr size_t kMaxAnswer = 16 << 10;
constexpr size_t kMaxStderr = 4 << 10;

void write_answer(ObjectWriter& writer, std::optional<std::string> const& last_answer) {
  if (last_answer) writer.string("last_answer", *last_answer);
}

struct PodEventWriter {
  ObjectWriter& writer;
  void head(std::string_view kind, std::string const& pod_name) const {
    writer.string("kind", kind);
    writer.string("pod_name", pod_name);
  }
  void operator()(TurnEnded const& e) const {
    head("turn_ended", e.pod_name);
    write_answer(writer, e.last_answer);
    if (e.pending_children > 0) writer.uint("pending_children", e.pending_children);
  }
  void operator()(Errored const& e) const {
    head("errored", e.pod_name);
    writer.string("message", e.message);
    write_answer(writer, e.last_answer);
  }
  void operator()(ShutDown const& e) const {
    head("shut_down", e.pod_name);
    write_answer(writer, e.last_answer);
  }
  void operator()(ScopeSubDelegated const& e) const {
    writer.string("kind", "scope_sub_delegated");
    writer.string("parent_pod", e.parent_pod);
    writer.string("sub_pod", e.sub_pod);
    writer.string("sub_socket", e.sub_socket);
    codec::write_rules(writer, "scope", e.scope);
    if (e.instance_id) writer.string("instance_id", *e.instance_id);
  }
  void operator()(ScopeReturned const& e) const {
    writer.string("kind", "scope_returned");
    writer.string("parent_pod", e.parent_pod);
    writer.string("sub_pod", e.sub_pod);
    codec::write_rules(writer, "scope", e.scope);
    if (e.instance_id) writer.string("instance_id", *e.instance_id);
  }
  void operator()(LimitReachedEvent const& e) const {
    head("limit_reached", e.pod_name);
    write_answer(writer, e.last_answer);
  }
  void operator()(Interrupted const& e) const {
    head("interrupted", e.pod_name);
    write_answer(writer, e.last_answer);
    if (e.paused) writer.boolean("paused", true);
  }
  void operator()(Crashed const& e) const {
    head("crashed", e.pod_name);
    writer.string("exit_status", e.exit_status);
    if (e.stderr_tail) writer.string("stderr_tail", *e.stderr_tail);
  }
  void operator()(PermissionAsked const& e) const {
    head("permission_asked", e.pod_name);
    writer.string("instance_id", e.instance_id);
    writer.object("request", [&](ObjectWriter& inner) { codec::write_permission_request(inner, e.request); });
  }
  void operator()(PermissionSettled const& e) const {
    head("permission_settled", e.pod_name);
    writer.string("instance_id", e.instance_id);
    writer.object("closed", [&](ObjectWriter& inner) { codec::write_permission_closed(inner, e.closed); });
  }
  void operator()(PermissionAnswered const& e) const {
    head("permission_answered", e.pod_name);
    writer.object("answer", [&](ObjectWriter& inner) { codec::write_permission_answer(inner, e.answer); });
    writer.string("by", e.by);
  }
  void operator()(UnknownPodEvent const& e) const { writer.string("kind", e.kind); }
};

std::string answer_below(std::optional<std::string> const& last_answer) {
  if (!last_answer || text::trim(*last_answer).empty()) return "";
  std::string_view shown = text::prefix(*last_answer, kMaxAnswer);
  std::string result = "\n\n" + std::string(shown);
  if (shown.size() < last_answer->size()) {
    result += "\n\n[cut after 16 KiB of " + std::to_string(last_answer->size()) + " bytes; ReadPodOutput has the rest]";
  }
  return result;
}

std::string quoted(std::string const& pod_name) { return "pod `" + pod_name + "`"; }

struct Render {
  std::string operator()(TurnEnded const& e) const {
    std::string line = quoted(e.pod_name) + " finished a turn";
    if (e.pending_children > 0) {
      line += " (" + std::to_string(e.pending_children) +
              (e.pending_children == 1 ? " pod of its own is" : " pods of its own are") +
              " still at work; another report follows)";
    }
    return line + answer_below(e.last_answer);
  }
  std::string operator()(Errored const& e) const {
    std::string_view message = text::prefix(e.message, kMaxAnswer);
    return quoted(e.pod_name) + " errored: " + std::string(message) + (message.size() < e.message.size() ? "…" : "") +
           answer_below(e.last_answer);
  }
  std::string operator()(ShutDown const& e) const {
    return quoted(e.pod_name) + " shut down" + answer_below(e.last_answer);
  }
  std::string operator()(ScopeSubDelegated const& e) const {
    return quoted(e.parent_pod) + " sub-delegated scope to `" + e.sub_pod + "`";
  }
  std::string operator()(ScopeReturned const& e) const {
    return quoted(e.parent_pod) + " has back the scope of `" + e.sub_pod + "`";
  }
  std::string operator()(LimitReachedEvent const& e) const {
    return quoted(e.pod_name) + " stopped at its turn limit before it was done" + answer_below(e.last_answer);
  }
  std::string operator()(Interrupted const& e) const {
    return quoted(e.pod_name) + (e.paused ? " was paused by a person and can be resumed" : " was cancelled by a person") +
           answer_below(e.last_answer);
  }
  std::string operator()(Crashed const& e) const {
    std::string line = quoted(e.pod_name) + " crashed: " + e.exit_status;
    if (!e.stderr_tail || text::trim(*e.stderr_tail).empty()) return line;
    return line + "\n\nThe end of its stderr:\n" + std::string(text::suffix(*e.stderr_tail, kMaxStderr));
  }
  std::string operator()(PermissionAsked const& e) const { return quoted(e.pod_name) + " asks for a permission"; }
  std::string operator()(PermissionSettled const& e) const { return quoted(e.pod_name) + " does not ask any more"; }
  std::string operator()(PermissionAnswered const& e) const { return quoted(e.pod_name) + " answers a question"; }
  std::string operator()(UnknownPodEvent const& e) const { return "a pod sent an event of the unknown kind `" + e.kind + "`"; }
};

struct PodNameOf {
  std::string operator()(ScopeSubDelegated const& e) const { return e.parent_pod; }
  std::string operator()(ScopeReturned const& e) const { return e.parent_pod; }
  std::string operator()(UnknownPodEvent const&) const { return ""; }
  std::string operator()(auto const& e) const { return e.pod_name; }
};

}  // namespace

bool is_agent_visible(PodEvent const& event) {
  return std::holds_alternative<TurnEnded>(event) || std::holds_alternative<Errored>(event) || std::holds_alternative<ShutDown>(event) ||
         std::holds_alternative<LimitReachedEvent>(event) || std::holds_alternative<Interrupted>(event) || std::holds_alternative<Crashed>(event);
}

std::string pod_name_of(PodEvent const& event) { return std::visit(PodNameOf{}, event); }

std::string render_pod_event(PodEvent const& event) { return std::visit(Render{}, event); }

std::string encode_pod_event(PodEvent const& event) {
  std::string out;
  codec::write_pod_event(out, event);
  return out;
}

Result<PodEvent> decode_pod_event(std::string_view json) {
  bj::object object = TRY(json::parse_object(json));
  return codec::read_pod_event(object, "pod_event");
}

namespace codec {

void write_pod_event(std::string& out, PodEvent const& event) {
  ObjectWriter writer(out);
  std::visit(PodEventWriter{writer}, event);
}

namespace {

/// The object at `key`, read by `read_one`; it must be there.
template <class T>
T read_part(json::Reader& outer, std::string_view key, T (*read_one)(json::Reader&)) {
  auto const* object = outer.require_object(key);
  if (object == nullptr) return {};
  json::Reader reader(*object, outer.path_of(key));
  T part = read_one(reader);
  absorb(outer, reader.finish());
  return part;
}

}  // namespace

Result<PodEvent> read_pod_event(bj::object const& object, std::string where) {
  json::Reader reader(object, std::move(where));
  std::string kind = reader.string("kind");
  auto name = [&] { return reader.string("pod_name"); };
  auto answer = [&] { return reader.optional_string("last_answer"); };
  PodEvent event;
  if (kind == "turn_ended") event = TurnEnded{name(), answer(), reader.uint_or("pending_children", 0)};
  else if (kind == "errored") event = Errored{name(), reader.string("message"), answer()};
  else if (kind == "shut_down") event = ShutDown{name(), answer()};
  else if (kind == "scope_sub_delegated") {
    reader.require_array("scope");
    event = ScopeSubDelegated{reader.string("parent_pod"), reader.string("sub_pod"), reader.string("sub_socket"),
                              read_rules(reader, "scope"), reader.optional_string("instance_id")};
  } else if (kind == "scope_returned") {
    event = ScopeReturned{reader.string("parent_pod"), reader.string("sub_pod"), read_rules(reader, "scope"),
                          reader.optional_string("instance_id")};
  } else if (kind == "limit_reached") event = LimitReachedEvent{name(), answer()};
  else if (kind == "interrupted") event = Interrupted{name(), answer(), reader.boolean_or("paused", false)};
  else if (kind == "crashed") {
    event = Crashed{name(), reader.string_or("exit_status", ""), reader.optional_string("stderr_tail")};
  } else if (kind == "permission_asked") {
    event = PermissionAsked{name(), reader.string("instance_id"), read_part(reader, "request", read_permission_request)};
  } else if (kind == "permission_settled") {
    event = PermissionSettled{name(), reader.string("instance_id"), read_part(reader, "closed", read_permission_closed)};
  } else if (kind == "permission_answered") {
    event = PermissionAnswered{name(), read_part(reader, "answer", read_permission_answer), reader.string_or("by", "client")};
  } else {
    event = UnknownPodEvent{kind};
  }
  TRY(reader.finish());
  return event;
}

}  // namespace codec
}  // namespace insomnia::wire
