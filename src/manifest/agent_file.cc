#include "manifest/agent_file.hh"

#include <yaml.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "base/text.hh"

namespace insomnia::manifest {
namespace bj = boost::json;

namespace {

constexpr size_t kMaxFrontMatter = 64 << 10;
constexpr size_t kMaxDepth = 8;
constexpr size_t kMaxNodes = 2000;

// ---- YAML

/// Front matter as a tree whose leaves are all strings: what they are is decided by who reads them. Anchors and aliases are refused.
class YamlReader {
 public:
  YamlReader(std::string_view text, size_t first_line) : first_line_(first_line) {
    if (yaml_parser_initialize(&parser_) == 0) panic("out of memory");
    yaml_parser_set_input_string(&parser_, reinterpret_cast<unsigned char const*>(text.data()), text.size());
  }
  ~YamlReader() { yaml_parser_delete(&parser_); }
  YamlReader(YamlReader const&) = delete;
  YamlReader& operator=(YamlReader const&) = delete;

  Result<bj::object> read() {
    TRY(expect(YAML_STREAM_START_EVENT));
    auto first = TRY(next());
    if (first->type == YAML_STREAM_END_EVENT) return bj::object{};
    if (first->type != YAML_DOCUMENT_START_EVENT) return wrong(*first, "is no document");
    auto value = TRY(node(TRY(next()), 0));
    TRY(expect(YAML_DOCUMENT_END_EVENT));
    TRY(expect(YAML_STREAM_END_EVENT));
    if (value.is_object()) return std::move(value.get_object());
    if (value.is_string() && value.get_string().empty()) return bj::object{};
    return fail(Code::InvalidArgument, std::to_string(first_line_) + ":1: front matter must be a table of keys");
  }

 private:
  struct Delete {
    void operator()(yaml_event_t* event) const {
      yaml_event_delete(event);
      delete event;
    }
  };
  using Event = std::unique_ptr<yaml_event_t, Delete>;

  Result<Event> next() {
    auto raw = std::make_unique<yaml_event_t>();
    if (yaml_parser_parse(&parser_, raw.get()) == 0) {
      std::string why = parser_.problem != nullptr ? parser_.problem : "is no YAML";
      return fail(Code::InvalidArgument, place(parser_.problem_mark) + why);
    }
    return Event(raw.release());
  }
  std::string place(yaml_mark_t const& mark) const { return std::to_string(first_line_ + mark.line) + ":" + std::to_string(mark.column + 1) + ": "; }
  std::unexpected<Error> wrong(yaml_event_t const& event, std::string const& why) const { return fail(Code::InvalidArgument, place(event.start_mark) + why); }
  Result<void> expect(yaml_event_type_t type) {
    auto event = TRY(next());
    if (event->type != type) return wrong(*event, "there is more than one document");
    return {};
  }

  Result<bj::value> node(Event event, size_t depth) {
    if (depth > kMaxDepth || ++nodes_ > kMaxNodes) return wrong(*event, "is too large or nested too deeply");
    switch (event->type) {
      case YAML_SCALAR_EVENT: {
        auto const& scalar = event->data.scalar;
        if (scalar.anchor != nullptr) return wrong(*event, "anchors are not allowed");
        return bj::value(std::string_view(reinterpret_cast<char const*>(scalar.value), scalar.length));
      }
      case YAML_SEQUENCE_START_EVENT: {
        if (event->data.sequence_start.anchor != nullptr) return wrong(*event, "anchors are not allowed");
        bj::array list;
        for (auto member = TRY(next()); member->type != YAML_SEQUENCE_END_EVENT; member = TRY(next())) list.push_back(TRY(node(std::move(member), depth + 1)));
        return bj::value(std::move(list));
      }
      case YAML_MAPPING_START_EVENT: {
        if (event->data.mapping_start.anchor != nullptr) return wrong(*event, "anchors are not allowed");
        bj::object table;
        for (auto key = TRY(next()); key->type != YAML_MAPPING_END_EVENT; key = TRY(next())) {
          std::string at = place(key->start_mark);
          auto name = TRY(node(std::move(key), depth + 1));
          if (!name.is_string()) return fail(Code::InvalidArgument, at + "a key must be a word");
          if (table.contains(name.get_string()))
            return fail(Code::InvalidArgument, at + "the key `" + text::one_line(name.get_string(), 80) + "` is given twice");
          auto value = TRY(node(TRY(next()), depth + 1));
          table.emplace(name.get_string(), std::move(value));
        }
        return bj::value(std::move(table));
      }
      default:
        return wrong(*event, "aliases are not allowed");
    }
  }

