#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace insomnia {

/// SHA-256 (FIPS 180-4) of bytes that arrive in pieces. Names contents (has this file changed? which blob is it?), guards no
/// secret: linking a crypto library for it would cost each Pod more than its own code.
class Sha256 {
 public:
  void update(std::string_view bytes);
  /// The digest as 64 lower-case hex digits; the object is used up.
  std::string finish();

 private:
  void block(uint8_t const* data);

  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> buffer_{};
  size_t used_ = 0;
  uint64_t total_ = 0;
};

std::string sha256_hex(std::string_view bytes);

}  // namespace insomnia
