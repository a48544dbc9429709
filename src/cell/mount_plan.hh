#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "scope/scope.hh"

/// What a Pod's tools see of the machine, as a pure value: an ordered list of mounts, made from the scope before anything is mounted.
/// What each step means to the kernel, and what is not in it: doc/cell.md.
namespace insomnia::cell {

enum class PathKind { Missing, Directory, File, Symlink };

/// What is on the machine, as far as planning has to know: of the real file system, or of a test.
class FileFacts {
 public:
  virtual ~FileFacts() = default;
  /// Symbolic links are not followed.
  virtual PathKind kind(std::string const& path) const = 0;
  /// Names of the directories right below, sorted; links to directories do not count. An error when they cannot be listed.
  virtual Result<std::vector<std::string>> subdirectories(std::string const& path) const = 0;
  /// Names of all that is right below but symbolic links, sorted. An error when they cannot be listed, or are more than `limit`.
  virtual Result<std::vector<std::string>> entries(std::string const& path, size_t limit) const = 0;
  /// Of a symbolic link, as it is written.
  virtual std::string link_text(std::string const& path) const = 0;
};

/// A directory of the Pod's own that stands at a path of the view instead of what the host has there.
struct PrivateDirectory {
  std::string path;    ///< where it is seen: "/tmp", the user's HOME
  std::string source;  ///< where it is
  friend bool operator==(PrivateDirectory const&, PrivateDirectory const&) = default;
};

struct PlanRequest {
  scope::Scope scope;                        ///< effective: what is lent is denied in it
  std::string own_files;                     ///< of the Pod, read-only in the view; "" for none
  std::vector<std::string> system;           ///< host directories and links that every cell has, read-only
  std::vector<std::string> also_readable;    ///< sandbox.read and PATH directories below HOME
  std::vector<std::string> masked;           ///< never seen whatever the rules say: shadow files, keys, the runtime directories of Pods
  std::vector<PrivateDirectory> privates;
};

struct MountStep {
  enum class Kind {
    Directory,      ///< an empty directory of the view itself, to hold what is below
    Symlink,        ///< `source` is the link's text
    Private,        ///< `source`, read-write
    ReadOnly,       ///< `source` (a host path, always equal to `path`), with all mounts below it
    ReadWrite,      ///< the same
    MaskDirectory,  ///< an empty directory that nobody can write
    MaskFile,       ///< an empty file that nobody can write
  };
  Kind kind = Kind::Directory;
  std::string path;
  std::string source;
  friend bool operator==(MountStep const&, MountStep const&) = default;
};

struct MountPlan {
  std::vector<MountStep> steps;  ///< a step comes after those for the paths above its own
  /// Missing paths that a rule takes away below something writable: an empty directory is made at the first missing component of each on the
  /// host, so that there is something to mount upon, and removed with the cell if it is still empty.
  std::vector<std::string> placeholders;
  /// Directories between a writable part of the view and another part within it: nobody in the cell can rename or remove them, or what is
  /// seen at a path could be moved away and replaced. Those above come first.
  std::vector<std::string> pinned;
  /// Directories with a non-recursive write rule: read-only for commands, the file tools write there by a descriptor of their own.
  std::vector<std::string> written_by_tools;
  friend bool operator==(MountPlan const&, MountPlan const&) = default;
};

/// Whether `path` is not `above` and lies below it. Lexical.
bool is_strictly_below(std::string_view path, std::string_view above);

/// Sorts paths by their components: what lies below a path comes right after it.
struct ByComponents {
  bool operator()(std::string_view a, std::string_view b) const;
};

/// Pure but for `facts`. A rule whose target does not exist (any more) is left out, and so is one for /proc, /sys or /dev (but for files in
/// /dev/shm): every cell has its own. The only error: a directory with a non-recursive rule that
/// cannot be listed, because what is below it could not be hidden.
Result<MountPlan> plan_mounts(PlanRequest const& request, FileFacts const& facts);

/// What can be written with the steps `now` and could not be with `then`: the topmost paths.
std::vector<std::string> taken_paths(std::vector<MountStep> const& now, std::vector<MountStep> const& then);
bool is_writing(MountStep const& step);

/// One line per step, for people (`insomnia cell --explain`) and for tests: "rw      /w/src".
std::string describe(MountPlan const& plan);

}  // namespace insomnia::cell
