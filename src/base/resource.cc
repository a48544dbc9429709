#include "base/resource.hh"

namespace insomnia::base {

std::optional<std::string_view> find_resource(std::string_view path) {
  for (Resource const& resource : resources()) {
    if (resource.path == path) return resource.content;
  }
  return std::nullopt;
}

}  // namespace insomnia::base
