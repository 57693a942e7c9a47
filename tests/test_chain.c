/* SPDX-License-Identifier: MIT */
#include "runtime/chain.h"
#include "tests/sim_test.h"

enum { BYTES = 64 * KIB, WORDS = BYTES / 4, OLD = 1, NEW = 2 };

/* Work runs when somebody waits for it, and what it waits for before. */
struct chained {
    struct driver drv;
    struct chain chain;
    struct transfer transfer;
    struct redirect redirect;
    CUdeviceptr home, slot;
};

static struct chained begin(void)
{
    struct chained c = {
        .drv =
            {
                .cuEventCreate = cuEventCreate,
                .cuEventDestroy_v2 = cuEventDestroy_v2,
                .cuEventRecord = cuEventRecord,
                .cuStreamCreate = cuStreamCreate,
                .cuStreamDestroy_v2 = cuStreamDestroy_v2,
                .cuStreamWaitEvent = cuStreamWaitEvent,
                .cuMemcpyDtoDAsync_v2 = cuMemcpyDtoDAsync_v2,
            },
    };

    setenv("SIM_ORDER", "lazy", 1);
    start();
    ok(cuMemAlloc_v2(&c.home, BYTES));
    ok(cuMemAlloc_v2(&c.slot, BYTES));
    ok(cuMemsetD32_v2(c.home, OLD, WORDS));
    ok(cuCtxSynchronize());
    ok(cuStreamCreate(&c.redirect.stream, CU_STREAM_NON_BLOCKING));
    cr_assert_eq(transfer_ready(&c.transfer, &c.drv), 0);
    return c;
}

static void end(struct chained *c)
{
    chain_fini(&c->chain, &c->drv, true);
    transfer_fini(&c->transfer, &c->drv);
    ok(cuStreamDestroy_v2(c->redirect.stream));
}

static void stage(struct chained *c)
{
    cr_assert_eq(transfer_copy(&c->transfer, &c->drv, c->slot, c->home, BYTES), 0);
}

static void launch(struct chained *c)
{
    ok(cuMemsetD32Async(c->home, NEW, WORDS, c->redirect.stream));
    chain_ended(&c->drv, &c->redirect);
}

static void expect_staged(struct chained *c, uint32_t value)
{
    uint32_t word;

    ok(cuStreamSynchronize(c->transfer.stream));
    ok(cuMemcpyDtoH_v2(&word, c->slot + BYTES - 4, 4));
    cr_expect_eq(word, value);
}

Test(chain, a_launch_waits_for_the_copies_before_it)
{
    struct chained c = begin();

    stage(&c);
    cr_assert(chain_join(&c.chain, &c.drv, &c.transfer, &c.redirect));
    launch(&c);
    ok(cuStreamSynchronize(c.redirect.stream));
    expect_staged(&c, OLD);
    cr_expect(chain_follow(&c.chain, &c.drv, &c.transfer, &c.redirect));
    end(&c);
}

Test(chain, copies_wait_for_the_launch_before_them)
{
    struct chained c = begin();

    cr_assert(chain_join(&c.chain, &c.drv, &c.transfer, &c.redirect));
    cr_expect_eq(c.chain.n_open, 1);
    launch(&c);
    cr_expect(chain_follow(&c.chain, &c.drv, &c.transfer, &c.redirect));
    cr_expect_eq(c.chain.n_open, 0);
    stage(&c);
    expect_staged(&c, NEW);
    end(&c);
}

/* Threads launch, and are heard of, in any order. */
Test(chain, a_launch_is_waited_for_when_another_one_came_between)
{
    struct chained c = begin();
    struct redirect other = {.stream = NULL};

    ok(cuStreamCreate(&other.stream, CU_STREAM_NON_BLOCKING));
    cr_assert(chain_join(&c.chain, &c.drv, &c.transfer, &c.redirect));
    cr_assert(chain_join(&c.chain, &c.drv, &c.transfer, &other));
    cr_expect_eq(c.chain.n_open, 2);
    launch(&c);
    chain_ended(&c.drv, &other);
    cr_expect(chain_follow(&c.chain, &c.drv, &c.transfer, &other));
    cr_expect(chain_follow(&c.chain, &c.drv, &c.transfer, &c.redirect));
    stage(&c);
    expect_staged(&c, NEW);
    ok(cuStreamDestroy_v2(other.stream));
    end(&c);
}

Test(chain, what_cannot_be_recorded_or_waited_for_is_said)
{
    struct chained c = begin();

    sim_fail("cuEventCreate", 1, CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_not(chain_join(&c.chain, &c.drv, &c.transfer, &c.redirect));
    sim_fail("cuStreamWaitEvent", 1, CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_not(chain_join(&c.chain, &c.drv, &c.transfer, &c.redirect));
    cr_expect_eq(c.chain.n_open, 0);
    cr_assert(chain_join(&c.chain, &c.drv, &c.transfer, &c.redirect));
    sim_fail("cuEventRecord", 1, CUDA_ERROR_OUT_OF_MEMORY);
    launch(&c);
    cr_expect_not(chain_follow(&c.chain, &c.drv, &c.transfer, &c.redirect));
    cr_assert(chain_join(&c.chain, &c.drv, &c.transfer, &c.redirect));
    launch(&c);
    sim_fail("cuStreamWaitEvent", 1, CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_not(chain_follow(&c.chain, &c.drv, &c.transfer, &c.redirect));
    cr_expect_eq(c.chain.n_open, 0);
    end(&c);
    cr_expect_eq(stats_now().events, 0);
}
