/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include "runtime/pass.h"
#include "tests/stress/memory_faults.h"

static void read_model(struct pass_learner *learner, uint64_t keys)
{
    for (uint64_t key = 1; key <= keys; key++) {
        pass_learner_step(learner);
        pass_learner_touch(learner, key);
        pass_learner_touch(learner, key);
    }
}

Test(pass_memory, whichever_request_is_refused_a_pass_is_learned)
{
    uint64_t refused = 0;
    uint64_t requests;

    do {
        struct pass_learner learner;
        struct pass pass = {.n = 0};
        int r;

        pass_learner_init(&learner);
        memory_fail(++refused);
        for (int round = 0; round < 4; round++)
            read_model(&learner, 40);
        cr_assert(pass_learner_knows(&learner), "without request %llu",
                  (unsigned long long)refused);
        requests = memory_requests();
        r = pass_init(&pass, &learner, (uint32_t)learner.period);
        cr_expect_eq(r, requests < refused && memory_requests() >= refused ? -ENOMEM : 0,
                     "%d without request %llu", r, (unsigned long long)refused);
        requests = memory_requests();
        pass_fini(&pass);
        pass_learner_fini(&learner);
    } while (requests >= refused);
    cr_expect_gt(refused, 40);
}
