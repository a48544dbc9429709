#include "llm/scheme/scheme.hh"

#include <algorithm>
#include <charconv>

#include "base/text.hh"

namespace insomnia::llm {

std::string join_url(std::string_view base, std::string_view version, std::string_view path) {
  while (base.ends_with('/')) base.remove_suffix(1);
  if (base.ends_with(version)) base.remove_suffix(version.size());
  return std::string(base) + std::string(version) + std::string(path);
}

std::string join_versioned_url(std::string_view base, std::string_view version, std::string_view path) {
  while (base.ends_with('/')) base.remove_suffix(1);
  size_t host = base.find("://");
  std::string_view rest = host == base.npos ? base : base.substr(host + 3);
  bool versioned = false;
  for (size_t slash = rest.find('/'); slash != rest.npos; slash = rest.find('/', slash + 1)) {
    versioned = versioned || (slash + 2 < rest.size() && rest[slash + 1] == 'v' && rest[slash + 2] >= '0' && rest[slash + 2] <= '9');
  }
  return std::string(base) + (versioned ? "" : std::string(version)) + std::string(path);
}

size_t estimated_body_size(Request const& request) {
  size_t size = 4096 + request.system_prompt.size();
  for (auto const& tool : request.tools) size += tool.description.size() + tool.input_schema.size() + 128;
  for (auto const& item : request.items) {
    size += 128;
    if (auto const* message = std::get_if<wire::Message>(&item)) {
      for (auto const& part : message->content) size += part.text.size() + 64;
    } else if (auto const* call = std::get_if<wire::ToolCall>(&item)) {
      size += call->arguments.size();
    } else if (auto const* result = std::get_if<wire::ToolResult>(&item)) {
      size += result->summary.size() + (result->content ? result->content->size() : 0);
    } else if (auto const* reasoning = std::get_if<wire::Reasoning>(&item)) {
      size += reasoning->text.size() + 1024;
    }
  }
  return size + size / 16;  // escapes
}

std::string origin_of(ModelConfig const& model) {
  return model.scheme + ":" + (model.provider_id.empty() ? model.base_url : model.provider_id);
}

bool understands(ModelConfig const& model, wire::Reasoning const& reasoning) {
  return reasoning.origin.empty() || reasoning.origin == origin_of(model);
}

CallFailure stream_failure(ApiError const& error) {
  int status = 0;
  auto [end, failed] = std::from_chars(error.code.data(), error.code.data() + error.code.size(), status);
  bool is_status = failed == std::errc() && end == error.code.data() + error.code.size() && status >= 100 && status < 600;
  static constexpr std::string_view kPassing[] = {"overloaded_error", "overloaded",       "api_error",     "rate_limit_error", "rate_limit_exceeded", "timeout_error", "timeout",
                                                  "server_error",     "internal_error",   "UNAVAILABLE",   "INTERNAL",         "RESOURCE_EXHAUSTED",  "DEADLINE_EXCEEDED",
                                                  "ABORTED",          "service_unavailable", "bad_gateway", "vector_store_timeout"};
  bool retryable = is_status ? is_retryable_status(status) : std::find(std::begin(kPassing), std::end(kPassing), error.code) != std::end(kPassing);
  CallFailure failure{.error = {retryable ? Code::Unavailable : Code::InvalidArgument, api_error_text(std::nullopt, error)}, .api_code = error.code, .retryable = retryable};
  if (is_status && !retryable) failure.error.code = code_of_status(status);
  return failure;
}

namespace {

/// FNV-1a: spreads, and is the same everywhere.
std::string fingerprint(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3ull;
  std::string result;
  for (int shift = 60; shift >= 0; shift -= 4) result += "0123456789abcdef"[(hash >> shift) & 15];
  return result;
}

}  // namespace

std::string made_up_call_id(std::string_view response_id, size_t number) { return "call_" + fingerprint(response_id) + "_" + std::to_string(number); }

std::string portable_call_id(std::string_view id, size_t max_length) {
  auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  if (!id.empty() && id.size() <= max_length && std::all_of(id.begin(), id.end(), plain)) return std::string(id);
  return fingerprint(id).substr(0, max_length);
}

std::string system_notice(std::string_view text) {
  std::string safe(text);
  if (text.find("system-notice") != text.npos) {
    safe = text::replace_all(safe, "<system-notice", "&lt;system-notice");
    safe = text::replace_all(safe, "</system-notice", "&lt;/system-notice");
  }
  return "<system-notice>\n" + safe + "\n</system-notice>";
}

}  // namespace insomnia::llm
