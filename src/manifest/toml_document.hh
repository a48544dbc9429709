#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/error.hh"

/// Reading TOML files: to JSON, so that every format shares one decoder, while errors still tell line and
/// column.
namespace insomnia::manifest {

struct Position {
  uint32_t line = 0;
  uint32_t column = 0;
};

/// Where keys and list members stand, by path: `scope.allow[0].target`.
using Positions = std::map<std::string, Position, std::less<>>;

/// Where a key stands, as the beginning of an error: "file:12:3: ". What is missing has no place of its own: that of the table that lacks it.
using PlaceOf = std::function<std::string(std::string_view path)>;

/// For a file whose keys have positions. REQUIRES: `positions` outlives the result.
PlaceOf place_in(std::string file, Positions const& positions);

/// `parent` + "." + `key`; the key is quoted when it is not a bare one.
std::string key_path(std::string_view parent, std::string_view key);
std::string index_path(std::string_view parent, size_t index);

/// Parses a TOML document of at most 1 MiB. Errors: "<file>:<line>:<column>: why". Dates, times, nan and inf
/// are refused.
Result<boost::json::object> parse_toml_document(std::string_view text, std::string const& file_name,
                                                Positions& positions);

/// `object` as TOML. Nulls are left out.
std::string write_toml(boost::json::object const& object);

}  // namespace insomnia::manifest
