#include "manifest/profile_registry.hh"

#include <algorithm>

#include "base/text.hh"
#include "manifest/decode.hh"

namespace insomnia::manifest {
namespace bj = boost::json;

namespace {

constexpr size_t kMaxName = 64;

std::string read_word(DecodeTable& table, std::string_view key) {
  auto const* value = table.find(key);
  if (value == nullptr) return "";
  if (value->is_string() && !value->get_string().empty()) return std::string(value->get_string());
  table.reject(key, "must be a string that is not empty");
  return "";
}

ProfileRegistry::Entry read_entry(DecodeContext& context, bj::value const& value, std::string const& path) {
  if (auto const* text = value.if_string()) {
    if (text->empty()) context.reject(path, "must not be empty");
    return {std::string(*text), ""};
  }
  if (!value.is_object()) {
    context.reject(path, "must be the path of a profile, or a table with path and description");
    return {};
  }
  DecodeTable table(context, value, path);
  ProfileRegistry::Entry entry{read_word(table, "path"), read_word(table, "description")};
  if (entry.path.empty()) table.reject("path", "is missing");
  table.finish();
  return entry;
}

}  // namespace

bool is_profile_name(std::string_view name) {
  auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'; };
  return !name.empty() && name.size() <= kMaxName && name[0] != '.' && std::all_of(name.begin(), name.end(), fits);
}

Result<ProfileRegistry> parse_profile_registry(std::string_view text, std::string const& file_name) {
  Positions positions;
  bj::object object = TRY(parse_toml_document(text, file_name, positions));
  DecodeContext context(place_in(file_name, positions));
  DecodeTable root(context, object, "");
  ProfileRegistry registry;
  if (std::string word = read_word(root, "default"); !word.empty()) registry.default_selector = std::move(word);
  bool old_name = object.contains("entries");
  std::string key = old_name ? "entries" : "profile";
  if (auto const* profiles = root.find("profile", "entries")) {
    if (!profiles->is_object()) {
      context.reject(key, "must be a table: name = \"path\"");
    } else {
      for (auto const& [name, value] : profiles->get_object()) {
        std::string path = key_path(key, name);
        if (!is_profile_name(name)) context.reject(path, "is no name of a profile: 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot");
        registry.profiles[std::string(name)] = read_entry(context, value, path);
      }
    }
  }
  root.finish();
  return std::move(context).finish(std::move(registry));
}

}  // namespace insomnia::manifest
