#pragma once

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/shell_words.hh"

/// Internal to shell_words: what the parser finds, and what runs behind it.
namespace insomnia::manifest::shell {

using Words = std::vector<std::string>;

inline constexpr int kMaxDepth = 20;

inline bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) { return std::find(words.begin(), words.end(), word) != words.end(); }
inline bool is_unknown(std::string_view word) { return word.find(kUnknown) != std::string_view::npos; }
inline bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/// Collects commands; looks behind those that only run others.
class Collector {
 public:
  void add(Words words, std::vector<Words> wrappers, int depth);
  void add_text(std::string_view text, std::vector<Words> wrappers, int depth);
  /// The text is not understood: what was collected is worth nothing.
  void give_up() { understood_ = false; }
  std::optional<std::vector<SimpleCommand>> take() { return understood_ ? std::optional(std::move(commands_)) : std::nullopt; }

 private:
  void add_behind(Words const& words, size_t from, std::vector<Words> wrappers, int depth);
  void add_find(Words const& words, std::vector<Words> const& wrappers, int depth);

  std::vector<SimpleCommand> commands_;
  bool understood_ = true;
};

/// Gives the commands of a text to `collector`, as run by `wrappers`.
void parse(std::string_view text, Collector& collector, int depth, std::vector<Words> wrappers);

}  // namespace insomnia::manifest::shell
