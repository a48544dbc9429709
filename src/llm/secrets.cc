#include "llm/secrets.hh"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/io.hh"
#include "base/paths.hh"
#include "base/text.hh"

namespace insomnia::llm {
namespace {

constexpr size_t kMaxSecret = 64 << 10;
constexpr size_t kMaxName = 64;

std::string directory_of(Environment const& environment) {
  std::string config = Paths::resolve(environment).config_dir;
  return config.empty() ? "" : config + "/secrets";
}

Result<std::string> path_of(Environment const& environment, std::string_view name) {
  if (!is_secret_name(name)) {
    return fail(Code::InvalidArgument, "`" + text::one_line(name, 80) + "` is no name of a secret: up to " + std::to_string(kMaxName) + " letters, digits, '-', '_' and '.'");
  }
  std::string directory = directory_of(environment);
  if (directory.empty()) return fail(Code::NotFound, "there is no configuration directory: set HOME or INSOMNIA_HOME");
  return directory + "/" + std::string(name);
}

}  // namespace

bool is_secret_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxName || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

Result<std::optional<std::string>> read_secret(Environment const& environment, std::string_view name) {
  if (directory_of(environment).empty() || !is_secret_name(name)) return std::nullopt;
  std::string path = TRY(path_of(environment, name));
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return fail_errno("look at " + path, errno);
  }
  if ((info.st_mode & 077) != 0) return fail(Code::PermissionDenied, path + " can be read by others; `chmod 600` it, or store the key anew with `insomnia secret set " + std::string(name) + "`");
  std::string secret(text::trim(TRY(io::read_file(path, kMaxSecret))));
  if (secret.empty() || secret.find_first_of("\r\n") != secret.npos) return fail(Code::InvalidArgument, path + " must hold one line; store the key anew with `insomnia secret set " + std::string(name) + "`");
  return secret;
}

Result<void> write_secret(Environment const& environment, std::string_view name, std::string_view secret) {
  std::string path = TRY(path_of(environment, name));
  secret = text::trim(secret);
  if (secret.empty()) return fail(Code::InvalidArgument, "the secret is empty");
  if (secret.find_first_of("\r\n") != secret.npos || secret.size() > kMaxSecret) return fail(Code::InvalidArgument, "a secret is one line");
  std::string directory = directory_of(environment);
  TRY(io::make_directories(directory));
  if (::chmod(directory.c_str(), 0700) != 0) return fail_errno("chmod " + directory, errno);
  return io::write_file_atomic(path, std::string(secret) + "\n");
}

Result<bool> remove_secret(Environment const& environment, std::string_view name) {
  std::string path = TRY(path_of(environment, name));
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return fail_errno("remove " + path, errno);
}

Result<std::vector<std::string>> list_secrets(Environment const& environment) {
  std::string directory = directory_of(environment);
  if (directory.empty() || !io::exists(directory)) return std::vector<std::string>{};
  auto names = TRY(io::list_directory(directory));
  std::erase_if(names, [](std::string const& name) { return !is_secret_name(name); });
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace insomnia::llm
