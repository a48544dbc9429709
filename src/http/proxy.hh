#pragma once

#include <string>
#include <string_view>

#include "base/environment.hh"

namespace insomnia::http {

/// Which proxy a URL goes through, from the usual variables (lower case first; HTTP_PROXY in capitals is ignored as everywhere,
/// since CGI sets it from a request header). Hosts in no_proxy are decided by libcurl. Loopback never goes through a proxy.
class ProxySettings {
 public:
  explicit ProxySettings(Environment const& environment);

  /// The proxy, or empty for none.
  std::string const& for_url(std::string_view url) const;
  std::string const& no_proxy() const { return no_proxy_; }

 private:
  std::string http_, https_, no_proxy_;
};

/// `url` as error texts may show it: without user, password, query and fragment.
std::string url_for_people(std::string_view url);

}  // namespace insomnia::http
