#pragma once

#include <string>
#include <vector>

#include "base/error.hh"
#include "scope/rule.hh"

namespace insomnia::pod {

/// The directories that do not exist yet on the way to the write targets among `rules`, the targets included: outermost first, each once.
/// REQUIRES: the rules are canonical.
std::vector<std::string> missing_directories(std::vector<scope::ScopeRule> const& rules);

/// Makes these directories (mode 0777 less the umask). Returns those that it made; one that is there by now is fine. No symbolic link is
/// followed on the way, so that nobody can lead the making out of the scope that was granted. On an error those that were made are removed.
Result<std::vector<std::string>> make_target_directories(std::vector<std::string> const& paths);

/// Takes back what make_target_directories() made: innermost first, and only what is empty.
void remove_target_directories(std::vector<std::string> const& made);

}  // namespace insomnia::pod
