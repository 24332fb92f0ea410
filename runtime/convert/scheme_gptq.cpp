// GPTQ and AWQ: whole numbers of a few bits, packed into 32-bit words, with half-precision scales
// and whole zero points for groups of inputs. A weight is scale * (number - zero point).
//   GPTQ  qweight [in / k, out], number i of a word in bits i * bits; qzeros [groups, out / k], one
//         less than the zero point (but in "gptq_v2"); scales [groups, out]; g_idx [in]: the group
//   AWQ   qweight [in, out / 8], qzeros [groups, out / 8], in the order 0 2 4 6 1 3 5 7 of outputs
#include <algorithm>
#include <vector>

#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "runtime/convert/weight_schemes.h"

namespace nibble {
namespace {

constexpr int kPlace[] = {0, 4, 1, 5, 2, 6, 3, 7};  // AWQ: of output o % 8 in its word

/// A matrix of 32-bit words with several numbers each.
struct Words {
  const std::byte* data = nullptr;
  int64_t cols = 0;  // words
  uint32_t at(int64_t row, int64_t col) const noexcept {
    return load_le<uint32_t>(data + 4 * (row * cols + col));
  }
};

struct Setting {
  int bits = 4;
  int64_t group = 128;  // -1: all inputs
  JsonValue json;
};

Setting read_setting(const HfConfig& config) {
  Setting s;
  s.json = config.find("quantization_config");
  const auto number = [&](const char* key) {
    return static_cast<int64_t>(config.number_in(s.json, key, -1, 1 << 20));
  };
  s.bits = static_cast<int>(number(s.json.find("bits").exists() ? "bits" : "w_bit"));
  s.group = number(s.json.find("group_size").exists() ? "group_size" : "q_group_size");
  return s;
}

std::string base_of(const std::string& name) {
  constexpr std::string_view kEnd = ".weight";
  return name.ends_with(kEnd) ? name.substr(0, name.size() - kEnd.size()) : name;
}

/// The least and the most of number - zero point, over what the zero points are.
void set_range(WholeRows& w, int bits, int least_zero, int most_zero) {
  w.lowest = -most_zero;
  w.highest = (1 << bits) - 1 - least_zero;
}

FolderTensor required(const FolderTensors& tensors, const std::string& name) {
  const FolderTensor found = tensors(name);
  if (!found) fail(ErrorCode::bad_file, "tensor {}: expected one, got none", quoted(name));
  return found;
}

int64_t dimension(const FolderTensor& tensor, size_t i) {
  return tensor.tensor->shape.size() == 2 ? tensor.tensor->shape[i] : -1;
}

}  // namespace

std::optional<WeightRows> open_gptq(const FolderTensors& tensors, const std::string& name,
                                    const HfConfig& config) {
  const std::string base = base_of(name);
  const FolderTensor packed = tensors(base + ".qweight");
  if (!packed) return std::nullopt;
  const Setting s = read_setting(config);
  if (s.bits != 2 && s.bits != 4 && s.bits != 8) {
    config.refuse("quantization_config: bits", "2, 4 or 8", fmt::format("{}", s.bits));
  }
  const int64_t per_word = 32 / s.bits;
  WholeRows w;
  w.name = packed.file->path() + ": tensor " + quoted(base + ".qweight");
  w.rows = dimension(packed, 1);
  w.cols = dimension(packed, 0) * per_word;
  w.group = s.group > 0 ? s.group : std::max<int64_t>(w.cols, 1);
  const int64_t groups = (w.cols + w.group - 1) / w.group;
  const Words weights{checked_data(packed, SafeType::i32, {w.cols / per_word, w.rows}).data(),
                      w.rows};
  const FolderTensor scale_tensor = required(tensors, base + ".scales");
  const std::byte* scales = checked_data(scale_tensor, SafeType::f16, {groups, w.rows}).data();
  const int64_t zero_words = (w.rows + per_word - 1) / per_word;
  const Words zeros{
      checked_data(required(tensors, base + ".qzeros"), SafeType::i32, {groups, zero_words}).data(),
      zero_words};
  const uint32_t mask = (1u << s.bits) - 1;
  const bool second = s.json.find("checkpoint_format").text() == "gptq_v2";
  // The first format stores one less and lets it wrap inside its bits, as its readers do.
  const auto zero_of = [=, bits = s.bits](int64_t row, int64_t group) {
    const uint32_t stored = zeros.at(group, row / per_word) >> (bits * (row % per_word)) & mask;
    return static_cast<int>(second ? stored : stored + 1);
  };
  int least = 256, most = 0;
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t r = 0; r < w.rows; ++r) {
      least = std::min(least, zero_of(r, g));
      most = std::max(most, zero_of(r, g));
    }
  }
  set_range(w, s.bits, least, most);
  std::vector<int32_t> order;
  if (const FolderTensor index = tensors(base + ".g_idx")) {
    const std::byte* data = checked_data(index, SafeType::i32, {w.cols}).data();
    bool ordered = true;
    for (int64_t c = 0; c < w.cols; ++c) {
      order.push_back(load_le<int32_t>(data + 4 * c));
      if (order.back() < 0 || order.back() >= groups) {
        fail(ErrorCode::bad_file, "{}: g_idx: expected a group below {}, got {}", w.name, groups,
             order.back());
      }
      ordered = ordered && order.back() == c / w.group;
    }
    if (ordered) order.clear();
  }
  if (!order.empty()) {
    w.group_of = [order](int64_t c) { return int64_t{order[static_cast<size_t>(c)]}; };
  }
  w.scale = [scales, rows = w.rows](int64_t row, int64_t group) {
    return load_le<uint16_t>(scales + 2 * (group * rows + row));
  };
  w.whole = [=, bits = s.bits, group = w.group, group_of = w.group_of](int64_t row, int64_t first,
                                                                       int64_t n, int8_t* out) {
    for (int64_t c = first; c < first + n; ++c) {
      const uint32_t word = weights.at(c / per_word, row);
      const int64_t g = group_of ? group_of(c) : c / group;
      const auto q = static_cast<int>(word >> (bits * (c % per_word)) & mask);
      out[c - first] = static_cast<int8_t>(q - zero_of(row, g));
    }
  };
  if (w.lowest < -128 || w.highest > 127) {
    fail(ErrorCode::unsupported,
         "{}: expected numbers less zero points from -128 to 127, got {} "
         "to {}",
         w.name, w.lowest, w.highest);
  }
  return rows_of_wholes(std::move(w));
}

