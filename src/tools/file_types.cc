#include "tools/file_types.hh"

#include <algorithm>
#include <iterator>

#include "base/text.hh"

namespace insomnia::tools {
namespace {

struct Type {
  std::string_view names;
  /// Suffixes that start with a dot, or whole file names; separated by spaces.
  std::string_view files;
};

constexpr Type kTypes[] = {
    {"asm", ".asm .s .S"},
    {"bazel", ".bazel .bzl .BUILD BUILD WORKSPACE MODULE.bazel"},
    {"c", ".c .h .H .cats"},
    {"clojure", ".clj .cljc .cljs .cljx .edn"},
    {"cmake", ".cmake CMakeLists.txt"},
    {"cpp", ".cpp .cc .cxx .C .hpp .hh .hxx .H .h .inl .ipp .tpp .cppm .ixx"},
    {"cs csharp", ".cs .csx"},
    {"css", ".css .scss"},
    {"csv", ".csv"},
    {"dart", ".dart"},
    {"diff", ".diff .patch"},
    {"docker", "Dockerfile Containerfile .Dockerfile .dockerfile"},
    {"elixir", ".ex .exs .eex .heex"},
    {"erlang", ".erl .hrl"},
    {"fortran", ".f .F .f77 .f90 .F90 .f95 .f03"},
    {"fsharp", ".fs .fsi .fsx"},
    {"go", ".go"},
    {"graphql", ".graphql .graphqls .gql"},
    {"groovy", ".groovy .gradle"},
    {"haskell", ".hs .lhs"},
    {"html", ".html .htm .xhtml"},
    {"java", ".java .jsp .jspx .properties"},
    {"js", ".js .jsx .mjs .cjs .vue"},
    {"json", ".json .jsonl .sarif composer.lock"},
    {"julia", ".jl"},
    {"kotlin", ".kt .kts"},
    {"lisp", ".el .lisp .lsp .scm .sld .rkt"},
    {"log", ".log"},
    {"lua", ".lua"},
    {"make", ".mk .mak Makefile makefile GNUmakefile Makefile.am Makefile.in"},
    {"markdown md", ".md .markdown .mdown .mdx .mkd"},
    {"nix", ".nix"},
    {"objc", ".m .h .mm"},
    {"ocaml", ".ml .mli .mll .mly"},
    {"perl", ".pl .pm .PL .t .pod"},
    {"php", ".php .php3 .php4 .php5 .phtml"},
    {"proto protobuf", ".proto"},
    {"ps powershell", ".ps1 .psm1 .psd1"},
    {"py python", ".py .pyi .pyx .pxd"},
    {"r", ".R .r .Rmd .Rnw"},
    {"ruby", ".rb .gemspec .rbw Gemfile Rakefile config.ru"},
    {"rust", ".rs"},
    {"scala", ".scala .sbt"},
    {"sh", ".sh .bash .zsh .ksh .csh .bashrc .zshrc .profile .bash_profile"},
    {"sql", ".sql .psql"},
    {"svelte", ".svelte"},
    {"svg", ".svg"},
    {"swift", ".swift"},
    {"tex", ".tex .ltx .cls .sty .bib"},
    {"tf terraform", ".tf .tfvars .hcl"},
    {"toml", ".toml Cargo.lock"},
    {"ts typescript", ".ts .tsx .mts .cts"},
    {"txt", ".txt"},
    {"vim", ".vim .vimrc"},
    {"vue", ".vue"},
    {"xml", ".xml .xsd .xsl .xslt .dtd .rng"},
    {"yaml", ".yaml .yml"},
    {"zig", ".zig"},
};

Type const* find_type(std::string_view type) {
  auto named = [&](Type const& candidate) {
    auto names = text::split(candidate.names, ' ');
    return std::find(names.begin(), names.end(), type) != names.end();
  };
  auto const* found = std::find_if(std::begin(kTypes), std::end(kTypes), named);
  return found == std::end(kTypes) ? nullptr : found;
}

}  // namespace

bool is_file_type(std::string_view type) { return !type.empty() && find_type(type) != nullptr; }

bool has_file_type(std::string_view name, std::string_view type) {
  Type const* found = find_type(type);
  if (found == nullptr) return false;
  for (auto file : text::split(found->files, ' ')) {
    if (file.starts_with('.') ? name.ends_with(file) : name == file) return true;
  }
  return false;
}

std::string file_type_names() {
  std::string result;
  for (auto const& type : kTypes) {
    if (!result.empty()) result += ' ';
    result += type.names;
  }
  return result;
}

}  // namespace insomnia::tools
