#include "manifest/decode.hh"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/text.hh"

namespace insomnia::manifest {
namespace bj = boost::json;

PlaceOf place_in(std::string file, Positions const& positions) {
  return [file = std::move(file), &positions](std::string_view path) {
    auto position = positions.find(path);
    for (auto shorter = path; position == positions.end() && !shorter.empty(); position = positions.find(shorter)) {
      auto cut = shorter.find_last_of(".[");
      shorter = shorter.substr(0, cut == std::string_view::npos ? 0 : cut);
    }
    std::string place = file + ":";
    if (position != positions.end()) place += std::to_string(position->second.line) + ":" + std::to_string(position->second.column) + ":";
    return place + " ";
  };
}

void DecodeContext::reject(std::string_view path, std::string_view why) {
  if (error_) return;
  error_ = Error{Code::InvalidArgument, (place_ ? place_(path) : "") + (path.empty() ? "" : text::one_line(path, 200) + ": ") + std::string(why)};
}

namespace {
bj::object const kNothing;
}

DecodeTable::DecodeTable(DecodeContext& context, bj::value const& value, std::string path)
    : context_(context), object_(value.if_object()), path_(std::move(path)) {
  if (object_ == nullptr) {
    context_.reject(path_, "must be a table");
    object_ = &kNothing;
  }
}

DecodeTable::DecodeTable(DecodeContext& context, bj::object const& object, std::string path)
    : context_(context), object_(&object), path_(std::move(path)) {}

bj::value const* DecodeTable::find(std::string_view key) {
  asked_.push_back(key);
  auto const* value = object_->if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bj::value const* DecodeTable::find(std::string_view key, std::string_view alias) {
  auto const* value = find(key);
  if (alias.empty()) return value;
  auto const* old = find(alias);
  if (value != nullptr && old != nullptr) {
    reject(alias, "is another name of `" + std::string(key) + "`, which is given too; keep one");
  }
  return value != nullptr ? value : old;
}

void DecodeTable::removed(RemovedKey const& key) {
  if (!key.key.empty() && object_->contains(key.key)) reject(key.key, key.hint);
}

void DecodeTable::finish() {
  for (auto const& member : *object_) {
    if (std::find(asked_.begin(), asked_.end(), member.key()) != asked_.end()) continue;
    std::string known;
    for (auto key : asked_) known += (known.empty() ? "" : ", ") + std::string(key);
    reject(member.key(), "unknown key; known here: " + known);
  }
}

namespace {

/// What a field demands of its value, without the types of the field.
struct Demands {
  std::string_view allowed = {};
  uint64_t minimum = 0;
  bool not_empty = false;
  bool is_part = false;
};

// One `read` for each type that a key can have. All take (context, value, path, out, demands).
using Context = DecodeContext;
using Path = std::string const&;

bool read(Context& context, bj::value const& value, Path path, std::string& out, Demands const& demands) {
  auto const* string = value.if_string();
  if (string == nullptr) return context.reject(path, "must be a string"), false;
  if (string->find('\0') != bj::string::npos) return context.reject(path, "must not contain NUL"), false;
  if (demands.not_empty && string->empty()) return context.reject(path, "must not be empty"), false;
  if (!demands.allowed.empty()) {
    auto words = text::split(demands.allowed, '|');
    if (std::find(words.begin(), words.end(), std::string_view(*string)) == words.end()) {
      std::string list = text::replace_all(demands.allowed, "|", ", ");
      return context.reject(path, "must be " + std::string(words.size() > 1 ? "one of " : "") + list +
                                      ", not `" + text::one_line(*string, 80) + "`"),
             false;
    }
  }
  out.assign(string->data(), string->size());
  return true;
}

bool read(Context& context, bj::value const& value, Path path, bool& out, Demands const&) {
  if (!value.is_bool()) return context.reject(path, "must be true or false"), false;
  out = value.as_bool();
  return true;
}

bool read_uint(Context& context, bj::value const& value, Path path, uint64_t& out, uint64_t minimum,
               uint64_t maximum) {
  bj::error_code error;
  out = value.to_number<uint64_t>(error);
  if (!error && out >= minimum && out <= maximum) return true;
  context.reject(path,
                 "must be an integer from " + std::to_string(minimum) + " to " + std::to_string(maximum));
  return false;
}

bool read(Context& context, bj::value const& value, Path path, uint64_t& out, Demands const& demands) {
  // TOML has signed integers only, and what one format can say all must be able to say.
  return read_uint(context, value, path, out, demands.minimum, std::numeric_limits<int64_t>::max());
}

bool read(Context& context, bj::value const& value, Path path, uint32_t& out, Demands const& demands) {
  uint64_t wide = 0;
  if (!read_uint(context, value, path, wide, demands.minimum, std::numeric_limits<uint32_t>::max()))
    return false;
  out = static_cast<uint32_t>(wide);
  return true;
}

/// The number with 9 significant digits: enough for all that is set here, and what both formats give back
/// exactly (the JSON parser may be off in the last bit).
double nine_digits(double value) {
  char text[40];
  auto written = std::to_chars(text, text + sizeof text, value, std::chars_format::general, 9);
  std::from_chars(text, written.ptr, value);
  return value;
}

bool read(Context& context, bj::value const& value, Path path, double& out, Demands const& demands) {
  if (!value.is_number()) return context.reject(path, "must be a number"), false;
  out = nine_digits(value.to_number<double>());
  if (demands.is_part && !(out > 0 && out <= 1)) return context.reject(path, "must be a number above 0 and up to 1"), false;
  if (std::isfinite(out) && out >= 0) return true;
  return context.reject(path, "must be a number that is not negative"), false;
}

bool read(Context& context, bj::value const& value, Path path, Reasoning& out, Demands const&) {
  if (auto const* label = value.if_string(); label != nullptr && !label->empty()) {
    out = std::string(*label);
    return true;
  }
  bj::error_code error;
  auto budget = value.to_number<int32_t>(error);
  if (error)
    return context.reject(path, "must be an effort label (\"high\") or a token budget (an integer)"), false;
  out = int64_t{budget};
  return true;
}

bool read(Context& context, bj::value const& value, Path path, scope::Permission& out, Demands const&) {
  std::string word;
  if (!read(context, value, path, word, Demands{"read|write"})) return false;
  out = word == "write" ? scope::Permission::Write : scope::Permission::Read;
  return true;
}

bool read(Context& context, bj::value const& value, Path path, PermissionAction& out, Demands const&) {
  std::string word;
  if (!read(context, value, path, word, Demands{"allow|deny|ask"})) return false;
  out = word == "allow"  ? PermissionAction::Allow
        : word == "deny" ? PermissionAction::Deny
                         : PermissionAction::Ask;
  return true;
}

bool read(Context& context, bj::value const& value, Path path, Auth& out, Demands const&) {
  DecodeTable table(context, value, path);
  std::string kind;
  auto take = [&](std::string_view key, std::string& into) {
    if (auto const* member = table.find(key))
      read(context, *member, table.path_of(key), into, Demands{.not_empty = true});
  };
  if (auto const* member = table.find("kind")) {
    if (!read(context, *member, table.path_of("kind"), kind, Demands{"none|api_key|codex_oauth|secret_ref"}))
      return false;
  } else {
    context.reject(path, "needs `kind`: none, api_key, codex_oauth or secret_ref");
    return false;
  }
  if (kind == "api_key") {
    out.kind = Auth::Kind::ApiKey;
    take("env", out.env);
    take("file", out.file);
  } else if (kind == "secret_ref") {
    out.kind = Auth::Kind::SecretRef;
    take("ref", out.ref);
    if (out.ref.empty()) table.reject("ref", "is missing");
  } else if (kind == "codex_oauth") {
    out.kind = Auth::Kind::CodexOauth;
  }
  table.finish();
  return true;
}

bool read(Context& context, bj::value const& value, Path path, Capability& out, Demands const&) {
  DecodeTable table(context, value, path);
  auto word = [&](std::string_view key, std::string_view allowed, bool required, std::string& into) {
    if (auto const* member = table.find(key)) {
      read(context, *member, table.path_of(key), into, Demands{allowed});
    } else if (required) {
      table.reject(key, "is missing");
    }
  };
  word("tool_calling", "none|sequential|parallel", true, out.tool_calling);
  word("structured_output", "none|json_object|json_schema", true, out.structured_output);
  word("reasoning", "effort|budget_tokens|both", false, out.reasoning);
  if (auto const* vision = table.find("vision"))
    read(context, *vision, table.path_of("vision"), out.vision, {});
  if (auto const* caching = table.find("prompt_caching")) {
    DecodeTable inner(context, *caching, table.path_of("prompt_caching"));
    std::string kind;
    if (auto const* member = inner.find("kind")) {
      read(context, *member, inner.path_of("kind"), kind, Demands{"explicit|auto"});
    } else {
      inner.reject("kind", "is missing: explicit or auto");
    }
    out.explicit_caching = kind == "explicit";
    if (out.explicit_caching) {
      uint64_t breakpoints = 0;
      if (auto const* member = inner.find("max_breakpoints")) {
        read_uint(context, *member, inner.path_of("max_breakpoints"), breakpoints, 0, 255);
      } else {
        inner.reject("max_breakpoints", "is missing");
      }
      out.max_breakpoints = static_cast<uint32_t>(breakpoints);
    }
    inner.finish();
  } else {
    table.reject("prompt_caching", "is missing");
  }
  table.finish();
  return true;
}

bool read(Context& context, bj::value const& value, Path path, std::map<std::string, uint64_t>& out,
          Demands const& demands) {
  auto const* object = value.if_object();
  if (object == nullptr) return context.reject(path, "must be a table of integers"), false;
  for (auto const& member : *object) {
    uint64_t number = 0;
    if (!read(context, member.value(), key_path(path, member.key()), number, demands)) return false;
    out.emplace(member.key(), number);
  }
  return true;
}

template <Described Struct>
bool read(Context& context, bj::value const& value, Path path, Struct& out, Demands const&);
template <class T>
bool read(Context& context, bj::value const& value, Path path, std::vector<T>& out, Demands const& demands);

template <class T>
bool read(Context& context, bj::value const& value, Path path, std::optional<T>& out,
          Demands const& demands) {
  T inner{};
  if (!read(context, value, path, inner, demands)) return false;
  out = std::move(inner);
  return true;
}

template <class T>
bool read(Context& context, bj::value const& value, Path path, std::vector<T>& out, Demands const& demands) {
  auto const* list = value.if_array();
  if (list == nullptr && context.empty_tables_are_lists() && value.is_object() && value.get_object().empty()) return true;
  if (list == nullptr) return context.reject(path, "must be a list"), false;
  for (size_t i = 0; i < list->size(); ++i) {
    T member{};
    if (!read(context, (*list)[i], index_path(path, i), member, demands)) return false;
    out.push_back(std::move(member));
  }
  return true;
}

template <Described Struct>
void read_fields(DecodeTable& table, Struct& out) {
  for_each_field<Struct>([&](auto const& field) {
    if (auto const* value = table.find(field.key, field.alias)) {
      // A position is known under the name that was written.
      std::string path =
          table.path_of(field.alias.empty() || table.find(field.key) != nullptr ? field.key : field.alias);
      read(table.context(), *value, path, out.*field.member,
           Demands{field.allowed, field.minimum, field.not_empty, field.is_part});
    } else if (field.required) {
      table.reject(field.key, "is missing");
    }
  });
  table.removed(kRemovedKey<Struct>);
}

template <Described Struct>
bool read(Context& context, bj::value const& value, Path path, Struct& out, Demands const&) {
  DecodeTable table(context, value, path);
  read_fields(table, out);
  table.finish();
  return true;
}

void read_worker(Context& context, bj::value const& value, Worker& out) {
  DecodeTable table(context, value, "worker");
  read_fields(table, out);
  if (auto const* output = table.find("tool_output")) {
    DecodeTable inner(context, *output, table.path_of("tool_output"));
    if (auto const* bytes = inner.find("default_max_bytes")) {
      read(context, *bytes, inner.path_of("default_max_bytes"), out.tool_output_default_max_bytes, {});
    }
    if (auto const* tools = inner.find("per_tool")) {
      read(context, *tools, inner.path_of("per_tool"), out.tool_output_per_tool, {});
    }
    inner.finish();
  }
  if (auto const* upload = table.find("file_upload")) {
    DecodeTable inner(context, *upload, table.path_of("file_upload"));
    if (auto const* bytes = inner.find("max_bytes"))
      read(context, *bytes, inner.path_of("max_bytes"), out.file_upload_max_bytes, {});
    inner.finish();
  }
  table.finish();
}

void read_pod(Context& context, bj::value const& value, Config& out) {
  DecodeTable table(context, value, "pod");
  Demands path{.not_empty = true};
  if (auto const* name = table.find("name")) read(context, *name, "pod.name", out.pod_name, {});
  if (auto const* pack = table.find("prompt_pack"))
    read(context, *pack, "pod.prompt_pack", out.prompt_pack, path);
  table.finish();
}

void read_session(Context& context, bj::value const& value, Config& out) {
  DecodeTable table(context, value, "session");
  if (auto const* trace = table.find("record_event_trace")) {
    read(context, *trace, "session.record_event_trace", out.record_event_trace, {});
  }
  table.finish();
}

}  // namespace

void read_shared_sections(DecodeTable& root, Config& out) {
  auto section = [&](std::string_view key, auto& member) {
    if (auto const* value = root.find(key)) read(root.context(), *value, std::string(key), member, {});
  };
  section("model", out.model);
  if (auto const* worker = root.find("worker")) read_worker(root.context(), *worker, out.worker);
  if (auto const* session = root.find("session")) read_session(root.context(), *session, out);
  section("permissions", out.permissions);
  section("compaction", out.compaction);
  section("web", out.web);
  section("memory", out.memory);
  section("skills", out.skills);
  section("tools", out.tools);
  section("sandbox", out.sandbox);
  section("limits", out.limits);
  section("budget", out.budget);
}

Result<Config> decode_config(bj::object const& object, DecodeContext context) {
  Config out;
  DecodeTable root(context, object, "");
  if (auto const* pod = root.find("pod")) read_pod(context, *pod, out);
  if (auto const* scope = root.find("scope")) read(context, *scope, "scope", out.scope, {});
  if (auto const* scope = root.find("delegation_scope")) read(context, *scope, "delegation_scope", out.delegation_scope, {});
  read_shared_sections(root, out);
  root.finish();
  return std::move(context).finish(std::move(out));
}

Result<Ceilings> decode_ceilings(bj::object const& object) {
  Ceilings out;
  DecodeContext context;
  DecodeTable root(context, object, "");
  auto section = [&](std::string_view key, auto& member) {
    if (auto const* value = root.find(key)) read(context, *value, std::string(key), member, {});
  };
  section("permissions", out.permissions);
  section("tools", out.tools);
  section("sandbox", out.sandbox);
  section("budget", out.budget);
  section("limits", out.limits);
  section("accounts", out.accounts);
  section("depth", out.depth);
  root.finish();
  return std::move(context).finish(std::move(out));
}

}  // namespace insomnia::manifest
