/* SPDX-License-Identifier: MIT */

#include "runtime/digest.h"
#include "tests/assemble.h"
#include "tests/sim_test.h"

/* The digester calls the simulated driver as it is. */
static struct driver direct(void)
{
    return (struct driver){
        .cuModuleLoadData = cuModuleLoadData,
        .cuModuleGetFunction = cuModuleGetFunction,
        .cuModuleUnload = cuModuleUnload,
        .cuMemAlloc_v2 = cuMemAlloc_v2,
        .cuMemFree_v2 = cuMemFree_v2,
        .cuMemsetD32Async = cuMemsetD32Async,
        .cuLaunchKernel = cuLaunchKernel,
        .cuMemcpyDtoHAsync_v2 = cuMemcpyDtoHAsync_v2,
        .cuStreamSynchronize = cuStreamSynchronize,
    };
}

static uint64_t digest_of(struct digester *digester, const struct driver *drv, CUdeviceptr at,
                          uint64_t bytes)
{
    struct digest_span span = {.at = at, .bytes = bytes};

    cr_assert_eq(digest_spans(digester, drv, NULL, &span, 1), 0);
    return span.digest;
}

Test(digest, every_byte_and_its_place_counts)
{
    struct driver drv = direct();
    struct digester digester;
    uint64_t bytes = 64 * KIB;
    uint64_t before;
    CUdeviceptr at;

    start();
    cr_assert_eq(digester_init(&digester, &drv), 0);
    ok(cuMemAlloc_v2(&at, bytes));
    ok(cuMemsetD8_v2(at, 0, bytes));
    before = digest_of(&digester, &drv, at, bytes);
    cr_expect_eq(digest_of(&digester, &drv, at, bytes), before);
    for (uint64_t i = 0; i < bytes; i += 1021) {
        uint64_t changed;

        ok(cuMemsetD8_v2(at + i, 1, 1));
        changed = digest_of(&digester, &drv, at, bytes);
        cr_expect_neq(changed, before);
        ok(cuMemsetD8_v2(at + i, 0, 1));
        ok(cuMemsetD8_v2(at + (i + 16) % bytes, 1, 1));
        cr_expect_neq(digest_of(&digester, &drv, at, bytes), changed, "the place of byte %lu",
                      (unsigned long)i);
        ok(cuMemsetD8_v2(at + (i + 16) % bytes, 0, 1));
    }
    cr_expect_eq(digest_of(&digester, &drv, at, bytes), before);
    ok(cuMemFree_v2(at));
    digester_fini(&digester, &drv);
}

Test(digest, many_spans_have_the_digests_of_each)
{
    struct driver drv = direct();
    struct digester digester;
    struct digest_span spans[40];
    CUdeviceptr at;

    start();
    cr_assert_eq(digester_init(&digester, &drv), 0);
    ok(cuMemAlloc_v2(&at, 40 * KIB));
    for (uint64_t i = 0; i < 40; i++) {
        ok(cuMemsetD8_v2(at + i * KIB, (unsigned char)(i / 2), KIB));
        spans[i] = (struct digest_span){.at = at + i * KIB, .bytes = KIB};
    }
    cr_assert_eq(digest_spans(&digester, &drv, NULL, spans, 40), 0);
    for (int i = 0; i + 2 < 40; i += 2) {
        cr_expect_eq(spans[i].digest, spans[i + 1].digest);
        cr_expect_neq(spans[i].digest, spans[i + 2].digest);
    }
    ok(cuMemFree_v2(at));
    digester_fini(&digester, &drv);
}

Test(digest, the_assembler_of_the_toolkit_takes_the_kernel)
{
    must_assemble(digest_kernel_text);
}
