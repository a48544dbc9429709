#include "prompt/template.hh"

#include <algorithm>

#include "base/text.hh"

namespace insomnia::prompt {
namespace {

constexpr size_t kMaxDepth = 16;
constexpr size_t kMaxIncludes = 256;
constexpr size_t kMaxOutput = 1 << 20;
constexpr size_t kMaxSource = 1 << 20;

bool is_identifier(std::string_view text) {
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

/// The content of a text in single or double quotes; nothing when it is something else.
std::optional<std::string_view> unquoted(std::string_view text) {
  if (text.size() < 2 || (text.front() != '"' && text.front() != '\'') || text.back() != text.front())
    return std::nullopt;
  std::string_view inner = text.substr(1, text.size() - 2);
  if (inner.find(text.front()) != std::string_view::npos) return std::nullopt;
  return inner;
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r") == std::string_view::npos;
}

std::string shown(std::string_view text) {
  return "`" + text::one_line(text, 60) + "`";
}

}  // namespace

std::unexpected<Error> Template::fail_at(size_t line, std::string const& why) const {
  return fail(Code::InvalidArgument, "prompt `" + name_ + "`, line " + std::to_string(line) + ": " + why);
}

/// One pass over the text, tag by tag.
class Template::Parser {
 public:
  Parser(Template& out, std::string_view text) : out_(out), text_(text) {}

  Result<void> run() {
    while (at_ < text_.size()) {
      size_t open = find_tag();
      if (open == std::string_view::npos) break;
      bool is_value = text_[open + 1] == '{';
      size_t line = line_of(open);
      size_t close = text_.find(is_value ? "}}" : "%}", open + 2);
      if (close == std::string_view::npos) {
        return out_.fail_at(line, is_value ? "`{{` is not closed by `}}`" : "`{%` is not closed by `%}`");
      }
      std::string_view body = text::trim(text_.substr(open + 2, close - open - 2));
      if (is_value) {
        add_text(text_.substr(at_, open - at_));
        TRY(value(body, line));
        at_ = close + 2;
      } else {
        TRY(statement(body, line, open, close + 2));
      }
    }
    add_text(text_.substr(std::min(at_, text_.size())));
    if (!open_ifs_.empty()) return out_.fail_at(out_.nodes_[open_ifs_.back()].line, "`if` has no `endif`");
    return {};
  }

 private:
  size_t find_tag() const {
    size_t open = text_.find('{', at_);
    while (open != std::string_view::npos && open + 1 < text_.size()) {
      if (text_[open + 1] == '{' || text_[open + 1] == '%') return open;
      open = text_.find('{', open + 1);
    }
    return std::string_view::npos;
  }

  /// REQUIRES: asked for growing positions.
  size_t line_of(size_t position) {
    line_ += static_cast<size_t>(std::count(text_.begin() + static_cast<ptrdiff_t>(counted_),
                                            text_.begin() + static_cast<ptrdiff_t>(position), '\n'));
    counted_ = position;
    return line_;
  }

  void add_text(std::string_view text) {
    if (!text.empty()) out_.nodes_.push_back({Node::Kind::Text, std::string(text), 0, 0});
  }

  Result<void> value(std::string_view body, size_t line) {
    if (auto literal = unquoted(body)) {
      add_text(*literal);
      return {};
    }
    if (!is_identifier(body)) {
      return out_.fail_at(
          line, shown(body) + " is not the name of a variable; for a literal `{{` write {{ \"{{\" }}");
    }
    out_.nodes_.push_back({Node::Kind::Variable, std::string(body), line, 0});
    return {};
  }

