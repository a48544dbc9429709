#pragma once

#include <memory>
#include <string>

#include "llm/scheme/scheme.hh"

namespace insomnia::llm {

/// Speaks a Scheme over HTTP. Holds no key: it is resolved anew for every call.
class HttpProvider final : public Provider {
 public:
  HttpProvider(ModelConfig model, std::unique_ptr<Scheme> scheme, ProviderContext const& context);
  std::unique_ptr<Call> call(Request const& request, CallHandler& handler) override;

 private:
  ModelConfig model_;
  std::unique_ptr<Scheme> scheme_;
  ProviderContext context_;
  std::string base_url_;
};

}  // namespace insomnia::llm
