#include "server/listen/reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "enforcement/names.h"
#include "proto/wire.h"

namespace sluice {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;

// Fields of ServerReflectionRequest and ServerReflectionResponse.
constexpr uint32_t kFileByFilename = 3;
constexpr uint32_t kFileContainingSymbol = 4;
constexpr uint32_t kListServices = 7;
constexpr uint32_t kOriginalRequest = 2;
constexpr uint32_t kFileDescriptorResponse = 4;
constexpr uint32_t kListServicesResponse = 6;
constexpr uint32_t kErrorResponse = 7;

// `file` and all that it imports, each once, imports first.
void AppendFile(const FileDescriptor* file, std::set<const FileDescriptor*>* seen, std::string* out) {
  if (!seen->insert(file).second) return;
  for (int i = 0; i < file->dependency_count(); ++i) AppendFile(file->dependency(i), seen, out);
  google::protobuf::FileDescriptorProto message;
  file->CopyTo(&message);
  AppendBytesField(1, message.SerializeAsString(), out);
}

std::string ErrorAnswer(absl::StatusCode code, absl::string_view message) {
  std::string error;
  AppendNumberField(1, static_cast<uint64_t>(code), &error);
  AppendTextField(2, message, &error);
  return error;
}

void AppendFileAnswer(const FileDescriptor* file, absl::string_view wanted, std::string* response) {
  if (file == nullptr) {
    AppendBytesField(kErrorResponse, ErrorAnswer(absl::StatusCode::kNotFound, absl::StrCat("no '", wanted, "' here")),
                     response);
    return;
  }
  std::string files;
  std::set<const FileDescriptor*> seen;
  AppendFile(file, &seen, &files);
  AppendBytesField(kFileDescriptorResponse, files, response);
}

}  // namespace

absl::Status AnswerReflection(absl::string_view request, const std::vector<std::string>& services,
                              std::string* response) {
  uint32_t asked = 0;
  std::string name;
  WireReader fields(request);
  while (fields.Next()) {
    if (fields.type() != WireReader::Type::kBytes || fields.number() < kFileByFilename) continue;
    asked = fields.number();  // of a oneof the last counts
    name.assign(fields.bytes().data(), fields.bytes().size());
  }
  if (!fields.ok() || !IsUtf8(name)) return absl::InvalidArgumentError("wanted a ServerReflectionRequest");
  AppendBytesField(kOriginalRequest, request, response);
  const DescriptorPool* const pool = DescriptorPool::generated_pool();
  switch (asked) {
    case kFileByFilename:
      AppendFileAnswer(pool->FindFileByName(name), name, response);
      break;
    case kFileContainingSymbol:
      AppendFileAnswer(pool->FindFileContainingSymbol(name), name, response);
      break;
    case kListServices: {
      std::string list;
      for (const std::string& service : services) {
        std::string entry;
        AppendTextField(1, service, &entry);
        AppendBytesField(1, entry, &list);
      }
      AppendBytesField(kListServicesResponse, list, response);
      break;
    }
    default:
      AppendBytesField(kErrorResponse,
                       ErrorAnswer(absl::StatusCode::kUnimplemented,
                                   "wanted list_services, file_by_filename or "
                                   "file_containing_symbol: proto3 has no extensions"),
                       response);
  }
  return absl::OkStatus();
}

Reflection::Reflection(Router* router) : router_(router) {
  router->AddGrpc(kReflectionMethod, this, GrpcRoute::Flow::kStream);
}

absl::Status Reflection::Call(absl::string_view request, const CallContext& context, std::string* response) {
  return AnswerReflection(request, router_->GrpcServices(), response);
}

}  // namespace sluice
