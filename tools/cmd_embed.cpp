// nibble embed: texts to vectors, or texts in the order of how much they are like another.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/engine/embedder.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/exit_code.h"
#include "tools/npy.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/values.h"

namespace nibble {
namespace {

using Text = std::string_view;
using Json = nlohmann::ordered_json;

struct EmbedOptions {
  EmbedderOptions how;
  std::vector<std::string> files, lines_files;
  int64_t chunk = 0, overlap = 0;
  bool npy = false;
  std::optional<std::string> query;
  Similarity similarity = Similarity::cosine;
};

/// What is embedded: a text, or a chunk of one.
struct Item {
  std::string text;
  size_t source = 0;  // number of the text
  TextChunk place;    // in it
};

template <class T>
T named(Text flag, Text value, std::initializer_list<std::pair<Text, T>> names) {
  std::string known;
  for (const auto& [name, one] : names) {
    if (name == value) return one;
    known += known.empty() ? "" : ", ";
    known += name;
  }
  usage_error(fmt::format("{}: expected one of {}, got '{}'", flag, known, value));
}

void declare(CommandLine& line, EmbedOptions* out) {
  line.add({"-f,--file", "FILE", "a file that is one text; may be repeated", OptionGroup::prompt,
            [=](Text, Text v) { out->files.emplace_back(v); }, true});
  line.add({"--lines", "FILE", "a file with a text in each line; - is standard input",
            OptionGroup::prompt, [=](Text, Text v) { out->lines_files.emplace_back(v); }, true});
  line.add({"--pooling", "KIND",
            "mean, cls, last, or none: a vector for each token (default: as the file says)",
            OptionGroup::prompt, [=](Text flag, Text v) {
              out->how.pooling = named<Pooling>(flag, v,
                                                {{"mean", Pooling::mean},
                                                 {"cls", Pooling::cls},
                                                 {"last", Pooling::last},
                                                 {"none", Pooling::none}});
            }});
  line.add({"--dims", "N", "only the first N numbers, for models that were trained for that",
            OptionGroup::prompt,
            [=](Text flag, Text v) { out->how.n_dims = int_value(flag, v, 1, 1 << 24); }});
  line.add({"--no-normalize", "", "leave the length of the vectors as it is", OptionGroup::prompt,
            [=](Text, Text) { out->how.normalize = false; }});
  line.add({"--truncate", "", "leave out the end of a text that is too long", OptionGroup::prompt,
            [=](Text, Text) { out->how.truncate = true; }});
  line.add({"--chunk", "N", "cut texts into pieces of at most N tokens, between words",
            OptionGroup::prompt,
            [=](Text flag, Text v) { out->chunk = int_value(flag, v, 1, 1 << 24); }});
  line.add({"--overlap", "M",
            "with --chunk: a piece begins up to M tokens before the last one's end",
            OptionGroup::prompt,
            [=](Text flag, Text v) { out->overlap = int_value(flag, v, 0, 1 << 24); }});
  line.add({"-o,--output", "json|npy", "what is written (default json)", OptionGroup::output,
            [=](Text flag, Text v) {
              out->npy = named<bool>(flag, v, {{"json", false}, {"npy", true}});
            }});
  line.add({"--similar", "QUERY", "print the texts instead, the most similar to QUERY first",
            OptionGroup::output, [=](Text, Text v) { out->query = v; }});
  line.add({"--distance", "KIND", "with --similar: cosine (default), dot or euclidean",
            OptionGroup::output, [=](Text flag, Text v) {
              out->similarity = named<Similarity>(flag, v,
                                                  {{"cosine", Similarity::cosine},
                                                   {"dot", Similarity::dot},
                                                   {"euclidean", Similarity::euclidean}});
            }});
}

void check(const EmbedOptions& options) {
  if (options.overlap > 0 && options.chunk == 0) {
    usage_error("nibble embed: --overlap: expected --chunk beside it");
  }
  if (options.query && options.npy) {
    usage_error("nibble embed: expected either --similar or -o npy, got both");
  }
  if (options.query && options.how.pooling == Pooling::none) {
    usage_error("nibble embed: --similar: expected one vector a text, got --pooling none");
  }
}

void add_lines(std::vector<std::string>& to, std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) to.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::vector<std::string> read_texts(const EmbedOptions& options, std::vector<std::string> texts) {
  for (const std::string& file : options.files) texts.push_back(read_text_file(file));
  for (const std::string& file : options.lines_files) add_lines(texts, read_text_file(file));
  if (texts.empty() && stdin_has_text()) add_lines(texts, read_stdin());
  if (texts.empty()) {
    usage_error("nibble embed: expected a text", "give TEXT, -f FILE or lines on standard input");
  }
  return texts;
}

std::vector<Item> items_of(const std::vector<std::string>& texts, const Embedder& embedder,
                           const EmbedOptions& options) {
  std::vector<Item> items;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (options.chunk == 0) {
      items.push_back({texts[i], i, {0, texts[i].size()}});
      continue;
    }
    for (const TextChunk& c : embedder.chunks(texts[i], options.chunk, options.overlap)) {
      items.push_back({texts[i].substr(c.begin, c.end - c.begin), i, c});
    }
  }
  return items;
}

/// A float as the shortest decimal that is it.
void append_floats(std::string& out, std::span<const float> values) {
  out += '[';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    fmt::format_to(std::back_inserter(out), "{}", values[i]);
  }
  out += ']';
}

