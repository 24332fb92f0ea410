#include "formats/archive.h"

#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>

#include "formats/io/bytes.h"
#include "formats/io/checked.h"

namespace nibble {
namespace {

constexpr uint32_t kFrameMagic = 0xFD2FB528;
constexpr uint32_t kTableMagic = 0x184D2A5E;  // a skippable frame
constexpr uint32_t kFooterMagic = 0x8F92EAB1;
constexpr uint64_t kTableHeader = 8;  // magic, bytes that follow
constexpr uint64_t kFooter = 9;       // frames, descriptor, magic
constexpr uint8_t kHashFlag = 0x80;
constexpr uint8_t kReserved = 0x7C;
constexpr uint64_t kMostFrameBytes = uint64_t{1} << 30;
// A zstd block of 4 bytes holds at most 128 KiB.
constexpr uint64_t kMostRatio = 32768;
// Unpacked between two questions whether to go on.
constexpr uint64_t kBatchBytes = uint64_t{32} << 20;
constexpr int kLevel = 3;

uint32_t hash_of(std::span<const std::byte> bytes) noexcept {
  return static_cast<uint32_t>(XXH64(bytes.data(), bytes.size(), 0));
}

void put_le(std::vector<std::byte>& out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(std::byte(value >> shift & 0xFF));
}

void require_memory(const std::string& name, uint64_t bytes) {
  const auto pages = static_cast<uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES)));
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  if (bytes / page < pages) return;
  throw Error(ErrorCode::out_of_memory,
              fmt::format("{}: memory: the archive holds {} bytes, the machine has {}", name, bytes,
                          pages * page),
              "unpack it with nibble archive --undo");
}

}  // namespace

bool probe_archive(std::span<const std::byte> bytes) noexcept {
  return bytes.size() >= kTableHeader + kFooter &&
         (load_le<uint32_t>(bytes.data()) == kFrameMagic ||
          load_le<uint32_t>(bytes.data()) == kTableMagic) &&
         load_le<uint32_t>(bytes.data() + bytes.size() - 4) == kFooterMagic;
}

ArchiveIndex read_archive_index(std::span<const std::byte> bytes, const std::string& name) {
  if (!probe_archive(bytes)) {
    fail(ErrorCode::bad_file, "{}: expected a zstd archive with a seek table, got none", name);
  }
  const std::byte* footer = bytes.data() + bytes.size() - kFooter;
  const uint64_t n_frames = load_le<uint32_t>(footer);
  const auto descriptor = static_cast<uint8_t>(footer[4]);
  if ((descriptor & kReserved) != 0) {
    fail(ErrorCode::bad_file, "{}: seek table: expected reserved bits 0, got descriptor {}", name,
         descriptor);
  }
  const bool hashed = (descriptor & kHashFlag) != 0;
  const uint64_t row = hashed ? 12 : 8;
  const uint64_t room = bytes.size() - kTableHeader - kFooter;
  if (n_frames > room / row) {
    fail(ErrorCode::bad_file, "{}: seek table: expected at most {} frames in {} bytes, got {}",
         name, room / row, bytes.size(), n_frames);
  }
  const uint64_t table_at = room - n_frames * row;
  ByteReader in(bytes.subspan(table_at), name);
  const auto magic = in.read<uint32_t>("seek table");
  const auto length = in.read<uint32_t>("seek table");
  if (magic != kTableMagic || length != n_frames * row + kFooter) {
    fail(ErrorCode::bad_file, "{}: seek table at byte {}: expected one of {} frames, got another",
         name, table_at, n_frames);
  }
  ArchiveIndex index;
  index.frames.reserve(n_frames);
  uint64_t at = 0;
  for (uint64_t i = 0; i < n_frames; ++i) {
    ArchiveFrame f{.at = at, .offset = index.size, .has_hash = hashed};
    f.packed = in.read<uint32_t>("seek table");
    f.size = in.read<uint32_t>("seek table");
    if (hashed) f.hash = in.read<uint32_t>("seek table");
    if (!range_inside(at, f.packed, table_at)) {
      fail(ErrorCode::bad_file, "{}: frame {}: expected {} bytes before the seek table, got {}",
           name, i, f.packed, table_at - at);
    }
    if (f.size > kMostFrameBytes || f.size > f.packed * kMostRatio) {
      fail(ErrorCode::bad_file, "{}: frame {}: {} bytes cannot hold {}", name, i, f.packed, f.size);
    }
    at += f.packed;        // inside the file, checked
    index.size += f.size;  // below 2^32 frames of 2^30 bytes
    index.frames.push_back(f);
  }
  if (at != table_at) {
    fail(ErrorCode::bad_file, "{}: expected {} bytes of frames, got {}", name, at, table_at);
  }
  return index;
}

