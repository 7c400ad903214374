// A record for people and programs: as the message of the contract.
#ifndef SLUICE_DECISION_LOG_RECORD_TEXT_H_
#define SLUICE_DECISION_LOG_RECORD_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "decision_log/record.h"
#include "enforcement/names.h"
#include "sluice/v1/admin.pb.h"

namespace sluice {

// `text` with each byte that is part of no UTF-8 character as its percent-escape: what a message can carry.
std::string AsUtf8(absl::string_view text);

// `*message` is overwritten whole. `number` counts the records of a log from 1; 0 = none.
void ToProto(const RecordView& record, absl::string_view node, int64_t number, v1::DecisionRecord* message);

// The term of an address, as the record of any of its spellings has it.
uint64_t TermHash(const AddressBlock& address);

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_RECORD_TEXT_H_
