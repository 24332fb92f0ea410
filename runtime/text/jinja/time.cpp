// strftime in English, on a date that the caller gives or on the present one (UTC: what the local
// time zone is, only the host knows).
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "formats/io/error.h"
#include "runtime/text/jinja/builtins.h"

namespace nibble::jinja {
namespace {

struct Moment {
  std::chrono::year_month_day date;
  int hour = 0, minute = 0, second = 0;
};

bool read_number(std::string_view text, size_t at, size_t size, int& out) {
  if (at + size > text.size()) return false;
  const char* first = text.data() + at;
  const auto [end, error] = std::from_chars(first, first + size, out);
  return error == std::errc() && end == first + size && out >= 0;
}

// "2026-11-22", also with " 14:30:00" behind it.
bool read_date(std::string_view text, Moment& out) {
  int year = 0, month = 0, day = 0;
  if (!read_number(text, 0, 4, year) || !read_number(text, 5, 2, month) ||
      !read_number(text, 8, 2, day) || text[4] != '-' || text[7] != '-') {
    return false;
  }
  out.date = {std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
              std::chrono::day(static_cast<unsigned>(day))};
  if (!out.date.ok()) return false;
  if (text.size() == 10) return true;
  return text.size() == 19 && (text[10] == ' ' || text[10] == 'T') && text[13] == ':' &&
         text[16] == ':' && read_number(text, 11, 2, out.hour) &&
         read_number(text, 14, 2, out.minute) && read_number(text, 17, 2, out.second) &&
         out.hour < 24 && out.minute < 60 && out.second < 60;
}

Moment now() {
  const auto time = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::hh_mm_ss clock(time - day);
  return {std::chrono::year_month_day(day), static_cast<int>(clock.hours().count()),
          static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count())};
}

constexpr std::string_view kMonths[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};
constexpr std::string_view kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};

std::string directive(char c, char flag, const Moment& t) {
  const int year = static_cast<int>(t.date.year());
  const unsigned month = static_cast<unsigned>(t.date.month());
  const unsigned day = static_cast<unsigned>(t.date.day());
  const std::chrono::sys_days days(t.date);
  const unsigned weekday = std::chrono::weekday(days).c_encoding();
  const auto of_year = static_cast<int>(
      (days - std::chrono::sys_days(t.date.year() / std::chrono::January / 1)).count());
  const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
  const auto number = [flag](int value, int width, char fill = '0') {
    if (flag == '-') return fmt::format("{}", value);
    if (flag == '_' || fill == ' ') return fmt::format("{:>{}}", value, width);
    return fmt::format("{:0{}}", value, width);
  };
  switch (c) {
    case 'Y':
      return fmt::format("{}", year);
    case 'C':
      return number(year / 100, 2);
    case 'y':
      return number(year % 100, 2);
    case 'm':
      return number(static_cast<int>(month), 2);
    case 'd':
      return number(static_cast<int>(day), 2);
    case 'e':
      return number(static_cast<int>(day), 2, ' ');
    case 'H':
      return number(t.hour, 2);
    case 'I':
      return number(hour12, 2);
    case 'M':
      return number(t.minute, 2);
    case 'S':
      return number(t.second, 2);
    case 'f':
      return "000000";
    case 'j':
      return number(of_year + 1, 3);
    case 'p':
      return t.hour < 12 ? "AM" : "PM";
    case 'B':
      return std::string(kMonths[month - 1]);
    case 'b':
    case 'h':
      return std::string(kMonths[month - 1].substr(0, 3));
    case 'A':
      return std::string(kDays[weekday]);
    case 'a':
      return std::string(kDays[weekday].substr(0, 3));
    case 'w':
      return fmt::format("{}", weekday);
    case 'u':
      return fmt::format("{}", weekday == 0 ? 7 : weekday);
    case 'U':
      return number((of_year + 7 - static_cast<int>(weekday)) / 7, 2);
    case 'W':
      return number((of_year + 7 - static_cast<int>((weekday + 6) % 7)) / 7, 2);
    case 'n':
      return "\n";
    case 't':
      return "\t";
    case '%':
      return "%";
    case 'Z':
    case 'z':
      return "";
    default:
      return std::string("%") + c;
  }
}

// Directives that stand for several.
constexpr std::pair<char, std::string_view> kCombined[] = {
    {'F', "%Y-%m-%d"},
    {'D', "%m/%d/%y"},
    {'x', "%m/%d/%y"},
    {'T', "%H:%M:%S"},
    {'X', "%H:%M:%S"},
    {'R', "%H:%M"},
    {'c', "%a %b %e %H:%M:%S %Y"},
};

std::string expanded(std::string_view format) {
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    const bool is_directive = format[i] == '%' && i + 1 < format.size();
    const auto* row = std::find_if(
        std::begin(kCombined), std::end(kCombined),
        [&](const auto& combined) { return is_directive && combined.first == format[i + 1]; });
    if (row != std::end(kCombined)) {
      out += row->second;
      ++i;
    } else {
      out += format[i];
      if (is_directive) out += format[++i];  // "%%T" is no %T
    }
  }
  return out;
}

}  // namespace

std::string format_time(std::string_view date, std::string_view combined) {
  const std::string format = expanded(combined);
  Moment t;
  if (date.empty()) {
    t = now();
  } else if (!read_date(date, t)) {
    fail(ErrorCode::bad_argument, "date: expected YYYY-MM-DD, also with HH:MM:SS behind it, got {}",
         date);
  }
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    char flag = '\0';
    if ((format[i + 1] == '-' || format[i + 1] == '_' || format[i + 1] == '0') &&
        i + 2 < format.size()) {
      flag = format[++i];
    }
    out += directive(format[++i], flag, t);
  }
  return out;
}

}  // namespace nibble::jinja
