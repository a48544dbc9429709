#include "tools/call_control.hh"

#include <sys/eventfd.h>

namespace insomnia::tools {

CallControl::CallControl() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void CallControl::cancel() {
  cancelled_ = true;
  if (event_) ::eventfd_write(event_.get(), 1);
}

Result<void> CallControl::check() const {
  if (cancelled()) return fail(Code::Cancelled, "cancelled");
  return {};
}

}  // namespace insomnia::tools
