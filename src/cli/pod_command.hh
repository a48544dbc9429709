#pragma once

#include <string>
#include <vector>

#include "base/error.hh"
#include "pod/pod_main.hh"

namespace insomnia::cli {

/// The options of `insomnia pod`, without the first two words. By hand, because every Pod starts this way and
/// must start fast. Pure. Errors are InvalidArgument and name the option.
Result<pod::PodOptions> parse_pod_options(std::vector<std::string> const& arguments);

std::string pod_usage();

}  // namespace insomnia::cli
