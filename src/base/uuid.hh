#pragma once

#include <string>
#include <string_view>

#include "base/clock.hh"

namespace insomnia {

/// A new UUID version 7 (RFC 9562): time-ordered, lower-case, 36 characters. Ordered within a process also when the clock
/// stands still or goes back.
std::string uuid7(Clock const& clock);

/// Whether `text` has the form of a UUID.
bool is_uuid(std::string_view text);

}  // namespace insomnia
