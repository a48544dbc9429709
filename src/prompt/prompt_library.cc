#include "prompt/prompt_library.hh"

#include "base/confined_file.hh"
#include "base/io.hh"
#include "base/resource.hh"
#include "base/text.hh"

namespace insomnia::prompt {
namespace {

constexpr size_t kMaxFile = 256 << 10;
constexpr size_t kMaxReference = 512;

/// A reference in its parts: library "$user", relative "reviews/strict" (without ".md").
struct Reference {
  std::string library;
  std::string relative;
};

std::unexpected<Error> refuse(std::string_view reference, std::string const& why) {
  return fail(Code::InvalidArgument, "prompt reference `" + text::one_line(reference, 120) + "` " + why);
}

Result<Reference> split_reference(std::string_view reference) {
  auto slash = reference.find('/');
  std::string_view library = reference.substr(0, slash);
  if (slash == std::string_view::npos ||
      (library != "$insomnia" && library != "$user" && library != "$workspace")) {
    return refuse(reference, "must begin with $insomnia/, $user/ or $workspace/");
  }
  if (reference.size() > kMaxReference) return refuse(reference, "is longer than 512 bytes");
  std::string_view relative = reference.substr(slash + 1);
  for (auto component : text::split(relative, '/')) {
    if (component.empty()) return refuse(reference, "has an empty component");
    if (component == "." || component == "..") return refuse(reference, "must not contain `.` or `..`");
    for (unsigned char c : component) {
      if (c < 0x20 || c == 0x7F || c == '\\')
        return refuse(reference, "has a character that is not allowed in a name");
    }
  }
  if (relative.ends_with(".md")) relative.remove_suffix(3);
  if (relative.empty() || relative.ends_with('/')) return refuse(reference, "has no name");
  return Reference{std::string(library), std::string(relative)};
}

std::string embedded_names() {
  std::string names;
  for (auto const& resource : base::resources()) {
    std::string_view path = resource.path;
    if (!path.starts_with("prompts/") || !path.ends_with(".md")) continue;
    path.remove_prefix(8);
    names += (names.empty() ? "$insomnia/" : ", $insomnia/") + std::string(path.substr(0, path.size() - 3));
  }
  return names;
}

}  // namespace

PromptSources PromptSources::standard(std::string const& config_dir, std::string const& workspace_root,
                                      std::string prompt_pack) {
  PromptSources out;
  if (!config_dir.empty()) {
    out.user_directory = config_dir + "/prompts";
    out.user_pack = config_dir + "/prompts.toml";
  }
  if (!workspace_root.empty()) {
    out.workspace_directory = workspace_root + "/.insomnia/prompts";
    out.workspace_pack = workspace_root + "/.insomnia/prompts.toml";
  }
  out.prompt_pack = std::move(prompt_pack);
  return out;
}

Result<void> check_prompt_reference(std::string_view reference) {
  TRY(split_reference(reference));
  return {};
}

Result<std::string> PromptLibrary::read(std::string const& library, std::string const& relative) const {
  std::string name = "prompt `" + library + "/" + relative + "`";
  if (library == "$insomnia") {
    auto text = base::find_resource("prompts/" + relative + ".md");
    if (!text) return fail(Code::NotFound, name + " does not exist; there are " + embedded_names());
    return std::string(*text);
  }
  bool of_user = library == "$user";
  std::string const& directory = of_user ? sources_.user_directory : sources_.workspace_directory;
  if (directory.empty()) {
    return fail(Code::NotFound,
                name + ": there is no " +
                    std::string(of_user ? "configuration directory; set INSOMNIA_CONFIG_DIR" : "workspace"));
  }
  std::string path = directory + "/" + relative + ".md";
  auto missing = [&] { return fail(Code::NotFound, name + ": there is no file " + path); };
  if (!of_user) {
    auto text = TRY(io::read_confined_file(directory, relative + ".md", kMaxFile));
    if (!text) return missing();
    return *std::move(text);
  }
  // The configuration directory is in no cell and belongs to the human alone: links of his own are fine.
  auto text = io::read_file(path, kMaxFile);
  if (!text) return text.error().code == Code::NotFound ? missing() : std::move(text);
  if (!text::is_utf8(*text)) return fail(Code::InvalidArgument, "read " + path + ": it is not UTF-8");
  return text;
}

Result<Template> PromptLibrary::load(std::string_view reference) const {
  Reference parts = TRY(split_reference(reference));
  std::string text = TRY(read(parts.library, parts.relative));
  std::string name = parts.library + "/" + parts.relative;
  std::string folder = io::parent_path("/" + name).substr(1);
  return Template::parse(text, std::move(name), std::move(folder));
}

Result<Template> PromptLibrary::load_include(std::string_view reference, std::string_view folder) const {
  if (reference.starts_with('$')) return load(reference);
  if (folder.empty()) return refuse(reference, "must begin with $insomnia/, $user/ or $workspace/ here");
  return load(std::string(folder) + "/" + std::string(reference));
}

}  // namespace insomnia::prompt
