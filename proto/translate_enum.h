// Enum words across the border: a cast each way, for the numbers agree (enums_agree.cc). Internal to proto/.
#ifndef SLUICE_PROTO_TRANSLATE_ENUM_H_
#define SLUICE_PROTO_TRANSLATE_ENUM_H_

namespace sluice {

// A number that the plain enum (one byte) cannot hold becomes 255, which has no name: it must never wrap to a valid
// one.
template <typename Value>
constexpr Value FromNumber(int number) {
  return static_cast<Value>(number < 0 || number > 255 ? 255 : number);
}

template <typename Message, typename Value>
constexpr Message ToNumber(Value value) {
  return static_cast<Message>(static_cast<int>(value));
}

}  // namespace sluice

#endif  // SLUICE_PROTO_TRANSLATE_ENUM_H_
