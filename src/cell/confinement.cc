#include "cell/confinement.hh"

#include <fcntl.h>
#include <unistd.h>

#include "cell/landlock.hh"
#include "cell/namespaces.hh"

namespace insomnia::cell {

Result<Confinement> Confinement::prepare(Limits const& limits, FilterRequest const& filter) {
  Confinement result;
  result.limits_ = limits;
  result.filter_ = TRY(system_call_filter(filter));
  if (landlock_version() >= kLandlockScopes) result.landlock_ = TRY(make_domain({.keep_signals = true, .keep_abstract_sockets = true}));
  return result;
}

Result<void> Confinement::enter() const {
  TRY(apply_process_limits(limits_));
  TRY(drop_capabilities());
  if (landlock_) TRY(enter_domain(landlock_.get()));
  return install_filter(filter_);
}

void forbid_further_user_namespaces() {
  UniqueFd file(::open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC));
  // Refused where /proc is read-only: the filter of system calls refuses the same.
  if (file && ::write(file.get(), "0\n", 2) < 0) return;
}

}  // namespace insomnia::cell
