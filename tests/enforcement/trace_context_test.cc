#include "enforcement/trace_context.h"

#include <string>

#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr absl::string_view kGood = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContextTest, ReadsWhatTheStandardGivesAsItsExample) {
  EXPECT_EQ(ParseTraceParent(kGood), kGood);
  EXPECT_EQ(TraceIdOf(ParseTraceParent(kGood)), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(TraceIdOf(ParseTraceParent("")), "");
}

TEST(TraceContextTest, ALaterVersionIsReadAsFarAsThisOneGoes) {
  const std::string later = "cc" + std::string(kGood.substr(2));
  EXPECT_EQ(ParseTraceParent(later), later);
  EXPECT_EQ(ParseTraceParent(later + "-what-the-future-adds"), later);
  EXPECT_EQ(ParseTraceParent(later + "what"), "");
  EXPECT_EQ(ParseTraceParent(std::string(kGood) + "-what"), "");  // this version has nothing more
}

TEST(TraceContextTest, WhateverIsNoneIsAbsent) {
  EXPECT_EQ(ParseTraceParent(kGood.substr(0, 54)), "");
  EXPECT_EQ(ParseTraceParent("ff" + std::string(kGood.substr(2))), "");
  EXPECT_EQ(ParseTraceParent("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), "");
  EXPECT_EQ(ParseTraceParent("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"), "");
  // Nothing but digits and dashes at any place: no quote, no line end, no markup.
  for (size_t at = 0; at < kGood.size(); ++at) {
    for (const char other : {'"', '\r', '\n', '<', '&', '%', ' ', '\0', 'F', 'g', '\x80'}) {
      std::string bad(kGood);
      bad[at] = other;
      EXPECT_EQ(ParseTraceParent(bad), "") << bad;
    }
  }
}

}  // namespace
}  // namespace sluice
