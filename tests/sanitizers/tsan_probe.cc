// What ThreadSanitizer can be trusted with here: each case hands one int from a thread to another, by another means.
// Run as `tsan_probe CASE`; tsan_probe_test.py knows which of them must be reported, and which must not.
#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace {

int handed = 0;

// `give` after the write, `take` before the read.
void Hand(const std::function<void()>& give, const std::function<void()>& take) {
  std::thread other([&] {
    take();
    if (handed > 1) std::printf("never\n");
    handed = 2;
  });
  handed = 1;
  give();
  other.join();
}

}  // namespace

int main(int argc, char** argv) {
  const char* name = argc > 1 ? argv[1] : "";
  std::atomic<bool> flag{false};
  if (strcmp(name, "relaxed") == 0) {
    // A race: relaxed orders nothing.
    Hand([&] { flag.store(true, std::memory_order_relaxed); },
         [&] {
           while (!flag.load(std::memory_order_relaxed)) std::this_thread::yield();
         });
  } else if (strcmp(name, "release") == 0) {
    Hand([&] { flag.store(true, std::memory_order_release); },
         [&] {
           while (!flag.load(std::memory_order_acquire)) std::this_thread::yield();
         });
  } else if (strcmp(name, "std_mutex") == 0) {
    std::mutex mutex;
    bool ready = false;
    std::condition_variable changed;
    Hand(
        [&] {
          const std::lock_guard<std::mutex> lock(mutex);
          ready = true;
          changed.notify_all();
        },
        [&] {
          std::unique_lock<std::mutex> lock(mutex);
          changed.wait(lock, [&] { return ready; });
        });
  } else if (strcmp(name, "absl_mutex") == 0) {
    absl::Mutex mutex;
    bool ready = false;
    Hand(
        [&] {
          absl::MutexLock lock(&mutex);
          ready = true;
        },
        [&] {
          absl::MutexLock lock(&mutex);
          mutex.Await(absl::Condition(&ready));
        });
  } else if (strcmp(name, "absl_await") == 0) {
    // Conditions of this program's own code, many times: whoever unlocks looks at them too.
    absl::Mutex mutex;
    bool ready = false;
    const auto is_ready = [&] { return ready; };
    const auto is_taken = [&] { return !ready; };
    const auto turns = [&](bool becomes, const auto& until) {
      for (int i = 0; i < 1000; ++i) {
        absl::MutexLock lock(&mutex);
        mutex.Await(absl::Condition(&until));
        ready = becomes;
      }
    };
    Hand([&] { turns(true, is_taken); }, [&] { turns(false, is_ready); });
  } else if (strcmp(name, "absl_condvar") == 0) {
    absl::Mutex mutex;
    absl::CondVar changed;
    bool ready = false;
    Hand(
        [&] {
          absl::MutexLock lock(&mutex);
          ready = true;
          changed.SignalAll();
        },
        [&] {
          absl::MutexLock lock(&mutex);
          while (!ready) changed.Wait(&mutex);
        });
  } else if (strcmp(name, "absl_notification") == 0) {
    absl::Notification told;
    Hand([&] { told.Notify(); }, [&] { told.WaitForNotification(); });
  } else if (strcmp(name, "absl_notification_late") == 0) {
    // Who waits comes when it was told, and finds nothing to wait for.
    absl::Notification told;
    Hand(
        [&] {
          told.Notify();
          flag.store(true, std::memory_order_relaxed);
        },
        [&] {
          while (!flag.load(std::memory_order_relaxed)) std::this_thread::yield();
          told.WaitForNotification();
        });
  } else if (strcmp(name, "absl_has_been_notified") == 0) {
    absl::Notification told;
    Hand([&] { told.Notify(); },
         [&] {
           while (!told.HasBeenNotified()) std::this_thread::yield();
         });
  } else if (strcmp(name, "beside_a_mutex") == 0) {
    // A race: both take a mutex, after and before the wrong thing.
    absl::Mutex mutex;
    Hand([&] { flag.store(true, std::memory_order_relaxed); },
         [&] {
           while (!flag.load(std::memory_order_relaxed)) std::this_thread::yield();
           absl::MutexLock lock(&mutex);
         });
  } else if (strcmp(name, "folder") == 0) {
    // A folder under the number of a descriptor that a library closed.
    std::thread other([&] {
      while (!flag.load(std::memory_order_relaxed)) std::this_thread::yield();
      DIR* const folder = opendir("/");
      if (folder != nullptr) closedir(folder);
    });
    syscall(SYS_close, dup(STDOUT_FILENO));
    flag.store(true, std::memory_order_relaxed);
    other.join();
  } else {
    std::fprintf(stderr, "wanted a case, got '%s'\n", name);
    return 2;
  }
  return 0;
}
