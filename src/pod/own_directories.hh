#pragma once

#include "base/error.hh"
#include "base/paths.hh"
#include "scope/scope.hh"

namespace insomnia::pod {

/// The scope less insomnia's own directories (configuration, data, runtime), which no Pod may read or write whatever its manifest says: a
/// deny for each that a rule reaches. PermissionDenied when a rule's target is one of them or lies in one.
Result<scope::Scope> without_own_directories(scope::Scope scope, Paths const& paths);

}  // namespace insomnia::pod
