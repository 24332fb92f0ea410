#pragma once
// What the machine and the process's cgroup say about CPUs, as text and as numbers.
#include <span>
#include <string_view>

namespace nibble {

/// The beginning of a small file in /proc or /sys, in `buffer`; empty if it cannot be read.
std::string_view read_small_file(const char* path, std::span<char> buffer) noexcept;

/// CPUs that a cgroup v2 cpu.max line pays for, rounded up: "150000 100000" -> 2. 0 means no limit
/// ("max 100000") or a line that is none.
int quota_of_cpu_max(std::string_view line) noexcept;

/// The cgroup v2 path in the text of /proc/self/cgroup ("0::/a/b" -> "/a/b"); empty if there is
/// none.
std::string_view cgroup_v2_path(std::string_view text) noexcept;

/// The first CPU of a kernel CPU list: "4-5,20-21" -> 4; -1 if the text is none.
int first_of_cpu_list(std::string_view text) noexcept;

}  // namespace nibble
