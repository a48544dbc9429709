#include "base/paths.hh"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace insomnia {
namespace {

bool is_our_directory(std::string const& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == ::geteuid();
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

constexpr size_t kMaxPodName = 64;

Result<std::string> require(std::string const& value, std::string_view what, std::string_view variable) {
  if (!value.empty()) return value;
  return fail(Code::InvalidArgument, std::string("no ") + std::string(what) + " directory: HOME is not set; set HOME, INSOMNIA_HOME or " +
                                         std::string(variable));
}

}  // namespace

Paths Paths::resolve(Environment const& environment) {
  Paths result;
  auto home = environment.get("HOME");
  auto insomnia_home = environment.get("INSOMNIA_HOME");

  if (auto explicit_dir = environment.get("INSOMNIA_CONFIG_DIR")) result.config_dir = *explicit_dir;
  else if (insomnia_home) result.config_dir = *insomnia_home + "/config";
  else if (auto xdg = environment.get("XDG_CONFIG_HOME")) result.config_dir = *xdg + "/insomnia";
  else if (home) result.config_dir = *home + "/.config/insomnia";

  if (auto explicit_dir = environment.get("INSOMNIA_DATA_DIR")) result.data_dir = *explicit_dir;
  else if (insomnia_home) result.data_dir = *insomnia_home;
  else if (home) result.data_dir = *home + "/.insomnia";

  std::string user_run = "/run/user/" + std::to_string(::geteuid());
  if (auto explicit_dir = environment.get("INSOMNIA_RUNTIME_DIR")) result.runtime_dir = *explicit_dir;
  else if (insomnia_home) result.runtime_dir = *insomnia_home + "/run";
  else if (auto xdg = environment.get("XDG_RUNTIME_DIR")) result.runtime_dir = *xdg + "/insomnia";
  else if (is_our_directory(user_run)) result.runtime_dir = user_run + "/insomnia";
  else if (!result.data_dir.empty()) result.runtime_dir = result.data_dir + "/run";
  return result;
}

Result<std::string> Paths::require_config_dir() const { return require(config_dir, "configuration", "INSOMNIA_CONFIG_DIR"); }
Result<std::string> Paths::require_data_dir() const { return require(data_dir, "data", "INSOMNIA_DATA_DIR"); }
Result<std::string> Paths::require_runtime_dir() const { return require(runtime_dir, "runtime", "INSOMNIA_RUNTIME_DIR"); }

std::string Paths::pod_dir(std::string_view name) const { return pods_dir() + "/" + std::string(name); }
std::string Paths::pod_runtime_dir(std::string_view name) const { return runtime_dir + "/" + std::string(name); }

Result<void> check_pod_name(std::string_view name) {
  auto refuse = [&](std::string_view why) {
    std::string shown(name.substr(0, 80));
    std::replace_if(shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < 32; }, '?');
    return fail(Code::InvalidArgument, "invalid Pod name '" + shown + "': " + std::string(why) +
                                           "; use 1 to 64 letters, digits, '.', '_' or '-', not starting with '.'");
  };
  if (name.empty()) return refuse("it is empty");
  if (name.size() > kMaxPodName) return refuse("it is longer than 64 characters");
  if (name.front() == '.') return refuse("it starts with '.'");
  if (name.front() == '-') return refuse("it starts with '-'");
  if (!std::all_of(name.begin(), name.end(), is_name_character)) return refuse("it has a character that is not allowed");
  if (name.starts_with("registry.db")) return refuse("it is reserved");
  return {};
}

std::string sanitize_pod_name(std::string_view text, std::string_view fallback) {
  std::string result;
  for (char c : text.substr(0, kMaxPodName)) result += is_name_character(c) ? c : '-';
  while (!result.empty() && (result.front() == '.' || result.front() == '-')) result.erase(0, 1);
  bool has_letter = std::any_of(result.begin(), result.end(), [](unsigned char c) { return std::isalnum(c) != 0; });
  if (!has_letter || !check_pod_name(result)) return std::string(fallback);
  return result;
}

}  // namespace insomnia
