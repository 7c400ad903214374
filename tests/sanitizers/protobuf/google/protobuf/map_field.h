// Stands before Protobuf's header of this name in the preset tsan. That one gives a map two members more where it is
// compiled with ThreadSanitizer, and Debian's library is not: a message with a map that the one makes and the other
// fills would be broken memory. So it is read here as the library was compiled.
#ifndef SLUICE_TESTS_SANITIZERS_PROTOBUF_MAP_FIELD_H_
#define SLUICE_TESTS_SANITIZERS_PROTOBUF_MAP_FIELD_H_

// What it includes is read as the rest of this tree is compiled.
#include <google/protobuf/arena.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_message_reflection.h>
#include <google/protobuf/generated_message_util.h>
#include <google/protobuf/map_entry.h>
#include <google/protobuf/map_field_lite.h>
#include <google/protobuf/map_type_handler.h>
#include <google/protobuf/message.h>
#include <google/protobuf/repeated_field.h>
#include <google/protobuf/unknown_field_set.h>

#include <atomic>
#include <functional>

#pragma push_macro("__SANITIZE_THREAD__")
#undef __SANITIZE_THREAD__
#include_next <google/protobuf/map_field.h>  // IWYU pragma: export
#pragma pop_macro("__SANITIZE_THREAD__")

#endif  // SLUICE_TESTS_SANITIZERS_PROTOBUF_MAP_FIELD_H_
