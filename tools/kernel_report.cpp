// See kernel_report.h.
#include "tools/kernel_report.h"

#include <fmt/format.h>

#include <algorithm>

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json or_null(T value) {
  return value > 0 ? Json(value) : Json(nullptr);
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

/// "12.3", empty for what was not measured.
std::string figure(double value, int digits = 1) {
  return value > 0 ? fmt::format("{:.{}f}", value, digits) : "";
}

bool is_matmul(const KernelSpeed& s) {
  return s.kernel == "matmul";
}

/// The same matrix, table and threads; only the number of tokens differs.
bool same_line(const KernelSpeed& a, const KernelSpeed& b) {
  return a.isa == b.isa && a.type == b.type && a.layout == b.layout && a.threads == b.threads;
}

std::vector<int64_t> token_columns(const std::vector<KernelSpeed>& speeds) {
  std::vector<int64_t> out;
  for (const KernelSpeed& s : speeds) {
    if (is_matmul(s) && std::find(out.begin(), out.end(), s.tokens) == out.end()) {
      out.push_back(s.tokens);
    }
  }
  return out;
}

std::string matmul_line(const std::vector<KernelSpeed>& speeds, const KernelSpeed& first,
                        const std::vector<int64_t>& columns) {
  std::string line =
      fmt::format("| {} | {} | {} | {} |", first.isa, first.type, first.layout, first.threads);
  double cycle = 0;
  double bandwidth = 0;
  for (const int64_t tokens : columns) {
    const auto at = std::find_if(speeds.begin(), speeds.end(), [&](const KernelSpeed& s) {
      return is_matmul(s) && same_line(s, first) && s.tokens == tokens;
    });
    line += fmt::format(" {} |", at == speeds.end() ? "" : figure(at->macs_per_second() / 1e9));
    if (at == speeds.end()) continue;
    cycle = std::max(cycle, at->macs_per_cycle());
    bandwidth = std::max(bandwidth, at->bytes_per_second());
  }
  return line + fmt::format(" {} | {} |\n", figure(cycle), figure(bandwidth / 1e9));
}

std::string matmul_table(const std::vector<KernelSpeed>& speeds) {
  const std::vector<int64_t> columns = token_columns(speeds);
  const auto begin = std::find_if(speeds.begin(), speeds.end(), is_matmul);
  if (begin == speeds.end()) return "";
  std::string head = "| isa | weights | layout | threads |";
  std::string rule = "| --- | --- | --- | ---: |";
  for (const int64_t tokens : columns) {
    head += fmt::format(" {} |", tokens);
    rule += " ---: |";
  }
  std::string out = fmt::format(
      "Products with {} x {} weights: GMAC/s by number of tokens; the most MAC/cycle of a core and "
      "GB/s of weights\n\n{} MAC/cycle | GB/s |\n{} ---: | ---: |\n",
      begin->rows, begin->cols, head, rule);
  for (auto s = begin; s != speeds.end(); ++s) {
    const bool seen = std::any_of(begin, s, [&](const KernelSpeed& before) {
      return is_matmul(before) && same_line(before, *s);
    });
    if (is_matmul(*s) && !seen) out += matmul_line(speeds, *s, columns);
  }
  return out + "\n";
}

std::string time_text(double seconds) {
  return seconds < 1e-6 ? fmt::format("{:.0f} ns", seconds * 1e9)
                        : fmt::format("{:.1f} µs", seconds * 1e6);
}

}  // namespace

Json kernel_rows(const std::vector<KernelSpeed>& speeds, const std::string& cpu,
                 const std::string& test_time) {
  Json list = Json::array();
  for (const KernelSpeed& s : speeds) {
    list.push_back({{"cpu_info", cpu},
                    {"test_time", test_time},
                    {"kernel", s.kernel},
                    {"isa", text_or_null(s.isa)},
                    {"type", text_or_null(s.type)},
                    {"layout", text_or_null(s.layout)},
                    {"rows", or_null(s.rows)},
                    {"cols", or_null(s.cols)},
                    {"n_tokens", or_null(s.tokens)},
                    {"n_depth", or_null(s.depth)},
                    {"n_threads", s.threads},
                    {"ns", s.seconds * 1e9},
                    {"gmac_per_s", or_null(s.macs_per_second() / 1e9)},
                    {"mac_per_cycle", or_null(s.macs_per_cycle())},
                    {"gb_per_s", or_null(s.bytes_per_second() / 1e9)},
                    {"clock_ghz", or_null(s.clock_hz / 1e9)}});
  }
  return list;
}

std::string kernel_markdown(const std::vector<KernelSpeed>& speeds) {
  std::string out = matmul_table(speeds);
  out +=
      "| kernel | isa | type | length | depth | threads | a call | GMAC/s | MAC/cycle | GB/s |\n"
      "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  for (const KernelSpeed& s : speeds) {
    if (is_matmul(s)) continue;
    const bool has_call = s.kernel != "int8 peak" && s.kernel != "read";
    out += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", s.kernel, s.isa,
                       s.type, s.cols > 0 ? fmt::to_string(s.cols) : "",
                       s.depth > 0 ? fmt::to_string(s.depth) : "", s.threads,
                       has_call ? time_text(s.seconds) : "", figure(s.macs_per_second() / 1e9),
                       figure(s.macs_per_cycle()), figure(s.bytes_per_second() / 1e9));
  }
  return out;
}

}  // namespace nibble
