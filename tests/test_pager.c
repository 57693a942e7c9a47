/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include "runtime/pager.h"

static const struct driver nothing;

Test(pager, leaves_a_driver_alone_that_lacks_every_call)
{
    uint64_t free_bytes = 7;
    uint64_t total_bytes = 9;
    CUdeviceptr address;

    cr_assert_eq(pager_alloc(&nothing, 4096, NULL, &address), PAGER_E_NATIVE);
    cr_assert_eq(pager_alloc_async(&nothing, 4096, NULL, NULL, &address), PAGER_E_NATIVE);
    cr_assert_eq(pager_free(&nothing, 4096), PAGER_E_NATIVE);
    cr_assert_eq(pager_free_async(&nothing, 4096, NULL, NULL), PAGER_E_NATIVE);
    cr_assert_not(pager_give_way(&nothing, 4096));
    cr_assert_not(pager_pool_is_plain(&nothing, NULL));
    pager_memory_info(&nothing, &free_bytes, &total_bytes);
    cr_assert_eq(free_bytes, 7);
    cr_assert_eq(total_bytes, 9);
    pager_context_gone(&nothing, NULL);
}

Test(pager, knows_no_allocation_before_the_first)
{
    struct pager_allocation allocation;

    cr_assert_not(pager_describe(0, &allocation));
    cr_assert_not(pager_describe(~(CUdeviceptr)0, &allocation));
    pager_upload(NULL, 1 << 20, NULL, 0);
}
