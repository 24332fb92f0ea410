// libedit calls back through C function pointers; EL_CLIENTDATA leads back to the Impl.
#include "tools/line_editor.h"

#include <fmt/format.h>
#include <histedit.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>

#include "tools/control_filter.h"
#include "tools/exit_code.h"
#include "tools/external_editor.h"

namespace nibble {
namespace {

constexpr int kHistorySize = 1000;
constexpr wchar_t kInterruptKey = 3;
constexpr wchar_t kReplacement = 0xFFFD;
constexpr const char* kPasteOn = "\033[?2004h";
constexpr const char* kPasteOff = "\033[?2004l";
constexpr size_t kMostPaste = size_t{16} << 20;

/// Decodes one well-formed sequence.
wchar_t decode(std::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(s[i])); };
  switch (s.size()) {
    case 2:
      return static_cast<wchar_t>((byte(0) & 0x1F) << 6 | (byte(1) & 0x3F));
    case 3:
      return static_cast<wchar_t>((byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 |
                                  (byte(2) & 0x3F));
    case 4:
      return static_cast<wchar_t>((byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 |
                                  (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F));
    default:
      return static_cast<wchar_t>(byte(0));
  }
}

void append_utf8(std::string& out, uint32_t c) {
  const auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

/// How long the sequence that starts with this byte should be.
size_t expected_length(uint8_t first) {
  if (first >= 0xF0) return 4;
  if (first >= 0xE0) return 3;
  if (first >= 0xC0) return 2;
  return 1;
}

}  // namespace

struct LineEditor::Impl {
  Impl(const Terminal& t, Interrupt& i, LineEditorOptions o)
      : terminal(t), interrupt(i), options(std::move(o)) {}

  const Terminal& terminal;
  Interrupt& interrupt;
  LineEditorOptions options;
  FILE* screen = nullptr;
  EditLine* edit = nullptr;
  HistoryW* history = nullptr;
  std::wstring prompt;
  std::string bytes;  // read, not yet decoded
  bool placeholder_due = false;
  bool interrupted = false;
  bool ended = false;
  std::string line_at_interrupt;

  static Impl& of(EditLine* edit) {
    void* data = nullptr;
    el_wget(edit, EL_CLIENTDATA, &data);
    return *static_cast<Impl*>(data);
  }

  void show(const std::string& text) const {
    std::fputs(text.c_str(), screen);
    std::fflush(screen);
  }

  std::wstring line() const {
    const LineInfoW* info = el_wline(edit);
    return std::wstring(info->buffer, info->lastchar);
  }

  /// 1: *out is the next character; 0: end of input.
  int next_char(wchar_t* out);
  bool fill();
  std::wstring read_paste();
  unsigned char complete_line();
  unsigned char edit_line();
  void give_terminal();
  void take_terminal();
  void set_up();
};

/// Waits for more bytes. False at the end of input.
bool LineEditor::Impl::fill() {
  for (;;) {
    if (interrupt.wait_readable(STDIN_FILENO)) {
      char chunk[4096];
      const ssize_t n = ::read(STDIN_FILENO, chunk, sizeof chunk);
      if (n > 0) {
        bytes.append(chunk, static_cast<size_t>(n));
        return true;
      }
      if (n == 0 || errno != EINTR) return false;
    }
    if (interrupt.terminated()) return false;
    if (interrupt.token().requested()) {  // a SIGINT from outside the terminal
      interrupt.reset();
      bytes.insert(bytes.begin(), static_cast<char>(kInterruptKey));
      return true;
    }
    if (interrupt.take_resize()) {
      el_resize(edit);
      el_wset(edit, EL_REFRESH);
    }
  }
}

int LineEditor::Impl::next_char(wchar_t* out) {
  if (placeholder_due) {
    const std::string& text = options.placeholder;
    show(fmt::format("{}\033[{}D", terminal.style("90", text), text.size()));
  }
  if (bytes.empty() && !fill()) {
    ended = true;
    return 0;
  }
  if (placeholder_due) show("\033[K");
  placeholder_due = false;
  const size_t expected = expected_length(static_cast<uint8_t>(bytes[0]));
  while (bytes.size() < expected && utf8_length(bytes) == 0 && fill()) {
  }
  const size_t n = utf8_length(bytes);
  *out = n == 0 ? kReplacement : decode(std::string_view(bytes).substr(0, n));
  bytes.erase(0, n == 0 ? 1 : n);
  return 1;
}

/// What stands between the start and the end mark of a bracketed paste.
std::wstring LineEditor::Impl::read_paste() {
  constexpr std::wstring_view kEnd = L"\033[201~";
  std::wstring text;
  wchar_t c = 0;
  while (text.size() < kMostPaste && next_char(&c) == 1) {
    text += c;
    if (c == L'~' && text.size() >= kEnd.size() &&
        text.compare(text.size() - kEnd.size(), kEnd.size(), kEnd) == 0) {
      text.resize(text.size() - kEnd.size());
      break;
    }
  }
  return text;
}

unsigned char LineEditor::Impl::complete_line() {
  const LineInfoW* info = el_wline(edit);
  if (!options.complete || info->cursor != info->lastchar) return CC_ERROR;
  const std::string typed = to_utf8(line());
  const std::vector<std::string> ways = options.complete(typed);
  if (ways.empty()) return CC_ERROR;
  std::string common = ways.front();
  for (const std::string& way : ways) {
    size_t same = 0;
    while (same < std::min(common.size(), way.size()) && common[same] == way[same]) ++same;
    common.resize(same);
  }
  if (common.size() > typed.size()) {
    el_winsertstr(edit, to_wide(common.substr(typed.size())).c_str());
    return CC_REFRESH;
  }
  if (ways.size() == 1) return CC_ERROR;
  std::string list = "\r\n";
  for (const std::string& way : ways) list += one_line(way) + "  ";
  show(list + "\r\n");
  return CC_REDISPLAY;
}

/// The terminal as other programs expect it.
void LineEditor::Impl::give_terminal() {
  el_wset(edit, EL_PREP_TERM, 0);
  show(kPasteOff);
}

void LineEditor::Impl::take_terminal() {
  show(kPasteOn);
  el_wset(edit, EL_PREP_TERM, 1);
}

/// The line goes through the user's editor; if that fails it stays, and the error is shown.
unsigned char LineEditor::Impl::edit_line() {
  std::string problem;
  std::wstring text;
  give_terminal();
  try {
    text = clean_paste(to_wide(edit_text(to_utf8(line()), editor_command(), ::fileno(screen))));
  } catch (const CommandError& e) {
    problem = format_error(e.code(), e.message(), e.hint());
  }
  take_terminal();
  if (interrupt.terminated()) {
    ended = true;
    return CC_EOF;
  }
  interrupt.reset();  // a Ctrl-C in there was for the editor
  if (!problem.empty()) {
    show("\r\n" + problem);
    return CC_REDISPLAY;
  }
  const int length = static_cast<int>(line().size());
  el_cursor(edit, length);
  el_deletestr(edit, length);
  if (!text.empty() && el_winsertstr(edit, text.c_str()) != 0) return CC_ERROR;
  return CC_REDISPLAY;
}

void LineEditor::Impl::set_up() {
  edit = el_init("nibble", stdin, screen, screen);
  history = history_winit();
  if (edit == nullptr || history == nullptr) {
    throw CommandError(ExitCode::runtime, "terminal: the line editor does not start",
                       "set TERM, or pipe the messages in");
  }
  el_wset(edit, EL_CLIENTDATA, this);
  el_wset(edit, EL_SIGNAL, 0);
  el_wset(edit, EL_EDITOR, L"emacs");
  HistEventW event;
  history_w(history, &event, H_SETSIZE, kHistorySize);
  history_w(history, &event, H_SETUNIQUE, 1);
  el_wset(edit, EL_HIST, history_w, history);
  for (const std::string& message : options.history) {
    history_w(history, &event, H_ENTER, to_wide(message).c_str());
  }
  using GetPrompt = wchar_t* (*)(EditLine*);
  const GetPrompt get_prompt = [](EditLine* e) { return of(e).prompt.data(); };
  el_wset(edit, EL_PROMPT, get_prompt);
  using GetChar = int (*)(EditLine*, wchar_t*);
  const GetChar get_char = [](EditLine* e, wchar_t* out) { return of(e).next_char(out); };
  el_wset(edit, EL_GETCFN, get_char);

  using Key = unsigned char (*)(EditLine*, wint_t);
  const auto bind = [this](const wchar_t* name, const wchar_t* keys, Key function) {
    el_wset(edit, EL_ADDFN, name, L"nibble", function);
    el_wset(edit, EL_BIND, keys, name, nullptr);
  };
  // In raw mode Enter is ^M and Ctrl-J is ^J, and Ctrl-C is a key like any other.
  el_wset(edit, EL_SETTY, L"-d", L"-icrnl", L"-inlcr", L"-isig", L"-ixon", nullptr);
  bind(L"nibble-newline", L"^J", [](EditLine* e, wint_t) -> unsigned char {
    return el_winsertstr(e, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
  });
  bind(L"nibble-paste", L"\\e[200~", [](EditLine* e, wint_t) -> unsigned char {
    const std::wstring text = clean_paste(of(e).read_paste());
    if (text.empty()) return CC_NORM;
    return el_winsertstr(e, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  });
  bind(L"nibble-interrupt", L"^C", [](EditLine* e, wint_t) -> unsigned char {
    of(e).interrupted = true;
    of(e).line_at_interrupt = to_utf8(of(e).line());
    return CC_EOF;
  });
  bind(L"nibble-end", L"^D", [](EditLine* e, wint_t) -> unsigned char {
    const LineInfoW* info = el_wline(e);
    if (info->buffer == info->lastchar) {
      of(e).ended = true;
      return CC_EOF;
    }
    if (info->cursor == info->lastchar) return CC_ERROR;
    el_cursor(e, 1);
    el_deletestr(e, 1);
    return CC_REFRESH;
  });
  bind(L"nibble-suspend", L"^Z", [](EditLine* e, wint_t) -> unsigned char {
    of(e).give_terminal();
    ::kill(0, SIGTSTP);
    of(e).take_terminal();
    return CC_REDISPLAY;
  });
  bind(L"nibble-editor", L"^G",
       [](EditLine* e, wint_t) -> unsigned char { return of(e).edit_line(); });
  bind(L"nibble-complete", L"^I",
       [](EditLine* e, wint_t) -> unsigned char { return of(e).complete_line(); });
  constexpr const wchar_t* kBindings[][2] = {
      {L"^M", L"ed-newline"},
      {L"^U", L"vi-kill-line-prev"},
      {L"^W", L"ed-delete-prev-word"},
      {L"^R", L"em-inc-search-prev"},
      {L"\\e[3~", L"ed-delete-next-char"},
      {L"\\e[1~", L"ed-move-to-beg"},
      {L"\\e[4~", L"ed-move-to-end"},
      {L"\\e[H", L"ed-move-to-beg"},
      {L"\\e[F", L"ed-move-to-end"},
      {L"\\e[1;5D", L"ed-prev-word"},
      {L"\\e[1;5C", L"em-next-word"},
      {L"\\e^?", L"ed-delete-prev-word"},
      {L"\\e^H", L"ed-delete-prev-word"},
  };
  for (const auto& row : kBindings) el_wset(edit, EL_BIND, row[0], row[1], nullptr);
  show(kPasteOn);
}

LineEditor::LineEditor(const Terminal& terminal, Interrupt& interrupt, LineEditorOptions options)
    : impl_(std::make_unique<Impl>(terminal, interrupt, std::move(options))) {
  const int fd = terminal.stderr_tty ? ::dup(STDERR_FILENO) : -1;
  impl_->screen = fd >= 0 ? ::fdopen(fd, "w") : std::fopen("/dev/tty", "w");
  if (impl_->screen == nullptr) {
    throw CommandError(ExitCode::runtime, "terminal: there is nowhere to show the prompt",
                       "pipe the messages into standard input");
  }
  impl_->set_up();
}

LineEditor::~LineEditor() {
  if (impl_->edit != nullptr) {
    impl_->show(kPasteOff);
    el_end(impl_->edit);
  }
  if (impl_->history != nullptr) history_wend(impl_->history);
  std::fclose(impl_->screen);
}

ReadResult LineEditor::read(PromptKind kind) {
  Impl& e = *impl_;
  const bool first = kind == PromptKind::message;
  e.prompt = first ? L">>> " : L"... ";
  const bool wide_enough =
      e.terminal.columns() > static_cast<int>(e.prompt.size() + e.options.placeholder.size()) + 1;
  e.placeholder_due = first && e.terminal.color && wide_enough && e.bytes.empty();
  e.interrupted = e.ended = false;
  int count = 0;
  const wchar_t* text = el_wgets(e.edit, &count);
  if (e.interrupted) {
    e.show("\r\n");
    return {ReadStatus::interrupted, std::move(e.line_at_interrupt)};
  }
  if (text == nullptr || count <= 0) {
    e.show("\r\n");
    return {ReadStatus::end, {}};
  }
  std::string line = to_utf8(std::wstring(text, static_cast<size_t>(count)));
  if (!line.empty() && line.back() == '\n') line.pop_back();
  return {ReadStatus::line, std::move(line)};
}

void LineEditor::remember(const std::string& message) {
  HistEventW event;
  history_w(impl_->history, &event, H_ENTER, to_wide(message).c_str());
  if (impl_->options.on_remember) impl_->options.on_remember(message);
}

std::wstring to_wide(const std::string& utf8) {
  std::wstring out;
  const std::string_view text = utf8;
  for (size_t i = 0; i < text.size();) {
    const size_t n = utf8_length(text.substr(i));
    out += n == 0 ? kReplacement : decode(text.substr(i, n));
    i += n == 0 ? 1 : n;
  }
  return out;
}

std::string to_utf8(const std::wstring& wide) {
  std::string out;
  for (const wchar_t c : wide) {
    const auto code = static_cast<uint32_t>(c);
    const bool valid = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    append_utf8(out, valid ? code : static_cast<uint32_t>(kReplacement));
  }
  return out;
}

std::wstring clean_paste(const std::wstring& pasted) {
  std::wstring out;
  for (size_t i = 0; i < pasted.size(); ++i) {
    const wchar_t c = pasted[i];
    if (c == L'\r') {
      if (i + 1 >= pasted.size() || pasted[i + 1] != L'\n') out += L'\n';
    } else if (c == L'\n' || c == L'\t' || (c >= 0x20 && (c < 0x7F || c > 0x9F))) {
      out += c;
    }
  }
  while (!out.empty() && out.back() == L'\n') out.pop_back();
  return out;
}

}  // namespace nibble
