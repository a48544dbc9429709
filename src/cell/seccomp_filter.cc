#include "cell/seccomp_filter.hh"

#include <linux/seccomp.h>
#include <linux/tty.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>

#include "base/io.hh"

namespace insomnia::cell {
namespace {

/// Never needed by what builds and tests software, and each a way out or a way to hold on to what was lent.
constexpr char const* kRefused[] = {
    // Other processes' descriptors. (Debuggers and sanitizers trace processes of the cell; those that hold it can't be traced: they are not dumpable.)
    "kcmp", "pidfd_getfd", "process_madvise",
    // The view.
    "mount", "umount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr", "setns", "open_by_handle_at", "swapon", "swapoff", "quotactl", "quotactl_fd", "fanotify_init",
    // The kernel.
    "add_key", "request_key", "keyctl", "bpf", "perf_event_open", "userfaultfd", "lookup_dcookie", "kexec_load", "kexec_file_load", "init_module",
    "finit_module", "delete_module", "create_module", "reboot", "acct", "syslog", "iopl", "ioperm", "vhangup", "nfsservctl", "vm86", "vm86old",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname",
};
/// Programs try these first and have another way.
constexpr char const* kUnknown[] = {"clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "fsinfo"};

constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
constexpr uint64_t kNewTime = 0x80;  // CLONE_NEWTIME, for unshare alone: in clone it is a part of the signal's number
constexpr uint64_t kLow = 0xFFFFFFFF;

class Builder {
 public:
  Builder() : context_(::seccomp_init(SCMP_ACT_ALLOW), &::seccomp_release) {}

  Result<std::vector<sock_filter>> run(FilterRequest const& request) {
    if (!context_) return fail(Code::Internal, "seccomp: no filter could be made");
    ::seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    ::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_NNP, 0);
    // A tree instead of a list: the calls that a program makes most are through after a few steps.
    ::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (auto const* name : kRefused) refuse(name, EPERM);
    for (auto const* name : kUnknown) refuse(name, ENOSYS);
    for (uint64_t bit = 1; bit <= kLow; bit <<= 1) {
      if ((kNamespaces & bit) != 0) refuse("clone", EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit));
      if (((kNamespaces | kNewTime) & bit) != 0) refuse("unshare", EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit));
    }
    // Typing into the terminal of whoever started us; the kernel looks at the low half only.
    for (uint64_t request : {uint64_t{TIOCSTI}, uint64_t{TIOCLINUX}}) refuse("ioctl", EPERM, SCMP_A1(SCMP_CMP_MASKED_EQ, kLow, request));
    // Sockets: of Unix, of the Internet, and to ask for routes. Not of virtual machines, of the kernel's own, or of packets.
    std::vector<int> families;
    if (request.unix_sockets) families.push_back(AF_UNIX);
    if (request.network) families.insert(families.end(), {AF_INET, AF_INET6, AF_NETLINK});
    refuse_but("socket", families);
    if (error_ != 0) return fail(Code::Internal, "seccomp: the filter can't be built: " + failed_);
    return exported();
  }

 private:
  template <class... Comparisons>
  void refuse(char const* name, int answer, Comparisons... comparisons) {
    int number = ::seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;  // not a call of this architecture
    std::vector<scmp_arg_cmp> list{comparisons...};
    int result = ::seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(static_cast<uint32_t>(answer)), number, static_cast<unsigned>(list.size()), list.data());
    if (result == 0 || error_ != 0) return;
    error_ = result;
    failed_ = name;
  }

  /// Of the families up to 63 those that are not listed, and all above.
  void refuse_but(char const* name, std::vector<int> const& allowed) {
    constexpr int kFamilies = 64;
    for (int family = 0; family < kFamilies; ++family) {
      bool fine = false;
      for (int one : allowed) fine = fine || one == family;
      if (!fine) refuse(name, EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, kLow, static_cast<uint64_t>(family)));
    }
    for (uint64_t bit = kFamilies; bit <= kLow; bit <<= 1) refuse(name, EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit));
  }

  Result<std::vector<sock_filter>> exported() {
    UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
    if (!file) return fail_errno("make a memory file for the seccomp filter", errno);
    if (int result = ::seccomp_export_bpf(context_.get(), file.get()); result != 0) return fail_errno("export the seccomp filter", -result);
    if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail_errno("read the seccomp filter", errno);
    std::string bytes = TRY(io::read_all(file.get(), "the seccomp filter"));
    std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
    bytes.copy(reinterpret_cast<char*>(program.data()), program.size() * sizeof(sock_filter));
    return program;
  }

  std::unique_ptr<void, void (*)(void*)> context_;
  int error_ = 0;
  std::string failed_;
};

}  // namespace

Result<std::vector<sock_filter>> system_call_filter(FilterRequest const& request) { return Builder().run(request); }

Result<void> install_filter(std::vector<sock_filter> const& filter) {
  sock_fprog program{.len = static_cast<unsigned short>(filter.size()), .filter = const_cast<sock_filter*>(filter.data())};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return fail_errno("install the filter of system calls", errno);
  return {};
}

}  // namespace insomnia::cell
