#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"

/// Cuts JSON into pieces of text. What only passes through (log entries in a snapshot, payloads of extensions) is checked
/// but never built as values: it keeps its bytes, and a large snapshot costs its size once.
namespace insomnia::wire {

/// Whether `json` is one well-formed JSON text (UTF-8, nesting up to 128).
Result<void> check_json(std::string_view json);

/// The text of each element of a JSON list. REQUIRES: the list has been checked.
Result<std::vector<std::string>> split_list(std::string_view json);

/// Calls `member(key, text of the value)` for each member of a JSON object, in order, until one fails. The text of a value
/// is NOT checked: `member` parses it or calls check_json.
using MemberFunction = std::function<Result<void>(std::string const& key, std::string_view value)>;
Result<void> for_each_member(std::string_view json, MemberFunction const& member);

/// Members that stayed text; they point into the text that was split. A member that is absent or null is not there.
using MemberTexts = std::map<std::string, std::string_view, std::less<>>;

/// Cuts an object: members named in `as_text` are checked and returned, all others are parsed into `fields`. Of members with
/// the same key the last one counts.
Result<MemberTexts> split_object(std::string_view json, std::vector<std::string_view> const& as_text,
                                 boost::json::object& fields);

}  // namespace insomnia::wire
