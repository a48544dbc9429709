#include "scope/rules_json.hh"

#include <boost/json.hpp>

#include "base/text.hh"

namespace insomnia::scope {

boost::json::array rules_to_json(std::vector<ScopeRule> const& rules) {
  boost::json::array list;
  list.reserve(rules.size());
  for (auto const& rule : rules) {
    list.push_back({{"target", text::to_utf8(rule.target)},
                    {"permission", rule.permission == Permission::Write ? "write" : "read"},
                    {"recursive", rule.recursive}});
  }
  return list;
}

Result<ScopeRule> rule_from_json(boost::json::object const& object, std::string where) {
  json::Reader reader(object, std::move(where));
  ScopeRule rule;
  rule.target = reader.string("target");
  std::string permission = reader.string("permission");
  if (permission == "write") rule.permission = Permission::Write;
  else if (permission != "read") reader.reject("permission", "must be \"read\" or \"write\"");
  rule.recursive = reader.boolean_or("recursive", true);
  TRY(reader.finish());
  return rule;
}

std::vector<ScopeRule> rules_from_json(json::Reader& reader, std::string_view key) {
  std::vector<ScopeRule> rules;
  auto const* list = reader.array(key);
  if (list == nullptr) return rules;
  for (auto const& member : *list) {
    if (!member.is_object()) {
      reader.reject(key, "must be a list of objects");
      return {};
    }
    rules.push_back(reader.take(rule_from_json(member.as_object(), reader.path_of(key))));
    if (!reader.ok()) return {};
  }
  return rules;
}

boost::json::object config_to_json(ScopeConfig const& config) {
  return {{"allow", rules_to_json(config.allow)}, {"deny", rules_to_json(config.deny)}};
}

ScopeConfig config_from_json(json::Reader& parent, std::string_view key) {
  ScopeConfig config;
  auto const* object = parent.require_object(key);
  if (object == nullptr) return config;
  json::Reader reader(*object, parent.path_of(key));
  config.allow = rules_from_json(reader, "allow");
  config.deny = rules_from_json(reader, "deny");
  if (auto done = reader.finish(); !done) parent.take<int>(std::unexpected(done.error()));
  return config;
}

}  // namespace insomnia::scope