std::optional<WeightRows> open_awq(const FolderTensors& tensors, const std::string& name,
                                   const HfConfig& config) {
  constexpr int64_t kPerWord = 8;
  const std::string base = base_of(name);
  const FolderTensor packed = tensors(base + ".qweight");
  if (!packed) return std::nullopt;
  const Setting s = read_setting(config);
  if (s.bits != 4) config.refuse("quantization_config: bits", "4", fmt::format("{}", s.bits));
  if (const auto version = s.json.find("version").text();
      version && *version != "gemm" && *version != "GEMM") {
    config.refuse("quantization_config: version", "gemm", quoted(*version));
  }
  WholeRows w;
  w.name = packed.file->path() + ": tensor " + quoted(base + ".qweight");
  w.rows = dimension(packed, 1) * kPerWord;
  w.cols = dimension(packed, 0);
  w.group = s.group > 0 ? s.group : std::max<int64_t>(w.cols, 1);
  const int64_t groups = (w.cols + w.group - 1) / w.group;
  const int64_t words = w.rows / kPerWord;
  const Words weights{checked_data(packed, SafeType::i32, {w.cols, words}).data(), words};
  const Words zeros{
      checked_data(required(tensors, base + ".qzeros"), SafeType::i32, {groups, words}).data(),
      words};
  const std::byte* scales =
      checked_data(required(tensors, base + ".scales"), SafeType::f16, {groups, w.rows}).data();
  const auto number = [](const Words& from, int64_t row, int64_t output) {
    return static_cast<int>(from.at(row, output / kPerWord) >> (4 * kPlace[output % kPerWord]) &
                            15);
  };
  int least = 15, most = 0;
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t r = 0; r < w.rows; ++r) {
      least = std::min(least, number(zeros, g, r));
      most = std::max(most, number(zeros, g, r));
    }
  }
  set_range(w, 4, least, most);
  w.scale = [scales, rows = w.rows](int64_t row, int64_t group) {
    return load_le<uint16_t>(scales + 2 * (group * rows + row));
  };
  w.whole = [=, group = w.group](int64_t row, int64_t first, int64_t n, int8_t* out) {
    for (int64_t c = first; c < first + n; ++c) {
      out[c - first] = static_cast<int8_t>(number(weights, c, row) - number(zeros, c / group, row));
    }
  };
  return rows_of_wholes(std::move(w));
}

}  // namespace nibble
