#pragma once

#include <cstdint>

/// The kernel's interface to Landlock up to ABI 7 (landlock(7), include/uapi/linux/landlock.h of Linux 6.15): distributions ship older headers.
namespace insomnia::cell::landlock_abi {

struct RulesetAttributes {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;  ///< ABI 4
  uint64_t scoped;              ///< ABI 6
};

struct __attribute__((packed)) PathBeneath {
  uint64_t allowed_access;
  int32_t parent_fd;
};

inline constexpr int kRulePathBeneath = 1;
inline constexpr unsigned kAskVersion = 1;

inline constexpr uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2, kReadDirectory = 1 << 3, kRemoveDirectory = 1 << 4,
                          kRemoveFile = 1 << 5, kMakeCharacterDevice = 1 << 6, kMakeDirectory = 1 << 7, kMakeFile = 1 << 8, kMakeSocket = 1 << 9,
                          kMakeFifo = 1 << 10, kMakeBlockDevice = 1 << 11, kMakeLink = 1 << 12, kRefer = 1 << 13, kTruncate = 1 << 14,
                          kDeviceControl = 1 << 15;

inline constexpr uint64_t kScopeAbstractSocket = 1 << 0, kScopeSignal = 1 << 1;

}  // namespace insomnia::cell::landlock_abi
