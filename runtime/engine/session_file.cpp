#include "runtime/engine/session_file.h"

#include <algorithm>
#include <cstring>

#include "formats/io/atomic_file.h"
#include "formats/io/bytes.h"
#include "formats/io/checked.h"
#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "formats/io/stream_hash.h"
#include "runtime/model/config.h"
#include "runtime/model/sequence_state.h"
#include "runtime/text/throw_if_cancelled.h"

namespace nibble {
namespace {

constexpr std::string_view kMagic = "NIBBLESE";
constexpr uint32_t kVersion = 1;
constexpr size_t kAlign = 64;
constexpr size_t kHashBytes = sizeof(uint64_t);

uint64_t n_pages(uint64_t n_tokens) {
  return (n_tokens + kKvPageLen - 1) / kKvPageLen;
}

std::vector<int32_t> read_tokens(ByteReader& reader) {
  const auto n = reader.read<uint64_t>("number of tokens");
  if (n > reader.remaining() / sizeof(int32_t)) reader.take(n, "tokens");  // fails
  std::vector<int32_t> ids(n);
  const std::span<const std::byte> bytes = reader.take(n * sizeof(int32_t), "tokens");
  if (n > 0) std::memcpy(ids.data(), bytes.data(), bytes.size());
  return ids;
}

std::vector<SessionAnswer> read_answers(ByteReader& reader) {
  const auto n = reader.read<uint64_t>("number of answers");
  std::vector<SessionAnswer> answers;
  for (uint64_t i = 0; i < n; ++i) {
    SessionAnswer& answer = answers.emplace_back();
    answer.text = reader.read_string("answer");
    answer.tokens = read_tokens(reader);
  }
  return answers;
}

/// Bytes of the file before its pages.
class HeadWriter {
 public:
  template <class T>
  void add(T value) {
    add_bytes(std::as_bytes(std::span(&value, 1)));
  }
  void add_bytes(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void add_tokens(std::span<const int32_t> ids) {
    add(static_cast<uint64_t>(ids.size()));
    add_bytes(std::as_bytes(ids));
  }
  void align() { bytes_.resize((bytes_.size() + kAlign - 1) / kAlign * kAlign); }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

HeadWriter head_of(const Session& session, const SessionExtras& extras) {
  HeadWriter head;
  const KvLayout& layout = session.state().layout();
  head.add_bytes(std::as_bytes(std::span(kMagic)));
  head.add(kVersion);
  head.add(static_cast<uint32_t>(layout.type));
  head.add(model_identity(session.engine().file()));
  head.add(static_cast<uint64_t>(layout.page_bytes));
  head.add(extras.random.seed);
  head.add(extras.random.draws);
  head.add_tokens(session.tokens());
  head.add(static_cast<uint64_t>(extras.answers.size()));
  for (const SessionAnswer& answer : extras.answers) {
    head.add(static_cast<uint64_t>(answer.text.size()));
    head.add_bytes(std::as_bytes(std::span(answer.text)));
    head.add_tokens(answer.tokens);
  }
  head.align();
  return head;
}

/// Does the file belong to the session? Errors: bad_argument, context_full, bad_file.
void check(const SessionFile& file, const Session& session, const std::string& path) {
  const KvLayout& layout = session.state().layout();
  if (file.model != model_identity(session.engine().file())) {
    throw Error(ErrorCode::bad_argument,
                fmt::format("{}: expected a session of {}, got one of another model", path,
                            session.engine().file().path()),
                "open the model file that the session was saved with");
  }
  if (file.kv_type != static_cast<uint32_t>(layout.type)) {
    throw Error(ErrorCode::bad_argument,
                fmt::format("{}: expected keys and values of type {}, got type {}", path,
                            static_cast<uint32_t>(layout.type), file.kv_type),
                "open the session with the cache type that it was saved with");
  }
  if (file.page_bytes != static_cast<uint64_t>(layout.page_bytes)) {
    fail(ErrorCode::bad_file, "{}: expected pages of {} bytes, got {}", path, layout.page_bytes,
         file.page_bytes);
  }
  if (!file.tokens.empty()) session.check(file.tokens);
}

}  // namespace

SessionFile read_session_file(std::span<const std::byte> bytes, std::string_view name) {
  ByteReader reader(bytes, name);
  if (as_text(reader.take(kMagic.size(), "magic")) != kMagic) {
    fail(ErrorCode::bad_file, "{}: expected a session that nibble saved, got another file", name);
  }
  if (const auto version = reader.read<uint32_t>("version"); version != kVersion) {
    fail(ErrorCode::bad_file, "{}: expected a session file of version {}, got {}", name, kVersion,
         version);
  }
  SessionFile file;
  file.kv_type = reader.read<uint32_t>("type of keys and values");
  file.model = reader.read<uint64_t>("model");
  file.page_bytes = reader.read<uint64_t>("bytes of a page");
  file.random.seed = reader.read<uint64_t>("seed");
  file.random.draws = reader.read<uint64_t>("random numbers");
  file.tokens = read_tokens(reader);
  file.answers = read_answers(reader);
  reader.take((kAlign - reader.pos() % kAlign) % kAlign, "padding");
  const auto size = checked_mul(n_pages(file.tokens.size()), file.page_bytes);
  if (!size || *size > reader.remaining() || reader.remaining() - *size != kHashBytes) {
    fail(ErrorCode::bad_file, "{}: expected {} pages of {} bytes and a hash, got {} bytes", name,
         n_pages(file.tokens.size()), file.page_bytes, reader.remaining());
  }
  file.pages = reader.take(*size, "keys and values");
  StreamHash hash;
  hash.add(bytes.first(reader.pos()));
  if (reader.read<uint64_t>("hash") != hash.value()) {
    throw Error(ErrorCode::bad_file,
                fmt::format("{}: expected the bytes of its hash, got others", name),
                "the file is damaged; the conversation has to be evaluated again");
  }
  return file;
}

uint64_t model_identity(const TensorFile& file) {
  StreamHash hash;
  uint64_t first = file.file_bytes().size();
  for (const TensorInfo& t : file.tensors()) first = std::min(first, t.offset);
  hash.add(file.file_bytes().first(first));
  for (const TensorInfo& t : file.tensors()) {
    hash.add(std::as_bytes(std::span(t.name)));
    hash.add(std::as_bytes(std::span(&t.type_id, 1)));
    hash.add(std::as_bytes(std::span(t.shape)));
    const std::span<const std::byte> data = file.data(t);
    hash.add(data.subspan(data.size() / 2, std::min<size_t>(64, data.size() - data.size() / 2)));
  }
  return hash.value();
}

void save_session(const Session& session, const SessionExtras& extras, const std::string& path,
                  const CancelToken* cancel) {
  const HeadWriter head = head_of(session, extras);
  const SequenceState& state = session.state();
  const auto page_bytes = static_cast<size_t>(state.layout().page_bytes);
  const auto pages = static_cast<int64_t>(n_pages(static_cast<uint64_t>(state.length())));
  AtomicFileOptions options;
  options.inputs = session.engine().file().paths();
  options.expected_bytes =
      head.bytes().size() + static_cast<size_t>(pages) * page_bytes + kHashBytes;
  options.mode = 0600;  // what was said is nobody else's
  AtomicFile file(path, options);
  StreamHash hash;
  const auto write = [&](std::span<const std::byte> bytes) {
    throw_if_cancelled(cancel);
    hash.add(bytes);
    file.write(bytes);
  };
  write(head.bytes());
  for (int64_t i = 0; i < pages; ++i) write({state.page_of(i * kKvPageLen), page_bytes});
  const uint64_t value = hash.value();
  file.write(std::as_bytes(std::span(&value, 1)));
  file.commit();
}

SessionExtras load_session(Session& session, const std::string& path, const CancelToken* cancel) {
  const MappedFile map(path);
  SessionFile file = read_session_file(map.bytes(), path);
  check(file, session, path);
  SequenceState state = session.empty_state();
  const auto n = static_cast<int64_t>(file.tokens.size());
  const auto page_bytes = static_cast<size_t>(file.page_bytes);
  state.reserve(n);
  for (size_t at = 0; at < file.pages.size(); at += page_bytes) {
    throw_if_cancelled(cancel);
    std::memcpy(state.page_of(static_cast<int64_t>(at / page_bytes) * kKvPageLen),
                file.pages.data() + at, page_bytes);
  }
  state.commit(n);
  map.require_unchanged();
  session.restore(std::move(state), std::move(file.tokens));
  return {file.random, std::move(file.answers)};
}

}  // namespace nibble
