/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "planner/model.h"
#include "planner/order.h"
#include "planner/rank.h"
#include "planner/subject.h"
#include "runtime/util.h"

Test(plan, tells_roles_by_the_names_in_use)
{
    static const struct {
        const char *name;
        enum role role;
    } cases[] = {
        {"token_embd.weight", ROLE_EMBEDDING},
        {"position_embd.weight", ROLE_EMBEDDING},
        {"token_types.weight", ROLE_EMBEDDING},
        {"token_embd_norm.weight", ROLE_NORM},
        {"blk.0.attn_norm.weight", ROLE_NORM},
        {"blk.0.ffn_norm.weight", ROLE_NORM},
        {"blk.11.layer_output_norm.bias", ROLE_NORM},
        {"output_norm.weight", ROLE_NORM},
        {"blk.0.attn_q.weight", ROLE_ATTENTION},
        {"blk.0.attn_output.weight", ROLE_ATTENTION},
        {"blk.3.ssm_in.weight", ROLE_ATTENTION},
        {"blk.0.ffn_up.weight", ROLE_FEED_FORWARD},
        {"blk.0.ffn_up_shexp.weight", ROLE_FEED_FORWARD},
        {"blk.0.ffn_gate_inp.weight", ROLE_FEED_FORWARD},
        {"blk.0.ffn_up_exps.weight", ROLE_EXPERTS},
        {"blk.0.ffn_up_chexps.weight", ROLE_EXPERTS},
        {"blk.0.ffn_gate.7.weight", ROLE_EXPERTS},
        {"blk.0.ffn_gate.weight", ROLE_FEED_FORWARD},
        {"output.weight", ROLE_OUTPUT},
        {"lm_head.weight", ROLE_OUTPUT},
        {"model.embed_tokens.weight", ROLE_EMBEDDING},
        {"model.norm.weight", ROLE_NORM},
        {"model.layers.0.self_attn.q_proj.weight", ROLE_ATTENTION},
        {"model.layers.0.mlp.up_proj.weight", ROLE_FEED_FORWARD},
        {"model.layers.0.mlp.experts.7.up_proj.weight", ROLE_EXPERTS},
        {"model.layers.0.mlp.shared_experts.up_proj.weight", ROLE_FEED_FORWARD},
        {"backbone.layers.0.mixer.in_proj.weight", ROLE_ATTENTION},
        {"cls.weight", ROLE_OUTPUT},
        {"rope_freqs.weight", ROLE_OTHER},
        {"mycls", ROLE_OTHER},
        {"", ROLE_OTHER},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct text name = {cases[i].name, strlen(cases[i].name)};

        cr_expect_eq(role_of(name), cases[i].role, "%s is %s", cases[i].name,
                     role_name(role_of(name)));
    }
}

Test(plan, puts_tensors_into_the_order_of_a_pass)
{
    static const char *const names[][8] = {
        {"output.weight", "blk.10.attn_q.weight", "blk.2.attn_q.weight", "token_embd.weight"},
        {"lm_head.weight", "model.layers.10.x", "model.layers.2.x", "model.embed_tokens.weight"},
        {"proj_out.weight", "single_transformer_blocks.0.x", "transformer_blocks.1.x",
         "transformer_blocks.0.x", "x_embedder.weight"},
        {"up_blocks.0.x", "mid_block.resnets.0.x", "down_blocks.1.x", "down_blocks.0.x"},
        {"output_blocks.0.x", "middle_block.0.x", "input_blocks.1.x", "input_blocks.0.x"},
        {"final_layer.adaLN_modulation.1.weight", "layers.7.x", "context_refiner.0.x",
         "noise_refiner.1.x", "noise_refiner.0.x"},
    };
    /* By the order above. */
    static const size_t orders[][8] = {
        {3, 2, 1, 0}, {3, 2, 1, 0}, {4, 3, 2, 1, 0}, {3, 2, 1, 0}, {3, 2, 1, 0}, {4, 3, 2, 1, 0},
    };

    for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
        static struct input input;
        static struct model model;
        struct workload work = WORKLOAD_DEFAULT;
        struct measured measured = {0};
        struct tensor tensors[8] = {0};
        struct subject subject;
        size_t n = 0;

        for (; n < 8 && names[k][n]; n++)
            tensors[n].name = (struct text){names[k][n], strlen(names[k][n])};
        input.arch.verdict = ARCH_UNNAMED;
        input.tensors = tensors;
        input.n_tensors = n;
        model_init(&model, &input);
        cr_assert_eq(subject_init(&subject, &model, &input.arch, &work, &measured), 0);
        for (size_t i = 0; i < n; i++)
            cr_expect_str_eq(subject.tensors[i]->name.data, names[k][orders[k][i]]);
        subject_fini(&subject);
    }
}

