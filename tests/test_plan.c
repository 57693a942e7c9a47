/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

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
        struct text name = {cases[i].name, strlen(cases[i].name)};

        cr_expect_eq(role_of(name), cases[i].role, "%s is %s", cases[i].name,
                     role_name(role_of(name)));
    }
}
