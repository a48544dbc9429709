#include "http/curl_library.hh"

#include <dlfcn.h>

#include <string>

namespace insomnia::http {

namespace {

constexpr char const* kFile = "libcurl.so.4";

Result<CurlLibrary> open_library() {
  void* handle = ::dlopen(kFile, RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) {
    char const* why = ::dlerror();
    return fail(Code::Unsupported, std::string("cannot load ") + kFile + ": " + (why != nullptr ? why : "unknown reason") +
                                       "; install the package libcurl4 (libcurl4t64 on newer systems)");
  }
  CurlLibrary library{};
  char const* missing = nullptr;
  auto find = [&](auto& function, char const* name) {
    void* symbol = ::dlsym(handle, name);
    if (symbol == nullptr && missing == nullptr) missing = name;
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
  };
  find(library.global_init, "curl_global_init");
  find(library.easy_init, "curl_easy_init");
  find(library.easy_cleanup, "curl_easy_cleanup");
  find(library.easy_setopt, "curl_easy_setopt");
  find(library.easy_getinfo, "curl_easy_getinfo");
  find(library.easy_strerror, "curl_easy_strerror");
  find(library.slist_append, "curl_slist_append");
  find(library.slist_free_all, "curl_slist_free_all");
  find(library.multi_init, "curl_multi_init");
  find(library.multi_cleanup, "curl_multi_cleanup");
  find(library.multi_setopt, "curl_multi_setopt");
  find(library.multi_add_handle, "curl_multi_add_handle");
  find(library.multi_remove_handle, "curl_multi_remove_handle");
  find(library.multi_socket_action, "curl_multi_socket_action");
  find(library.multi_info_read, "curl_multi_info_read");
  find(library.multi_strerror, "curl_multi_strerror");
  if (missing != nullptr) {
    return fail(Code::Unsupported, std::string(kFile) + " has no function " + missing + ": it is too old, update libcurl4");
  }
  CURLcode code = library.global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) {
    return fail(Code::Unsupported, std::string("cannot initialise ") + kFile + ": " + library.easy_strerror(code));
  }
  return library;
}

}  // namespace

Result<CurlLibrary const*> CurlLibrary::load() {
  // One per process because libcurl's own state is: unloading and initialising it again is not safe.
  static Result<CurlLibrary> const library = open_library();
  if (!library) return std::unexpected(library.error());
  return &*library;
}

}  // namespace insomnia::http