const char* unpack_frame(std::span<const std::byte> archive, const ArchiveFrame& frame,
                         std::span<std::byte> to) noexcept {
  const size_t got = ZSTD_decompress(to.data(), to.size(), archive.data() + frame.at, frame.packed);
  if (ZSTD_isError(got) != 0) return ZSTD_getErrorName(got);
  if (got != frame.size) return "it holds fewer bytes than the seek table says";
  if (frame.has_hash && hash_of(to) != frame.hash) return "its bytes are not those of its hash";
  return nullptr;
}

void fail_frame(const std::string& name, size_t frame, const char* problem) {
  throw Error(ErrorCode::bad_file, fmt::format("{}: frame {}: {}", name, frame, problem),
              "the archive is damaged; get it again");
}

std::unique_ptr<MappedFile> unpack_archive(const MappedFile& archive, const FileOptions& options) {
  const ArchiveIndex index = read_archive_index(archive.bytes(), archive.path());
  require_memory(archive.path(), index.size);
  const auto fill = [&](std::span<std::byte> to) {
    std::vector<const char*> problems(index.frames.size(), nullptr);
    size_t first = 0;
    while (first < index.frames.size()) {
      size_t end = first;
      uint64_t bytes = 0;
      while (end < index.frames.size() && bytes < kBatchBytes) bytes += index.frames[end++].size;
      const auto work = [&](int64_t i) {
        const size_t at = first + static_cast<size_t>(i);
        const ArchiveFrame& frame = index.frames[at];
        problems[at] = unpack_frame(archive.bytes(), frame, to.subspan(frame.offset, frame.size));
      };
      const auto n = static_cast<int64_t>(end - first);
      if (options.parallel) {
        options.parallel(n, work);
      } else {
        for (int64_t i = 0; i < n; ++i) work(i);
      }
      archive.require_unchanged();
      for (; first < end; ++first) {
        if (problems[first] != nullptr) fail_frame(archive.path(), first, problems[first]);
      }
      archive.dont_need(0,
                        end == index.frames.size() ? archive.bytes().size() : index.frames[end].at);
      const uint64_t done = end == index.frames.size() ? index.size : index.frames[end].offset;
      if (options.on_read) options.on_read(done, index.size);
    }
  };
  return std::make_unique<MappedFile>(archive.path(), index.size, fill);
}

std::vector<std::byte> pack_frame(std::span<const std::byte> bytes, ArchiveFrame* frame) {
  std::vector<std::byte> out(ZSTD_compressBound(bytes.size()));
  const size_t got = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), kLevel);
  if (ZSTD_isError(got) != 0) fail(ErrorCode::internal, "zstd: {}", ZSTD_getErrorName(got));
  out.resize(got);
  frame->packed = got;
  frame->size = bytes.size();
  frame->has_hash = true;
  frame->hash = hash_of(bytes);
  return out;
}

std::vector<std::byte> seek_table(std::span<const ArchiveFrame> frames) {
  std::vector<std::byte> out;
  put_le(out, kTableMagic);
  put_le(out, static_cast<uint32_t>(frames.size() * 12 + kFooter));
  for (const ArchiveFrame& frame : frames) {
    put_le(out, static_cast<uint32_t>(frame.packed));
    put_le(out, static_cast<uint32_t>(frame.size));
    put_le(out, frame.hash);
  }
  put_le(out, static_cast<uint32_t>(frames.size()));
  out.push_back(std::byte{kHashFlag});
  put_le(out, kFooterMagic);
  return out;
}

}  // namespace nibble
