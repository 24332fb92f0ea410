#pragma once
// Where a model file lies and how much of it is in memory: what decides how long its first tokens
// take.
#include <cstdint>
#include <optional>
#include <string>

namespace nibble {

struct FileState {
  int64_t bytes = 0;
  double cached = -1;       // share of it in the page cache; -1: the system does not say
  std::string file_system;  // "ext4"; empty: unknown
  bool remote = false;      // on another machine, or shared by the host of a virtual one
  bool removable = false;   // a stick, a card
  bool rotating = false;    // a disk with heads
};

/// root: the root of the /proc and /sys to ask about the disk. The file itself is only mapped, not
/// read. nullopt if it cannot be opened.
std::optional<FileState> read_file_state(const std::string& path, const std::string& root);

/// The mount that holds an absolute path without links, from the text of /proc/self/mountinfo.
struct Mount {
  std::string device;  // "8:1"
  std::string file_system;
};
std::optional<Mount> find_mount(const std::string& mountinfo, const std::string& path);

/// Do a file system's bytes come over a network or from a virtual machine's host?
bool is_remote(const std::string& file_system);

}  // namespace nibble
