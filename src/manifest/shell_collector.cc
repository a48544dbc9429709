// Commands that only run others.
#include "manifest/shell_collector.hh"

#include <utility>

#include "base/text.hh"

namespace insomnia::manifest::shell {
namespace {

constexpr size_t kMaxCommands = 1000;

/// How a wrapper's own words end: options that take a value, and words before the command.
struct Wrapper {
  std::string_view name;
  std::initializer_list<std::string_view> with_value;  ///< -u, --user: the next word is theirs, unless it is written behind `=` or the letter
  std::initializer_list<std::string_view> alone;
  size_t words = 0;  ///< of its own before the command
};

Wrapper const* wrapper_of(std::string_view name) {
  static Wrapper const kAll[] = {
      {"env", {"-u", "--unset", "-C", "--chdir"}, {"-i", "--ignore-environment", "-0", "--null", "-v", "--debug"}},
      {"command", {}, {"-p"}},
      {"builtin", {}, {}},
      {"exec", {"-a"}, {"-c", "-l"}},
      {"nohup", {}, {}},
      {"setsid", {}, {"-c", "-f", "-w", "--ctty", "--fork", "--wait"}},
      {"nice", {"-n", "--adjustment"}, {}},
      {"ionice", {"-c", "--class", "-n", "--classdata"}, {"-t", "--ignore"}},
      {"timeout", {"-k", "--kill-after", "-s", "--signal"}, {"--foreground", "--preserve-status", "-v", "--verbose"}, 1},
      {"stdbuf", {"-i", "--input", "-o", "--output", "-e", "--error"}, {}},
      {"sudo",
       {"-u", "--user", "-g", "--group", "-h", "--host", "-p", "--prompt", "-C", "-D", "--chdir", "-r", "-t", "-T"},
       {"-A", "-b", "-E", "-H", "-k", "-n", "-P", "-S", "-i", "-s", "--non-interactive", "--preserve-env"}},
      {"doas", {"-u", "-C"}, {"-n", "-s"}},
      {"xargs",
       {"-I", "-n", "-P", "-L", "-d", "-a", "-E", "-s", "--max-args", "--max-procs", "--delimiter", "--arg-file", "--replace"},
       {"-0", "--null", "-r", "--no-run-if-empty", "-t", "--verbose", "-p", "-x"}},
      {"time", {"-f", "--format", "-o", "--output"}, {"-p", "-v", "-a"}},
  };
  for (auto const& wrapper : kAll) {
    if (wrapper.name == name) return &wrapper;
  }
  return nullptr;
}

std::string_view base_name(std::string_view name) { return name.substr(name.rfind('/') == std::string_view::npos ? 0 : name.rfind('/') + 1); }

/// Where the command begins that a wrapper runs; nothing when its options are not understood.
std::optional<size_t> command_behind(Wrapper const& wrapper, Words const& words) {
  size_t at = 1;
  auto has = [](std::initializer_list<std::string_view> list, std::string_view word) { return std::find(list.begin(), list.end(), word) != list.end(); };
  for (; at < words.size(); ++at) {
    std::string const& word = words[at];
    if (word == "--") {
      ++at;
      break;
    }
    if (is_unknown(word)) return std::nullopt;
    if (wrapper.name == "env" && word.find('=') != std::string::npos && is_name_start(word[0])) continue;
    if (!word.starts_with('-') || word == "-") break;
    if (has(wrapper.alone, word)) continue;
    if (has(wrapper.with_value, word)) {
      ++at;
      continue;
    }
    // --user=x, -n5, and of nice also -5.
    bool joined = std::any_of(wrapper.with_value.begin(), wrapper.with_value.end(),
                              [&](std::string_view option) { return word.starts_with(option) && (option.size() == 2 || word[option.size()] == '='); });
    bool is_number = wrapper.name == "nice" && word.size() > 1 && word.find_first_not_of("-0123456789") == std::string::npos;
    if (!joined && !is_number) return std::nullopt;
  }
  return at + wrapper.words;
}

}  // namespace

void Collector::add_text(std::string_view text, std::vector<Words> wrappers, int depth) { parse(text, *this, depth + 1, std::move(wrappers)); }

void Collector::add_behind(Words const& words, size_t from, std::vector<Words> wrappers, int depth) {
  wrappers.push_back(words);
  Words inner(words.begin() + static_cast<std::ptrdiff_t>(from), words.end());
  // What it reads.
  if (base_name(words.front()) == "xargs") inner.emplace_back(1, kUnknown);
  add(std::move(inner), std::move(wrappers), depth + 1);
}

void Collector::add_find(Words const& words, std::vector<Words> const& wrappers, int depth) {
  for (size_t i = 1; i < words.size(); ++i) {
    if (!is_one_of(words[i], {"-exec", "-execdir", "-ok", "-okdir"})) continue;
    size_t end = i + 1;
    while (end < words.size() && words[end] != ";" && words[end] != "+") ++end;
    if (end == i + 1) return give_up();
    auto behind = wrappers;
    behind.push_back(words);
    Words inner(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.begin() + static_cast<std::ptrdiff_t>(end));
    // What it finds.
    for (auto& word : inner) word = text::replace_all(word, "{}", std::string(1, kUnknown));
    add(std::move(inner), std::move(behind), depth + 1);
    i = end;
  }
}

void Collector::add(Words words, std::vector<Words> wrappers, int depth) {
  if (depth > kMaxDepth || commands_.size() >= kMaxCommands) return give_up();
  std::string_view name = base_name(words.front());
  if (is_unknown(words.front()) || name.empty()) return give_up();
  // `command -v` only tells where something is.
  bool only_asks = name == "command" && words.size() > 1 && is_one_of(words[1], {"-v", "-V"});
  if (Wrapper const* wrapper = only_asks ? nullptr : wrapper_of(name)) {
    auto from = command_behind(*wrapper, words);
    if (!from) return give_up();
    if (*from < words.size()) return add_behind(words, *from, std::move(wrappers), depth);
  } else if (is_one_of(name, {"sh", "bash", "dash", "zsh", "ksh"})) {
    for (size_t i = 1; i < words.size() && (words[i].starts_with('-') || words[i].starts_with('+')); ++i) {
      if (is_unknown(words[i])) return give_up();
      if (is_one_of(words[i], {"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})) {
        ++i;
        continue;
      }
      if (words[i].starts_with("--") || words[i].find('c') == std::string::npos) continue;
      if (i + 1 >= words.size() || is_unknown(words[i + 1])) return give_up();
      std::string text = words[i + 1];
      wrappers.push_back(std::move(words));
      return add_text(text, std::move(wrappers), depth);
    }
  } else if (name == "eval") {
    std::string text;
    for (size_t i = 1; i < words.size(); ++i) text += (i > 1 ? " " : "") + words[i];
    if (is_unknown(text)) return give_up();
    wrappers.push_back(std::move(words));
    return add_text(text, std::move(wrappers), depth);
  } else if (name == "find") {
    add_find(words, wrappers, depth);
  }
  commands_.push_back({std::move(words), std::move(wrappers)});
}

}  // namespace insomnia::manifest::shell
