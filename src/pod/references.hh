#pragma once

#include <string>
#include <vector>

#include "base/error.hh"
#include "scope/scope.hh"
#include "wire/log_entry.hh"
#include "wire/segment.hh"

namespace insomnia::pod {

/// What the references in a user's input stand for: a file's text (cut at `limit` bytes) or a directory's listing, one item each, or an
/// error that says why not (the literal stays in the text). Knowledge and workflow references are errors: no such store is configured.
std::vector<Result<wire::SystemItem>> resolve_references(wire::Segments const& input, std::string const& cwd, scope::Scope const& scope,
                                                         uint64_t limit);

}  // namespace insomnia::pod
