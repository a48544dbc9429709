#include "pod/report_receiver.hh"

#include "pod/children_fixture_test.hh"

namespace insomnia::pod {
namespace {

/// root is alive and registered; what is stored of the Pods between it and the one that reports decides.
class ReportReceiver : public ChildrenTest {
 protected:
  void store(std::string const& name, std::string const& ended, std::optional<ParentLink> parent, std::string const& id = "") {
    PodState state;
    state.pod_name = name;
    state.pod_id = id.empty() ? name + "-id" : id;
    state.ended = ended;
    state.parent = std::move(parent);
    ASSERT_TRUE(write_pod_state(paths, state));
  }
  static ParentLink link(std::string const& name) { return {name + "-id", name + "-instance", name, ""}; }
  std::optional<ParentLink> receiver(std::string const& parent) { return report_receiver(paths, *core->registry, "reporter-id", link(parent)); }
};

TEST_F(ReportReceiver, ThePodAboveReadsItsMailWhileItLivesOrCanComeBack) {
  EXPECT_TRUE(will_read_mail(paths, link("root"))) << "it lives";
  EXPECT_FALSE(will_read_mail(paths, link("nobody")));
  store("kid", "", link("root"));
  EXPECT_TRUE(will_read_mail(paths, link("kid"))) << "it died without a word";
  store("kid", "interrupted", link("root"));
  EXPECT_TRUE(will_read_mail(paths, link("kid")));
  store("kid", "done", link("root"));
  EXPECT_FALSE(will_read_mail(paths, link("kid")));
  store("kid", "", link("root"), "a later kid");
  EXPECT_FALSE(will_read_mail(paths, link("kid"))) << "the name is another Pod's by now";
  ASSERT_TRUE(io::replace_file(paths.pod_dir("kid") + "/metadata.json", "{ torn"));
  EXPECT_TRUE(will_read_mail(paths, link("kid"))) << "it may be repaired";
}

TEST_F(ReportReceiver, IsTheNearestAboveByWhatIsStored) {
  store("middle", "done", link("root"));
  store("kid", "done", link("middle"));
  EXPECT_EQ(receiver("kid")->pod_name, "root");
  store("middle", "interrupted", link("root"));
  EXPECT_EQ(receiver("kid")->pod_name, "middle");
  EXPECT_EQ(receiver("root"), std::nullopt) << "nothing is stored of it, and nobody is above it";
  store("kid", "done", link("kid"));
  EXPECT_EQ(receiver("kid"), std::nullopt) << "a circle";
}

TEST_F(ReportReceiver, IsTheOneBelowWhichTheRegistryHasItByNow) {
  start("reporter", "pod", directory.directory("work/sub"));
  auto found = receiver("a name that was given away");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->pod_name, "root");
  EXPECT_EQ(found->instance_id, "root-instance");
}

}  // namespace
}  // namespace insomnia::pod
