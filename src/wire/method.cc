#include "wire/method.hh"

#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"
#include "wire/codec.hh"
#include "wire/json_writer.hh"

namespace insomnia::wire {
namespace bj = boost::json;

namespace {

std::string_view completion_name(CompletionKind kind) {
  switch (kind) {
    case CompletionKind::File: return "file";
    case CompletionKind::Knowledge: return "knowledge";
    case CompletionKind::Workflow: return "workflow";
  }
  return "file";
}

struct MethodWriter {
  ObjectWriter& writer;

  void name(std::string_view method) const { writer.string("method", method); }
  template <class Fill>
  void params(Fill fill) const {
    writer.object("params", fill);
  }

  void operator()(RunMethod const& m) const {
    name("run");
    params([&](ObjectWriter& p) { codec::write_segments(p, "input", m.input); });
  }
  void operator()(NotifyMethod const& m) const {
    name("notify");
    params([&](ObjectWriter& p) { p.string("message", m.message); });
  }
  void operator()(PodEventMethod const& m) const {
    name("pod_event");
    codec::write_pod_event(writer.key("params"), m.event);
  }
  void operator()(ResumeMethod const&) const { name("resume"); }
  void operator()(CancelMethod const&) const { name("cancel"); }
  void operator()(PauseMethod const&) const { name("pause"); }
  void operator()(CompactMethod const&) const { name("compact"); }
  void operator()(ListRewindTargetsMethod const&) const { name("list_rewind_targets"); }
  void operator()(RewindToMethod const& m) const {
    name("rewind_to");
    params([&](ObjectWriter& p) {
      p.object("target", [&](ObjectWriter& target) {
        target.string("segment_id", m.segment_id);
        target.uint("user_input_entry_index", m.user_input_entry_index);
      });
      p.uint("expected_head_entries", m.expected_head_entries);
    });
  }
  void operator()(ShutdownMethod const& m) const {
    name("shutdown");
    if (!m.tree && !m.interrupted) return;
    params([&](ObjectWriter& p) {
      if (m.tree) p.boolean("tree", true);
      if (m.interrupted) p.boolean("interrupted", true);
    });
  }
  void operator()(ListCompletionsMethod const& m) const {
    name("list_completions");
    params([&](ObjectWriter& p) {
      p.string("kind", completion_name(m.kind));
      p.string("prefix", m.prefix);
    });
  }
  void operator()(ListPodsMethod const&) const { name("list_pods"); }
  void operator()(RestorePodMethod const& m) const {
    name("restore_pod");
    params([&](ObjectWriter& p) { p.string("name", m.name); });
  }
  void operator()(AnswerPermissionMethod const& m) const {
    name("answer_permission");
    params([&](ObjectWriter& p) { codec::write_permission_answer(p, m.answer); });
  }
  void operator()(ClientOptionsMethod const& m) const {
    name("client_options");
    params([&](ObjectWriter& p) { p.boolean("answers_permissions", m.answers_permissions); });
  }
  void operator()(PokeMethod const&) const { name("poke"); }
};

MethodBody read_rewind_to(json::Reader& params) {
  RewindToMethod method;
  if (auto const* object = params.require_object("target"); object != nullptr) {
    json::Reader target(*object, params.path_of("target"));
    method.segment_id = target.string("segment_id");
    method.user_input_entry_index = target.uint("user_input_entry_index");
    codec::absorb(params, target.finish());
  }
  method.expected_head_entries = params.uint("expected_head_entries");
  return method;
}

MethodBody read_list_completions(json::Reader& params) {
  ListCompletionsMethod method;
  std::string kind = params.string("kind");
  if (kind == "knowledge") method.kind = CompletionKind::Knowledge;
  else if (kind == "workflow") method.kind = CompletionKind::Workflow;
  else if (kind != "file") params.reject("kind", "must be \"file\", \"knowledge\" or \"workflow\"");
  method.prefix = params.string("prefix");
  return method;
}

Result<MethodBody> read_with_params(std::string const& name, bj::object const& object, json::Reader& params) {
  if (name == "run") return RunMethod{codec::read_segments(params, "input")};
  if (name == "notify") return NotifyMethod{params.string("message")};
  if (name == "pod_event") return PodEventMethod{params.take(codec::read_pod_event(object, "params"))};
  if (name == "rewind_to") return read_rewind_to(params);
  if (name == "list_completions") return read_list_completions(params);
  if (name == "restore_pod") return RestorePodMethod{params.string("name")};
  if (name == "answer_permission") return AnswerPermissionMethod{codec::read_permission_answer(params)};
  if (name == "client_options") return ClientOptionsMethod{params.boolean_or("answers_permissions", false)};
  if (name == "shutdown") return ShutdownMethod{params.boolean_or("tree", false), params.boolean_or("interrupted", false)};
  return fail(Code::InvalidArgument, "there is no method `" + text::one_line(name, 64) + "`");
}

/// Methods whose `params`, if there are any, mean nothing.
std::optional<MethodBody> unit_method(std::string const& name) {
  if (name == "resume") return ResumeMethod{};
  if (name == "cancel") return CancelMethod{};
  if (name == "pause") return PauseMethod{};
  if (name == "compact") return CompactMethod{};
  if (name == "list_rewind_targets") return ListRewindTargetsMethod{};
  if (name == "list_pods") return ListPodsMethod{};
  if (name == "poke") return PokeMethod{};
  return std::nullopt;
}

Result<Method> read_method(std::string_view line) {
  bj::object object = TRY(json::parse_object(line));
  json::Reader reader(object);
  Method method;
  std::string name = reader.string("method");
  method.id = reader.optional_string("id");
  if (method.id && method.id->size() > kMaxRequestId) {
    reader.reject("id", "must not be longer than " + std::to_string(kMaxRequestId) + " bytes");
  }
  TRY(reader.finish());
  if (auto unit = unit_method(name)) {
    method.body = *std::move(unit);
    return method;
  }
  bj::object const* params_object = reader.object("params");
  TRY(reader.finish());
  bj::object none;
  if (params_object == nullptr) params_object = &none;
  json::Reader params(*params_object, "params");
  method.body = TRY(read_with_params(name, *params_object, params));
  TRY(params.finish());
  return method;
}

}  // namespace

std::string encode_method(Method const& method) {
  std::string out;
  {
    ObjectWriter writer(out);
    std::visit(MethodWriter{writer}, method.body);
    if (method.id) writer.string("id", *method.id);
  }
  return out;
}

Result<Method> decode_method(std::string_view line) {
  auto method = read_method(line);
  if (!method) return std::unexpected(std::move(method).error().with_context("invalid method"));
  return method;
}

}  // namespace insomnia::wire
