/* SPDX-License-Identifier: MIT */
#include "planner/rank.h"

#include <stddef.h>

#include "runtime/util.h"

/*
 * Parts of names in the order of a transformer's block; of several that fit, the longest counts. In
 * blocks of two streams the attention is of both, and what follows is of one behind the other.
 */
static const struct rank {
    const char *part;
    int rank;
} ranks[] = {
    {".attn_norm", 0},
    {"input_layernorm", 0},
    {".norm1", 0},
    {"_mod.", 0},
    {"modulation", 0},
    {"attention_norm1", 0},
    {".attn_q", 1},
    {"q_proj", 1},
    {"attn_qkv", 1},
    {"attn.qkv", 1},
    {"attention.qkv", 1},
    {".to_q", 1},
    {"self_attn.q.", 1},
    {".linear1", 1},
    {".attn_kv", 2},
    {".attn_k", 2},
    {"k_proj", 2},
    {".to_k", 2},
    {"self_attn.k.", 2},
    {".attn_v", 3},
    {"v_proj", 3},
    {".to_v", 3},
    {"self_attn.v.", 3},
    {".attn_q_norm", 4},
    {".attn_k_norm", 4},
    {"q_norm", 4},
    {"k_norm", 4},
    {"norm_q", 4},
    {"norm_k", 4},
    {"norm_added", 4},
    {"query_norm", 4},
    {"key_norm", 4},
    {"attn_output", 6},
    {"o_proj", 6},
    {"self_attn.o.", 6},
    {"attention.out", 6},
    {".to_out", 6},
    {"img_attn.proj", 6},
    {"context_block.attn.proj", 6},
    {"attn_output_norm", 7},
    {"post_attention", 7},
    {"attention_norm2", 7},
    {"to_add_out", 7},
    {".norm3", 7},
    {"context_block.mlp.fc1", 7},
    {".ffn_norm", 8},
    {".ffn_norm1", 8},
    {".norm2", 8},
    {".cross_attn.", 8},
    {"context_block.mlp.fc2", 8},
    {"ffn_gate_inp", 9},
    {"x_block.attn.proj", 9},
    {".ffn_gate", 10},
    {"gate_proj", 10},
    {"feed_forward.w1", 10},
    {"img_mlp.0", 10},
    {"mlp.fc1", 10},
    {"ff.net.0", 10},
    {".ffn.0.", 10},
    {".ffn_up", 11},
    {"up_proj", 11},
    {"feed_forward.w3", 11},
    {".ffn_down", 12},
    {"down_proj", 12},
    {"feed_forward.w2", 12},
    {"img_mlp.2", 12},
    {"mlp.fc2", 12},
    {"ff.net.2", 12},
    {".ffn.2.", 12},
    {".linear2", 12},
    {"layer_output_norm", 13},
    {"post_ffw_norm", 13},
    {".ffn_norm2", 13},
    {"txt_attn.proj", 13},
    {"txt_mlp.0", 14},
    {"ff_context.net.0", 14},
    {"txt_mlp.2", 15},
    {"ff_context.net.2", 15},
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
