#include "absl/strings/str_cat.h"
#include "decision_log/bloom_filter.h"
#include "decision_log/segment_reader.h"
#include "gmock/gmock.h"
#include "proto/translate.h"
#include "tests/decision_log/log_fixture.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LogQueryTest : public DiskLogTest {
 protected:
  void Add(absl::string_view id, absl::string_view owner, absl::string_view requester, absl::string_view bucket,
           absl::string_view key, absl::string_view host, absl::string_view client_ip, Decision decision) {
    CheckInput input = Asked(id, owner, bucket, key);
    input.requester = requester;
    input.host = host;
    input.client_ip = client_ip;
    const std::string trace_parent =
        absl::StrCat("00-", std::string(31, 'a'), id.size() % 2 == 0 ? "0" : "1", "-b7ad6b7169203331-01");
    input.trace_parent = trace_parent;
    Log(input, decision);
    clock_.Advance(absl::Seconds(10));
  }
  void AddSome() {
    Open();
    Decision frozen = Denied();
    frozen.rule_id = "f1";
    Add("frozen", "u1", "", "b1", "k1", "", "192.0.2.1", frozen);
    Add("order", "u2", "u1", "b2", "k1", "cdn.example.cn", "2001:db8::1", Denied(Reason::kLegalOrder));
    Add("allowed", "u2", "u3", "b2", "k2", "cdn.example.cn", "192.0.2.2", Allowed());
    Close();
  }
};

TEST_F(LogQueryTest, NarrowsByEachField) {
  AddSome();
  EXPECT_THAT(FindAll(), ElementsAre("frozen", "order", "allowed"));
  EXPECT_THAT(Find([](auto* q) { q->set_account("u1"); }), ElementsAre("frozen", "order"));
  EXPECT_THAT(Find([](auto* q) { q->set_account("u"); }), IsEmpty());
  EXPECT_THAT(Find([](auto* q) { q->set_bucket("b2"); }), ElementsAre("order", "allowed"));
  EXPECT_THAT(Find([](auto* q) { q->set_key("k1"); }), ElementsAre("frozen", "order"));
  EXPECT_THAT(Find([](auto* q) { q->set_host("CDN.Example.CN.:443"); }), ElementsAre("order", "allowed"));
  EXPECT_THAT(Find([](auto* q) { q->set_client_ip("::ffff:192.0.2.1"); }), ElementsAre("frozen"));
  EXPECT_THAT(Find([](auto* q) { q->set_client_ip("2001:DB8:0::1"); }), ElementsAre("order"));
  EXPECT_THAT(Find([](auto* q) { q->set_client_ip("192.0.2.0/24"); }), ElementsAre("frozen", "allowed"));
  EXPECT_THAT(Find([](auto* q) { q->set_verdict(v1::VERDICT_DENY); }), ElementsAre("frozen", "order"));
  EXPECT_THAT(Find([](auto* q) { q->set_reason(v1::REASON_LEGAL_ORDER); }), ElementsAre("order"));
  EXPECT_THAT(Find([](auto* q) { q->set_rule_id("f1"); }), ElementsAre("frozen"));
  EXPECT_THAT(Find([](auto* q) { q->set_request_id("order"); }), ElementsAre("order"));
  EXPECT_THAT(Find([](auto* q) { q->set_trace_id(std::string(31, 'A') + "0"); }), ElementsAre("frozen"));
  EXPECT_THAT(Find([](auto* q) { q->set_limit(2); }), ElementsAre("frozen", "order"));
}

TEST_F(LogQueryTest, FromIsInclusiveAndToExclusive) {
  const absl::Time start = clock_.Now().wall;
  AddSome();
  EXPECT_THAT(Find([&](auto* q) { ToProto(start + absl::Seconds(10), q->mutable_from()); }),
              ElementsAre("order", "allowed"));
  EXPECT_THAT(Find([&](auto* q) { ToProto(start + absl::Seconds(10), q->mutable_to()); }), ElementsAre("frozen"));
}

TEST_F(LogQueryTest, RefusesWhatCannotBeAsked) {
  AddSome();
  LogCursor cursor;
  const auto ask = [&](const auto& fill) {
    v1::LogQuery query;
    fill(&query);
    return LogReader(options_.folder).Query(query, &cursor, [](const v1::DecisionRecord&) { return true; }).code();
  };
  EXPECT_EQ(ask([](auto* q) { q->set_client_ip("nowhere"); }), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ask([](auto* q) { q->set_trace_id("12"); }), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ask([](auto* q) { q->set_limit(-1); }), absl::StatusCode::kInvalidArgument);
}

