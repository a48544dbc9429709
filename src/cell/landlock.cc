#include "cell/landlock.hh"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "cell/landlock_abi.hh"

namespace insomnia::cell {
namespace {

using namespace landlock_abi;

// The same numbers on every architecture; older headers lack them.
constexpr long kCreateRuleset = 444, kAddRule = 445, kRestrictSelf = 446;

constexpr uint64_t kReading = kExecute | kReadFile;
constexpr uint64_t kForFiles = kExecute | kReadFile | kWriteFile | kTruncate | kDeviceControl;

/// All rights over files that the ABI knows.
uint64_t rights_of(int version) {
  uint64_t rights = (kMakeLink << 1) - 1;
  if (version >= 2) rights |= kRefer;
  if (version >= 3) rights |= kTruncate;
  if (version >= 5) rights |= kDeviceControl;
  return rights;
}

Result<void> allow(int ruleset, std::string const& path, uint64_t rights) {
  // Not through a link that somebody has put there since: what it leads to would be allowed.
  open_how how{.flags = O_PATH | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_NO_SYMLINKS};
  UniqueFd target(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
  if (!target && (errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP)) return {};
  struct stat info{};
  if (!target || ::fstat(target.get(), &info) != 0) return fail_errno("open " + path, errno);
  if (!S_ISDIR(info.st_mode)) rights &= kForFiles;
  if (rights == 0) return {};
  PathBeneath rule{.allowed_access = rights, .parent_fd = target.get()};
  if (::syscall(kAddRule, ruleset, kRulePathBeneath, &rule, 0) != 0) return fail_errno("add " + path + " to a Landlock domain", errno);
  return {};
}

}  // namespace

int landlock_version() {
  long version = ::syscall(kCreateRuleset, nullptr, 0, kAskVersion);
  return version > 0 ? static_cast<int>(version) : 0;
}

Result<UniqueFd> make_domain(DomainRequest const& request) {
  int version = landlock_version();
  RulesetAttributes attributes{};
  if (request.files) attributes.handled_access_fs = rights_of(version);
  if (version >= kLandlockScopes) {
    if (request.keep_abstract_sockets) attributes.scoped |= kScopeAbstractSocket;
    if (request.keep_signals) attributes.scoped |= kScopeSignal;
  }
  // The kernel takes a longer structure when what it does not know is zero.
  UniqueFd ruleset(static_cast<int>(::syscall(kCreateRuleset, &attributes, sizeof attributes, 0)));
  if (!ruleset) return fail_errno("make a Landlock domain", errno);
  if (!request.files) return ruleset;
  uint64_t known = attributes.handled_access_fs;
  for (auto const& path : request.listable) TRY(allow(ruleset.get(), path, kReadDirectory));
  for (auto const& path : request.readable) TRY(allow(ruleset.get(), path, kReading));
  for (auto const& path : request.writable) TRY(allow(ruleset.get(), path, known & ~(kReading | kReadDirectory | kDeviceControl)));
  for (auto const& path : request.usable) TRY(allow(ruleset.get(), path, known & (kWriteFile | kDeviceControl)));
  return ruleset;
}

Result<void> enter_domain(int ruleset) {
  if (::syscall(kRestrictSelf, ruleset, 0) != 0) return fail_errno("enter a Landlock domain", errno);
  return {};
}

}  // namespace insomnia::cell
