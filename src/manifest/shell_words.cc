#include "manifest/shell_words.hh"

#include <algorithm>
#include <utility>

#include "manifest/shell_collector.hh"

namespace insomnia::manifest {
namespace shell {
namespace {

constexpr size_t kMaxText = 64 << 10;

bool is_name_char(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }

/// Recursive descent over a text (the grammar: bash(1), SHELL GRAMMAR; POSIX.1-2017, Shell Command Language, 2.10).
class Parser {
 public:
  Parser(std::string_view text, Collector& collector, int depth, std::vector<Words> wrappers = {})
      : text_(text), collector_(collector), depth_(depth), wrappers_(std::move(wrappers)) {
    if (depth > kMaxDepth || text.size() > kMaxText || text.find('\0') != std::string_view::npos || text.find(kUnknown) != std::string_view::npos) give_up();
  }

  void parse_all() {
    parse_list('\0');
    if (at_ < text_.size() || !here_documents_.empty()) give_up();
  }

 private:
  /// All loops end at the end of the text.
  void give_up() {
    collector_.give_up();
    at_ = text_.size();
  }
  char look(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool take(std::string_view what) {
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }
  void skip_blanks() {
    for (;;) {
      if (look() == ' ' || look() == '\t') ++at_;
      else if (look() == '\\' && look(1) == '\n') at_ += 2;
      else return;
    }
  }
  void skip_comment() {
    if (look() != '#') return;
    while (at_ < text_.size() && look() != '\n') ++at_;
  }
  void newline() {
    ++at_;
    for (auto const& [delimiter, quoted, tabs] : std::exchange(here_documents_, {})) skip_here_document(delimiter, quoted, tabs);
  }

  /// Commands up to `end` (')' of a group or substitution; '\0': of the text), which is not taken.
  void parse_list(char end) {
    for (;;) {
      skip_blanks();
      skip_comment();
      char c = look();
      if (at_ >= text_.size()) return;
      if (c == '\n') newline();
      else if (c == end) return;
      else if (c == ';' || c == '&' || c == '|') ++at_;
      else if (c == '(') parse_group();
      else if (c == ')') give_up();
      else parse_command();
    }
  }

  void parse_group() {
    if (look(1) == '(') return give_up();  // arithmetic, perhaps
    ++at_;
    parse_list(')');
    if (!take(")")) return give_up();
    skip_redirections();
  }

  void parse_command() {
    Words words;
    bool only_assignments = true;
    for (;;) {
      skip_blanks();
      char c = look();
      if (at_ >= text_.size() || c == '\n' || c == ';' || c == '|' || c == ')') break;
      if (c == '#') break;
      if (c == '&' && look(1) != '>') break;
      if (skip_redirection()) continue;
      if (c == '(') return give_up();  // a function, or an array
      bool plain = true;
      size_t start = at_;
      std::string word = parse_word(plain);
      bool is_assignment = only_assignments && assigns(text_.substr(start, at_ - start));
      if (is_assignment) continue;
      if (words.empty() && plain && keyword(word, start)) {
        if (done_) {
          done_ = false;
          return;
        }
        continue;
      }
      only_assignments = false;
      words.push_back(std::move(word));
      if (words.size() == 1 && plain && words.front() == "[[") return parse_condition();
    }
    if (!words.empty()) add(std::move(words));
  }

  /// Reserved words where a command may begin. True: it was one, what follows is a command again; `done_`: nothing follows in this command.
  bool keyword(std::string_view word, size_t) {
    if (is_one_of(word, {"if", "then", "elif", "else", "while", "until", "do", "!", "{"})) return true;
    if (is_one_of(word, {"fi", "done", "}"})) {
      skip_redirections();
      done_ = true;
      return true;
    }
    if (word == "time") {
      skip_blanks();
      if (text_.substr(at_).starts_with("-p ")) at_ += 3;
      return true;
    }
    if (word == "for") {
      parse_for();
      done_ = true;
      return true;
    }
    if (is_one_of(word, {"case", "esac", "select", "function", "coproc", "in"})) {
      give_up();
      done_ = true;
      return true;
    }
    return false;
  }

  /// `for NAME in WORDS`; the words may hold substitutions.
  void parse_for() {
    skip_blanks();
    if (!is_name_start(look())) return give_up();
    while (is_name_char(look())) ++at_;
    skip_blanks();
    if (take("in") && (look() == ' ' || look() == '\t')) {
      for (;;) {
        skip_blanks();
        char c = look();
        if (at_ >= text_.size() || c == ';' || c == '\n') return;
        if (c == '(' || c == ')' || c == '<' || c == '>' || c == '&' || c == '|') return give_up();
        bool plain = true;
        (void)parse_word(plain);
      }
    } else if (look() != ';' && look() != '\n') {
      give_up();
    }
  }

  /// `[[ … ]]` runs nothing but what its words substitute.
  void parse_condition() {
    for (;;) {
      skip_blanks();
      char c = look();
      if (at_ >= text_.size()) return give_up();
      if (c == '\n' || c == '(' || c == ')' || c == '<' || c == '>' || c == '&' || c == '|' || c == ';') {
        ++at_;
        continue;
      }
      bool plain = true;
      if (parse_word(plain) == "]]" && plain) return skip_redirections();
    }
  }

  static bool assigns(std::string_view word) {
    size_t i = 0;
    if (word.empty() || !is_name_start(word[0])) return false;
    while (i < word.size() && is_name_char(word[i])) ++i;
    if (i < word.size() && word[i] == '+') ++i;
    return i < word.size() && word[i] == '=';
  }

  // ---- Redirections

  struct HereDocument {
    std::string delimiter;
    bool quoted = false;
    bool tabs = false;  ///< <<-
  };

  void skip_redirections() {
    do skip_blanks();
    while (skip_redirection());
  }

  bool skip_redirection() {
    size_t start = at_;
    while (look() >= '0' && look() <= '9') ++at_;
    if (look() == '{' && at_ == start) return false;
    if ((look() == '<' || look() == '>') && look(1) == '(') {
      at_ = start;
      return false;  // a word
    }
    static constexpr std::string_view kOperators[] = {"&>>", "&>", "<<<", "<<-", "<<", "<>", "<&", ">>", ">&", ">|", "<", ">"};
    for (auto op : kOperators) {
      if (op.front() == '&' && at_ != start) continue;
      if (!take(op)) continue;
      skip_blanks();
      bool plain = true;
      size_t from = at_;
      if (op == "<<" || op == "<<-") {
        std::string delimiter = parse_word(plain);
        if (is_unknown(delimiter)) give_up();
        here_documents_.push_back({std::move(delimiter), !plain, op == "<<-"});
      } else {
        (void)parse_word(plain);
      }
      if (at_ == from) give_up();
      return true;
    }
    at_ = start;
    return false;
  }

  void skip_here_document(std::string const& delimiter, bool quoted, bool tabs) {
    while (at_ < text_.size()) {
      auto end = std::min(text_.find('\n', at_), text_.size());
      auto line = text_.substr(at_, end - at_);
      at_ = std::min(end + 1, text_.size());
      if (tabs) line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
      if (line == delimiter) return;
      // What it would run is not looked for: it is not understood.
      if (!quoted && (line.find("$(") != std::string_view::npos || line.find('`') != std::string_view::npos)) return give_up();
    }
    give_up();
  }

  // ---- Words

  /// `plain`: without quotes, escapes and expansions.
  std::string parse_word(bool& plain) {
    std::string word;
    if (look() == '~') {
      // To the next slash it is somebody's home.
      word += kUnknown;
      plain = false;
      while (at_ < text_.size() && !std::string_view("/ \t\n;&|()<>\"'\\$`").contains(look())) ++at_;
    }
    for (;;) {
      char c = look();
      if (at_ >= text_.size()) return word;
      switch (c) {
        case ' ':
        case '\t':
        case '\n':
        case ';':
        case '&':
        case '|':
        case ')':
          return word;
        case '(':
          if (word.empty() && plain) give_up();
          return word;
        case '<':
        case '>':
          if (look(1) != '(') return word;
          at_ += 2;
          parse_substitution(')');
          word += kUnknown;
          plain = false;
          break;
        case '\\':
          plain = false;
          if (at_ + 1 >= text_.size()) {
            give_up();
            return word;
          }
          if (look(1) != '\n') word += look(1);
          at_ += 2;
          break;
        case '\'': {
          auto end = text_.find('\'', at_ + 1);
          if (end == std::string_view::npos) {
            give_up();
            return word;
          }
          word += text_.substr(at_ + 1, end - at_ - 1);
          at_ = end + 1;
          plain = false;
          break;
        }
        case '"':
          ++at_;
          parse_quoted(word);
          plain = false;
          break;
        case '$':
        case '`':
          parse_expansion(word, false);
          plain = false;
          break;
        case '*':
        case '?':
        case '[':
          // "[" and "[[" by themselves are commands.
          if (c == '[' && word.empty() && is_bracket_command()) {
            while (look() == '[') {
              word += '[';
              ++at_;
            }
            break;
          }
          word += kUnknown;
          ++at_;
          plain = false;
          break;
        case '{':
          if (word.empty() && plain && (look(1) == ' ' || look(1) == '\t' || look(1) == '\n')) {
            ++at_;
            return "{";
          }
          parse_brace(word);
          plain = false;
          break;
        default:
          word += c;
          ++at_;
      }
    }
  }

  bool is_bracket_command() const {
    size_t ahead = look(1) == '[' ? 2 : 1;
    return look(ahead) == ' ' || look(ahead) == '\t';
  }

  /// `{a,b}` gives several words; `{}` is itself.
  void parse_brace(std::string& word) {
    if (take("{}")) {
      word += "{}";
      return;
    }
    auto end = text_.find_first_of(" \t\n;&|()<>\"'\\$`", at_);
    auto close = text_.find('}', at_);
    if (close == std::string_view::npos || (end != std::string_view::npos && end < close)) return give_up();
    at_ = close + 1;
    word += kUnknown;
  }

  /// In double quotes, up to the closing one.
  void parse_quoted(std::string& word) {
    for (;;) {
      char c = look();
      if (at_ >= text_.size()) return give_up();
      if (c == '"') {
        ++at_;
        return;
      }
      if (c == '\\') {
        if (at_ + 1 >= text_.size()) return give_up();
        char next = look(1);
        if (next == '$' || next == '`' || next == '"' || next == '\\') word += next;
        else if (next != '\n') word += {'\\', next};
        at_ += 2;
      } else if (c == '$' || c == '`') {
        parse_expansion(word, true);
      } else {
        word += c;
        ++at_;
      }
    }
  }

  void parse_expansion(std::string& word, bool quoted) {
    if (look() == '`') {
      ++at_;
      std::string inner;
      while (look() != '`') {
        if (at_ >= text_.size()) return give_up();
        if (look() == '\\' && (look(1) == '`' || look(1) == '\\' || look(1) == '$')) ++at_;
        inner += look();
        ++at_;
      }
      ++at_;
      Parser(inner, collector_, depth_ + 1, wrappers_).parse_all();
      word += kUnknown;
      return;
    }
    ++at_;
    char c = look();
    if (c == '(' && look(1) == '(') return give_up();  // arithmetic
    if (c == '(') {
      ++at_;
      parse_substitution(')');
      word += kUnknown;
    } else if (c == '{') {
      auto close = text_.find('}', at_);
      if (close == std::string_view::npos) return give_up();
      auto inner = text_.substr(at_ + 1, close - at_ - 1);
      // What a default or a pattern would run is not looked for.
      if (inner.find_first_of("$`\"'\\{(") != std::string_view::npos) return give_up();
      at_ = close + 1;
      word += kUnknown;
    } else if (is_name_start(c)) {
      while (is_name_char(look())) ++at_;
      word += kUnknown;
    } else if (std::string_view("0123456789@*#?-$!").contains(c) && at_ < text_.size()) {
      ++at_;
      word += kUnknown;
    } else if (c == '\'' && !quoted) {
      // $'…': its escapes are many.
      ++at_;
      while (look() != '\'') {
        if (at_ >= text_.size()) return give_up();
        at_ = std::min(at_ + (look() == '\\' ? 2 : 1), text_.size());
      }
      ++at_;
      word += kUnknown;
    } else if (c != '"' || quoted) {
      word += '$';
    }
  }

  /// The commands of `$(…)`, `<(…)` and the like, whose opening was taken.
  void parse_substitution(char end) {
    if (depth_ + 1 > kMaxDepth) return give_up();
    ++depth_;
    auto documents = std::exchange(here_documents_, {});
    parse_list(end);
    if (!here_documents_.empty() || !take(std::string_view(&end, 1))) return give_up();
    here_documents_ = std::move(documents);
    --depth_;
  }

  void add(Words words) { collector_.add(std::move(words), wrappers_, depth_); }

  std::string_view text_;
  Collector& collector_;
  int depth_;
  std::vector<Words> wrappers_;
  size_t at_ = 0;
  bool done_ = false;
  std::vector<HereDocument> here_documents_;
};

}  // namespace

void parse(std::string_view text, Collector& collector, int depth, std::vector<Words> wrappers) {
  Parser(text, collector, depth, std::move(wrappers)).parse_all();
}

}  // namespace shell

std::optional<std::vector<SimpleCommand>> simple_commands(std::string_view text) {
  shell::Collector collector;
  shell::parse(text, collector, 0, {});
  return collector.take();
}

}  // namespace insomnia::manifest
