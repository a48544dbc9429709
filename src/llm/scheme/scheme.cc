#include "llm/scheme/scheme.hh"

#include "base/text.hh"

namespace insomnia::llm {

std::string join_url(std::string_view base, std::string_view version, std::string_view path) {
  while (base.ends_with('/')) base.remove_suffix(1);
  if (base.ends_with(version)) base.remove_suffix(version.size());
  return std::string(base) + std::string(version) + std::string(path);
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
