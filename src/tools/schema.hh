#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace insomnia::tools {

/// One field of a tool's input. `type` is a JSON Schema type ("string", "integer", "boolean") or a JSON text starting with '{' that
/// is the field's whole schema.
struct Field {
  std::string_view name;
  std::string_view type;
  std::string_view description;
  bool required = true;
};

/// The JSON text of an object schema with these properties.
std::string object_schema(std::vector<Field> const& fields);

}  // namespace insomnia::tools