/* A stack of blocks, and how many there are. */
struct stack {
    const char *name;
    size_t n;
};

/* Published models: stacks in the order in which they run, and some names of what is before and
 * behind them, numbered like blocks or not. */
static const struct {
    const char *model;
    struct stack stacks[4];
    const char *before[4], *behind[3];
} image_models[] = {
    {"Flux",
     {{"double_blocks", 19}, {"single_blocks", 38}},
     {"img_in.weight", "time_in.in_layer.weight"},
     {"final_layer.adaLN_modulation.1.weight"}},
    {"Flux in one file with others",
     {{"model.diffusion_model.double_blocks", 19}, {"model.diffusion_model.single_blocks", 38}},
     {"model.diffusion_model.txt_in.weight"},
     {"model.diffusion_model.final_layer.linear.weight"}},
    {"Flux of diffusers",
     {{"transformer_blocks", 19}, {"single_transformer_blocks", 38}},
     {"x_embedder.weight", "time_text_embed.timestep_embedder.linear_1.weight"},
     {"norm_out.linear.weight", "proj_out.weight"}},
    {"Qwen-Image",
     {{"transformer_blocks", 60}},
     {"txt_norm.weight", "img_in.weight"},
     {"norm_out.linear.weight", "proj_out.weight"}},
    {"SD3 medium",
     {{"joint_blocks", 24}},
     {"pos_embed", "t_embedder.mlp.0.weight", "t_embedder.mlp.2.weight", "y_embedder.mlp.0.weight"},
     {"final_layer.adaLN_modulation.1.weight", "final_layer.linear.weight"}},
    {"WAN 1.3B",
     {{"blocks", 30}},
     {"patch_embedding.weight", "text_embedding.0.weight", "text_embedding.2.weight",
      "time_projection.1.weight"},
     {"head.head.weight", "head.modulation"}},
    {"WAN 14B with VACE",
     {{"vace_blocks", 8}, {"blocks", 40}},
     {"vace_patch_embedding.weight", "img_emb.proj.1.weight", "time_embedding.0.weight"},
     {"head.head.weight"}},
    {"Anima",
     {{"net.llm_adapter.blocks", 6}, {"net.blocks", 28}},
     {"net.x_embedder.proj.1.weight", "net.t_embedder.1.linear_1.weight"},
     {"net.final_layer.linear.weight"}},
    {"Z-Image",
     {{"noise_refiner", 2}, {"context_refiner", 2}, {"layers", 30}},
     {"cap_embedder.1.weight", "t_embedder.mlp.0.weight", "x_pad_token"},
     {"final_layer.adaLN_modulation.1.weight"}},
    {"HunyuanVideo",
     {{"txt_in.individual_token_refiner.blocks", 2}, {"double_blocks", 20}, {"single_blocks", 40}},
     {"txt_in.t_embedder.mlp.0.weight"},
     {"final_layer.linear.weight"}},
    {"Chroma",
     {{"distilled_guidance_layer.layers", 5}, {"double_blocks", 19}, {"single_blocks", 38}},
     {"img_in.weight", "distilled_guidance_layer.in_proj.weight"},
     {"final_layer.linear.weight"}},
    {"the U-Net of SD 1.5",
     {{"model.diffusion_model.input_blocks", 12},
      {"model.diffusion_model.middle_block", 3},
      {"model.diffusion_model.output_blocks", 12}},
     {"model.diffusion_model.time_embed.0.weight", "model.diffusion_model.time_embed.2.weight",
      "model.diffusion_model.label_emb.0.0.weight"},
     {"model.diffusion_model.out.0.weight"}},
    {"a U-Net of diffusers",
     {{"down_blocks", 4}, {"mid_block.resnets", 2}, {"up_blocks", 4}},
     {"conv_in.weight", "time_embedding.linear_1.weight"},
     {"conv_norm_out.weight", "conv_out.weight"}},
};

