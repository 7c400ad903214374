#include "bench/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace sluice::bench {
namespace {

absl::Status SystemError(absl::string_view what) {
  return absl::InternalError(absl::StrCat(what, ": ", strerror(errno)));
}

}  // namespace

std::vector<int> Cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

bool PinTo(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  return sched_setaffinity(0, sizeof(set), &set) == 0;
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Spawn(std::vector<std::string> words, int core,
                                                                  bool other) {
  int to_child[2], from_child[2];
  if (pipe2(to_child, O_CLOEXEC) != 0) return SystemError("pipe");
  if (pipe2(from_child, O_CLOEXEC) != 0) {
    close(to_child[0]);
    close(to_child[1]);
    return SystemError("pipe");
  }
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  const pid_t pid = fork();
  if (pid == 0) {
    // Between fork and exec: nothing that locks or allocates.
    dup2(to_child[0], STDIN_FILENO);
    dup2(from_child[1], STDOUT_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (core >= 0) PinTo(core);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  close(to_child[0]);
  close(from_child[1]);
  if (pid < 0) {
    close(to_child[1]);
    close(from_child[0]);
    return SystemError("fork");
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, to_child[1], from_child[0], other));
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const std::vector<std::string>& arguments, int core,
                                                                  absl::Duration patience) {
  std::vector<std::string> words = {"/proc/self/exe"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  absl::StatusOr<std::unique_ptr<ChildProcess>> child = Spawn(std::move(words), core, /*other=*/false);
  if (!child.ok()) return child;
  pollfd ready = {(*child)->from_child_, POLLIN, 0};
  int polled = 0;
  do {
    polled = poll(&ready, 1, static_cast<int>(absl::ToInt64Milliseconds(patience)));
  } while (polled < 0 && errno == EINTR);
  char byte = 0;
  if (polled <= 0) {
    kill((*child)->pid_, SIGKILL);  // whatever keeps it does not listen to us either
    return absl::DeadlineExceededError(
        absl::StrCat("server ", arguments.front(), ": not ready within ", absl::FormatDuration(patience)));
  }
  if (read((*child)->from_child_, &byte, 1) != 1) {
    return absl::InternalError(absl::StrCat("server ", arguments.front(), ": ended before it was ready"));
  }
  return child;
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::StartOther(const std::vector<std::string>& command,
                                                                       int core, const std::string& socket_path,
                                                                       absl::Duration patience) {
  absl::StatusOr<std::unique_ptr<ChildProcess>> child = Spawn(command, core, /*other=*/true);
  if (!child.ok()) return child;
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  memcpy(name.sun_path, socket_path.data(), std::min(socket_path.size(), sizeof name.sun_path - 1));
  const absl::Time until = absl::Now() + patience;
  while (absl::Now() < until) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool answered = connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
    close(fd);
    if (answered) return child;
    absl::SleepFor(absl::Milliseconds(5));
  }
  kill((*child)->pid_, SIGKILL);
  return absl::DeadlineExceededError(absl::StrCat(command.front(), ": does not answer at ", socket_path));
}

ChildProcess::~ChildProcess() {
  if (other_) kill(pid_, SIGTERM);
  close(to_child_);
  close(from_child_);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
}

absl::Duration ChildProcess::CpuTime() const {
  clockid_t clock;
  timespec used = {};
  if (clock_getcpuclockid(pid_, &clock) == 0) clock_gettime(clock, &used);
  return absl::DurationFromTimespec(used);
}

int64_t ChildProcess::ResidentBytes() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/statm"));
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t ChildProcess::PeakResidentBytes() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/status"));
  std::string word;
  while (file >> word) {
    int64_t kilobytes = 0;
    if (word == "VmHWM:" && file >> kilobytes) return kilobytes << 10;
  }
  return 0;
}

void ChildProcess::ForgetPeak() const { std::ofstream(absl::StrCat("/proc/", pid_, "/clear_refs")) << "5"; }

void ChildProcess::ServeUntilToldToStop() {
  char byte = '\n';
  if (write(STDOUT_FILENO, &byte, 1) != 1) return;
  // The end of the file: the parent closed its side, or is gone.
  while (true) {
    const ssize_t got = read(STDIN_FILENO, &byte, 1);
    if (got == 0 || (got < 0 && errno != EINTR)) return;
  }
}

}  // namespace sluice::bench
