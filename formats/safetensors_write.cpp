#include "formats/safetensors_write.h"

#include <fmt/format.h>

#include <cstring>
#include <set>

#include "formats/io/bytes.h"
#include "formats/io/checked.h"
#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "formats/io/quote.h"
#include "formats/io/stream_hash.h"
#include "formats/json.h"

namespace nibble {
namespace {

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<uint8_t>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

/// Sets bytes and offsets from the start of the data; returns the header with its length.
std::string lay_out(std::vector<SafeTensor>& tensors, uint64_t& file_bytes) {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  std::set<std::string_view> names;
  uint64_t end = 0;
  for (SafeTensor& t : tensors) {
    if (!names.insert(t.name).second) {
      fail(ErrorCode::bad_argument, "tensor {} occurs twice", quoted(t.name));
    }
    std::optional<uint64_t> bytes = safe_type_info(t.type).bits / 8;
    for (const int64_t dim : t.shape) {
      if (bytes) bytes = checked_mul(*bytes, static_cast<uint64_t>(dim));
    }
    const auto next = bytes ? checked_add(end, *bytes) : std::nullopt;
    if (!next) fail(ErrorCode::bad_argument, "tensor {}: too large", quoted(t.name));
    t.bytes = *bytes;
    header += fmt::format(",{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                          json_text(t.name), safe_type_info(t.type).name, fmt::join(t.shape, ","),
                          end, *next);
    end = *next;
  }
  header += '}';
  // Readers that map the file want the data aligned.
  header.resize(*checked_align(header.size(), 8), ' ');
  const JsonDocument parsed(header, "header");  // a name that is no UTF-8
  if (header.size() > kMaxSafetensorsHeader) {
    fail(ErrorCode::bad_argument, "header: expected at most {} bytes, got {}",
         kMaxSafetensorsHeader, header.size());
  }
  const uint64_t size = header.size();
  char length[8];
  std::memcpy(length, &size, sizeof length);
  header.insert(0, length, sizeof length);
  const auto total = checked_add(header.size(), end);
  if (!total) fail(ErrorCode::bad_argument, "the file's size does not fit 64 bits");
  file_bytes = *total;
  return header;
}

}  // namespace

struct SafetensorsWriter::Hash : StreamHash {};

SafetensorsWriter::SafetensorsWriter(const std::string& path, std::vector<SafeTensor> tensors,
                                     AtomicFileOptions options)
    : tensors_(std::move(tensors)), hash_(std::make_unique<Hash>()) {
  header_ = lay_out(tensors_, file_bytes_);
  options.expected_bytes = file_bytes_;
  file_ = std::make_unique<AtomicFile>(path, options);
  put(std::as_bytes(std::span(header_)));
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::put(std::span<const std::byte> bytes) {
  file_->write(bytes);
  hash_->add(bytes);
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  if (bytes.size() > file_bytes_ - file_->size()) {
    fail(ErrorCode::bad_argument, "{}: expected at most {} more bytes, got {}", file_->path(),
         file_bytes_ - file_->size(), bytes.size());
  }
  put(bytes);
}

void SafetensorsWriter::finish() {
  if (file_->size() != file_bytes_) {
    fail(ErrorCode::bad_argument, "{}: expected {} more bytes before the end", file_->path(),
         file_bytes_ - file_->size());
  }
  file_->commit([this](const std::string& temporary) { verify(temporary); });
}

void SafetensorsWriter::verify(const std::string& temporary) const {
  constexpr uint64_t kPiece = 16 << 20;
  const MappedFile file(temporary);
  const std::span<const std::byte> bytes = file.bytes();
  Hash hash;
  for (uint64_t at = 0; at < bytes.size(); at += kPiece) {
    const uint64_t n = std::min<uint64_t>(kPiece, bytes.size() - at);
    hash.add(bytes.subspan(at, n));
    file.dont_need(at, n);
  }
  if (bytes.size() != file_bytes_ || hash.value() != hash_->value()) {
    throw Error(ErrorCode::io,
                fmt::format("{}: the bytes read back differ from those written", file_->path()),
                "the disk or the memory may be failing");
  }
  if (open_safetensors(temporary).tensors().size() != tensors_.size()) {
    fail(ErrorCode::internal, "{}: reads back with other tensors", file_->path());
  }
}

uint64_t safetensors_file_bytes(std::vector<SafeTensor> tensors) {
  uint64_t bytes = 0;
  (void)lay_out(tensors, bytes);
  return bytes;
}

}  // namespace nibble
