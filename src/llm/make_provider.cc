#include "llm/catalogue.hh"
#include "llm/scheme/anthropic.hh"
#include "llm/scheme/http_provider.hh"
#include "llm/scheme/rehearsal.hh"

namespace insomnia::llm {

Result<std::unique_ptr<Provider>> make_provider(ModelConfig const& model, ProviderContext const& context) {
  if (model.scheme == "rehearsal") return make_rehearsal_provider(model, context);
  // Tells of a missing key now, while somebody can do something about it.
  TRY(resolve_key(model, context.environment));
  if (model.scheme == "anthropic") return std::make_unique<HttpProvider>(model, make_anthropic_scheme(), context);
  return fail(Code::Unsupported, "model " + model.model_id + ": the scheme " + model.scheme +
                                     " is not supported yet; supported are anthropic (also Ollama and other servers that speak "
                                     "it, through base_url) and rehearsal");
}

}  // namespace insomnia::llm
