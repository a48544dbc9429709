#include "llm/http_status.hh"

#include <gtest/gtest.h>

namespace insomnia::llm {
namespace {

constexpr int64_t kNow = 1'445'412'480'000;  // Wed, 21 Oct 2015 07:28:00 GMT

TEST(HttpStatus, TheRetryableOnes) {
  for (int status : {408, 425, 429, 500, 502, 503, 504, 529}) EXPECT_TRUE(is_retryable_status(status)) << status;
  for (int status : {400, 401, 403, 404, 409, 410, 413, 422, 501, 505}) EXPECT_FALSE(is_retryable_status(status)) << status;
}

TEST(HttpStatus, RetryAfterInSeconds) {
  EXPECT_EQ(parse_retry_after("30", kNow), 30'000);
  EXPECT_EQ(parse_retry_after(" 1.5 ", kNow), 1'500);
  EXPECT_EQ(parse_retry_after("0", kNow), 0);
  EXPECT_EQ(parse_retry_after("-3", kNow), 0);
}

TEST(HttpStatus, RetryAfterAsADateInAllThreeForms) {
  EXPECT_EQ(parse_retry_after("Wed, 21 Oct 2015 07:28:10 GMT", kNow), 10'000);
  EXPECT_EQ(parse_retry_after("Wednesday, 21-Oct-15 07:28:10 GMT", kNow), 10'000);
  EXPECT_EQ(parse_retry_after("Wed Oct 21 07:28:10 2015", kNow), 10'000);
  EXPECT_EQ(parse_retry_after("Wed, 21 Oct 2015 07:27:00 GMT", kNow), 0) << "a date in the past";
}

TEST(HttpStatus, RetryAfterThatSaysNothingIsAbsent) {
  for (auto text : {"", "soon", "12 seconds", "1e3", "Wed, 99 Oct"}) EXPECT_EQ(parse_retry_after(text, kNow), std::nullopt) << text;
}

TEST(HttpStatus, ErrorBodiesOfSeveralVendors) {
  EXPECT_EQ(parse_api_error(R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})"),
            (ApiError{"overloaded_error", "Overloaded"}));
  EXPECT_EQ(parse_api_error(R"({"error":{"code":"insufficient_quota","type":"x","message":"No money"}})"),
            (ApiError{"insufficient_quota", "No money"}));
  EXPECT_EQ(parse_api_error(R"({"error":{"code":404,"message":"no model"}})"), (ApiError{"404", "no model"}));
  EXPECT_EQ(parse_api_error(R"({"error":"model not found"})"), (ApiError{"", "model not found"}));
  EXPECT_EQ(parse_api_error(R"({"message":"plain"})"), (ApiError{"", "plain"}));
  EXPECT_EQ(parse_api_error("<html>\nbad gateway"), (ApiError{"", "<html> bad gateway"}));
  EXPECT_EQ(parse_api_error(""), ApiError{});
}

TEST(HttpStatus, ALongBodyIsCut) { EXPECT_LT(parse_api_error(std::string(100'000, 'x')).message.size(), 2'000u); }

TEST(HttpStatus, ResetsOfRateLimitsInEveryForm) {
  constexpr int64_t kNow = 1'760'000'000'000;
  for (auto [value, wait] : {std::pair{"12", 12'000}, {"0.5", 500}, {"1s", 1'000}, {"1m30s", 90'000}, {"850ms", 850}, {"2h", 7'200'000}, {"6m0s", 360'000}, {"1.5s", 1'500}, {"0", 0}, {"1760000060", 60'000}}) {
    EXPECT_EQ(parse_reset(value, kNow), wait) << value;
  }
  EXPECT_EQ(parse_reset("1970-01-01T00:01:00Z", 0), 60'000);
  EXPECT_EQ(parse_reset("1970-01-01T01:01:00.25+01:00", 0), 60'000);
  EXPECT_EQ(parse_reset("1970-01-01T00:01:00Z", 120'000), 0) << "it is over";
  for (auto const* bad : {"", "soon", "1y", "-3", "s", "1970-01-01T00:01:00", "5 s"}) EXPECT_EQ(parse_reset(bad, 0), std::nullopt) << bad;
}

TEST(HttpStatus, AFailureHasStatusCodeAndWait) {
  http::Response response{.status = 529, .content_type = "application/json", .headers = {{"retry-after", "7"}}};
  CallFailure failure = status_failure(response, {"overloaded_error", "Overloaded"}, "http://h/v1/messages", kNow);
  EXPECT_EQ(failure.status, 529);
  EXPECT_EQ(failure.api_code, "overloaded_error");
  EXPECT_EQ(failure.retry_after_ms, 7'000);
  EXPECT_TRUE(failure.retryable);
  EXPECT_EQ(failure.error.message, "http://h/v1/messages: API error (status: 529) [overloaded_error]: Overloaded");
}

TEST(HttpStatus, TheVendorsOwnWordOnRetryingWins) {
  http::Response no{.status = 500, .content_type = "", .headers = {{"x-should-retry", "false"}}};
  EXPECT_FALSE(status_failure(no, {}, "u", kNow).retryable);
  http::Response yes{.status = 400, .content_type = "", .headers = {{"x-should-retry", "true"}}};
  EXPECT_TRUE(status_failure(yes, {}, "u", kNow).retryable);
}

TEST(HttpStatus, ARedirectNamesItsTargetAndTheWayOut) {
  http::Response response{.status = 308, .content_type = "", .headers = {{"location", "https://new/v1?token=t"}}};
  std::string message = status_failure(response, {}, "http://old", kNow).error.message;
  EXPECT_NE(message.find("https://new/v1"), std::string::npos) << message;
  EXPECT_EQ(message.find("token"), std::string::npos) << message;
  EXPECT_NE(message.find("base_url"), std::string::npos) << message;
}

}  // namespace
}  // namespace insomnia::llm
