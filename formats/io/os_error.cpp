#include "formats/io/os_error.h"

#include <cerrno>
#include <system_error>

namespace nibble {
namespace {

const char* advice(int code) noexcept {
  switch (code) {
    case ENOENT:
    case ENOTDIR:
      return "check the path";
    case EACCES:
    case EPERM:
      return "check who may read and write there";
    case EROFS:
      return "choose a folder that can be written to";
    case ENOSPC:
    case EDQUOT:
      return "free some space, or choose another folder";
    case EFBIG:
      return "the file system or a limit of this process allows no file of that size";
    case EIO:
      return "the disk may be failing";
    case ENOMEM:
      return "close other programs, or raise the memory limit";
    case EMFILE:
    case ENFILE:
      return "too many files are open; raise the limit";
    default:
      return "";
  }
}

}  // namespace

std::string errno_text(int code) {
  return std::generic_category().message(code);
}

void fail_errno(std::string_view path, std::string_view action, int code) {
  const bool absent = code == ENOENT || code == ENOTDIR;
  throw Error(absent ? ErrorCode::not_found : ErrorCode::io,
              fmt::format("{}: cannot {}: {}", path, action, errno_text(code)), advice(code));
}

}  // namespace nibble