TEST_F(LogQueryTest, BytesThatAreNoUtf8AreFoundByTheirEscapedForm) {
  Open();
  Log(Asked("r", "u1", "b1", "caf\xc3\xa9-\xff\xc3("), Denied());
  Close();
  EXPECT_THAT(Find([](auto* q) { q->set_key("caf\xc3\xa9-%FF%C3("); }), ElementsAre("r"));
}

// Ten segments of ten blocks, an hour a segment; account u-rare is in one block alone.
TEST_F(LogQueryTest, ReadsOnlySegmentsAndBlocksThatMayHaveIt) {
  options_.segment_lasts = absl::Hours(1);
  const absl::Time start = clock_.Now().wall;
  Open();
  for (int segment = 0; segment < 10; ++segment) {
    for (int block = 0; block < 10; ++block) {
      for (int i = 0; i < 50; ++i) Log(Asked("common", absl::StrCat("u", i)), Denied());
      if (segment == 4 && block == 7) {
        CheckInput rare = Asked("rare", "u-rare");
        rare.trace_parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        Log(rare, Denied(Reason::kLegalOrder));
      }
      EXPECT_TRUE(log_->Flush().ok());
      clock_.Advance(absl::Minutes(6));
    }
    clock_.Advance(absl::Minutes(1));
    EXPECT_TRUE(log_->Flush().ok());
  }
  Close();
  LogQueryCost cost;
  EXPECT_THAT(Find([](auto* q) { q->set_account("u-rare"); }, &cost), ElementsAre("rare"));
  EXPECT_LE(cost.segments_read, 2);  // one in a hundred says "perhaps"
  EXPECT_LE(cost.blocks_read, 2);
  cost = {};
  EXPECT_THAT(Find([](auto* q) { q->set_reason(v1::REASON_LEGAL_ORDER); }, &cost), ElementsAre("rare"));
  EXPECT_EQ(cost.blocks_read, 1);
  for (const bool by_trace : {false, true}) {
    cost = {};
    EXPECT_THAT(Find(
                    [&](auto* q) {
                      by_trace ? q->set_trace_id("4BF92F3577B34DA6A3CE929D0E0E4736") : q->set_request_id("rare");
                    },
                    &cost),
                ElementsAre("rare"));
    EXPECT_LE(cost.blocks_read, 5);
  }
  cost = {};
  EXPECT_THAT(Find(
                  [&](auto* q) {
                    ToProto(start, q->mutable_from());
                    ToProto(start + absl::Minutes(30), q->mutable_to());
                  },
                  &cost),
              SizeIs(250));
  EXPECT_EQ(cost.blocks_read, 5);
}

TEST_F(LogQueryTest, FindsByIdsWhatFormat1DidNotFilterByThem) {
  Open();
  Log(Asked("old"), Denied());
  Close();
  const std::string path = Segments()[0].path;
  const auto segment = SegmentReader::Open(path);
  ASSERT_TRUE(segment.ok());
  std::string raw;
  for (const IndexEntry& block : (*segment)->blocks()) {
    if (block.header.kind != BlockKind::kRecords) continue;
    ASSERT_TRUE((*segment)->ReadBlock(block, &raw).ok());
  }
  for (const uint32_t version : {1u, 2u}) {
    SegmentHeader header = (*segment)->header();
    header.version = version;
    const std::string head = FormatSegmentHeader(header);
    BlockHeader block;
    block.records = 1;
    block.first_number = 1;
    block.raw_bytes = static_cast<uint32_t>(raw.size());
    // A filter in which nothing is.
    WriteFile(path,
              head + FormatBlock(NextLink({}, {head}), std::string(kFilterLineBytes, '\0'), Compress(raw), &block));
    EXPECT_THAT(Find([](auto* q) { q->set_request_id("old"); }), SizeIs(version == 1 ? 1 : 0));
    EXPECT_THAT(Find([](auto* q) { q->set_key("k1"); }), IsEmpty());
  }
}

TEST(BloomFilterTest, NeverForgetsAndSeldomInvents) {
  for (const uint64_t names : {10, 1000, 7000}) {
    BloomFilter filter(512);
    for (uint64_t i = 0; i < names; ++i) filter.Add(TermHash(LogTerm::kAccount, absl::StrCat("in", i)));
    const std::string stored = filter.Folded();
    EXPECT_LE(stored.size() * 8, std::max<size_t>(names * 45, 512)) << names;
    int invented = 0;
    for (uint64_t i = 0; i < names; ++i) {
      EXPECT_TRUE(BloomFilter::MayHold(stored, TermHash(LogTerm::kAccount, absl::StrCat("in", i))));
    }
    for (int i = 0; i < 10000; ++i) {
      invented += BloomFilter::MayHold(stored, TermHash(LogTerm::kAccount, absl::StrCat("out", i))) ? 1 : 0;
    }
    EXPECT_LE(invented, 200) << names;
  }
}

}  // namespace
}  // namespace sluice
