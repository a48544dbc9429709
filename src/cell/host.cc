#include "cell/host.hh"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <iterator>
#include <memory>

#include "base/io.hh"
#include "base/text.hh"
#include "cell/mount_table.hh"
#include "scope/scope.hh"

namespace insomnia::cell {
namespace {

void add_if_there(std::vector<std::string>& list, std::string const& path, FileFacts const& facts) {
  if (facts.kind(path) != PathKind::Missing && std::find(list.begin(), list.end(), path) == list.end()) list.push_back(path);
}

/// The same without the links on the way; "" when it can't be resolved.
std::string home_of(Environment const& environment) {
  auto home = environment.get("HOME");
  return home && home->starts_with('/') && *home != "/" ? scope::resolve_path(*home).value_or("") : "";
}

}  // namespace

PathKind HostFacts::kind(std::string const& path) const {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return PathKind::Missing;
  if (S_ISDIR(info.st_mode)) return PathKind::Directory;
  return S_ISLNK(info.st_mode) ? PathKind::Symlink : PathKind::File;
}

Result<std::vector<std::string>> HostFacts::subdirectories(std::string const& path) const {
  std::vector<std::string> names;
  for (auto& name : TRY(io::list_directory(path))) {
    if (kind(path + "/" + name) == PathKind::Directory) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<std::string>> HostFacts::entries(std::string const& path, size_t limit) const {
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), &::closedir);
  if (!stream) return fail_errno("list " + path, errno);
  std::vector<std::string> names;
  while (dirent* entry = ::readdir(stream.get())) {
    std::string name = entry->d_name;
    if (name == "." || name == ".." || entry->d_type == DT_LNK) continue;
    if (entry->d_type == DT_UNKNOWN && kind(path + "/" + name) == PathKind::Symlink) continue;
    if (names.size() == limit) return fail(Code::LimitReached, path + " has more than " + std::to_string(limit) + " entries");
    names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string HostFacts::link_text(std::string const& path) const {
  char text[PATH_MAX];
  ssize_t length = ::readlink(path.c_str(), text, sizeof text);
  return length > 0 ? std::string(text, static_cast<size_t>(length)) : "";
}

std::vector<std::string> system_paths(FileFacts const& facts) {
  std::vector<std::string> result;
  for (auto const* path : {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/gnu", "/run/systemd/resolve", "/run/resolvconf"}) {
    add_if_there(result, path, facts);
  }
  return result;
}

std::vector<std::string> user_programs(Environment const& environment, FileFacts const& facts) {
  std::vector<std::string> result;
  std::string home = home_of(environment);
  if (home.empty()) return result;
  std::string path = environment.get("PATH").value_or("");
  for (auto part : text::split(path, ':')) {
    auto directory = part.starts_with('/') ? scope::resolve_path(std::string(part)) : std::nullopt;
    if (!directory || *directory == home || !scope::is_below(*directory, home)) continue;
    std::string prefix = io::parent_path(*directory);
    if (scope::is_below(*directory, home + "/.cargo")) {
      add_if_there(result, *directory, facts);
      add_if_there(result, home + "/.rustup", facts);
    } else if (scope::is_below(*directory, home + "/.local")) {
      add_if_there(result, *directory, facts);
      add_if_there(result, home + "/.local/lib", facts);
    } else if (directory->ends_with("/bin") && prefix != home) {
      add_if_there(result, prefix, facts);
    } else {
      add_if_there(result, *directory, facts);
    }
  }
  // A program of pyenv is a script that asks for all of it.
  std::string pyenv = home + "/.pyenv";
  if (std::any_of(result.begin(), result.end(), [&](auto const& path) { return scope::is_below(path, pyenv); })) add_if_there(result, pyenv, facts);
  return result;
}

std::vector<std::string> secret_paths(Environment const& environment, FileFacts const& facts) {
  std::vector<std::string> result;
  for (auto const* path : {"/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d", "/etc/ssl/private",
                           "/etc/krb5.keytab", "/etc/security/opasswd"}) {
    add_if_there(result, path, facts);
  }
  auto ssh = io::list_directory("/etc/ssh").value_or(std::vector<std::string>{});
  for (auto const& name : ssh) {
    if (name.starts_with("ssh_host_") && name.ends_with("_key")) add_if_there(result, "/etc/ssh/" + name, facts);
  }
  if (std::string home = home_of(environment); !home.empty()) {
    for (auto const* name : {".ssh", ".gnupg", ".netrc", ".git-credentials", ".aws", ".azure", ".config/gcloud", ".config/gh", ".docker/config.json",
                             ".kube", ".npmrc", ".pypirc", ".cargo/credentials", ".cargo/credentials.toml", ".password-store",
                             ".local/share/keyrings"}) {
      add_if_there(result, home + "/" + name, facts);
    }
  }
  return result;
}

std::vector<std::string> kernel_mounts() {
  static constexpr std::string_view kKinds[] = {"proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "bpf", "configfs", "devpts", "devtmpfs",
                                                "binfmt_misc", "efivarfs", "pstore", "nfsd", "rpc_pipefs", "fusectl", "selinuxfs", "smackfs"};
  std::vector<std::string> result;
  auto table = read_mount_table("/proc/self/mountinfo");
  if (!table) return result;
  for (auto const& [number, mount] : *table) {
    bool of_every_cell = scope::is_below(mount.path, "/proc") || scope::is_below(mount.path, "/sys") || scope::is_below(mount.path, "/dev");
    if (!of_every_cell && std::find(std::begin(kKinds), std::end(kKinds), mount.type) != std::end(kKinds)) result.push_back(mount.path);
  }
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

std::vector<std::string> own_paths(Paths const& paths) {
  std::vector<std::string> result;
  for (auto const& directory : {paths.config_dir, paths.data_dir, paths.runtime_dir}) {
    if (auto resolved = directory.empty() ? std::nullopt : scope::resolve_path(directory)) result.push_back(*std::move(resolved));
  }
  return result;
}

Environment allowed_environment(Environment const& environment, std::vector<std::string> const& more) {
  Environment result;
  auto take = [&](std::string const& name) {
    if (auto value = environment.get(name)) result.set(name, *value);
  };
  for (auto const* name : {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ"}) {
    take(name);
  }
  for (auto const& name : more) take(name);
  if (!result.get("PATH")) result.set("PATH", "/usr/local/bin:/usr/bin:/bin");
  return result;
}

}  // namespace insomnia::cell
