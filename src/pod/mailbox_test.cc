#include "pod/mailbox.hh"

#include <fcntl.h>
#include <sys/stat.h>

#include "pod/fixture_test.hh"

namespace insomnia::pod {
namespace {

class Mailbox : public PodTest {
 protected:
  Mail mail(std::string sender, uint64_t seq, std::string text) {
    return {.to_pod_id = "me-id",
            .from_pod_id = std::move(sender),
            .from_instance_id = "i",
            .from_pod_name = "kid",
            .seq = seq,
            .event = std::nullopt,
            .text = std::move(text)};
  }
  std::string inbox() { return paths.pod_dir("me") + "/inbox"; }
  std::vector<Mail> scan() {
    auto result = scan_inbox(paths, "me", "me-id");
    EXPECT_TRUE(result);
    return result ? *result : std::vector<Mail>{};
  }
};

TEST_F(Mailbox, CodecKeepsEventAndText) {
  Mail letter = mail("kid-id", 4, "hello \"you\"\n");
  letter.event = wire::TurnEnded{"kid", "done", 2};
  auto back = decode_mail(encode_mail(letter));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, letter);
}

TEST_F(Mailbox, ErrorsNameTheField) {
  for (auto [text, says] : {std::pair{"{}", "to_pod_id"}, std::pair{R"({"to_pod_id":"a","from_pod_id":"b"})", "seq"},
                            std::pair{R"({"to_pod_id":"a","from_pod_id":"b","seq":-1})", "seq"}}) {
    auto result = decode_mail(text);
    ASSERT_FALSE(result) << text;
    EXPECT_HAS(result.error().message, says);
  }
}

TEST_F(Mailbox, AnInboxThatIsNotThereIsEmpty) { EXPECT_TRUE(scan().empty()); }

TEST_F(Mailbox, ScansBySenderAndNumber) {
  for (auto& letter : {mail("b", 10, "b10"), mail("b", 9, "b9"), mail("a", 2, "a2"), mail("a", 11, "a11")}) ASSERT_TRUE(post_mail(paths, "me", letter));
  EXPECT_EQ(scan(), (std::vector<Mail>{mail("a", 2, "a2"), mail("a", 11, "a11"), mail("b", 9, "b9"), mail("b", 10, "b10")}));
  EXPECT_EQ(scan().size(), 4u) << "scanning takes nothing away";
}

TEST_F(Mailbox, TheNumbersDecideTheOrderWhateverTimeTheFilesHave) {
  for (uint64_t seq : {1, 2, 3}) ASSERT_TRUE(post_mail(paths, "me", mail("a", seq, "x")));
  for (int seq : {1, 2, 3}) {
    // As if the clock had been set back before each letter.
    timespec times[2] = {{1'700'000'000 - seq, 0}, {1'700'000'000 - seq, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (inbox() + "/a." + std::to_string(seq) + ".json").c_str(), times, 0), 0);
  }
  EXPECT_EQ(scan(), (std::vector<Mail>{mail("a", 1, "x"), mail("a", 2, "x"), mail("a", 3, "x")}));
}

TEST_F(Mailbox, TheSameNumberAgainIsHarmless) {
  ASSERT_TRUE(post_mail(paths, "me", mail("a", 1, "x")));
  ASSERT_TRUE(post_mail(paths, "me", mail("a", 1, "x")));
  EXPECT_EQ(scan().size(), 1u);
}

TEST_F(Mailbox, RemovedMailIsGone) {
  ASSERT_TRUE(post_mail(paths, "me", mail("a", 1, "x")));
  remove_mail(paths, "me", "a", 1);
  remove_mail(paths, "me", "a", 1);
  EXPECT_TRUE(scan().empty());
}

TEST_F(Mailbox, MailForAnEarlierPodOfTheNameIsDead) {
  Mail old = mail("a", 1, "x");
  old.to_pod_id = "earlier-id";
  ASSERT_TRUE(post_mail(paths, "me", old));
  ASSERT_TRUE(post_mail(paths, "me", mail("a", 2, "y")));
  EXPECT_EQ(scan(), (std::vector<Mail>{mail("a", 2, "y")}));
  EXPECT_TRUE(io::exists(inbox() + "/dead/a.1.json"));
}

TEST_F(Mailbox, WhatCannotBeReadIsSetAsideAndTheRestIsDelivered) {
  ASSERT_TRUE(post_mail(paths, "me", mail("a", 1, "y")));
  ASSERT_TRUE(io::replace_file(inbox() + "/b.1.json", "{torn"));
  ASSERT_TRUE(io::replace_file(inbox() + "/c.7.json", encode_mail(mail("c", 8, "under another number"))));
  ASSERT_TRUE(io::make_directories(inbox() + "/folder.json"));
  EXPECT_EQ(scan().size(), 1u);
  for (auto* name : {"b.1.json", "c.7.json", "folder.json"}) EXPECT_TRUE(io::exists(inbox() + "/damaged/" + name)) << name;
}

TEST_F(Mailbox, FilesThatAreStillBeingWrittenAreLeftAlone) {
  ASSERT_TRUE(io::make_directories(inbox()));
  ASSERT_TRUE(io::replace_file(inbox() + "/a.1.json.tmp", "{half"));
  EXPECT_TRUE(scan().empty());
  EXPECT_TRUE(io::exists(inbox() + "/a.1.json.tmp"));
}

TEST_F(Mailbox, ReceiversThatAreNoNamesAreRefused) { EXPECT_FALSE(post_mail(paths, "../me", mail("a", 1, "x"))); }

}  // namespace
}  // namespace insomnia::pod