enum {
    NAMES_MOST = 256,
};

/* All names in the order of a pass, of each block two tensors; returns how many. */
static size_t list_names(size_t model, char names[NAMES_MOST][96])
{
    size_t n = 0;

    for (size_t i = 0; i < 4 && image_models[model].before[i]; i++)
        snprintf(names[n++], 96, "%s", image_models[model].before[i]);
    for (size_t i = 0; i < 4 && image_models[model].stacks[i].name; i++)
        for (size_t k = 0; k < image_models[model].stacks[i].n; k++) {
            snprintf(names[n++], 96, "%s.%zu.a.weight", image_models[model].stacks[i].name, k);
            snprintf(names[n++], 96, "%s.%zu.mlp.2.weight", image_models[model].stacks[i].name, k);
        }
    for (size_t i = 0; i < 3 && image_models[model].behind[i]; i++)
        snprintf(names[n++], 96, "%s", image_models[model].behind[i]);
    return n;
}

/* Files have them in the order of the alphabet, or in any. What is before blocks, behind them, and
 * within one, keeps the file's order. */
static void shuffle(struct tensor *tensors, char names[NAMES_MOST][96], size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        tensors[i].name = (struct text){names[i], strlen(names[i])};
    for (size_t step = 0; step < 3; step++)
        for (size_t i = 0; i < n; i++)
            if ((order_of(&(struct tensor){.name = {names[i], strlen(names[i])}}, 0).block + 1) *
                    7 % 3 ==
                step)
                tensors[kept++].name = (struct text){names[i], strlen(names[i])};
    cr_assert_eq(kept, n);
}

Test(plan, finds_the_blocks_of_image_models_and_their_order)
{
    for (size_t k = 0; k < ARRAY_SIZE(image_models); k++) {
        static char names[NAMES_MOST][96];
        static struct input input;
        static struct model model;
        struct workload work = WORKLOAD_DEFAULT;
        struct measured measured = {0};
        struct tensor tensors[NAMES_MOST] = {0};
        size_t n = list_names(k, names), blocks = 0;
        struct subject subject;

        for (size_t i = 0; i < 4; i++)
            blocks += image_models[k].stacks[i].n;
        shuffle(tensors, names, n);
        input.arch.verdict = ARCH_UNNAMED;
        input.tensors = tensors;
        input.n_tensors = n;
        model_init(&model, &input);
        cr_assert_eq(subject_init(&subject, &model, &input.arch, &work, &measured), 0);
        cr_expect_eq(subject.n_blocks, blocks, "%s: %zu blocks", image_models[k].model,
                     subject.n_blocks);
        for (size_t i = 0; i < n; i++)
            cr_expect_str_eq(subject.tensors[i]->name.data, names[i], "%s: %s where %s belongs",
                             image_models[k].model, subject.tensors[i]->name.data, names[i]);
        subject_fini(&subject);
    }
}