  Result<void> statement(std::string_view body, size_t line, size_t open, size_t end) {
    size_t space = std::min(body.find_first_of(" \t\r\n"), body.size());
    std::string_view word = body.substr(0, space);
    std::string_view rest = text::trim(body.substr(space));
    if (word == "include") {
      auto reference = unquoted(rest);
      if (!reference) return out_.fail_at(line, "`include` needs one name in quotes");
      add_text(text_.substr(at_, open - at_));
      out_.nodes_.push_back({Node::Kind::Include, std::string(*reference), line, 0});
      at_ = end;
      return {};
    }
    if (word == "if") {
      if (!is_identifier(rest)) return out_.fail_at(line, "`if` needs the name of one variable");
      leave_line(open, end);
      open_ifs_.push_back(out_.nodes_.size());
      out_.nodes_.push_back({Node::Kind::If, std::string(rest), line, 0});
      return {};
    }
    if (word == "endif" && rest.empty()) {
      if (open_ifs_.empty()) return out_.fail_at(line, "`endif` without `if`");
      leave_line(open, end);
      out_.nodes_[open_ifs_.back()].end = out_.nodes_.size();
      open_ifs_.pop_back();
      return {};
    }
    return out_.fail_at(
        line, "unknown tag " + shown(body) + "; there are `if NAME`, `endif` and `include \"NAME\"`");
  }

  /// Goes on behind a tag; when it stands alone on its line, the line goes with it.
  void leave_line(size_t open, size_t end) {
    size_t line_start = open == 0 ? std::string_view::npos : text_.rfind('\n', open - 1);
    line_start = line_start == std::string_view::npos ? 0 : line_start + 1;
    size_t line_end = std::min(text_.find('\n', end), text_.size());
    bool alone = line_start >= at_ && is_blank(text_.substr(line_start, open - line_start)) &&
                 is_blank(text_.substr(end, line_end - end));
    size_t text_end = alone ? line_start : open;
    add_text(text_.substr(at_, text_end - at_));
    at_ = alone ? std::min(line_end + 1, text_.size()) : end;
  }

  Template& out_;
  std::string_view text_;
  size_t at_ = 0;
  size_t line_ = 1;
  size_t counted_ = 0;
  std::vector<size_t> open_ifs_;
};

Result<Template> Template::parse(std::string_view text, std::string name, std::string folder) {
  Template out;
  out.name_ = std::move(name);
  out.folder_ = std::move(folder);
  if (text.size() > kMaxSource)
    return fail(Code::InvalidArgument, "prompt `" + out.name_ + "` has more than 1 MiB");
  TRY(Parser(out, text).run());
  return out;
}

struct Template::Rendering {
  Variables const& variables;
  IncludeLoader const& load;
  std::string out;
  size_t includes = 0;
};

Result<std::string> Template::render(Variables const& variables, IncludeLoader const& load) const {
  Rendering rendering{variables, load, "", 0};
  TRY(render_into(rendering, 0));
  return std::move(rendering.out);
}

Result<void> Template::render_into(Rendering& rendering, size_t depth) const {
  for (size_t i = 0; i < nodes_.size();) {
    Node const& node = nodes_[i++];
    if (node.kind == Node::Kind::Text) {
      rendering.out += node.value;
    } else if (node.kind == Node::Kind::Include) {
      if (depth + 1 >= kMaxDepth)
        return fail_at(node.line, "includes are more than 16 deep: does one include itself?");
      if (++rendering.includes > kMaxIncludes) return fail_at(node.line, "more than 256 includes");
      auto included = rendering.load(node.value, folder_);
      if (!included)
        return fail_at(node.line,
                       "include \"" + text::one_line(node.value, 100) + "\": " + included.error().message);
      size_t start = rendering.out.size();
      TRY(included->render_into(rendering, depth + 1));
      while (rendering.out.size() > start && rendering.out.back() == '\n') rendering.out.pop_back();
    } else {
      auto variable = rendering.variables.find(node.value);
      if (variable == rendering.variables.end())
        return fail_at(node.line, "variable `" + node.value + "` is not defined");
      if (node.kind == Node::Kind::Variable) {
        rendering.out += variable->second;
      } else if (variable->second.empty()) {
        i = node.end;
      }
    }
    if (rendering.out.size() > kMaxOutput) return fail_at(node.line, "the text becomes longer than 1 MiB");
  }
  return {};
}

}  // namespace insomnia::prompt
