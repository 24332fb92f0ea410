// The table of the types that nibble decodes, generated from AllTypes, and the names of those that
// only other programs do: a file that holds one is refused by name and with advice.
// Source of the ids: the ggml_type enum of ggml and, from 133 on, of ik_llama.cpp; withdrawn ids
// are never used again.
#include "quant/dtype.h"

#include <array>

#include "quant/all_types.h"
#include "quant/stored_type.h"

namespace nibble {
namespace {

template <typename... Blocks>
constexpr std::array<DTypeInfo, sizeof...(Blocks)> make_rows(TypeList<Blocks...>) {
  return {{{Blocks::kType, Blocks::kName, Blocks::kLength, sizeof(Blocks)}...}};
}
constexpr auto kRows = make_rows(AllTypes{});

constexpr bool ids_are_unique() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (kRows[i].type == kRows[j].type) return false;
    }
  }
  return true;
}
static_assert(ids_are_unique());

constexpr const char kDecoded[] = "nibble reads this type";
constexpr const char kWithdrawn[] =
    "the type was withdrawn in 2023; get or make a newer file of the model, for example in Q4_K_M";
constexpr const char kRepacked[] =
    "the file was rearranged for one kind of processor; use the model's plain Q4_0 or IQ4_NL file";
constexpr const char kLowBit[] =
    "use a file of the model in a type that nibble reads, for example Q2_K, Q3_K_M or IQ4_XS";
constexpr const char kFourBit[] =
    "use a file of the model in a type that nibble reads, for example Q4_K_M or Q8_0";
constexpr const char kBitNet[] =
    "the type was withdrawn, and bitnet.cpp uses its number for I2_S; use a file of the model in a "
    "type that nibble reads, for example IQ4_NL or Q4_K_M";
constexpr const char kIk[] =
    "the type belongs to ik_llama.cpp; use a file of the model in one of llama.cpp's types that "
    "nibble reads, for example Q4_K_M or IQ4_XS";
constexpr const char kNotWeights[] =
    "the type does not hold a model's weights; the file may not be a language model";
constexpr const char kScratch[] =
    "the type exists only inside a computation and never in a good file; get the file again";
constexpr const char kUndefined[] =
    "no known program defines this type; the file may be damaged, or newer than this nibble";

struct ForeignType {
  uint32_t id;
  const char* name;
  const char* advice;
};

