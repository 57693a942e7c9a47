/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "runtime/peek.h"
#include "tests/sim_test.h"

enum { RECORDS = 4, WORDS = 512 };

static struct driver direct(void)
{
    return (struct driver){
        .cuModuleLoadData = cuModuleLoadData,
        .cuModuleGetFunction = cuModuleGetFunction,
        .cuModuleUnload = cuModuleUnload,
        .cuMemHostAlloc = cuMemHostAlloc,
        .cuMemFreeHost = cuMemFreeHost,
        .cuLaunchKernel = cuLaunchKernel,
    };
}

Test(peek, copies_what_was_there_behind_the_launch_before)
{
    struct driver drv = direct();
    struct peek_source sources[2];
    struct peek peek;
    CUdeviceptr at;
    const uint32_t *got;

    start();
    cr_assert_eq(peek_init(&peek, &drv, RECORDS), 0);
    ok(cuMemAlloc_v2(&at, WORDS * 4));
    ok(cuMemsetD32Async(at, 7, WORDS, NULL));
    ok(cuMemsetD32Async(at + 64, 9, 1, NULL));
    sources[0] = (struct peek_source){at, 4 * 17, 0};
    sources[1] = (struct peek_source){at + 4 * 256, PEEK_BYTES_EACH, 1024};
    cr_expect_not(peek_is_done(&peek, 2, 5));
    cr_assert_eq(peek_launch(&peek, &drv, NULL, 2, 5, sources, 2), 0);
    ok(cuMemsetD32Async(at, 1, WORDS, NULL));
    ok(cuCtxSynchronize());

    cr_assert(peek_is_done(&peek, 2, 5));
    cr_expect_not(peek_is_done(&peek, 2, 6));
    cr_expect_not(peek_is_done(&peek, 1, 5));
    got = peek_record(&peek, 2);
    cr_expect_eq(got[0], 7);
    cr_expect_eq(got[15], 7);
    cr_expect_eq(got[16], 9);
    for (int i = 0; i < PEEK_BYTES_EACH / 4; i++)
        cr_assert_eq(got[256 + i], 7, "word %d", i);
    peek_fini(&peek, &drv, true);
    cr_expect_null(peek.memory);
}

Test(peek, a_driver_that_cannot_run_it_is_told)
{
    struct driver drv = direct();
    struct peek peek;

    start();
    drv.cuMemHostAlloc = NULL;
    cr_expect_eq(peek_init(&peek, &drv, RECORDS), -ENOSYS);
}
