#include "cli/doctor.hh"

#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.hh"
#include "base/paths.hh"
#include "base/text.hh"
#include "cli/exit_code.hh"
#include "cli/output.hh"
#include "cli/version.hh"
#include "llm/catalogue.hh"

namespace insomnia::cli {
namespace {

using Grade = Finding::Grade;

constexpr size_t kLongestName = 64;
/// A variable INSOMNIA_API_KEY_X stands for the X_API_KEY of other tools too.
constexpr std::string_view kOwnPrefix = "INSOMNIA_API_KEY_";

std::string_view grade_name(Grade grade) {
  switch (grade) {
    case Grade::Good:
      return "ok";
    case Grade::Warning:
      return "warning";
    case Grade::Bad:
      return "bad";
  }
  return "bad";
}

bool any_bad(std::vector<Finding> const& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](Finding const& finding) { return finding.grade == Grade::Bad; });
}

}  // namespace

std::vector<Finding> key_findings(Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  auto catalogue = llm::Catalogue::load(paths.config_dir);
  if (!catalogue)
    return {{"model catalogue", Grade::Bad, catalogue.error().message, "correct or remove that file"}};
  std::vector<std::string> found;
  for (auto const& provider : catalogue->providers) {
    if (provider.auth_hint.kind == manifest::Auth::Kind::None) continue;
    llm::ModelConfig model{.scheme = provider.scheme,
                           .provider_id = provider.id,
                           .base_url = provider.base_url,
                           .auth = provider.auth_hint};
    auto key = llm::resolve_key(model, environment);
    if (!key || key->empty()) continue;
    std::string where;
    std::string const& own = provider.auth_hint.env;
    std::string common = own.starts_with(kOwnPrefix) ? own.substr(kOwnPrefix.size()) + "_API_KEY" : "";
    for (std::string const& name : {own, common}) {
      if (where.empty() && !name.empty() && environment.get(name)) where = name;
    }
    if (where.empty()) where = provider.auth_hint.file.empty() ? "stored" : provider.auth_hint.file;
    found.push_back(provider.id + (where.empty() ? "" : " (" + where + ")"));
  }
  if (found.empty()) {
    return {{"model keys", Grade::Warning, "none found",
             "set ANTHROPIC_API_KEY (or another provider's variable), or store a key with `insomnia secret set anthropic`; `insomnia demo` runs without any key"}};
  }
  return {{"model keys", Grade::Good, text::join(found, ", "), ""}};
}

Finding socket_path_finding(std::string const& runtime_dir) {
  Finding finding{"socket path", Grade::Good, "", ""};
  size_t fixed = runtime_dir.size() + std::string_view("/").size() + std::string_view("/sock").size();
  size_t room = fixed < kMaxSocketPath ? kMaxSocketPath - fixed : 0;
  if (room >= kLongestName) {
    finding.detail = "every Pod name fits below " + runtime_dir;
    return finding;
  }
  finding.grade = room >= 16 ? Grade::Warning : Grade::Bad;
  finding.detail = room == 0 ? runtime_dir + " is too long for a socket"
                             : "Pod names below " + runtime_dir + " may have at most " +
                                   std::to_string(room) + " characters";
  finding.advice = "set INSOMNIA_RUNTIME_DIR to a shorter directory";
  return finding;
}

std::string findings_text(std::vector<Finding> const& findings, bool colour) {
  size_t width = 0;
  for (auto const& finding : findings) width = std::max(width, text::length(finding.subject));
  std::string result;
  for (auto const& [subject, grade, detail, advice] : findings) {
    std::string mark = grade == Grade::Good ? "ok  " : grade == Grade::Warning ? "warn" : "BAD ";
    if (colour)
      mark = (grade == Grade::Good      ? "\x1b[32m"
              : grade == Grade::Warning ? "\x1b[33m"
                                        : "\x1b[31m") +
             mark + "\x1b[0m";
    result += mark + "  " + subject + std::string(width - text::length(subject) + 2, ' ') +
              text::for_terminal(detail) + "\n";
    if (!advice.empty()) result += std::string(width + 8, ' ') + "→ " + text::for_terminal(advice) + "\n";
  }
  return result;
}

std::string findings_json(std::vector<Finding> const& findings) {
  boost::json::array list;
  for (auto const& [subject, grade, detail, advice] : findings) {
    boost::json::object item{
        {"subject", subject}, {"grade", grade_name(grade)}, {"detail", text::to_utf8(detail)}};
    if (!advice.empty()) item["advice"] = advice;
    list.push_back(std::move(item));
  }
  return json::dump_pretty(boost::json::object{
             {"version", version()}, {"ok", !any_bad(findings)}, {"findings", std::move(list)}}) +
         "\n";
}

int examine_system(DoctorOptions const& options, Environment const& environment) {
  std::vector<Finding> findings{{"insomnia", Grade::Good, std::string(version()), ""}};
  for (auto const& part :
       {kernel_findings(), library_findings(), directory_findings(environment), key_findings(environment)}) {
    findings.insert(findings.end(), part.begin(), part.end());
  }
  if (options.json)
    print(findings_json(findings));
  else
    print(findings_text(findings, terminal_of(STDOUT_FILENO, environment).colour));
  return any_bad(findings) ? kFailed : kFinished;
}

}  // namespace insomnia::cli
