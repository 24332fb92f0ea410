#include "runtime/convert/pack_file.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <vector>

#include "formats/gguf.h"
#include "formats/io/checked.h"
#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "formats/tensor_hashes.h"
#include "quant/stored_type.h"
#include "runtime/convert/copy_tensor.h"
#include "runtime/model/pack.h"
#include "runtime/threads/team.h"

namespace nibble {
namespace {

constexpr uint64_t kPiece = 4 << 20;  // written between two looks at the cancel token

void check_cancel(const CancelToken* cancel) {
  if (cancel != nullptr && cancel->requested()) fail(ErrorCode::cancelled, "cancelled");
}

/// Writes the tensors of one file in another layout.
class Converter {
 public:
  Converter(const TensorFile& in, const std::string& out, const GgufHeader& header,
            const PackFileOptions& options)
      : in_(in),
        options_(options),
        team_(options.n_threads > 0 ? options.n_threads : default_threads(), options.thread_source),
        writer_(out, header, {.inputs = in.paths()}) {
    for (const TensorInfo& info : in.tensors()) total_ += info.bytes;
  }

  void copy(const TensorInfo& info) {
    copy_tensor(in_, info, writer_, options_.cancel);
    done(info, false);
  }

  void pack(const TensorInfo& info, const Packable& p) {
    const PackedLayout layout = packed_layout(p.matrix.type, p.matrix.rows, p.matrix.cols, p.form);
    buffer_.reserve(layout.bytes);
    pack_matrix(p.matrix, layout, buffer_.data(), team_, options_.cancel);
    give_back(info.offset, info.bytes);
    put_buffer(layout.bytes);
    done(info, true);
  }

  void unpack(const TensorInfo& info, const Matrix& m) {
    const int64_t bytes = m.rows * row_bytes(m.type, m.cols);
    buffer_.reserve(bytes);
    unpack_matrix(m, buffer_.data(), team_, options_.cancel);
    give_back(info.offset, info.bytes);
    put_buffer(bytes);
    done(info, true);
  }

  PackFileResult finish() {
    check_cancel(options_.cancel);
    in_.require_unchanged();
    writer_.finish();
    result_.bytes = writer_.file_bytes();
    return result_;
  }

 private:
  void put(std::span<const std::byte> bytes) {
    check_cancel(options_.cancel);
    writer_.write(bytes);
  }

  void put_buffer(int64_t bytes) {
    const std::span<const std::byte> all(buffer_.data(), static_cast<size_t>(bytes));
    for (uint64_t at = 0; at < all.size(); at += kPiece) {
      put(all.subspan(at, std::min<uint64_t>(kPiece, all.size() - at)));
    }
  }

  void give_back(uint64_t offset, uint64_t bytes) {
    if (in_.map() != nullptr) in_.map()->dont_need(offset, bytes);
  }

  void done(const TensorInfo& info, bool changed) {
    ++result_.n_tensors;
    result_.n_changed += changed ? 1 : 0;
    done_ += info.bytes;
    if (options_.on_progress) options_.on_progress(done_, total_);
  }

