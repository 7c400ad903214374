// Gives up what a node never needs: new privileges, most capabilities, and system calls that a node never makes and an
// intruder would.
#ifndef SLUICE_SERVER_CONFINE_H_
#define SLUICE_SERVER_CONFINE_H_

#include "absl/status/status.h"

namespace sluice {

// For good, and for every thread that the calling one will start; so before the first. Afterwards the process can
// execute no program, trace no other, mount nothing, make or enter no namespace, load nothing into the kernel and set
// no clock; threads and forks start as before. Of root's capabilities it keeps those that a start needs: to give away
// its sockets, to listen on a low port, to open files whatever their mode. Refused calls fail with EPERM, clone3 with
// ENOSYS. An error says which step the system did not take; the steps before it stand.
absl::Status Confine();

}  // namespace sluice

#endif  // SLUICE_SERVER_CONFINE_H_
