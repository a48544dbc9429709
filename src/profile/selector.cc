#include "profile/selector.hh"

#include "base/text.hh"

namespace insomnia::profile {
namespace {

std::optional<Source> source_of(std::string_view word) {
  for (Source source : {Source::Builtin, Source::User, Source::Project, Source::Claude}) {
    if (word == source_name(source)) return source;
  }
  return std::nullopt;
}

Selector named(std::optional<Source> source, std::string_view name) {
  return {Selector::Kind::Named, source, std::string(name), ""};
}

Selector path(std::string_view text) {
  return {Selector::Kind::Path, std::nullopt, "", std::string(text)};
}

}  // namespace

std::string_view source_name(Source source) {
  switch (source) {
    case Source::Builtin:
      return "builtin";
    case Source::User:
      return "user";
    case Source::Project:
      return "project";
    case Source::Claude:
      return "claude";
  }
  return "";
}

std::string Selector::label() const {
  switch (kind) {
    case Kind::Default:
      return "default";
    case Kind::Inherit:
      return "inherit";
    case Kind::Path:
      return path;
    case Kind::Named:
      break;
  }
  return source ? std::string(source_name(*source)) + ":" + name : name;
}

Selector parse_cli_selector(std::string_view text) {
  if (text == "default") return {};
  if (text.starts_with("path:")) return path(text.substr(5));
  if (auto colon = text.find(':'); colon != std::string_view::npos) {
    if (auto source = source_of(text.substr(0, colon))) return named(source, text.substr(colon + 1));
  }
  if (text.find('/') != std::string_view::npos || text.starts_with('.') || text.ends_with(".lua"))
    return path(text);
  return named(std::nullopt, text);
}

Result<Selector> parse_spawn_selector(std::optional<std::string> const& text) {
  std::string_view word = text ? text::trim(*text) : std::string_view();
  if (word.empty() || word == "default") return Selector{};
  if (word == "inherit") return Selector{Selector::Kind::Inherit, std::nullopt, "", ""};
  auto refuse = [&](std::string const& why) {
    return fail(Code::InvalidArgument, "profile `" + text::one_line(word, 100) + "`: " + why);
  };
  if (word.starts_with("path:") || word.starts_with('.') || word.find('/') != std::string_view::npos ||
      word.ends_with(".lua") || word.ends_with(".nix")) {
    return refuse("paths are not accepted here, registry selectors only");
  }
  auto colon = word.find(':');
  if (colon == std::string_view::npos) return named(std::nullopt, word);
  auto source = source_of(word.substr(0, colon));
  if (!source) return refuse("unknown source; it must be builtin, user, project or claude");
  if (colon + 1 == word.size()) return refuse("the name after `:` is empty");
  return named(source, word.substr(colon + 1));
}

}  // namespace insomnia::profile
