#pragma once
// safetensors files by hand, so that tests can write what no writer would. Shares no code with
// formats/.
#include <cstdint>
#include <string>
#include <vector>

namespace nibble::test {

/// A file of this header, as it stands, and this data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return out + header + data;
}

/// A tensor of the header: "name":{"dtype":...}
inline std::string safetensors_entry(const std::string& name, const std::string& dtype,
                                     const std::vector<int64_t>& shape, uint64_t begin,
                                     uint64_t end) {
  std::string dims;
  for (const int64_t d : shape) dims += (dims.empty() ? "" : ",") + std::to_string(d);
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + dims +
         "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

}  // namespace nibble::test
