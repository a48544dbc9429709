#pragma once

#include <string>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia models`.
struct ModelsOptions {
  bool json = false;
  std::string check = {};  ///< a model to call once; "": list them
  friend bool operator==(ModelsOptions const&, ModelsOptions const&) = default;
};

/// Lists the models of the catalogue with window, price and whether their key is there, and says which one a Pod takes by itself and why.
int list_models(ModelsOptions const& options, Environment const& environment);

/// Calls the model once and says what works. kFailed when it can't be used: no answer, no stream, no tool call.
int check_model(ModelsOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
