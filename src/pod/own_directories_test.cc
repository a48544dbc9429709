#include "pod/own_directories.hh"

#include "pod/fixture_test.hh"

namespace insomnia::pod {
namespace {

using scope::Permission;
using scope::Scope;

Paths own_paths() { return {.config_dir = "/u/.config/insomnia", .data_dir = "/u/.insomnia", .runtime_dir = "/run/u/insomnia"}; }

TEST(OwnDirectories, AreDeniedWhereARuleReachesThem) {
  auto scope = without_own_directories(Scope::from_resolved({{write_rule("/u")}, {}}), own_paths());
  ASSERT_TRUE(scope);
  EXPECT_EQ(scope->deny_rules(), (std::vector{scope::read_rule("/u/.config/insomnia"), scope::read_rule("/u/.insomnia")}));
  EXPECT_FALSE(scope->is_readable("/u/.insomnia/pods/x/metadata.json"));
  EXPECT_TRUE(scope->is_writable("/u/.config/other"));
  EXPECT_EQ(*without_own_directories(*scope, own_paths()), *scope) << "a child that gets the denies has them once";
}

TEST(OwnDirectories, ElsewhereNothingIsAdded) {
  auto scope = Scope::from_resolved({{write_rule("/u/project"), {"/u", Permission::Read, false}}, {}});
  auto with = without_own_directories(scope, own_paths());
  ASSERT_TRUE(with);
  EXPECT_EQ(with->deny_rules(), std::vector{scope::read_rule("/u/.insomnia")}) << "a flat rule shows that the directory is there";
  EXPECT_EQ(without_own_directories(Scope::from_resolved({{write_rule("/u/project")}, {}}), own_paths())->deny_rules().size(), 0u);
}

TEST(OwnDirectories, ARuleInsideIsRefusedWithTheWayOut) {
  for (auto target : {"/u/.insomnia", "/u/.insomnia/pods", "/run/u/insomnia/x"}) {
    auto refused = without_own_directories(Scope::from_resolved({{write_rule("/w"), scope::read_rule(target)}, {}}), own_paths());
    ASSERT_FALSE(refused) << target;
    EXPECT_EQ(refused.error().code, Code::PermissionDenied);
    EXPECT_NE(refused.error().message.find(target), std::string::npos);
  }
}

}  // namespace
}  // namespace insomnia::pod
