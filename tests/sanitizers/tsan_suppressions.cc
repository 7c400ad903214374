// What ThreadSanitizer does not look at, linked into every program of the preset tsan. README.md argues each line and
// says what it hides; tsan_probe_test.py holds what is reported none the less.
//
// No line names a function of this tree. called_from_lib means the calls that a library itself makes of malloc, free,
// memcpy, recvmsg and the like, which are all that is seen of a library that is not built with ThreadSanitizer: what
// orders them it orders by atomics of its own, which are not.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" const char* __tsan_default_suppressions();  // of the run-time library; no header of GCC's declares it

const char* __tsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier)
  return "called_from_lib:libgrpc.so\n"
         "called_from_lib:libgrpc++.so\n"
         "called_from_lib:libgpr.so\n"
         "called_from_lib:libabsl_status.so\n"
         "called_from_lib:libabsl_cord.so\n"
         "called_from_lib:libabsl_time_zone.so\n"
         "called_from_lib:libabsl_random_internal_pool_urbg.so\n"
         "race:^absl::debian3::StrAppend(\n"
         "race:^CRYPTO_THREAD_lock_free$\n"
         "race_top:^__interceptor_closedir$\n"
         "thread:^grpc_core::Thread::Thread(\n";
}
