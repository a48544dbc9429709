#include "tools/spill.hh"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/io.hh"

namespace insomnia::tools {
namespace {

constexpr uint64_t kQuota = 512u << 20;

}  // namespace

SpillStore::SpillStore(std::string directory, UniqueFd handle) : directory_(std::move(directory)), handle_(std::move(handle)) {
  if (auto real = io::real_path(directory_)) directory_ = *real;
}

SpillStore::~SpillStore() {
  for (auto const& file : kept_) unlink(file.path);
  for (auto const& path : open_) unlink(path);
}

int SpillStore::unlink(std::string const& path) const {
  return handle_ ? ::unlinkat(handle_.get(), std::string(io::base_name(path)).c_str(), 0) : ::unlink(path.c_str());
}

std::string SpillStore::directory() const {
  std::lock_guard lock(mutex_);
  return directory_;
}

Result<SpillStore::File> SpillStore::create(std::string_view kind) {
  std::lock_guard lock(mutex_);
  if (directory_.empty()) return fail(Code::InvalidArgument, "there is no directory for long outputs");
  if (!handle_) {
    TRY(io::make_directories(directory_));
    directory_ = TRY(io::real_path(directory_));
  }
  for (int attempt = 0;; ++attempt) {
    uint32_t number = 0;
    if (::getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number) number = static_cast<uint32_t>(attempt);
    std::string name = std::string(kind) + "-" + std::to_string(number) + ".log";
    std::string path = directory_ + "/" + name;
    UniqueFd fd(::openat(handle_ ? handle_.get() : AT_FDCWD, handle_ ? name.c_str() : path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd) {
      open_.push_back(path);
      return File{std::move(fd), std::move(path)};
    }
    if (errno != EEXIST || attempt > 100) return fail_errno("create " + path, errno);
  }
}

void SpillStore::keep(std::string const& path, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  std::erase(open_, path);
  kept_.push_back({path, bytes});
  kept_bytes_ += bytes;
  while (kept_bytes_ > kQuota && kept_.size() > 1) {
    unlink(kept_.front().path);
    kept_bytes_ -= kept_.front().bytes;
    kept_.pop_front();
  }
}

void SpillStore::remove(std::string const& path) {
  std::lock_guard lock(mutex_);
  std::erase(open_, path);
  unlink(path);
}

void SpillStore::forget(std::string const& path) {
  std::lock_guard lock(mutex_);
  std::erase(open_, path);
}

}  // namespace insomnia::tools
