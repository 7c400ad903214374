// Makes system calls on files below one folder fail or hang, for tests: loaded into sluiced or sluicectl by LD_PRELOAD.
//
// SLUICE_FAULT_FOLDER: which files. SLUICE_FAULT_CONTROL: a file of eight int64, mapped and shared with the test:
//   [0] which call (enum below; 0 = none)   [1] how many of them pass first   [2] errno; 0 = half is written;
//                                                                           -1 = hangs until [0] says another call
//   [3] how many fail, -1 = all from there  [4] calls seen                    [5] calls failed or hung
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, PWRITE, PWRITEV, WRITE, WRITEV, FSYNC, FDATASYNC, FTRUNCATE, OPEN, MMAP, PREAD, FLOCK,
       RENAME, LINK, CALLS };

static volatile int64_t* control;
static const char* folder;

__attribute__((constructor)) static void Start(void) {
  folder = getenv("SLUICE_FAULT_FOLDER");
  const char* path = getenv("SLUICE_FAULT_CONTROL");
  if (folder == NULL || path == NULL) return;
  const int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void* map = (void*)syscall(SYS_mmap, NULL, 8 * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (map != MAP_FAILED) control = map;
  close(file);
}

static int IsOurs(const char* path) { return strncmp(path, folder, strlen(folder)) == 0; }

// 0: the call goes on. Else it fails with errno set; -2: half of it is done.
static int Fails(int call, int file, const char* path) {
  if (control == NULL || control[0] != call) return 0;
  char name[PATH_MAX];
  if (path == NULL) {
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    const ssize_t size = readlink(link, name, sizeof(name) - 1);
    if (size < 0) return 0;
    name[size] = '\0';
    path = name;
  }
  if (!IsOurs(path)) return 0;
  const int64_t seen = __atomic_fetch_add(&control[4], 1, __ATOMIC_SEQ_CST);
  if (seen < control[1] || (control[3] >= 0 && seen >= control[1] + control[3])) return 0;
  __atomic_fetch_add(&control[5], 1, __ATOMIC_SEQ_CST);
  if (control[2] == -1) {
    while (control[0] == call) usleep(1000);  // no futex: the word is shared with a test in Python
    return 0;
  }
  if (control[2] == 0) return -2;
  errno = (int)control[2];
  return -1;
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

ssize_t pwrite(int file, const void* bytes, size_t size, off_t at) {
  const int fails = Fails(PWRITE, file, NULL);
  if (fails == -1) return -1;
  return syscall(SYS_pwrite64, file, bytes, fails == -2 ? size / 2 : size, at);
}
ssize_t pwrite64(int file, const void* bytes, size_t size, off64_t at) { return pwrite(file, bytes, size, at); }

ssize_t pwritev(int file, const struct iovec* parts, int count, off_t at) {
  const int fails = Fails(PWRITEV, file, NULL);
  if (fails == -1) return -1;
  return REAL(ssize_t, "pwritev64", int, const struct iovec*, int, off64_t)(file, parts, fails == -2 ? 1 : count, at);
}

ssize_t pwritev64(int file, const struct iovec* parts, int count, off64_t at) { return pwritev(file, parts, count, at); }

ssize_t write(int file, const void* bytes, size_t size) {
  const int fails = Fails(WRITE, file, NULL);
  if (fails == -1) return -1;
  return syscall(SYS_write, file, bytes, fails == -2 ? size / 2 : size);
}

ssize_t writev(int file, const struct iovec* parts, int count) {
  const int fails = Fails(WRITEV, file, NULL);
  if (fails == -1) return -1;
  return syscall(SYS_writev, file, parts, fails == -2 ? 1 : count);
}

int fsync(int file) { return Fails(FSYNC, file, NULL) != 0 ? -1 : (int)syscall(SYS_fsync, file); }
int fdatasync(int file) { return Fails(FDATASYNC, file, NULL) != 0 ? -1 : (int)syscall(SYS_fdatasync, file); }

int ftruncate(int file, off_t size) { return Fails(FTRUNCATE, file, NULL) != 0 ? -1 : (int)syscall(SYS_ftruncate, file, size); }
int ftruncate64(int file, off64_t size) { return ftruncate(file, size); }

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const int mode = va_arg(rest, int);
  va_end(rest);
  return Fails(OPEN, -1, path) != 0 ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const int mode = va_arg(rest, int);
  va_end(rest);
  return Fails(OPEN, -1, path) != 0 ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

void* mmap(void* at, size_t size, int rights, int flags, int file, off_t from) {
  if (file >= 0 && Fails(MMAP, file, NULL) != 0) return MAP_FAILED;
  return (void*)syscall(SYS_mmap, at, size, rights, flags, file, from);
}
void* mmap64(void* at, size_t size, int rights, int flags, int file, off64_t from) {
  return mmap(at, size, rights, flags, file, from);
}

ssize_t pread(int file, void* bytes, size_t size, off_t at) {
  return Fails(PREAD, file, NULL) != 0 ? -1 : syscall(SYS_pread64, file, bytes, size, at);
}
ssize_t pread64(int file, void* bytes, size_t size, off64_t at) { return pread(file, bytes, size, at); }

int flock(int file, int operation) { return Fails(FLOCK, file, NULL) != 0 ? -1 : (int)syscall(SYS_flock, file, operation); }

int rename(const char* from, const char* to) {
  return Fails(RENAME, -1, to) != 0 ? -1 : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int link(const char* from, const char* to) {
  return Fails(LINK, -1, to) != 0 ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}
