#include "server/confine.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {
namespace {

// Newer than the kernel headers of Debian 12, and by one number on every processor, as all calls since 424. The kernel
// that runs a node may know them.
#ifndef __NR_open_tree_attr
#define __NR_open_tree_attr 467
#endif

// What no node does. Only what is sure: a filter that names what is allowed would break with each new C library.
constexpr int kRefused[] = {
    // Other programs and other processes. The leak checker of a build with AddressSanitizer traces its own.
    __NR_execve, __NR_execveat, __NR_process_vm_readv, __NR_process_vm_writev, __NR_process_madvise, __NR_pidfd_getfd,
    __NR_kcmp,
#ifndef __SANITIZE_ADDRESS__
    __NR_ptrace,
#endif
    // What is mounted where, and namespaces; clone() below.
    __NR_mount, __NR_umount2, __NR_pivot_root, __NR_chroot, __NR_fsopen, __NR_fsconfig, __NR_fsmount, __NR_fspick,
    __NR_open_tree, __NR_open_tree_attr, __NR_move_mount, __NR_mount_setattr, __NR_setns, __NR_unshare,
    __NR_open_by_handle_at, __NR_sethostname, __NR_setdomainname,
    // The kernel. What io_uring does goes past any filter of calls.
    __NR_init_module, __NR_finit_module, __NR_delete_module, __NR_kexec_load, __NR_kexec_file_load, __NR_bpf,
    __NR_perf_event_open, __NR_userfaultfd, __NR_io_uring_setup, __NR_io_uring_enter, __NR_io_uring_register,
    __NR_reboot, __NR_swapon, __NR_swapoff, __NR_acct, __NR_quotactl, __NR_quotactl_fd, __NR_syslog,
#if defined(__x86_64__)
    __NR_iopl, __NR_ioperm,
#endif
    // Keys and clocks.
    __NR_add_key, __NR_request_key, __NR_keyctl, __NR_settimeofday, __NR_clock_settime, __NR_adjtimex,
    __NR_clock_adjtime};

// A thread is a clone() too, and so is a fork. CLONE_NEWTIME is not among them: clone() takes that bit for one of the
// signal at the end of the child, and only clone3() can say it.
constexpr uint32_t kNewNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
constexpr uint32_t kOtherAbi = 0x40000000;            // x32: the same calls by other numbers
#elif defined(__aarch64__) && defined(__AARCH64EL__)  // little-endian: see where args are loaded
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
constexpr uint32_t kOtherAbi = 0;
#else
constexpr uint32_t kArchitecture = 0;  // not known here: no filter
constexpr uint32_t kOtherAbi = 0;
#endif

// A program of the filter, made front to back: each step looks at what was loaded last, and ends the program or goes on
// to the next one.
class Program {
 public:
  void Load(size_t offset) { steps_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset))); }
  // BPF_JEQ, BPF_JGE, BPF_JSET: where what was loaded is that to `value`, the call fails with `error`, or passes for 0.
  void EndIf(unsigned short compares, uint32_t value, int error) {
    steps_.push_back(BPF_JUMP(static_cast<unsigned short>(BPF_JMP | compares | BPF_K), value, 0, 1));
    End(error);
  }
  void EndUnlessEqual(uint32_t value, int error) {
    steps_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
    End(error);
  }
  void End(int error) {
    const uint32_t result = error == 0 ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | static_cast<uint32_t>(error);
    steps_.push_back(BPF_STMT(BPF_RET | BPF_K, result));
  }
  std::vector<sock_filter>& steps() { return steps_; }

 private:
  std::vector<sock_filter> steps_;
};

absl::Status FilterCalls() {
  if (kArchitecture == 0) return absl::OkStatus();
  Program calls;
  calls.Load(offsetof(seccomp_data, arch));
  calls.EndUnlessEqual(kArchitecture, EPERM);
  calls.Load(offsetof(seccomp_data, nr));
  if (kOtherAbi != 0) calls.EndIf(BPF_JGE, kOtherAbi, EPERM);
  for (const int call : kRefused) calls.EndIf(BPF_JEQ, static_cast<uint32_t>(call), EPERM);
  // Its flags are in memory, which a filter cannot read. The C library takes this for an old kernel, and calls clone().
  calls.EndIf(BPF_JEQ, __NR_clone3, ENOSYS);
  calls.EndUnlessEqual(__NR_clone, 0);
  calls.Load(offsetof(seccomp_data, args[0]));  // the low half, where all its flags are
  calls.EndIf(BPF_JSET, kNewNamespaces, EPERM);
  calls.End(0);
  std::vector<sock_filter>& program = calls.steps();
  sock_fprog filter = {static_cast<unsigned short>(program.size()), program.data()};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    return absl::ErrnoToStatus(errno, "filtering system calls");
  }
  return absl::OkStatus();
}

absl::Status DropCapabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, held) != 0) return absl::ErrnoToStatus(errno, "looking at capabilities");
  uint64_t kept = 0;
  for (const int capability : {CAP_CHOWN, CAP_FOWNER, CAP_DAC_OVERRIDE, CAP_NET_BIND_SERVICE}) {
    kept |= uint64_t{1} << capability;
  }
  // Whoever runs as nobody has nothing to give up, and perhaps may not call capset at all: the systemd unit forbids it.
  bool has_more = false;
  for (int word = 0; word < _LINUX_CAPABILITY_U32S_3; ++word) {
    const auto mask = static_cast<uint32_t>(kept >> (32 * word));
    has_more |= ((held[word].effective | held[word].permitted) & ~mask) != 0 || held[word].inheritable != 0;
    held[word].effective &= mask;
    held[word].permitted &= mask;
    held[word].inheritable = 0;
  }
  if (has_more && syscall(SYS_capset, &header, held) != 0) return absl::ErrnoToStatus(errno, "giving up capabilities");
  return absl::OkStatus();
}

}  // namespace

absl::Status Confine() {
  // First: a filter wants it of whoever is not root.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return absl::ErrnoToStatus(errno, "giving up new privileges");
  if (absl::Status status = DropCapabilities(); !status.ok()) return status;
  return FilterCalls();
}

}  // namespace sluice
