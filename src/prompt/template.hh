#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"

namespace insomnia::prompt {

/// Values for a template. An empty one is false in `{% if %}`.
using Variables = std::map<std::string, std::string, std::less<>>;

/// A parsed template:
///   {{ name }}                     the value of a variable, never parsed again; {{ "text" }} is the text
///   itself
///   {% include "reference" %}      another template, without its trailing newlines
///   {% if name %} … {% endif %}    only when the value is not empty
/// Strict: a variable that is not given is an error, also in `if`. An `if` or `endif` that stands alone on
/// its line takes no line.
class Template {
 public:
  /// Gives the template that `reference` means inside a template of `folder`.
  using IncludeLoader =
      std::function<Result<Template>(std::string const& reference, std::string const& folder)>;

  /// `name` is for errors, which also tell the line; `folder` ("$user/reviews") is what includes without a
  /// prefix are relative to.
  static Result<Template> parse(std::string_view text, std::string name, std::string folder = "");

  /// Includes are followed 16 deep and 256 times in all; the text may become 1 MiB.
  Result<std::string> render(Variables const& variables, IncludeLoader const& load) const;

  std::string const& name() const { return name_; }

 private:
  struct Node {
    enum class Kind { Text, Variable, Include, If };
    Kind kind = Kind::Text;
    std::string value;  ///< the text, or the name of the variable or template
    size_t line = 0;
    size_t end = 0;  ///< If: the node behind its endif
  };
  struct Rendering;
  class Parser;

  Result<void> render_into(Rendering& rendering, size_t depth) const;
  std::unexpected<Error> fail_at(size_t line, std::string const& why) const;

  std::string name_;
  std::string folder_;
  std::vector<Node> nodes_;
};

}  // namespace insomnia::prompt
