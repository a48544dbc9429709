#pragma once

#include <string_view>

/// Places at which a test stops a process to see what its death leaves behind. They do something only in builds with tests
/// (fault_point.cc is compiled with INSOMNIA_FAULT_POINTS there).
namespace insomnia {

/// Says who this process is; points are chosen by Pod and name.
void set_fault_pod(std::string_view pod_name);

/// When the environment has INSOMNIA_FAULT=<pod>:<name>: writes "<pid> <name>\n" to the FIFO named by INSOMNIA_FAULT_FIFO and stops this
/// process (SIGSTOP), once. Whoever reads the FIFO kills or continues it. Any thread.
void fault_point(std::string_view name);

}  // namespace insomnia
