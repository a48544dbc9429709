#pragma once

#include <boost/json/fwd.hpp>
#include <string_view>
#include <vector>

#include "base/json.hh"
#include "scope/rule.hh"

namespace insomnia::scope {

/// `[{"target":"/w","permission":"read"|"write","recursive":true}, …]`: how rules stand in every JSON text. A target that is not UTF-8, which no
/// rule of a Pod has, is shown with U+FFFD.
boost::json::array rules_to_json(std::vector<ScopeRule> const& rules);

/// One rule; `where` names the object in error texts. `recursive` may be missing: true.
Result<ScopeRule> rule_from_json(boost::json::object const& object, std::string where);

/// The list at `key`; none when it is missing. What is wrong becomes the reader's failure.
std::vector<ScopeRule> rules_from_json(json::Reader& reader, std::string_view key);

/// `{"allow":[<rule>…],"deny":[<rule>…]}`.
boost::json::object config_to_json(ScopeConfig const& config);

/// The one at `key`, which must be there. What is wrong becomes the reader's failure.
ScopeConfig config_from_json(json::Reader& reader, std::string_view key);

}  // namespace insomnia::scope