/* Of one block, in the order in which it is read. */
static const char *const blocks[][16] = {
    {"blk.0.attn_norm.weight", "blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight",
     "blk.0.attn_output.weight", "blk.0.ffn_norm.weight", "blk.0.ffn_gate.weight",
     "blk.0.ffn_up.weight", "blk.0.ffn_down.weight"},
    {"model.layers.0.input_layernorm.weight", "model.layers.0.self_attn.q_proj.weight",
     "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.v_proj.weight",
     "model.layers.0.self_attn.q_norm.weight", "model.layers.0.self_attn.o_proj.weight",
     "model.layers.0.post_attention_layernorm.weight", "model.layers.0.mlp.gate_proj.weight",
     "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight"},
    {"double_blocks.0.img_mod.lin.weight", "double_blocks.0.img_attn.qkv.weight",
     "double_blocks.0.img_attn.norm.query_norm.scale", "double_blocks.0.img_attn.proj.weight",
     "double_blocks.0.img_mlp.0.weight", "double_blocks.0.img_mlp.2.weight",
     "double_blocks.0.txt_attn.proj.weight", "double_blocks.0.txt_mlp.0.weight",
     "double_blocks.0.txt_mlp.2.weight"},
    {"single_blocks.0.modulation.lin.weight", "single_blocks.0.linear1.weight",
     "single_blocks.0.norm.key_norm.scale", "single_blocks.0.linear2.weight"},
    {"transformer_blocks.0.norm1.linear.weight", "transformer_blocks.0.attn.to_q.weight",
     "transformer_blocks.0.attn.to_k.weight", "transformer_blocks.0.attn.to_v.weight",
     "transformer_blocks.0.attn.norm_q.weight", "transformer_blocks.0.attn.to_out.0.weight",
     "transformer_blocks.0.attn.to_add_out.weight", "transformer_blocks.0.ff.net.0.proj.weight",
     "transformer_blocks.0.ff.net.2.weight", "transformer_blocks.0.ff_context.net.0.proj.weight",
     "transformer_blocks.0.ff_context.net.2.weight"},
    {"layers.0.adaLN_modulation.0.weight", "layers.0.attention.qkv.weight",
     "layers.0.attention.q_norm.weight", "layers.0.attention.out.weight",
     "layers.0.attention_norm2.weight", "layers.0.ffn_norm1.weight",
     "layers.0.feed_forward.w1.weight", "layers.0.feed_forward.w3.weight",
     "layers.0.feed_forward.w2.weight", "layers.0.ffn_norm2.weight"},
    {"joint_blocks.0.x_block.adaLN_modulation.1.weight", "joint_blocks.0.x_block.attn.qkv.weight",
     "joint_blocks.0.context_block.attn.proj.weight", "joint_blocks.0.context_block.mlp.fc1.weight",
     "joint_blocks.0.context_block.mlp.fc2.weight", "joint_blocks.0.x_block.attn.proj.weight",
     "joint_blocks.0.x_block.mlp.fc1.weight", "joint_blocks.0.x_block.mlp.fc2.weight"},
    {"blocks.0.modulation", "blocks.0.self_attn.q.weight", "blocks.0.self_attn.k.weight",
     "blocks.0.self_attn.v.weight", "blocks.0.self_attn.norm_k.weight",
     "blocks.0.self_attn.o.weight", "blocks.0.norm3.weight", "blocks.0.cross_attn.q.weight",
     "blocks.0.ffn.0.weight", "blocks.0.ffn.2.weight"},
};

Test(plan, ranks_the_tensors_of_a_block_as_it_reads_them)
{
    for (size_t k = 0; k < ARRAY_SIZE(blocks); k++)
        for (size_t i = 1; i < 16 && blocks[k][i]; i++) {
            struct text before = {blocks[k][i - 1], strlen(blocks[k][i - 1])};
            struct text name = {blocks[k][i], strlen(blocks[k][i])};

            cr_expect_lt(rank_of(before), rank_of(name), "%s before %s", before.data, name.data);
        }
}

Test(plan, counts_the_numbers_that_packed_types_hold)
{
    static const struct {
        const char *name, *type;
        uint64_t numbers; /* of 10 elements */
    } rows[] = {
        {"a.weight", "BF16", 10},         {"a.weight", "U8", 20},
        {"a.weight_packed", "I32", 80},   {"a.qweight", "I32", 80},
        {"a.qzeros", "I32", 0},           {"a.scales", "F16", 0},
        {"a.gate_proj_blocks", "U8", 20}, {"a.gate_proj_scales", "U8", 0},
        {"a.weight_scale_inv", "F32", 0}, {"a.weight.absmax", "U8", 0},
        {"a.weight", "F8_E4M3", 10},      {"a.bias", "U8", 10},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct tensor tensor = {
            .name = {rows[i].name, strlen(rows[i].name)},
            .type = safetensors_type_find((struct text){rows[i].type, strlen(rows[i].type)}),
            .elements = 10,
        };

        cr_expect_eq(model_parameters(&tensor), rows[i].numbers, "%s", rows[i].name);
    }
}
