#pragma once

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia models`.
struct ModelsOptions {
  bool json = false;
  friend bool operator==(ModelsOptions const&, ModelsOptions const&) = default;
};

/// Lists the models of the catalogue with window, price and whether their key is there, and says which one a Pod takes by itself and why.
int list_models(ModelsOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