  const TensorFile& in_;
  const PackFileOptions& options_;
  Team team_;
  GgufWriter writer_;
  Buffer<std::byte> buffer_;
  uint64_t done_ = 0;  // bytes of the input
  uint64_t total_ = 0;
  PackFileResult result_;
};

bool is_packed_tensor(const TensorInfo& info) {
  return find_packed_type(info.type_id) != nullptr;
}

uint64_t alignment_of(const TensorFile& file) {
  const MetaValue* value = file.meta().find(kGgufAlignmentKey);
  return value == nullptr ? 0 : value->bits;  // checked when the file was read
}

void refuse_packed(const TensorFile& file) {
  const auto n = std::count_if(file.tensors().begin(), file.tensors().end(), is_packed_tensor);
  if (n == 0 && file.meta().find(kSourceAlignmentKey) == nullptr) return;
  throw Error(ErrorCode::bad_argument,
              fmt::format("{}: expected a file that is not packed, got one with {} packed tensors",
                          file.path(), n),
              "a packed file runs as it is");
}

/// The metadata of the file that was packed.
void restore_metadata(const TensorFile& file, GgufHeader& header) {
  const std::optional<int64_t> alignment = file.meta().get_int(kSourceAlignmentKey);
  if (!alignment) return;  // packed by another program, which changed nothing that is known
  const auto value = static_cast<uint64_t>(*alignment);
  if (*alignment != 0 && (*alignment < 0 || !is_power_of_two(value) || value < kGgufMinAlignment ||
                          value > kGgufMaxAlignment)) {
    fail(ErrorCode::bad_file,
         "{}: metadata key '{}': expected 0 or a power of two from {} to {}, got {}", file.path(),
         kSourceAlignmentKey, kGgufMinAlignment, kGgufMaxAlignment, *alignment);
  }
  // Hashes that the source had stand before the key; others came with the packing.
  const MetaValue* hashes = file.meta().find(kTensorHashesKey);
  if (hashes != nullptr && hashes > file.meta().find(kSourceAlignmentKey)) {
    header.remove(kTensorHashesKey);
    header.remove(kTensorTableHashKey);
  }
  header.remove(kSourceAlignmentKey);
  if (value == 0) {
    header.remove(kGgufAlignmentKey);
  } else {
    header.set(kGgufAlignmentKey, static_cast<uint32_t>(value));
  }
}

}  // namespace

PackFileResult pack_file(const TensorFile& in, const std::string& out,
                         const PackFileOptions& options) {
  refuse_packed(in);
  const Model model = load_model(in);
  // Matrices lie in the file, so their address says which tensor they are.
  std::unordered_map<const void*, Packable> packables;
  for (const Packable& p : packable_matrices(model)) packables.emplace(p.matrix.data, p);
  if (packables.empty()) {
    fail(ErrorCode::bad_argument, "{}: expected a matrix of a type that can be packed, got none",
         in.path());
  }
  const auto packable_of = [&](const TensorInfo& info) {
    const auto at = packables.find(in.data(info).data());
    const bool none = info.bytes == 0 || info.n_dims > 3 || at == packables.end();
    return none ? nullptr : &at->second;
  };

  GgufHeader header;
  header.copy_metadata(in.meta());
  const uint64_t alignment = alignment_of(in);
  header.set(kGgufAlignmentKey, static_cast<uint32_t>(std::max<uint64_t>(
                                    header.alignment(), static_cast<uint64_t>(kPackedAlignment))));
  header.set(kSourceAlignmentKey, static_cast<uint32_t>(alignment));
  if (in.meta().find(kTensorHashesKey) == nullptr) header.want_hashes();
  for (TensorInfo info : in.tensors()) {
    if (const Packable* p = packable_of(info)) {
      info.type_id = stored_type_id({p->matrix.type, true, p->form});
      info.bytes = 0;
    }
    header.add_tensor(info);
  }
  Converter converter(in, out, header, options);
  for (const TensorInfo& info : in.tensors()) {
    if (const Packable* p = packable_of(info)) {
      converter.pack(info, *p);
    } else {
      converter.copy(info);
    }
  }
  return converter.finish();
}

PackFileResult unpack_file(const TensorFile& in, const std::string& out,
                           const PackFileOptions& options) {
  if (std::none_of(in.tensors().begin(), in.tensors().end(), is_packed_tensor) &&
      in.meta().find(kSourceAlignmentKey) == nullptr) {
    fail(ErrorCode::bad_argument, "{}: expected a packed file, got one without a packed tensor",
         in.path());
  }
  GgufHeader header;
  header.copy_metadata(in.meta());
  restore_metadata(in, header);
  for (TensorInfo info : in.tensors()) {
    if (const PackedType* type = find_packed_type(info.type_id)) {
      info.type_id = stored_type_id({type->type, false, PackForm::plain});
      info.bytes = 0;
    }
    header.add_tensor(info);
  }
  Converter converter(in, out, header, options);
  for (const TensorInfo& info : in.tensors()) {
    const PackedType* type = find_packed_type(info.type_id);
    if (type == nullptr) {
      converter.copy(info);
    } else {
      converter.unpack(
          info, {in.data(info).data(), type->type, info.rows(), info.cols(), true, type->form});
    }
  }
  return converter.finish();
}

}  // namespace nibble