void write_json(const std::vector<Item>& items, const std::vector<Embedding>& all,
                const EmbedOptions& options, const Embedder& embedder) {
  Output out;
  int64_t n_tokens = 0;
  out.write("{\"object\":\"list\",\"data\":[\n");
  for (size_t i = 0; i < all.size(); ++i) {
    const Embedding& e = all[i];
    n_tokens += e.n_tokens;
    std::string row =
        fmt::format("{{\"object\":\"embedding\",\"index\":{},\"tokens\":{}", i, e.n_tokens);
    if (e.n_left_out > 0) row += fmt::format(",\"tokens_left_out\":{}", e.n_left_out);
    if (options.chunk > 0) {
      row += fmt::format(",\"text\":{},\"begin\":{},\"end\":{}", items[i].source,
                         items[i].place.begin, items[i].place.end);
    }
    row += ",\"embedding\":";
    if (embedder.pooling() == Pooling::none) {
      row += '[';
      for (int64_t r = 0; r < e.n_rows; ++r) {
        if (r > 0) row += ',';
        append_floats(row, std::span(e.values).subspan(static_cast<size_t>(r * embedder.n_dims()),
                                                       static_cast<size_t>(embedder.n_dims())));
      }
      row += ']';
    } else {
      append_floats(row, e.values);
    }
    row += i + 1 < all.size() ? "},\n" : "}\n";
    out.write(row);
  }
  out.write(fmt::format("],\"dims\":{},\"usage\":{{\"prompt_tokens\":{}}}}}\n", embedder.n_dims(),
                        n_tokens));
  out.flush();
}

void write_npy(const std::vector<Embedding>& all, const Embedder& embedder) {
  Output out;
  if (out.is_terminal()) {
    usage_error("nibble embed: -o npy: expected a file or a pipe, got a terminal",
                "nibble embed ... -o npy > vectors.npy");
  }
  int64_t rows = 0;
  for (const Embedding& e : all) rows += e.n_rows;
  out.write(npy_header(rows, embedder.n_dims()));
  for (const Embedding& e : all) {
    const auto bytes = std::as_bytes(std::span(e.values));
    out.write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  out.flush();
}

void write_ranking(const std::vector<Item>& items, const std::vector<Embedding>& all,
                   const Embedding& query, const EmbedOptions& options) {
  std::vector<std::pair<double, size_t>> ranking;
  for (size_t i = 0; i < all.size(); ++i) {
    ranking.emplace_back(similarity(options.similarity, query.values, all[i].values), i);
  }
  std::stable_sort(ranking.begin(), ranking.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  Output out;
  for (const auto& [score, i] : ranking) {
    const bool distance = options.similarity == Similarity::euclidean;
    std::string text = items[i].text;
    std::replace(text.begin(), text.end(), '\n', ' ');
    out.write(fmt::format("{:.6f}\t", distance ? -score : score));
    if (options.chunk > 0) {
      out.write(
          fmt::format("{}:{}-{}\t", items[i].source, items[i].place.begin, items[i].place.end));
    }
    out.write_foreign(text);
    out.write("\n");
  }
  out.flush();
}

int run(const Command& self, std::span<const std::string> args) {
  ModelOptions model_options;
  EmbedOptions options;
  std::vector<std::string> positionals;
  CommandLine line(self);
  add_model_options(line, &model_options);
  add_threads_option(line, &options.how.n_threads);
  declare(line, &options);
  line.positionals(&positionals, SIZE_MAX);
  if (!line.parse(args)) return 0;
  const std::string name = take_model_name(model_options, &positionals, "embed");
  check(options);
  const std::vector<std::string> texts = read_texts(options, std::move(positionals));

  const Terminal terminal = Terminal::detect();
  Interrupt interrupt;
  const OpenedModel model =
      open_model(name, model_options, options.how.n_threads, terminal, interrupt);
  Embedder embedder(model.engine, options.how);
  const std::vector<Item> items = items_of(texts, embedder, options);
  std::vector<std::string> all;
  for (const Item& item : items) all.push_back(item.text);
  if (options.query) all.push_back(*options.query);
  const BusyScope busy(interrupt);
  std::vector<Embedding> vectors = embedder.of(all, &interrupt.token());
  if (options.query) {
    const Embedding query = std::move(vectors.back());
    vectors.pop_back();
    write_ranking(items, vectors, query, options);
  } else if (options.npy) {
    write_npy(vectors, embedder);
  } else {
    write_json(items, vectors, options, embedder);
  }
  return 0;
}

}  // namespace

const Command cmd_embed = {
    "embed",
    "Turn texts into vectors, or rank them by how much they are like another.",
    "-m MODEL [TEXT...] [-f FILE] [--similar QUERY]",
    "nibble embed -m minilm.gguf \"A man eats.\" \"Somebody has lunch.\"\n"
    "nibble embed -m minilm.gguf --lines notes.txt --similar \"what was the rent?\"\n"
    "nibble embed -m minilm.gguf -f book.txt --chunk 256 --overlap 32 -o npy > book.npy\n",
    false,
    run,
};

}  // namespace nibble
