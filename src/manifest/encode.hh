#pragma once

#include <boost/json.hpp>

#include "manifest/manifest.hh"

/// Internal to this folder: structs to JSON trees.
namespace insomnia::manifest {

boost::json::object encode_config(Config const& config);
boost::json::object encode_ceilings(Ceilings const& ceilings);

}  // namespace insomnia::manifest
