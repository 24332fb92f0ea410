// Where a file lies: mount tables and disks made of files; how much of a real file is in memory.
#include "tools/file_state.h"

#include <filesystem>
#include <fstream>

#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
namespace fs = std::filesystem;

namespace {

constexpr const char* kMounts =
    "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "30 21 0:40 / /home rw - btrfs /dev/sda2 rw\n"
    "31 30 0:41 / /home/u/models rw master:1 shared:2 - nfs4 server:/models rw\n"
    "32 21 8:17 / /media/my\\040stick rw - vfat /dev/sdb1 rw\n"
    "33 21 0:50 / /twice rw - tmpfs none rw\n"
    "34 21 0:51 / /twice rw - overlay none rw\n"
    "a line that is none\n";

void put(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("the mount of a path") {
  const auto type = [](const char* path) { return find_mount(kMounts, path)->file_system; };
  CHECK(type("/models/m.gguf") == "ext4");
  CHECK(type("/home") == "btrfs");
  CHECK(type("/home/u/m.gguf") == "btrfs");
  CHECK(type("/homes/m.gguf") == "ext4");
  CHECK(type("/home/u/models/m.gguf") == "nfs4");
  CHECK(type("/media/my stick/m.gguf") == "vfat");
  CHECK(type("/twice/m.gguf") == "overlay");
  CHECK(find_mount(kMounts, "/media/my stick/m.gguf")->device == "8:17");
  CHECK_FALSE(find_mount("", "/m.gguf").has_value());
  CHECK_FALSE(find_mount("21 1 8:1 / / rw shared:1\n", "/m.gguf").has_value());
}

TEST_CASE("file systems of other machines") {
  for (const char* name : {"nfs4", "cifs", "9p", "virtiofs", "fuse.sshfs"}) CHECK(is_remote(name));
  for (const char* name : {"ext4", "xfs", "btrfs", "overlay", "tmpfs", "vfat", ""}) {
    CHECK_FALSE(is_remote(name));
  }
}

TEST_CASE("the disk below a file") {
  const test::TempDir folder;
  const fs::path root = folder.path();
  put(root / "m.gguf", std::string(100000, 'x'));
  const std::string file = fs::canonical(root / "m.gguf").string();
  CHECK_FALSE(read_file_state(file + ".missing", root).has_value());
  CHECK_FALSE(read_file_state(root, root).has_value());  // a folder

  const auto unknown = read_file_state(file, root);
  REQUIRE(unknown.has_value());
  CHECK(unknown->bytes == 100000);
  CHECK(unknown->file_system.empty());
  CHECK_FALSE(unknown->removable);
  // What was just written is in memory; some systems do not say.
  CHECK((unknown->cached < 0 || unknown->cached == 1.0));

  put(root / "proc/self/mountinfo", "21 1 8:17 / / rw - vfat /dev/sdb1 rw\n");
  const fs::path disk = root / "sys/devices/pci0/block/sdb";
  put(disk / "removable", "1\n");
  put(disk / "queue/rotational", "0\n");
  put(disk / "sdb1/partition", "1\n");
  fs::create_directories(root / "sys/dev/block");
  fs::create_symlink("../../devices/pci0/block/sdb/sdb1", root / "sys/dev/block/8:17");
  const auto stick = read_file_state(file, root);
  CHECK(stick->file_system == "vfat");
  CHECK(stick->removable);
  CHECK_FALSE(stick->rotating);
  CHECK_FALSE(stick->remote);

  put(disk / "removable", "0\n");
  put(disk / "queue/rotational", "1\n");
  CHECK_FALSE(read_file_state(file, root)->removable);
  CHECK(read_file_state(file, root)->rotating);

  put(root / "proc/self/mountinfo", "21 1 0:9 / / rw - nfs4 server:/ rw\n");
  CHECK(read_file_state(file, root)->remote);
}
