#pragma once
// GGUF v3 files in memory for tests, written here byte by byte so that the reader is not checked
// against its own writer. Little-endian machines only.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace nibble::test {

class GgufBuilder {
 public:
  // Value types as GGUF numbers them.
  void add_u32(std::string_view key, uint32_t v) { scalar(key, 4, &v, sizeof v); }
  void add_i32(std::string_view key, int32_t v) { scalar(key, 5, &v, sizeof v); }
  void add_f32(std::string_view key, float v) { scalar(key, 6, &v, sizeof v); }
  void add_bool(std::string_view key, bool v) {
    const uint8_t byte = v ? 1 : 0;
    scalar(key, 7, &byte, 1);
  }
  void add_u64(std::string_view key, uint64_t v) { scalar(key, 10, &v, sizeof v); }
  void add_string(std::string_view key, std::string_view v) {
    head(key, 8);
    string(kv_, v);
  }
  void add_strings(std::string_view key, const std::vector<std::string>& v) {
    head(key, 9);
    put(kv_, uint32_t{8});
    put(kv_, static_cast<uint64_t>(v.size()));
    for (const std::string& s : v) string(kv_, s);
  }
  void add_i32s(std::string_view key, const std::vector<int32_t>& v) { numbers(key, 5, v); }
  void add_f32s(std::string_view key, const std::vector<float>& v) { numbers(key, 6, v); }

  /// shape row-major (slowest first); bytes as they stand in the file.
  void add_tensor(std::string_view name, const std::vector<int64_t>& shape, uint32_t type,
                  const void* bytes, size_t n_bytes) {
    string(infos_, name);
    put(infos_, static_cast<uint32_t>(shape.size()));
    for (size_t i = shape.size(); i-- > 0;) put(infos_, static_cast<uint64_t>(shape[i]));
    put(infos_, type);
    put(infos_, static_cast<uint64_t>(data_.size()));
    data_.append(static_cast<const char*>(bytes), n_bytes);
    data_.resize((data_.size() + 31) / 32 * 32);
    ++n_tensors_;
  }
  void add_tensor(std::string_view name, const std::vector<int64_t>& shape,
                  const std::vector<float>& v) {
    add_tensor(name, shape, 0, v.data(), v.size() * sizeof(float));
  }

  std::string build() const {
    std::string out = "GGUF";
    put(out, uint32_t{3});
    put(out, n_tensors_);
    put(out, n_kv_);
    out += kv_;
    out += infos_;
    out.resize((out.size() + 31) / 32 * 32);
    return out + data_;
  }

 private:
  template <typename T>
  static void put(std::string& to, T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    to.append(bytes, sizeof value);
  }
  static void string(std::string& to, std::string_view s) {
    put(to, static_cast<uint64_t>(s.size()));
    to += s;
  }
  void head(std::string_view key, uint32_t type) {
    string(kv_, key);
    put(kv_, type);
    ++n_kv_;
  }
  void scalar(std::string_view key, uint32_t type, const void* v, size_t n) {
    head(key, type);
    kv_.append(static_cast<const char*>(v), n);
  }
  template <typename T>
  void numbers(std::string_view key, uint32_t type, const std::vector<T>& v) {
    head(key, 9);
    put(kv_, type);
    put(kv_, static_cast<uint64_t>(v.size()));
    kv_.append(reinterpret_cast<const char*>(v.data()), v.size() * sizeof(T));
  }

  std::string kv_, infos_, data_;
  uint64_t n_kv_ = 0;
  uint64_t n_tensors_ = 0;
};

}  // namespace nibble::test
