// The reader: three nested messages, each a bounded span walked once.
#include "formats/sentencepiece_model.h"

#include <cmath>

#include "formats/io/bytes.h"
#include "formats/io/error.h"

namespace nibble {
namespace {

/// The wire types of protocol buffers.
enum class Wire : uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
  uint32_t number = 0;
  Wire wire = Wire::varint;
  uint64_t value = 0;  // varint, fixed32, fixed64
  std::span<const std::byte> bytes;
};

/// The fields of one message, in order.
class Message {
 public:
  Message(std::span<const std::byte> bytes, const std::string& name)
      : reader_(bytes, name), name_(name) {}

  bool next(Field& field) {
    if (reader_.remaining() == 0) return false;
    const uint64_t tag = varint();
    field.number = static_cast<uint32_t>(tag >> 3);
    field.wire = static_cast<Wire>(tag & 7);
    if (tag >> 32 != 0 || field.number == 0) refuse("a field of a protocol buffer");
    switch (field.wire) {
      case Wire::varint:
        field.value = varint();
        break;
      case Wire::fixed64:
        field.value = reader_.read<uint64_t>("number");
        break;
      case Wire::bytes:
        field.bytes = reader_.take(varint(), "field");
        break;
      case Wire::fixed32:
        field.value = reader_.read<uint32_t>("number");
        break;
      default:
        refuse("a wire type of protocol buffers");
    }
    return true;
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = reader_.read<uint8_t>("number");
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    refuse("a number of at most 10 bytes");
  }
  [[noreturn]] void refuse(const char* expected) const {
    throw Error(ErrorCode::bad_file,
                fmt::format("{}: byte {} of a message: expected {}, got something else", name_,
                            reader_.pos(), expected),
                "this is no SentencePiece model");
  }

  ByteReader reader_;
  const std::string& name_;
};

SentencePiece read_piece(std::span<const std::byte> bytes, const std::string& name) {
  SentencePiece piece;
  Message message(bytes, name);
  for (Field f; message.next(f);) {
    if (f.number == 1 && f.wire == Wire::bytes) piece.text = as_text(f.bytes);
    if (f.number == 2 && f.wire == Wire::fixed32) {
      const auto bits = static_cast<uint32_t>(f.value);
      std::memcpy(&piece.score, &bits, sizeof bits);
    }
    if (f.number == 3 && f.wire == Wire::varint) {
      if (f.value < 1 || f.value > 6) {
        fail(ErrorCode::bad_file, "{}: a piece's type: expected 1..6, got {}", name, f.value);
      }
      piece.type = static_cast<int32_t>(f.value);
    }
  }
  if (!std::isfinite(piece.score)) {
    fail(ErrorCode::bad_file, "{}: a piece's score: expected a finite number", name);
  }
  return piece;
}

void read_trainer(std::span<const std::byte> bytes, const std::string& name,
                  SentencePieceModel& out) {
  Message message(bytes, name);
  for (Field f; message.next(f);) {
    if (f.wire != Wire::varint) continue;
    const auto id = static_cast<int32_t>(f.value);
    if (f.number == 3) out.kind = static_cast<SentencePieceModel::Kind>(id);
    if (f.number == 24) out.space_behind = f.value != 0;
    if (f.number == 40) out.unk = id;
    if (f.number == 41) out.bos = id;
    if (f.number == 42) out.eos = id;
    if (f.number == 43) out.pad = id;
  }
}

void read_normalizer(std::span<const std::byte> bytes, const std::string& name,
                     SentencePieceModel& out) {
  Message message(bytes, name);
  for (Field f; message.next(f);) {
    if (f.number == 1 && f.wire == Wire::bytes) out.normalizer = as_text(f.bytes);
    if (f.number == 2 && f.wire == Wire::bytes) out.chars_map = f.bytes;
    if (f.number == 3 && f.wire == Wire::varint) out.add_dummy_prefix = f.value != 0;
    if (f.number == 4 && f.wire == Wire::varint) out.remove_extra_spaces = f.value != 0;
    if (f.number == 5 && f.wire == Wire::varint) out.escapes_spaces = f.value != 0;
  }
}

}  // namespace

SentencePieceModel read_sentencepiece_model(std::span<const std::byte> bytes,
                                            const std::string& name) {
  SentencePieceModel out;
  Message message(bytes, name);
  for (Field f; message.next(f);) {
    if (f.wire != Wire::bytes) continue;
    if (f.number == 1) out.pieces.push_back(read_piece(f.bytes, name));
    if (f.number == 2) read_trainer(f.bytes, name, out);
    if (f.number == 3) read_normalizer(f.bytes, name, out);
  }
  if (out.pieces.empty()) {
    throw Error(ErrorCode::bad_file, fmt::format("{}: expected at least one piece, got none", name),
                "this is no SentencePiece model");
  }
  return out;
}

}  // namespace nibble
