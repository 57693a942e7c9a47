/* SPDX-License-Identifier: MIT */
#include "planner/rank.h"

#include <stddef.h>

#include "runtime/util.h"

/* Parts of names in the order of a transformer's block; of several that fit, the longest counts. */
static const struct rank {
    const char *part;
    int rank;
} ranks[] = {
    {".attn_norm", 0},       {"input_layernorm", 0}, {".norm1", 0},
    {".attn_q", 1},          {"q_proj", 1},          {"attn_qkv", 1},
    {".attn_kv", 2},         {".attn_k", 2},         {"k_proj", 2},
    {".attn_v", 3},          {"v_proj", 3},          {".attn_q_norm", 4},
    {".attn_k_norm", 4},     {"attn_output", 6},     {"o_proj", 6},
    {"attn_output_norm", 7}, {"post_attention", 7},  {".ffn_norm", 8},
    {".norm2", 8},           {"ffn_gate_inp", 9},    {".ffn_gate", 10},
    {"gate_proj", 10},       {".ffn_up", 11},        {"up_proj", 11},
    {".ffn_down", 12},       {"down_proj", 12},      {"layer_output_norm", 13},
    {"post_ffw_norm", 13},
};
enum {
    UNKNOWN = 5,
};

int rank_of(struct text name)
{
    size_t longest = 0;
    int found = UNKNOWN;

    for (size_t i = 0; i < ARRAY_SIZE(ranks); i++) {
        size_t n = __builtin_strlen(ranks[i].part);

        if (n > longest && text_has(name, ranks[i].part)) {
            longest = n;
            found = ranks[i].rank;
        }
    }
    return found;
}
