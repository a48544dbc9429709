#include "cli/version.hh"

#include <string>

#include "cli/output.hh"

namespace insomnia::cli {

std::string_view version() {
  return INSOMNIA_VERSION;
}

int print_version(VersionOptions const& options) {
  std::string number(version());
  return print(options.json ? R"({"name":"insomnia","version":")" + number + "\"}\n"
                            : "insomnia " + number + "\n");
}

}  // namespace insomnia::cli
