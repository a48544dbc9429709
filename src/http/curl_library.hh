#pragma once

// Private to http/: the curl header gives constants and types only, no function of it is linked.
#include <curl/curl.h>

#include "base/error.hh"

namespace insomnia::http {

/// The functions of libcurl that are used here, found in libcurl.so.4 at run time: a process that talks to no model never pays
/// for loading it.
struct CurlLibrary {
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;
  decltype(&::curl_multi_init) multi_init;
  decltype(&::curl_multi_cleanup) multi_cleanup;
  decltype(&::curl_multi_setopt) multi_setopt;
  decltype(&::curl_multi_add_handle) multi_add_handle;
  decltype(&::curl_multi_remove_handle) multi_remove_handle;
  decltype(&::curl_multi_socket_action) multi_socket_action;
  decltype(&::curl_multi_info_read) multi_info_read;
  decltype(&::curl_multi_strerror) multi_strerror;

  /// Loads and initialises the library once per process; it stays loaded. Takes some milliseconds. From any thread. The error
  /// names the package that is missing.
  static Result<CurlLibrary const*> load();
};

}  // namespace insomnia::http
