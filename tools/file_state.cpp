// See file_state.h.
#include "tools/file_state.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <vector>

#include "tools/small_file.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

// mountinfo writes blanks and backslashes of a path as \040 and the like.
std::string unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](size_t j) {
      return j < text.size() && text[j] >= '0' && text[j] <= '7' ? text[j] - '0' : -1;
    };
    if (text[i] == '\\' && digit(i + 1) >= 0 && digit(i + 2) >= 0 && digit(i + 3) >= 0) {
      out += static_cast<char>(digit(i + 1) * 64 + digit(i + 2) * 8 + digit(i + 3));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool is_under(const std::string& path, const std::string& folder) {
  if (folder == "/") return true;
  return path.compare(0, folder.size(), folder) == 0 &&
         (path.size() == folder.size() || path[folder.size()] == '/');
}

// A partition's folder lies in its disk's, which has the answers.
void read_disk(const std::string& root, const std::string& device, FileState* out) {
  std::error_code error;
  fs::path disk = fs::canonical(root + "/sys/dev/block/" + device, error);
  if (error) return;
  if (fs::exists(disk / "partition", error)) disk = disk.parent_path();
  const std::string where = fs::relative(disk, root, error).string();
  const auto behind = [&](const char* bus) { return where.find(bus) != std::string::npos; };
  out->removable = read_line(disk / "removable") == "1" || behind("/usb");
  // A virtual machine's disk is called rotating by default, whatever it is.
  out->rotating =
      !behind("/virtio") && !behind("/virtual/") && read_line(disk / "queue" / "rotational") == "1";
}

// Only the owner and who may write a file are told about its pages; to others the kernel calls all
// of them present.
bool may_ask(const struct stat& info, const std::string& path) {
  return info.st_uid == ::geteuid() || ::geteuid() == 0 || ::access(path.c_str(), W_OK) == 0;
}

double cached_share(int fd, int64_t bytes) {
  const auto size = static_cast<size_t>(bytes);
  void* map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return -1;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> present((size + page - 1) / page);
  const bool told = ::mincore(map, size, present.data()) == 0;
  ::munmap(map, size);
  if (!told) return -1;
  const auto n = std::count_if(present.begin(), present.end(),
                               [](unsigned char flags) { return (flags & 1) != 0; });
  return static_cast<double>(n) / static_cast<double>(present.size());
}

}  // namespace

std::optional<FileState> read_file_state(const std::string& path, const std::string& root) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return std::nullopt;
  }
  FileState out;
  out.bytes = info.st_size;
  if (out.bytes > 0 && may_ask(info, path)) out.cached = cached_share(fd, out.bytes);
  ::close(fd);

  std::error_code error;
  const std::string real = fs::canonical(path, error).string();
  if (error) return out;
  const auto mount = find_mount(read_small(root + "/proc/self/mountinfo"), real);
  if (!mount) return out;
  out.file_system = mount->file_system;
  out.remote = is_remote(mount->file_system);
  if (!out.remote) read_disk(root, mount->device, &out);
  return out;
}

std::optional<Mount> find_mount(const std::string& mountinfo, const std::string& path) {
  // 36 35 98:0 /root-in-it /mount-point options tags... - type source super-options
  std::optional<Mount> best;
  size_t longest = 0;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, inside, point, field, type;
    if (!(fields >> id >> parent >> device >> inside >> point)) continue;
    while (fields >> field && field != "-") {
    }
    if (!(fields >> type)) continue;
    point = unescape(point);
    // Of two mounts on one folder the later hides the earlier.
    if (!is_under(path, point) || point.size() < longest) continue;
    longest = point.size();
    best = Mount{device, type};
  }
  return best;
}

bool is_remote(const std::string& file_system) {
  static constexpr const char* kRemote[] = {
      "nfs",
      "nfs4",
      "cifs",
      "smb3",
      "smbfs",
      "9p",
      "virtiofs",
      "vboxsf",
      "vmhgfs",
      "ceph",
      "afs",
      "lustre",
      "gpfs",
      "beegfs",
      "drvfs",
      "davfs",
      "glusterfs",
      "fuse.sshfs",
      "fuse.rclone",
      "fuse.s3fs",
      "fuse.glusterfs",
      "fuse.vmhgfs-fuse",
      "fuse.davfs2",
      "fuse.gvfsd-fuse",
  };
  return std::any_of(std::begin(kRemote), std::end(kRemote),
                     [&](const char* name) { return file_system == name; });
}

}  // namespace nibble
