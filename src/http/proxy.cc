#include "http/proxy.hh"

#include "base/text.hh"

namespace insomnia::http {

ProxySettings::ProxySettings(Environment const& environment) {
  auto any = [&](std::string_view lower, std::string_view upper) {
    auto value = environment.get(lower);
    if (!value && !upper.empty()) value = environment.get(upper);
    return value.value_or("");
  };
  std::string all = any("all_proxy", "ALL_PROXY");
  http_ = any("http_proxy", "");
  https_ = any("https_proxy", "HTTPS_PROXY");
  if (http_.empty()) http_ = all;
  if (https_.empty()) https_ = all;
  no_proxy_ = any("no_proxy", "NO_PROXY");
  if (text::trim(no_proxy_) == "*") {
    no_proxy_ = "*";  // libcurl knows the star only when it stands alone
  } else {
    no_proxy_ += no_proxy_.empty() ? "localhost,127.0.0.1,::1" : ",localhost,127.0.0.1,::1";
  }
}

std::string const& ProxySettings::for_url(std::string_view url) const {
  return url.starts_with("https:") ? https_ : http_;
}

std::string url_for_people(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  size_t authority = url.find("://");
  authority = authority == std::string_view::npos ? 0 : authority + 3;
  size_t authority_end = std::min(url.find('/', authority), url.size());
  size_t at = url.substr(0, authority_end).rfind('@');
  if (at == std::string_view::npos || at < authority) return std::string(url);
  return std::string(url.substr(0, authority)) + std::string(url.substr(at + 1));
}

}  // namespace insomnia::http
