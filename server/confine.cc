#include "server/confine.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
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

// What no node does. Only what is sure: a filter that names what is allowed would break with each new C library.
constexpr int kRefused[] = {
    // Other programs and other processes. The leak checker of a build with AddressSanitizer traces its own.
    __NR_execve, __NR_execveat, __NR_process_vm_readv, __NR_process_vm_writev,
#ifndef __SANITIZE_ADDRESS__
    __NR_ptrace,
#endif
    // What is mounted where, and namespaces.
    __NR_mount, __NR_umount2, __NR_pivot_root, __NR_chroot, __NR_setns, __NR_unshare, __NR_open_by_handle_at,
    // The kernel.
    __NR_init_module, __NR_finit_module, __NR_delete_module, __NR_kexec_load, __NR_bpf, __NR_perf_event_open,
    __NR_userfaultfd, __NR_reboot, __NR_swapon, __NR_swapoff, __NR_acct, __NR_quotactl,
    // Keys and clocks.
    __NR_add_key, __NR_request_key, __NR_keyctl, __NR_settimeofday, __NR_clock_settime, __NR_adjtimex,
    __NR_clock_adjtime};

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
constexpr uint32_t kOtherAbi = 0x40000000;  // x32: the same calls by other numbers
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
constexpr uint32_t kOtherAbi = 0;
#else
constexpr uint32_t kArchitecture = 0;  // not known here: no filter
constexpr uint32_t kOtherAbi = 0;
#endif

absl::Status FilterCalls() {
  if (kArchitecture == 0) return absl::OkStatus();
  const auto refuse = static_cast<uint32_t>(SECCOMP_RET_ERRNO | EPERM);
  std::vector<sock_filter> program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, refuse),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  if (kOtherAbi != 0) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kOtherAbi, 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, refuse));
  }
  for (const int call : kRefused) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, refuse));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
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
