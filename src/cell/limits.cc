#include "cell/limits.hh"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace insomnia::cell {
namespace {

Result<void> limit(__rlimit_resource resource, std::optional<uint64_t> const& value, char const* what) {
  if (!value) return {};
  rlimit now{};
  if (::getrlimit(resource, &now) != 0) return fail_errno(std::string("ask for the limit on ") + what, errno);
  // One that is stricter already stays.
  now.rlim_max = std::min<rlim_t>(now.rlim_max, *value);
  now.rlim_cur = std::min<rlim_t>(now.rlim_cur, now.rlim_max);
  if (::setrlimit(resource, &now) != 0) return fail_errno(std::string("limit ") + what, errno);
  return {};
}

}  // namespace

Result<void> apply_process_limits(Limits const& limits) {
  TRY(limit(RLIMIT_NOFILE, limits.open_files, "open files"));
  TRY(limit(RLIMIT_CPU, limits.cpu_secs, "processor time"));
  TRY(limit(RLIMIT_FSIZE, limits.file_bytes, "the size of files"));
  // A core dump would be written where the kernel's pattern says, outside of the cell.
  return limit(RLIMIT_CORE, 0, "core dumps");
}

}  // namespace insomnia::cell
