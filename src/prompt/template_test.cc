#include "prompt/template.hh"

#include <gtest/gtest.h>

namespace insomnia::prompt {
namespace {

/// Templates by name, for includes: the folder is ignored.
Template::IncludeLoader library(std::map<std::string, std::string> texts) {
  return [texts = std::move(texts)](std::string const& reference, std::string const&) -> Result<Template> {
    auto found = texts.find(reference);
    if (found == texts.end()) return fail(Code::NotFound, "there is no " + reference);
    return Template::parse(found->second, reference);
  };
}

std::string rendered(std::string_view text, Variables const& variables = {},
                     std::map<std::string, std::string> includes = {}) {
  auto parsed = Template::parse(text, "main");
  if (!parsed) return "ERROR " + parsed.error().message;
  auto out = parsed->render(variables, library(std::move(includes)));
  return out ? *out : "ERROR " + out.error().message;
}

TEST(Template, PlainTextStaysAsItIs) {
  EXPECT_EQ(rendered(""), "");
  EXPECT_EQ(rendered("a {b} }} %} { {\n"), "a {b} }} %} { {\n");
  EXPECT_EQ(rendered("{"), "{");
}

TEST(Template, Variables) {
  EXPECT_EQ(rendered("<{{ a }}{{b}}>", {{"a", "1"}, {"b", ""}}), "<1>");
  EXPECT_EQ(rendered("{{ a }}", {{"a", "{{ b }} {% if %}"}}), "{{ b }} {% if %}")
      << "values are not parsed again";
}

TEST(Template, Literals) {
  EXPECT_EQ(rendered("{{ \"{{\" }} {{ '{%' }}"), "{{ {%");
}

TEST(Template, UndefinedVariablesAreErrors) {
  EXPECT_EQ(rendered("a\n\n{{ b }}"), "ERROR prompt `main`, line 3: variable `b` is not defined");
  EXPECT_EQ(rendered("{% if b %}{% endif %}"), "ERROR prompt `main`, line 1: variable `b` is not defined");
  EXPECT_EQ(rendered("{% if a %}{{ b }}{% endif %}", {{"a", ""}}), "") << "what is left out is not looked at";
}

TEST(Template, If) {
  EXPECT_EQ(rendered("a{% if x %}b{% endif %}c", {{"x", "1"}}), "abc");
  EXPECT_EQ(rendered("a{% if x %}b{% endif %}c", {{"x", ""}}), "ac");
  EXPECT_EQ(rendered("{% if x %}1{% if y %}2{% endif %}3{% endif %}", {{"x", "1"}, {"y", ""}}), "13");
  EXPECT_EQ(rendered("{% if x %}1{% if y %}2{% endif %}3{% endif %}4", {{"x", ""}, {"y", "1"}}), "4");
}

TEST(Template, TagsAloneOnALineTakeNoLine) {
  std::string_view text = "a\n  {% if x %}\nb\n{% endif %}  \nc\n";
  EXPECT_EQ(rendered(text, {{"x", "1"}}), "a\nb\nc\n");
  EXPECT_EQ(rendered(text, {{"x", ""}}), "a\nc\n");
  EXPECT_EQ(rendered("{% if x %}\nb\n{% endif %}", {{"x", "1"}}), "b\n");
  EXPECT_EQ(rendered("{% if x %}{% endif %}\nb", {{"x", "1"}}), "\nb");
}

TEST(Template, Includes) {
  EXPECT_EQ(rendered("[{% include \"b\" %}]", {{"v", "1"}}, {{"b", "<{{ v }}>\n\n"}}), "[<1>]")
      << "without the last newlines";
  EXPECT_EQ(rendered("{% include 'b' %}\nx", {}, {{"b", "y\n"}}), "y\nx");
}

TEST(Template, ErrorsInIncludesNameBothPlaces) {
  EXPECT_EQ(rendered("\n{% include 'b' %}", {}, {{"b", "{{ v }}"}}),
            "ERROR prompt `b`, line 1: variable `v` is not defined");
  EXPECT_EQ(rendered("\n{% include 'c' %}"), "ERROR prompt `main`, line 2: include \"c\": there is no c");
  EXPECT_EQ(rendered("\n{% include 'c' %}", {}, {{"c", "{{"}}),
            "ERROR prompt `main`, line 2: include \"c\": prompt `c`, line 1: `{{` is not closed by `}}`");
}

TEST(Template, IncludesAreBounded) {
  EXPECT_NE(rendered("{% include 'b' %}", {}, {{"b", "{% include 'b' %}"}}).find("more than 16 deep"),
            std::string::npos);
  EXPECT_NE(rendered("{% include 'b' %}", {},
                     {{"b", "{% include 'c' %}{% include 'c' %}{% include 'c' %}{% include 'c' %}"},
                      {"c", "{% include 'd' %}{% include 'd' %}{% include 'd' %}{% include 'd' %}"},
                      {"d", "{% include 'e' %}{% include 'e' %}{% include 'e' %}{% include 'e' %}"},
                      {"e", "{% include 'f' %}{% include 'f' %}{% include 'f' %}{% include 'f' %}"},
                      {"f", ""}})
                .find("more than 256 includes"),
            std::string::npos);
  std::string many;
  for (int i = 0; i < 20; ++i) many += "{{ v }}";
  EXPECT_NE(rendered(many, {{"v", std::string(100000, 'x')}}).find("longer than 1 MiB"), std::string::npos);
}

TEST(Template, SyntaxErrorsTellTheLine) {
  EXPECT_EQ(rendered("a\n{{ b"), "ERROR prompt `main`, line 2: `{{` is not closed by `}}`");
  EXPECT_EQ(rendered("{% if b"), "ERROR prompt `main`, line 1: `{%` is not closed by `%}`");
  EXPECT_EQ(rendered("\n\n{% if b %}"), "ERROR prompt `main`, line 3: `if` has no `endif`");
  EXPECT_EQ(rendered("{% endif %}"), "ERROR prompt `main`, line 1: `endif` without `if`");
  EXPECT_EQ(rendered("{% if a b %}"), "ERROR prompt `main`, line 1: `if` needs the name of one variable");
  EXPECT_EQ(rendered("{% include b %}"), "ERROR prompt `main`, line 1: `include` needs one name in quotes");
  EXPECT_EQ(rendered("{% for x in y %}"),
            "ERROR prompt `main`, line 1: unknown tag `for x in y`; there are `if NAME`, `endif` and "
            "`include \"NAME\"`");
  EXPECT_NE(rendered("{{ a.b }}").find("line 1: `a.b` is not the name of a variable"), std::string::npos);
  EXPECT_NE(rendered("{{ }}").find("is not the name of a variable"), std::string::npos);
}

}  // namespace
}  // namespace insomnia::prompt
