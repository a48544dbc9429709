#include "llm/scheme/anthropic.hh"

namespace insomnia::llm {

namespace {

class AnthropicScheme final : public Scheme {
 public:
  std::string default_base_url() const override { return "https://api.anthropic.com"; }

  std::string url(std::string_view base_url, ModelConfig const&) const override {
    return join_url(base_url, "/v1", "/messages");
  }

  void add_headers(std::string_view key, Headers& headers) const override {
    if (!key.empty()) headers.emplace_back("x-api-key", key);
    headers.emplace_back("anthropic-version", "2023-06-01");
    // Arguments of tool calls arrive while they are written, not when they are whole.
    headers.emplace_back("anthropic-beta", "fine-grained-tool-streaming-2025-05-14");
  }

  std::string body(Request const& request, ModelConfig const& model) const override {
    return build_anthropic_body(request, model);
  }

  std::unique_ptr<Decoder> decoder() const override { return std::make_unique<AnthropicDecoder>(); }
};

}  // namespace

std::unique_ptr<Scheme> make_anthropic_scheme() { return std::make_unique<AnthropicScheme>(); }

}  // namespace insomnia::llm
