// Archives against zstd itself and a table that is built by hand from the format's description.
#include "formats/archive.h"

#include <zstd.h>

#include <cstring>

#include "formats/io/error.h"
#include "formats/tensor_file.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_bytes.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;

namespace {

using Bytes = std::vector<std::byte>;

Bytes put(std::initializer_list<uint32_t> words) {
  Bytes out(words.size() * 4);
  std::memcpy(out.data(), words.begin(), out.size());
  return out;
}

void append(Bytes& to, const Bytes& more) {
  to.insert(to.end(), more.begin(), more.end());
}

// `data` in frames of `step` bytes with a table that has no hashes, as other programs may write.
Bytes plain_archive(const Bytes& data, size_t step) {
  Bytes out, rows;
  uint32_t n = 0;
  for (size_t at = 0; at < data.size(); at += step, ++n) {
    const size_t size = std::min(step, data.size() - at);
    Bytes frame(ZSTD_compressBound(size));
    frame.resize(ZSTD_compress(frame.data(), frame.size(), data.data() + at, size, 1));
    append(rows, put({static_cast<uint32_t>(frame.size()), static_cast<uint32_t>(size)}));
    append(out, frame);
  }
  append(out, put({0x184D2A5E, n * 8 + 9}));
  append(out, rows);
  append(out, put({n}));
  out.push_back(std::byte{0});
  append(out, put({0x8F92EAB1}));
  return out;
}

// The same as nibble writes it, with hashes.
Bytes hashed_archive(const Bytes& data, size_t step) {
  Bytes out;
  std::vector<ArchiveFrame> frames;
  for (size_t at = 0; at < data.size(); at += step) {
    frames.emplace_back();
    append(out, pack_frame(std::span(data).subspan(at, std::min(step, data.size() - at)),
                           &frames.back()));
  }
  append(out, seek_table(frames));
  return out;
}

std::string error_of(const std::string& path, const Bytes& bytes) {
  test::write_file(path, bytes);
  try {
    (void)open_tensor_file(path);
  } catch (const Error& error) {
    CHECK((error.code() == ErrorCode::bad_file || error.code() == ErrorCode::unsupported));
    return error.message();
  }
  return {};
}

}  // namespace

TEST_CASE("a model opens from an archive as from its file") {
  const Bytes model = test::sample_gguf().bytes;
  const test::TempDir dir;
  for (const size_t step : {model.size(), size_t{100}}) {
    for (const Bytes& archive : {plain_archive(model, step), hashed_archive(model, step)}) {
      test::write_file(dir / "m.zst", archive);
      std::vector<uint64_t> heard;
      FileOptions options;
      options.on_read = [&](uint64_t done, uint64_t total) {
        CHECK(total == model.size());
        heard.push_back(done);
      };
      int64_t pieces = 0;
      options.parallel = [&](int64_t n, const std::function<void(int64_t)>& work) {
        for (int64_t i = n - 1; i >= 0; --i) work(i);
        pieces += n;
      };
      const TensorFile file = open_tensor_file(dir / "m.zst", options);
      CHECK(std::ranges::equal(file.file_bytes(), model));
      CHECK(pieces == static_cast<int64_t>((model.size() + step - 1) / step));
      CHECK((!heard.empty() && heard.back() == model.size()));
      CHECK(file.map()->in_memory());
    }
  }
}

TEST_CASE("zstd's own decoder reads an archive to its end") {
  const Bytes model = test::sample_gguf().bytes;
  const Bytes archive = hashed_archive(model, 64);
  Bytes back(model.size());
  REQUIRE(ZSTD_decompress(back.data(), back.size(), archive.data(), archive.size()) ==
          model.size());
  CHECK(back == model);
}

TEST_CASE("an archive that is cut anywhere is refused") {
  const Bytes archive = hashed_archive(test::sample_gguf().bytes, 100);
  const test::TempDir dir;
  for (size_t n = 0; n < archive.size(); ++n) {
    INFO(n << " of " << archive.size() << " bytes");
    CHECK_FALSE(error_of(dir / "m.zst",
                         Bytes(archive.begin(), archive.begin() + static_cast<std::ptrdiff_t>(n)))
                    .empty());
  }
}

TEST_CASE("a changed byte of a frame is refused by the frame's number") {
  const Bytes model = test::sample_gguf().bytes;
  const Bytes archive = hashed_archive(model, 100);
  const ArchiveIndex index = read_archive_index(archive, "m.zst");
  const test::TempDir dir;
  for (size_t i = 0; i < index.frames.size(); ++i) {
    Bytes broken = archive;
    broken[index.frames[i].at + index.frames[i].packed - 1] ^= std::byte{0x10};
    CHECK_THAT(error_of(dir / "m.zst", broken), Contains(fmt::format("frame {}: ", i)));
    broken = archive;
    const size_t n = index.frames.size();
    broken[archive.size() - 9 - 12 * (n - i) + 8] ^= std::byte{1};
    CHECK_THAT(error_of(dir / "m.zst", broken),
               Contains(fmt::format("frame {}: its bytes are not those of its hash", i)));
  }
}

TEST_CASE("a seek table that contradicts the file is refused before memory is taken") {
  const Bytes archive = hashed_archive(test::sample_gguf().bytes, 100);
  const size_t n = read_archive_index(archive, "m.zst").frames.size();
  const test::TempDir dir;
  const auto with = [&](size_t from_end, uint32_t word) {
    Bytes out = archive;
    std::memcpy(out.data() + out.size() - from_end, &word, 4);
    return error_of(dir / "m.zst", out);
  };
  CHECK_THAT(with(9, 0xFFFFFFFF), Contains("seek table: expected at most"));
  CHECK_THAT(with(9, static_cast<uint32_t>(n - 1)), Contains("expected one of"));
  CHECK_THAT(with(9 + 12, 0xFFFFFFFF), Contains(fmt::format("frame {}: expected", n - 1)));
  CHECK_THAT(with(9 + 12, 1), Contains("bytes of frames"));
  CHECK_THAT(with(9 + 8, 0x40000001), Contains("cannot hold"));
  Bytes reserved = archive;
  reserved[reserved.size() - 5] |= std::byte{4};
  CHECK_THAT(error_of(dir / "m.zst", reserved), Contains("reserved"));
}
