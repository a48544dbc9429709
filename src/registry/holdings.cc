#include "registry/holdings.hh"

#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>

#include "base/io.hh"
#include "base/json.hh"
#include "base/log.hh"

namespace insomnia::registry {
namespace bj = boost::json;

namespace {

/// Paths and tasks are bytes, JSON is UTF-8: what is not plain ASCII is written as %XX.
std::string escape(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string result;
  for (unsigned char byte : bytes) {
    if (byte >= ' ' && byte < 0x7f && byte != '%') {
      result += static_cast<char>(byte);
    } else {
      result += '%';
      result += kDigits[byte >> 4];
      result += kDigits[byte & 15];
    }
  }
  return result;
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// Fails on what escape() does not write.
bool unescape(std::string_view text, std::string& bytes) {
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      bytes += text[at];
      continue;
    }
    int high = at + 2 < text.size() ? digit(text[at + 1]) : -1;
    int low = high >= 0 ? digit(text[at + 2]) : -1;
    if (low < 0) return false;
    bytes += static_cast<char>(high << 4 | low);
    at += 2;
  }
  return true;
}

bj::array encode_rules(std::vector<scope::ScopeRule> const& rules) {
  bj::array list;
  for (auto const& rule : rules) {
    list.push_back({{"target", escape(rule.target)},
                    {"permission", rule.permission == scope::Permission::Write ? "write" : "read"},
                    {"recursive", rule.recursive}});
  }
  return list;
}

bj::object encode_holding(Holding const& holding) {
  Allocation const& row = holding.row;
  return {{"pod_name", row.pod_name},
          {"pod_id", row.pod_id},
          {"instance_id", row.instance_id},
          {"state", row.state == AllocationState::Live ? "live" : "reserved"},
          {"spawner_instance", row.spawner_instance},
          {"spawner_name", row.spawner_name},
          {"delegated_from", row.delegated_from},
          {"ancestors", bj::array(holding.ancestors.begin(), holding.ancestors.end())},
          {"socket", escape(row.socket)},
          {"segment_id", row.segment_id},
          {"workspace_root", escape(row.workspace_root)},
          {"task", escape(row.task)},
          {"pid", row.pid},
          {"since_ms", row.since_ms},
          {"scope_allow", encode_rules(row.scope_allow)},
          {"scope_deny", encode_rules(row.scope_deny)}};
}

std::string take_bytes(json::Reader& reader, std::string_view key) {
  std::string bytes;
  if (!unescape(reader.string(key), bytes)) reader.reject(key, "has a % without two digits");
  return bytes;
}

bool one_of(json::Reader& reader, std::string_view key, std::string_view yes, std::string_view no) {
  std::string value = reader.string(key);
  if (value != yes && value != no)
    reader.reject(key, "must be " + std::string(yes) + " or " + std::string(no));
  return value == yes;
}

Result<std::vector<scope::ScopeRule>> decode_rules(bj::array const* list) {
  std::vector<scope::ScopeRule> rules;
  if (list == nullptr) return rules;
  for (auto const& member : *list) {
    if (!member.is_object()) return fail(Code::Corrupt, "a rule must be an object");
    json::Reader reader(member.as_object());
    scope::ScopeRule rule;
    rule.target = take_bytes(reader, "target");
    rule.permission =
        one_of(reader, "permission", "write", "read") ? scope::Permission::Write : scope::Permission::Read;
    rule.recursive = reader.boolean_or("recursive", true);
    TRY(reader.finish());
    rules.push_back(std::move(rule));
  }
  return rules;
}

Result<Holding> decode_holding(bj::object const& object) {
  json::Reader reader(object);
  Holding holding;
  Allocation& row = holding.row;
  row.pod_name = reader.string("pod_name");
  row.pod_id = reader.string("pod_id");
  row.instance_id = reader.string("instance_id");
  row.state = one_of(reader, "state", "live", "reserved") ? AllocationState::Live : AllocationState::Reserved;
  row.spawner_instance = reader.string("spawner_instance");
  row.spawner_name = reader.string("spawner_name");
  row.delegated_from = reader.string("delegated_from");
  holding.ancestors = reader.strings("ancestors");
  row.socket = take_bytes(reader, "socket");
  row.segment_id = reader.string("segment_id");
  row.workspace_root = take_bytes(reader, "workspace_root");
  row.task = take_bytes(reader, "task");
  row.pid = static_cast<pid_t>(reader.integer("pid"));
  row.since_ms = reader.integer("since_ms");
  row.scope_allow = TRY(decode_rules(reader.require_array("scope_allow")));
  row.scope_deny = TRY(decode_rules(reader.require_array("scope_deny")));
  TRY(reader.finish());
  return holding;
}

Result<std::vector<Holding>> decode_holdings(std::string_view text, std::string const& instance_id) {
  bj::object object = TRY(json::parse_object(text));
  json::Reader reader(object);
  std::string written_by = reader.string("instance_id");
  auto const* list = reader.require_array("holds");
  TRY(reader.finish());
  std::vector<Holding> held;
  if (written_by != instance_id) return held;
  for (auto const& member : *list) {
    if (!member.is_object()) return fail(Code::Corrupt, "holds must be a list of objects");
    held.push_back(TRY(decode_holding(member.as_object())));
  }
  return held;
}

}  // namespace

std::string encode_holdings(std::string const& instance_id, std::vector<Holding> const& held) {
  bj::array list;
  for (auto const& holding : held) list.push_back(encode_holding(holding));
  return json::dump(bj::object{{"instance_id", instance_id}, {"holds", std::move(list)}}) + "\n";
}

Result<std::vector<Holding>> read_holdings(std::string const& path, std::string const& instance_id) {
  auto text = io::read_file(path);
  if (!text && text.error().code == Code::NotFound) return std::vector<Holding>();
  if (!text) return std::unexpected(std::move(text).error());
  auto held = decode_holdings(*text, instance_id);
  if (held) return held;
  return fail(Code::Corrupt,
              "what a Pod holds cannot be read from " + path + " (" + held.error().message + ")");
}

Result<void> Holdings::add(Holding const& holding) {
  std::vector<Holding> next = held_;
  std::erase_if(next, [&](Holding const& other) { return other.row.pod_id == holding.row.pod_id; });
  next.push_back(holding);
  TRY(write(next));
  held_ = std::move(next);
  return {};
}

void Holdings::remove(std::string const& pod_id, std::string const& instance_id) {
  size_t removed = std::erase_if(held_, [&](Holding const& other) {
    return other.row.pod_id == pod_id && other.row.instance_id == instance_id;
  });
  if (removed == 0) return;
  if (held_.empty()) return clear();
  // What stays in the file claims too much, never too little.
  if (auto written = write(held_); !written) log::warn(written.error().message);
}

Result<void> Holdings::restore() {
  bool complete =
      std::all_of(files_.begin(), files_.end(), [](std::string const& file) { return io::exists(file); });
  if (complete || held_.empty()) return {};
  return write(held_);
}

void Holdings::clear() {
  held_.clear();
  for (auto const& file : files_) ::unlink(file.c_str());
}

Result<void> Holdings::write(std::vector<Holding> const& held) const {
  std::string text = encode_holdings(instance_id_, held);
  for (size_t i = 0; i < files_.size(); ++i) {
    auto written = io::replace_file(files_[i], text);
    if (written) continue;
    if (i == 0) return std::unexpected(std::move(written).error().with_context("note what the Pod holds"));
    // A folder that has vanished is restored by its Pod, and the file with it.
    if (written.error().code != Code::NotFound) log::warn(written.error().message);
  }
  return {};
}

}  // namespace insomnia::registry