  yaml_parser_t parser_{};
  size_t first_line_;
  size_t nodes_ = 0;
};

/// `key: text to the end of the line`, as people write it with colons in the text.
bj::object read_by_lines(std::string_view text) {
  bj::object table;
  std::string last;
  for (auto line : text::split(text, '\n')) {
    auto colon = line.find(':');
    auto key = line.substr(0, colon == std::string_view::npos ? 0 : colon);
    bool is_key = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
    auto item = text::trim(line);
    if (is_key) {
      last = std::string(key);
      table[last] = bj::string(text::trim(line.substr(colon + 1)));
    } else if (!last.empty() && item.starts_with("- ")) {
      auto& list = table[last];
      if (!list.is_array()) list = bj::array{};
      list.get_array().push_back(bj::string(text::trim(item.substr(2))));
    } else if (!last.empty() && !item.empty() && table[last].is_string()) {
      std::string joined(table[last].get_string());
      table[last] = bj::string(joined + (joined.empty() ? "" : " ") + std::string(item));
    }
  }
  return table;
}

// ---- What it means here

/// Names of tools there and here; nothing for what is not here.
struct Counterpart {
  std::string_view theirs;
  std::vector<std::string> ours;
};

std::vector<Counterpart> const& counterparts() {
  static std::vector<std::string> const pods = {"ListPods", "ReadPodOutput", "RestorePod", "SendToPod", "SpawnPod", "StopPod", "WaitForPods"};
  static std::vector<Counterpart> const all = {
      {"Read", {"Read"}},
      {"Write", {"Write"}},
      {"Edit", {"Edit"}},
      {"MultiEdit", {"Edit"}},
      {"Bash", {"Bash"}},
      {"Grep", {"Grep"}},
      {"Glob", {"Glob"}},
      {"LS", {"Glob"}},
      {"Task", pods},
      {"Agent", pods},
      {"TodoWrite", {"TaskCreate", "TaskGet", "TaskList", "TaskUpdate"}},
      {"TaskCreate", {"TaskCreate"}},
      {"TaskGet", {"TaskGet"}},
      {"TaskList", {"TaskList"}},
      {"TaskUpdate", {"TaskUpdate"}},
  };
  return all;
}

struct ModelAlias {
  std::string_view name, ref;
};
constexpr ModelAlias kModels[] = {{"sonnet", "anthropic/claude-sonnet-4-6"}, {"opus", "anthropic/claude-opus-4-8"}, {"haiku", "anthropic/claude-haiku-4-5"}};

class Mapping {
 public:
  Mapping(std::string const& file_name, AgentFile& out) : file_name_(file_name), out_(out) {}

  Result<void> map(bj::object const& front) {
    for (auto const& [key, value] : front) {
      if (key == "name") out_.profile.slug = TRY(word(key, value));
      else if (key == "description") out_.profile.description = TRY(word(key, value));
      else if (key == "tools") TRY(map_tools(key, value, false));
      else if (key == "disallowedTools") TRY(map_tools(key, value, true));
      else if (key == "model") map_model(TRY(word(key, value)));
      else if (key != "color") out_.unmapped.emplace_back(key);  // only how it looks
    }
    return {};
  }

 private:
  Result<std::string> word(std::string_view key, bj::value const& value) const {
    if (value.is_string()) return std::string(value.get_string());
    return fail(Code::InvalidArgument, file_name_ + ": " + std::string(key) + ": must be a text");
  }

