/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "planner/fit.h"
#include "planner/model.h"
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
        {"cls.weight", ROLE_OUTPUT},
        {"rope_freqs.weight", ROLE_OTHER},
        {"mycls", ROLE_OTHER},
        {"", ROLE_OTHER},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct gguf_string name = {cases[i].name, strlen(cases[i].name)};

        cr_expect_eq(role_of(name), cases[i].role, "%s is %s", cases[i].name,
                     role_name(role_of(name)));
    }
}

Test(plan, fills_the_device_first_and_then_the_host)
{
    static const struct {
        uint64_t weights;
        struct budget budget;
        struct fit fit;
    } cases[] = {
        {10, {false, 0, 99}, {FIT_UNKNOWN, 0, 0, 0}},
        {10, {true, 10, 0}, {FIT_DEVICE, 10, 0, 0}},
        {10, {true, 11, 0}, {FIT_DEVICE, 10, 0, 0}},
        {10, {true, 9, 1}, {FIT_BOTH_TIERS, 9, 1, 0}},
        {10, {true, 0, 10}, {FIT_BOTH_TIERS, 0, 10, 0}},
        {10, {true, 9, 0}, {FIT_NOT, 9, 0, 1}},
        {10, {true, 3, 4}, {FIT_NOT, 3, 4, 3}},
        {0, {true, 0, 0}, {FIT_DEVICE, 0, 0, 0}},
        {UINT64_MAX, {true, UINT64_MAX, UINT64_MAX}, {FIT_DEVICE, UINT64_MAX, 0, 0}},
        {UINT64_MAX, {true, 1, UINT64_MAX}, {FIT_BOTH_TIERS, 1, UINT64_MAX - 1, 0}},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fit fit = fit_judge(cases[i].weights, &cases[i].budget);

        cr_expect_eq(fit.verdict, cases[i].fit.verdict, "case %zu", i);
        cr_expect_eq(fit.device_bytes, cases[i].fit.device_bytes, "case %zu", i);
        cr_expect_eq(fit.host_bytes, cases[i].fit.host_bytes, "case %zu", i);
        cr_expect_eq(fit.short_bytes, cases[i].fit.short_bytes, "case %zu", i);
    }
}
