#include "llm/catalogue.hh"
#include "llm/scheme/anthropic.hh"
#include "llm/scheme/gemini.hh"
#include "llm/scheme/http_provider.hh"
#include "llm/scheme/openai_chat.hh"
#include "llm/scheme/openai_responses.hh"
#include "llm/scheme/rehearsal.hh"

namespace insomnia::llm {

namespace {

std::unique_ptr<Scheme> make_scheme(std::string_view name) {
  if (name == "anthropic") return make_anthropic_scheme();
  if (name == "openai_chat") return make_openai_chat_scheme();
  if (name == "openai_responses") return make_openai_responses_scheme();
  if (name == "gemini") return make_gemini_scheme();
  return nullptr;
}

}  // namespace

Result<std::unique_ptr<Provider>> make_provider(ModelConfig const& model, ProviderContext const& context) {
  if (model.scheme == "rehearsal") return make_rehearsal_provider(model, context);
  // Tells of a missing key now, while somebody can do something about it.
  TRY(resolve_key(model, context.environment));
  if (auto scheme = make_scheme(model.scheme)) return std::make_unique<HttpProvider>(model, std::move(scheme), context);
  return fail(Code::Unsupported, "model " + model.model_id + ": there is no scheme " + model.scheme);
}

}  // namespace insomnia::llm
