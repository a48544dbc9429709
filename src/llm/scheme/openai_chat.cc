#include "llm/scheme/openai_chat.hh"

namespace insomnia::llm {
namespace {

class OpenAiChatScheme final : public Scheme {
 public:
  std::string default_base_url() const override { return "https://api.openai.com"; }

  std::string url(std::string_view base_url, ModelConfig const&) const override { return join_versioned_url(base_url, "/v1", "/chat/completions"); }

  void add_headers(std::string_view key, Headers& headers) const override {
    if (!key.empty()) headers.emplace_back("authorization", "Bearer " + std::string(key));
  }

  std::string body(Request const& request, ModelConfig const& model) const override { return build_chat_body(request, model); }

  std::unique_ptr<Decoder> decoder() const override { return std::make_unique<ChatDecoder>(); }
};

}  // namespace

std::unique_ptr<Scheme> make_openai_chat_scheme() { return std::make_unique<OpenAiChatScheme>(); }

}  // namespace insomnia::llm
