// What the configuration says about doors, read into what they work with.
#ifndef SLUICE_SERVER_DOORS_DOOR_OPTIONS_H_
#define SLUICE_SERVER_DOORS_DOOR_OPTIONS_H_

#include "absl/status/statusor.h"
#include "server/config.h"
#include "server/doors/door.h"

namespace sluice {

// Reads the files of tokens: their first line counts, without space around it. INVALID_ARGUMENT where one is empty; as
// the file system says where it cannot be read. Errors name the key and the file, never what is in it.
absl::StatusOr<DoorOptions> ReadDoorOptions(const DoorsConfig& config);

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_DOOR_OPTIONS_H_
