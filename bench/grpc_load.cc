#include "bench/grpc_load.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"

namespace sluice::bench {
namespace {

constexpr char kMethod[] = "/sluice.v1.Enforcement/Check";

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

double Quantile(std::vector<uint32_t>* sample, double q) {
  if (sample->empty()) return 0;
  const auto nth = sample->begin() + static_cast<int64_t>(q * static_cast<double>(sample->size() - 1));
  std::nth_element(sample->begin(), nth, sample->end());
  return *nth / 1e3;
}

// Calls `use(data, size)` with the bytes of `buffer` in one piece: a message may have come in several.
template <typename Use>
bool InOnePiece(const grpc::ByteBuffer& buffer, const Use& use) {
  grpc::Slice slice;
  if (!buffer.TrySingleSlice(&slice).ok() && !buffer.DumpToSingleSlice(&slice).ok()) return false;
  return use(slice.begin(), slice.size());
}

std::shared_ptr<grpc::Channel> Connect(const std::string& socket) {
  grpc::ChannelArguments arguments;
  // A connection of its own, whatever else this process talks to.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(absl::StrCat("unix:", socket), grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

struct Load::Call {
  const Request* request = nullptr;
  int64_t started_ns = 0;
  absl::optional<grpc::ClientContext> context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer response;
  grpc::Status status;
};

Load::Load(const std::string& socket, const std::vector<Request>* requests, bool check)
    : requests_(requests), check_(check), stub_(Connect(socket)) {}

Load::~Load() {
  queue_.Shutdown();
  void* tag;
  bool ok;
  while (queue_.Next(&tag, &ok)) {
  }
}

void Load::Start(Call* call) {
  call->started_ns = NowNs();
  call->reader.reset();
  call->context.emplace();
  call->context->set_wait_for_ready(true);
  call->reader = stub_.PrepareUnaryCall(&*call->context, kMethod, call->request->bytes, &queue_);
  call->reader->StartCall();
  call->reader->Finish(&call->response, &call->status, call);
}

void Load::Finish(Call* call, Measured* measured) {
  ++measured->calls;
  std::string wrong;
  if (!call->status.ok()) {
    wrong = absl::StrCat("RPC error ", static_cast<int>(call->status.error_code()), ": ", call->status.error_message());
  } else if (!InOnePiece(call->response, [this](const uint8_t* data, size_t size) {
               return response_.ParseFromArray(data, static_cast<int>(size));
             })) {
    wrong = "an answer that is no CheckResponse";
  } else if (check_ && (response_.verdict() != call->request->verdict || response_.reason() != call->request->reason)) {
    wrong =
        absl::StrCat("wanted ", v1::Verdict_Name(call->request->verdict), " ", v1::Reason_Name(call->request->reason),
                     ", got ", v1::Verdict_Name(response_.verdict()), " ", v1::Reason_Name(response_.reason()));
  }
  if (!wrong.empty() && measured->wrong++ == 0) measured->what = std::move(wrong);
}

absl::StatusOr<std::string> Load::CallOnce(const Request& request) {
  Call call;
  call.request = &request;
  Start(&call);
  void* tag;
  bool ok;
  queue_.Next(&tag, &ok);
  Measured measured;
  Finish(&call, &measured);
  if (measured.wrong > 0) return absl::InternalError(measured.what);
  std::string bytes;
  InOnePiece(call.response, [&](const uint8_t* data, size_t size) {
    bytes.assign(reinterpret_cast<const char*>(data), size);
    return true;
  });
  return bytes;
}

Measured Load::Run(int in_flight, absl::Duration lasts) {
  Measured measured;
  latencies_ns_.clear();
  std::vector<std::unique_ptr<Call>> calls;
  const int64_t begin = NowNs();
  const int64_t end = begin + absl::ToInt64Nanoseconds(lasts);
  const auto start = [&](Call* call) {
    call->request = &(*requests_)[next_++ % requests_->size()];
    Start(call);
  };
  for (int i = 0; i < in_flight; ++i) {
    calls.push_back(std::make_unique<Call>());
    start(calls.back().get());
  }
  int under_way = in_flight;
  int64_t now = begin;
  while (under_way > 0) {
    void* tag;
    bool ok;
    if (!queue_.Next(&tag, &ok)) break;
    now = NowNs();
    Call* call = static_cast<Call*>(tag);
    latencies_ns_.push_back(static_cast<uint32_t>(std::min<int64_t>(now - call->started_ns, UINT32_MAX)));
    Finish(call, &measured);
    if (now < end) {
      start(call);
    } else {
      --under_way;
    }
  }
  measured.seconds = static_cast<double>(now - begin) / 1e9;
  measured.p50_us = Quantile(&latencies_ns_, 0.5);
  measured.p99_us = Quantile(&latencies_ns_, 0.99);
  return measured;
}

}  // namespace sluice::bench
