#pragma once

#include <boost/json.hpp>
#include <string_view>

#include "base/json.hh"

/// Included by .cc files only.
namespace insomnia::tools {

/// The input object of a call, its fields taken by `take`, with errors that name the tool: "invalid Read input: …".
template <class T, class Take>
Result<T> parse_input(std::string_view tool, std::string_view text, Take take) {
  auto object = text.empty() ? Result<boost::json::object>(boost::json::object{}) : json::parse_object(text);
  std::string context = "invalid " + std::string(tool) + " input";
  if (!object) return std::unexpected(std::move(object).error().with_context(context));
  json::Reader reader(*object);
  T input;
  take(reader, input);
  if (auto done = reader.finish(); !done) return std::unexpected(std::move(done).error().with_context(context));
  return input;
}

}  // namespace insomnia::tools
