#include "base/uuid.hh"

#include <sys/random.h>

#include <cstdint>
#include <mutex>

#include "base/error.hh"

namespace insomnia {
namespace {

/// 48 bits of milliseconds and a 12-bit counter, as one number that only grows.
uint64_t next_stamp(uint64_t wall_ms) {
  static std::mutex mutex;
  static uint64_t last = 0;
  std::lock_guard lock(mutex);
  uint64_t stamp = wall_ms << 12;
  last = stamp > last ? stamp : last + 1;
  return last;
}

}  // namespace

std::string uuid7(Clock const& clock) {
  uint64_t stamp = next_stamp(static_cast<uint64_t>(clock.wall_ms()));
  uint8_t bytes[16];
  if (getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes)) panic("getrandom failed");
  uint64_t milliseconds = stamp >> 12;
  for (int i = 0; i < 6; ++i) bytes[i] = static_cast<uint8_t>(milliseconds >> (40 - 8 * i));
  bytes[6] = static_cast<uint8_t>(0x70 | ((stamp >> 8) & 0x0F));
  bytes[7] = static_cast<uint8_t>(stamp);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3F) | 0x80);

  static constexpr char kHex[] = "0123456789abcdef";
  std::string result;
  result.reserve(36);
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) result += '-';
    result += kHex[bytes[i] >> 4];
    result += kHex[bytes[i] & 15];
  }
  return result;
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (dash ? c != '-' : !hex) return false;
  }
  return true;
}

}  // namespace insomnia
