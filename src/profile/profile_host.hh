#pragma once

#include "base/error.hh"

namespace insomnia::profile {

/// The process of the hidden subcommand `insomnia lua profile`: evaluates one Lua profile, and ends. It reads no file: modules come over the socket, too.
/// Lines, as JSON: here `{"run":{"name":…,"source":…}}`; from here `{"module":"a.b"}`, answered by `{"module":{"name":…,"source":…}}` or
/// `{"error":…}`, and last `{"done":{"document":…,"notes":…}}` or `{"failed":…,"notes":…}`.
int profile_main(int socket_fd);

/// The same without limits: for tests.
int serve_profile(int socket_fd);

}  // namespace insomnia::profile
