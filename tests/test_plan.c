/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "planner/model.h"
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
