#include "tools/schema.hh"

#include <boost/json.hpp>

#include "base/error.hh"
#include "base/json.hh"

namespace insomnia::tools {

std::string object_schema(std::vector<Field> const& fields) {
  boost::json::object properties;
  boost::json::array required;
  for (auto const& field : fields) {
    boost::json::object property;
    if (field.type.starts_with('{')) {
      auto parsed = json::parse_object(field.type);
      if (!parsed) panic("the schema of field " + std::string(field.name) + " is not a JSON object");
      property = std::move(*parsed);
    } else {
      property["type"] = field.type;
    }
    if (!field.description.empty()) property["description"] = field.description;
    properties[field.name] = std::move(property);
    if (field.required) required.push_back(boost::json::string(field.name));
  }
  boost::json::object schema{{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) schema["required"] = std::move(required);
  return json::dump(schema);
}

}  // namespace insomnia::tools
