// What llama.cpp makes of a model file, for llama_cpp_families.py, which builds it against a copy
// of llama.cpp: llama_cpp_shim MODEL OUT N TOKEN... writes to OUT, float32, the logits of every
// token (of an encoder its hidden states), and prints the N tokens that are likeliest one after the
// other.
#include <llama.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

void quiet(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
}

bool decode(llama_context* context, const std::vector<llama_token>& tokens, int first_pos,
            bool encoder) {
  llama_batch batch = llama_batch_init(static_cast<int32_t>(tokens.size()), 0, 1);
  for (size_t i = 0; i < tokens.size(); ++i) {
    batch.token[i] = tokens[i];
    batch.pos[i] = first_pos + static_cast<llama_pos>(i);
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  batch.n_tokens = static_cast<int32_t>(tokens.size());
  const int status = encoder ? llama_encode(context, batch) : llama_decode(context, batch);
  llama_batch_free(batch);
  return status == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  llama_log_set(quiet, nullptr);
  llama_model* model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (model == nullptr) return 1;
  std::vector<llama_token> tokens;
  for (int i = 4; i < argc; ++i) tokens.push_back(std::atoi(argv[i]));
  const int n_greedy = std::atoi(argv[3]);
  const auto n_prompt = static_cast<int>(tokens.size());
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(n_prompt + n_greedy);
  params.n_batch = params.n_ubatch = params.n_ctx;
  params.n_threads = params.n_threads_batch = 1;
  params.type_k = params.type_v = GGML_TYPE_F32;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  const bool encoder = n_greedy == 0;
  params.embeddings = encoder;
  params.pooling_type = encoder ? LLAMA_POOLING_TYPE_NONE : LLAMA_POOLING_TYPE_UNSPECIFIED;
  llama_context* context = llama_init_from_model(model, params);
  if (context == nullptr || !decode(context, tokens, 0, encoder)) return 1;
  const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
  const auto width = static_cast<size_t>(encoder ? llama_model_n_embd(model) : n_vocab);
  std::FILE* out = std::fopen(argv[2], "wb");
  if (out == nullptr) return 1;
  for (int i = 0; i < n_prompt; ++i) {
    const float* row =
        encoder ? llama_get_embeddings_ith(context, i) : llama_get_logits_ith(context, i);
    std::fwrite(row, sizeof(float), width, out);
  }
  if (std::fclose(out) != 0) return 1;
  for (int i = 0; i < n_greedy; ++i) {
    const float* row = llama_get_logits_ith(context, -1);
    const auto best = static_cast<llama_token>(std::max_element(row, row + n_vocab) - row);
    std::printf("%d ", best);
    if (!decode(context, {best}, n_prompt + i, false)) return 1;
  }
  std::printf("\n");
  return 0;
}
