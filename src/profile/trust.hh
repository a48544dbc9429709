#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/error.hh"
#include "base/paths.hh"
#include "profile/lua_state.hh"

namespace insomnia::profile {

/// What the user has allowed the profiles of one project to say: the files as they were then.
struct TrustedProject {
  int64_t granted_at_ms = 0;
  std::map<std::string, std::string> files;  ///< SHA-256 by path
  friend bool operator==(TrustedProject const&, TrustedProject const&) = default;
};

/// The trusted projects of this user: <data_dir>/trust.json, which no cell can write or see. A value: as it was when it was read.
/// Format: {"version":1,"projects":{"/project":{"granted_at_ms":…,"files":{"/path":"sha256"}}}}.
class TrustStore {
 public:
  /// A missing file is an empty store. One that can't be understood is an error that says how to get rid of it: nothing is trusted then.
  static Result<TrustStore> load(Paths const& paths);

  /// Whether all these files are trusted as they are. A changed file makes what uses it untrusted, not the rest.
  bool trusts(std::string const& project, std::vector<LuaChunk> const& sources) const;
  std::map<std::string, TrustedProject> const& projects() const { return projects_; }

  /// Trusts these files of a project, and no others of it any more. Durable when it returns.
  static Result<void> grant(Paths const& paths, std::string const& project, std::vector<LuaChunk> const& sources, int64_t now_ms);
  /// Whether there was something to take back.
  static Result<bool> revoke(Paths const& paths, std::string const& project);

 private:
  static Result<void> change(Paths const& paths, std::function<void(TrustStore&)> const& change);
  std::map<std::string, TrustedProject> projects_;
};

/// For ProfileReading: asks the store, which is read at the first question. One that can't be read trusts nothing.
std::function<bool(std::string const& project, std::vector<LuaChunk> const& sources)> trust_of(Paths const& paths);

}  // namespace insomnia::profile
