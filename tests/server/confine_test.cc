#include "server/confine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

// Confine() is for good: each of these runs in a process of its own, which gtest starts anew, without other threads.
// What failed there is on standard error, which gtest shows.
namespace sluice {
namespace {

struct Call {
  const char* name;
  long number;
};
#define CALL(name) \
  { #name, __NR_##name }
constexpr Call kRefused[] = {CALL(execve),
                             CALL(execveat),
                             CALL(process_vm_readv),
                             CALL(process_vm_writev),
                             CALL(process_madvise),
                             CALL(pidfd_getfd),
                             CALL(kcmp),
#ifndef __SANITIZE_ADDRESS__
                             CALL(ptrace),
#endif
                             CALL(mount),
                             CALL(umount2),
                             CALL(pivot_root),
                             CALL(chroot),
                             CALL(fsopen),
                             CALL(fsconfig),
                             CALL(fsmount),
                             CALL(fspick),
                             CALL(open_tree),
                             {"open_tree_attr", 467},
                             CALL(move_mount),
                             CALL(mount_setattr),
                             CALL(setns),
                             CALL(unshare),
                             CALL(open_by_handle_at),
                             CALL(sethostname),
                             CALL(setdomainname),
                             CALL(init_module),
                             CALL(finit_module),
                             CALL(delete_module),
                             CALL(kexec_load),
                             CALL(kexec_file_load),
                             CALL(bpf),
                             CALL(perf_event_open),
                             CALL(userfaultfd),
                             CALL(io_uring_setup),
                             CALL(io_uring_enter),
                             CALL(io_uring_register),
                             CALL(reboot),
                             CALL(swapon),
                             CALL(swapoff),
                             CALL(acct),
                             CALL(quotactl),
                             CALL(quotactl_fd),
                             CALL(syslog),
#if defined(__x86_64__)
                             CALL(iopl),
                             CALL(ioperm),
#endif
                             CALL(add_key),
                             CALL(request_key),
                             CALL(keyctl),
                             CALL(settimeofday),
                             CALL(clock_settime),
                             CALL(adjtimex),
                             CALL(clock_adjtime)};
#undef CALL

struct Flag {
  const char* name;
  unsigned long bit;
};
#define FLAG(name) \
  { #name, name }
constexpr Flag kNewNamespaces[] = {FLAG(CLONE_NEWNS),   FLAG(CLONE_NEWCGROUP), FLAG(CLONE_NEWUTS), FLAG(CLONE_NEWIPC),
                                   FLAG(CLONE_NEWUSER), FLAG(CLONE_NEWPID),    FLAG(CLONE_NEWNET)};
#undef FLAG

// Failures so far, for the exit code.
int failures = 0;

void Want(bool holds, const char* what, const char* wanted) {
  if (holds) return;
  fprintf(stderr, "%s: wanted %s, got %s\n", what, wanted, errno == 0 ? "success" : strerror(errno));
  ++failures;
}

// A filter of its own, under that of Confine(): what is in `kRefused`, and a clone() into a new namespace, never
// reaches the kernel, and fails with ENOSYS where nothing else refuses it. So no call has to be harmless, and one that
// the kernel refuses with EPERM for want of a capability is not taken for one that the filter refused.
void KeepFromTheKernel() {
  const uint32_t keep = SECCOMP_RET_TRACE;  // there is no tracer
  std::vector<sock_filter> program = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const Call& call : kRefused) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call.number), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, keep));
  }
  uint32_t flags = 0;
  for (const Flag& flag : kNewNamespaces) flags |= static_cast<uint32_t>(flag.bit);
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 3));
  program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 0, 1));
  program.push_back(BPF_STMT(BPF_RET | BPF_K, keep));
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  sock_fprog filter = {static_cast<unsigned short>(program.size()), program.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    Want(false, "the test's own filter", "it in force");
  }
}

void ConfineHere() {
  const absl::Status status = Confine();
  if (status.ok()) return;
  fprintf(stderr, "%s\n", status.ToString().c_str());
  ++failures;
}

// A process that ends at once; its end is awaited.
void WantAChild(pid_t child, const char* what) {
  if (child == 0) _exit(7);
  int status = 0;
  Want(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7, what,
       "a child that ends with 7");
}

class ConfineTest : public testing::Test {
 protected:
  void SetUp() override {
#if !defined(__x86_64__) && !(defined(__aarch64__) && defined(__AARCH64EL__))
    GTEST_SKIP() << "no filter on this processor";
#endif
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
};

TEST_F(ConfineTest, WhatNoNodeDoesFails) {
  const auto run = [] {
    KeepFromTheKernel();
    for (const Call& call : kRefused) {
      errno = 0;
      Want(syscall(call.number, 0, 0, 0, 0, 0, 0) == -1 && errno == ENOSYS, call.name, "ENOSYS before Confine()");
    }
    ConfineHere();
    for (const Call& call : kRefused) {
      errno = 0;
      Want(syscall(call.number, 0, 0, 0, 0, 0, 0) == -1 && errno == EPERM, call.name, "EPERM");
    }
    _exit(failures == 0 ? 0 : 1);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}

TEST_F(ConfineTest, NoCloneEntersANewNamespace) {
  const auto run = [] {
    KeepFromTheKernel();
    ConfineHere();
    for (const Flag& flag : kNewNamespaces) {
      for (const unsigned long others : {0ul, static_cast<unsigned long>(SIGCHLD), CLONE_VFORK | CLONE_FS | 0ul}) {
        errno = 0;
        Want(syscall(__NR_clone, flag.bit | others, 0, 0, 0, 0) == -1 && errno == EPERM, flag.name, "EPERM");
      }
    }
    clone_args arguments = {};
    arguments.flags = CLONE_NEWUSER;
    arguments.exit_signal = SIGCHLD;
    errno = 0;
    const long child = syscall(__NR_clone3, &arguments, sizeof(arguments));
    if (child == 0) _exit(0);
    Want(child == -1 && errno == ENOSYS, "clone3", "ENOSYS");
    _exit(failures == 0 ? 0 : 1);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}

TEST_F(ConfineTest, ThreadsAndForksStartAndProgramsDoNot) {
  const auto run = [] {
    ConfineHere();
    int value = 0;
    std::thread([&value] { value = 5; }).join();
    Want(value == 5, "std::thread", "it to run");
    WantAChild(fork(), "fork");
    // As the C library's fork, by the call itself, which the filter looks into.
    WantAChild(static_cast<pid_t>(syscall(__NR_clone, SIGCHLD, 0, 0, 0, 0)), "clone");
    pid_t child = 0;
    char program[] = "/bin/true";
    char* arguments[] = {program, nullptr};
    errno = posix_spawn(&child, program, nullptr, nullptr, arguments, environ);
    Want(errno == EPERM, "posix_spawn", "EPERM");
    // A few of what a node does all the time.
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Want(page != MAP_FAILED, "mmap", "a page");
    Want(open("/dev/null", O_RDWR) >= 0, "open", "/dev/null");
    _exit(failures == 0 ? 0 : 1);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}

#if defined(__x86_64__)
TEST_F(ConfineTest, TheNumbersOfAnotherAbiFail) {
  const auto run = [] {
    ConfineHere();
    constexpr long kX32 = 0x40000000;
    errno = 0;
    Want(syscall(kX32 | __NR_getpid) == -1 && errno == EPERM, "getpid of x32", "EPERM");
    _exit(failures == 0 ? 0 : 1);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}
#endif

}  // namespace
}  // namespace sluice