// One row a type; clang-format would lay them out in columns when their number divides.
// clang-format off
constexpr ForeignType kForeign[] = {
    {4, "Q4_2", kWithdrawn},
    {5, "Q4_3", kWithdrawn},
    {9, "Q8_1", kScratch},
    {15, "Q8_K", kScratch},
    {16, "IQ2_XXS", kLowBit},
    {17, "IQ2_XS", kLowBit},
    {18, "IQ3_XXS", kLowBit},
    {19, "IQ1_S", kLowBit},
    {21, "IQ3_S", kLowBit},
    {22, "IQ2_S", kLowBit},
    {24, "I8", kNotWeights},
    {25, "I16", kNotWeights},
    {26, "I32", kNotWeights},
    {27, "I64", kNotWeights},
    {28, "F64", kNotWeights},
    {29, "IQ1_M", kLowBit},
    {31, "Q4_0_4_4", kRepacked},
    {32, "Q4_0_4_8", kRepacked},
    {33, "Q4_0_8_8", kRepacked},
    {34, "TQ1_0", kLowBit},
    {35, "TQ2_0", kLowBit},
    {36, "IQ4_NL_4_4", kBitNet},
    {37, "IQ4_NL_4_8", kRepacked},
    {38, "IQ4_NL_8_8", kRepacked},
    {40, "NVFP4", kFourBit},
    {41, "Q1_0", kLowBit},
    {42, "Q2_0", kLowBit},
    {133, "Q6_0", kIk},
    {134, "IQ1_BN", kIk},
    {135, "IQ2_BN", kIk},
    {137, "IQ2_K", kIk},
    {138, "IQ3_K", kIk},
    {139, "IQ4_K", kIk},
    {140, "IQ5_K", kIk},
    {141, "IQ6_K", kIk},
    {144, "IQ4_KS", kIk},
    {145, "IQ2_KS", kIk},
    {146, "IQ4_KSS", kIk},
    {151, "Q8_KV", kIk},
    {152, "IQ5_KS", kIk},
    {153, "IQ2_KT", kIk},
    {154, "IQ3_KT", kIk},
    {155, "IQ4_KT", kIk},
    {156, "IQ3_KS", kIk},
    {157, "IQ2_KL", kIk},
    {158, "IQ1_KT", kIk},
    {202, "Q4_0_R8", kIk},
    {206, "Q5_0_R4", kIk},
    {208, "Q8_0_R8", kIk},
    {210, "Q2_K_R4", kIk},
    {211, "Q3_K_R4", kIk},
    {212, "Q4_K_R4", kIk},
    {213, "Q5_K_R4", kIk},
    {214, "Q6_K_R4", kIk},
    {216, "IQ2_XXS_R4", kIk},
    {217, "IQ2_XS_R4", kIk},
    {218, "IQ3_XXS_R4", kIk},
    {219, "IQ1_S_R4", kIk},
    {220, "IQ4_NL_R4", kIk},
    {221, "IQ3_S_R4", kIk},
    {222, "IQ2_S_R4", kIk},
    {223, "IQ4_XS_R8", kIk},
    {229, "IQ1_M_R4", kIk},
    {230, "BF16_R16", kIk},
    {233, "Q6_0_R4", kIk},
    {335, "IQ2_BN_R4", kIk},
    {337, "IQ2_K_R4", kIk},
    {338, "IQ3_K_R4", kIk},
    {339, "IQ4_K_R4", kIk},
    {340, "IQ5_K_R4", kIk},
    {344, "IQ4_KS_R4", kIk},
    {352, "IQ5_KS_R4", kIk},
    {397, "Q8_K_R16", kIk},
    {398, "Q8_KV_R8", kIk},
    {399, "Q8_K_R8", kIk},
};
// clang-format on

const ForeignType* find_foreign(uint32_t id) {
  for (const ForeignType& t : kForeign) {
    if (t.id == id) return &t;
  }
  return nullptr;
}

char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

bool same_name(const char* a, const char* b) {
  while (*a != '\0' && upper(*a) == upper(*b)) ++a, ++b;
  return upper(*a) == upper(*b);
}

}  // namespace

const DTypeInfo* all_dtypes(int* count) noexcept {
  *count = AllTypes::kSize;
  return kRows.data();
}

const DTypeInfo* find_dtype(uint32_t id) noexcept {
  for (const DTypeInfo& row : kRows) {
    if (static_cast<uint32_t>(row.type) == id) return &row;
  }
  return nullptr;
}

const DTypeInfo* find_dtype(const char* name) noexcept {
  for (const DTypeInfo& row : kRows) {
    if (same_name(row.name, name)) return &row;
  }
  return nullptr;
}

const DTypeInfo& dtype_info(DType type) noexcept {
  static constexpr DTypeInfo kUnknown = {DType::F32, "unknown", 1, 0};
  const DTypeInfo* row = find_dtype(static_cast<uint32_t>(type));
  return row != nullptr ? *row : kUnknown;
}

const char* dtype_ecosystem_name(uint32_t id) noexcept {
  if (const DTypeInfo* row = find_dtype(id)) return row->name;
  if (const PackedType* row = find_packed_type(id)) return row->name;
  const ForeignType* foreign = find_foreign(id);
  return foreign != nullptr ? foreign->name : nullptr;
}

const char* dtype_advice(uint32_t id) noexcept {
  if (find_stored_type(id)) return kDecoded;
  const ForeignType* foreign = find_foreign(id);
  return foreign != nullptr ? foreign->advice : kUndefined;
}

int64_t row_bytes(DType type, int64_t cols) noexcept {
  const DTypeInfo& row = dtype_info(type);
  return cols / row.block_len * row.block_bytes;
}

}  // namespace nibble
