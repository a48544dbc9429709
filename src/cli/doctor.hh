#pragma once

#include <string>
#include <vector>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia doctor`.
struct DoctorOptions {
  bool json = false;
  friend bool operator==(DoctorOptions const&, DoctorOptions const&) = default;
};

/// One thing that was looked at.
struct Finding {
  enum class Grade { Good, Warning, Bad };
  std::string subject;
  Grade grade = Grade::Good;
  std::string detail;
  std::string advice;  ///< what to do; empty when all is well
  friend bool operator==(Finding const&, Finding const&) = default;
};

/// Looks at the kernel, the libraries, the directories and the keys. Starts nothing and changes nothing. The
/// exit code is kFailed when something is bad enough that Pods cannot run.
int examine_system(DoctorOptions const& options, Environment const& environment);

/// The findings as text or JSON. Pure.
std::string findings_text(std::vector<Finding> const& findings, bool colour);
std::string findings_json(std::vector<Finding> const& findings);

/// Whether a socket fits below this runtime directory, and for how long Pod names. Pure.
Finding socket_path_finding(std::string const& runtime_dir);

// The parts, in the order of the report.
std::vector<Finding> kernel_findings();
std::vector<Finding> library_findings();
std::vector<Finding> directory_findings(Environment const& environment);
std::vector<Finding> key_findings(Environment const& environment);

}  // namespace insomnia::cli
