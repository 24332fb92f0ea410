#pragma once
// What a path names when it is no regular file.
#include <sys/stat.h>

namespace nibble {

/// "a folder", "a pipe" ...; nullptr for a regular file.
inline const char* irregular_kind(mode_t mode) noexcept {
  if (S_ISREG(mode)) return nullptr;
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "no regular file";
}

}  // namespace nibble