  /// "Read, Grep", or a list.
  Result<std::vector<std::string>> words(std::string_view key, bj::value const& value) const {
    std::vector<std::string> result;
    auto add = [&](std::string_view part) {
      if (auto word = text::trim(part); !word.empty()) result.emplace_back(word);
    };
    if (auto const* text = value.if_string()) {
      std::string_view list = *text;
      if (list.starts_with('[') && list.ends_with(']')) list = list.substr(1, list.size() - 2);
      // Commas in brackets belong to a pattern.
      size_t from = 0, open = 0;
      for (size_t i = 0; i <= list.size(); ++i) {
        if (i < list.size() && list[i] == '(') ++open;
        if (i < list.size() && list[i] == ')' && open > 0) --open;
        if (i < list.size() && (list[i] != ',' || open > 0)) continue;
        add(list.substr(from, i - from));
        from = i + 1;
      }
      return result;
    }
    auto const* list = value.if_array();
    if (list == nullptr) return fail(Code::InvalidArgument, file_name_ + ": " + std::string(key) + ": must be a list of tools");
    for (auto const& member : *list) add(TRY(word(key, member)));
    return result;
  }

  Result<void> map_tools(std::string_view key, bj::value const& value, bool denied) {
    auto names = TRY(words(key, value));
    if (names == std::vector<std::string>{"*"} && !denied) return {};
    if (names.empty()) return {};
    ToolSelection selection = out_.profile.config.tools.value_or(ToolSelection{});
    auto& list = denied ? selection.deny : selection.allow;
    for (auto const& name : names) {
      auto found = std::find_if(counterparts().begin(), counterparts().end(), [&](Counterpart const& each) { return each.theirs == name; });
      if (found == counterparts().end()) {
        // A tool for certain arguments only is not one for all.
        out_.unmapped.push_back(std::string(key) + ": " + text::one_line(name, 80));
        continue;
      }
      for (auto const& ours : found->ours) {
        if (std::find(list.begin(), list.end(), ours) == list.end()) list.push_back(ours);
      }
    }
    // An empty list would allow everything.
    if (!denied && list.empty()) list.emplace_back(kNoTool);
    out_.profile.config.tools = std::move(selection);
    return {};
  }

  void map_model(std::string const& name) {
    if (name.empty() || name == "inherit") return;
    auto alias = std::find_if(std::begin(kModels), std::end(kModels), [&](ModelAlias const& each) { return each.name == name; });
    if (alias != std::end(kModels)) out_.profile.config.model.ref = std::string(alias->ref);
    else if (name.starts_with("claude-")) out_.profile.config.model.ref = "anthropic/" + name;
    else out_.unmapped.push_back("model: " + text::one_line(name, 80));
  }

  std::string const& file_name_;
  AgentFile& out_;
};

/// The lines between the first `---` and the next, and what follows.
struct Parts {
  std::string_view front, body;
};

Result<Parts> split_parts(std::string_view text, std::string const& file_name) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  auto is_fence = [](std::string_view line) { return text::trim(line) == "---" && line.starts_with("---"); };
  auto first_end = text.find('\n');
  if (first_end == std::string_view::npos || !is_fence(text.substr(0, first_end))) {
    return fail(Code::InvalidArgument, file_name + ":1:1: there is no front matter; the first line must be ---");
  }
  auto from = first_end + 1;
  for (auto at = from; at < text.size();) {
    auto end = std::min(text.find('\n', at), text.size());
    if (is_fence(text.substr(at, end - at))) {
      if (at - from > kMaxFrontMatter) return fail(Code::InvalidArgument, file_name + ":1:1: the front matter has more than 64 KiB");
      return Parts{text.substr(from, at - from), end < text.size() ? text.substr(end + 1) : std::string_view()};
    }
    at = end + 1;
  }
  return fail(Code::InvalidArgument, file_name + ":1:1: the front matter is not closed by a line ---");
}

}  // namespace

Result<AgentFile> parse_agent_file(std::string_view text, std::string const& file_name) {
  if (!text::is_utf8(text)) return fail(Code::InvalidArgument, file_name + ": it is not UTF-8 text");
  if (text.find('\0') != std::string_view::npos) return fail(Code::InvalidArgument, file_name + ": it has NUL characters");
  Parts parts = TRY(split_parts(text, file_name));
  AgentFile result;
  auto front = YamlReader(parts.front, 2).read();
  if (!front) {
    auto lines = read_by_lines(parts.front);
    if (lines.empty()) return fail(Code::InvalidArgument, file_name + ":" + front.error().message);
    front = std::move(lines);
  }
  TRY(Mapping(file_name, result).map(*front));
  auto prompt = text::trim(parts.body);
  if (!prompt.empty()) result.profile.config.worker.instruction_text = std::string(prompt);
  return result;
}

}  // namespace insomnia::manifest
