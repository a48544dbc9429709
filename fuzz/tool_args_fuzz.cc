// Everything of the tools that takes text from a model, a file or the other side of the hands' socket.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "tools/bash.hh"
#include "tools/edit.hh"
#include "tools/glob.hh"
#include "tools/grep.hh"
#include "tools/hands_protocol.hh"
#include "tools/ignore_rules.hh"
#include "tools/line_search.hh"
#include "tools/path_pattern.hh"
#include "tools/read.hh"
#include "tools/task_store.hh"
#include "tools/tool.hh"
#include "tools/write.hh"

namespace insomnia::tools {
namespace {

void require(bool condition) {
  if (!condition) __builtin_trap();
}

void arguments(std::string_view text) {
  (void)parse_read_input(text);
  (void)parse_write_input(text);
  (void)parse_edit_input(text);
  (void)parse_glob_input(text);
  (void)parse_grep_input(text);
  (void)parse_bash_input(text);
  (void)call_headline(text);
}

void tasks(std::string_view text) {
  TaskStore store;
  for (auto tool : {"TaskCreate", "TaskUpdate", "TaskGet", "TaskList"}) (void)store.execute(tool, text);
  TaskStore copy;
  require(copy.restore(store.snapshot()).has_value());
  require(copy.tasks() == store.tasks());
  (void)store.restore(text);
}

void protocol(std::string_view text) {
  if (auto command = decode_command(text)) require(decode_command(encode_command(*command)) == command);
  if (auto event = decode_hands_event(text)) require(decode_hands_event(encode_hands_event(*event)) == event);
}

/// The first line is a pattern, the rest is what it is tried on.
void patterns(std::string_view text) {
  text = text.substr(0, 256);  // compiling expressions is what costs time
  std::string_view pattern = text.substr(0, text.find('\n'));
  std::string_view rest = text.substr(pattern.size());
  if (auto glob = PathPattern::compile(pattern, PatternSyntax::Glob)) (void)glob->matches(rest);
  (void)literal_directory(pattern);
  (void)IgnoreRules::parse(text).decide(pattern, true);
  for (bool multiline : {false, true}) {
    auto search = LinePattern::compile(pattern.substr(0, 64), true, multiline);
    size_t from = 0;
    while (search && from < rest.size()) {
      auto range = search->next(rest, from);
      if (range.begin == std::string_view::npos) break;
      require(range.begin >= from && range.end >= range.begin && range.end <= rest.size());
      from = range.end + 1;
    }
  }
}

void windows(std::string_view text) {
  if (text.size() < 3) return;
  size_t limit = 64 + static_cast<uint8_t>(text[2]);
  LineWindow window(static_cast<uint8_t>(text[0]) % 8, 1 + static_cast<uint8_t>(text[1]) % 8, limit);
  window.feed(text.substr(3, text.size() / 2));
  window.feed(text.substr(std::min(text.size(), 3 + text.size() / 2)));
  window.finish();
  require(window.text().size() <= limit);
}

void outputs(std::string_view text) {
  if (text.empty()) return;
  size_t limit = static_cast<uint8_t>(text[0]);
  Output output = limit_output({bash_title(text), std::string(text), false}, limit);
  require(output.content->size() <= std::max<size_t>(limit, 68));
  Replaced replaced = replace_string(text, text.substr(0, 1), "xy", true);
  (void)preview(replaced.content, replaced.first);
}

}  // namespace
}  // namespace insomnia::tools

extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) {
  using namespace insomnia::tools;
  std::string_view text(reinterpret_cast<char const*>(data), size);
  if (text.empty()) return 0;
  // The first byte chooses the subject, so that each gets inputs of its own.
  void (*const subjects[])(std::string_view) = {arguments, tasks, protocol, patterns, windows, outputs};
  subjects[static_cast<uint8_t>(text[0]) % std::size(subjects)](text.substr(1));
  return 0;
}
