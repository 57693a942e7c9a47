/* SPDX-License-Identifier: MIT */
/* Streams that write values and wait for them. */
#include <pthread.h>
#include <unistd.h>

#include "tests/sim_test.h"

TestSuite(sim_values, .timeout = 30);

struct scene {
    CUdeviceptr flag; /* in device memory, 0 */
    CUdeviceptr mark; /* another, 0 */
    CUstream streams[2];
};

static struct scene scene_new(void)
{
    struct scene s;

    start();
    ok(cuMemAlloc_v2(&s.flag, 4096));
    s.mark = s.flag + 1024;
    ok(cuMemsetD8_v2(s.flag, 0, 4096));
    ok(cuCtxSynchronize());
    for (size_t i = 0; i < 2; i++)
        ok(cuStreamCreate(&s.streams[i], CU_STREAM_NON_BLOCKING));
    return s;
}

static uint64_t read_wide(CUdeviceptr address)
{
    uint64_t value;

    ok(cuMemcpyDtoH_v2(&value, address, sizeof(value)));
    return value;
}

Test(sim_values, writes_its_width_in_stream_order)
{
    struct scene s = scene_new();

    ok(cuStreamWriteValue64_v2(s.streams[0], s.flag, 0x1122334455667788, 0));
    ok(cuStreamWriteValue32_v2(s.streams[0], s.flag + 4, 0xaabbccdd,
                               CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER));
    ok(cuStreamSynchronize(s.streams[0]));
    cr_assert_eq(read_wide(s.flag), 0xaabbccdd55667788);
}

/* Whether a stream that waits goes on, with `held` in memory. */
Test(sim_values, goes_on_when_the_condition_holds)
{
    static const struct {
        unsigned int bytes;
        unsigned int flags;
        uint64_t held;
        uint64_t value;
        bool goes_on;
    } cases[] = {
        {4, CU_STREAM_WAIT_VALUE_GEQ, 5, 5, true},
        {4, CU_STREAM_WAIT_VALUE_GEQ, 6, 5, true},
        {4, CU_STREAM_WAIT_VALUE_GEQ, 4, 5, false},
        {4, CU_STREAM_WAIT_VALUE_GEQ, 2, 0xfffffffe, true}, /* has wrapped around */
        {4, CU_STREAM_WAIT_VALUE_GEQ, 0xfffffffe, 2, false},
        {4, CU_STREAM_WAIT_VALUE_EQ, 5, 5, true},
        {4, CU_STREAM_WAIT_VALUE_EQ, 6, 5, false},
        {4, CU_STREAM_WAIT_VALUE_AND, 6, 2, true},
        {4, CU_STREAM_WAIT_VALUE_AND, 5, 2, false},
        {4, CU_STREAM_WAIT_VALUE_NOR, 5, 0xfffffffa, false},
        {4, CU_STREAM_WAIT_VALUE_NOR, 5, 0xfffffff2, true},
        {8, CU_STREAM_WAIT_VALUE_GEQ, 1ULL << 40, 1ULL << 39, true},
        {8, CU_STREAM_WAIT_VALUE_GEQ, 1ULL << 39, 1ULL << 40, false},
        {8, CU_STREAM_WAIT_VALUE_GEQ, 1, UINT64_MAX, true},
        {8, CU_STREAM_WAIT_VALUE_EQ, 1ULL << 32, 0, false},
        {8, CU_STREAM_WAIT_VALUE_EQ, 1ULL << 32, 1ULL << 32, true},
        {8, CU_STREAM_WAIT_VALUE_AND, 1ULL << 32, 1, false},
        {8, CU_STREAM_WAIT_VALUE_NOR, UINT32_MAX, 0, true},
        {8, CU_STREAM_WAIT_VALUE_NOR, UINT64_MAX, 0, false},
    };
    struct scene s = scene_new();

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CUresult res = CUDA_ERROR_NOT_READY;

        ok(cuMemcpyHtoD_v2(s.flag, &cases[i].held, 8));
        if (cases[i].bytes == 4)
            ok(cuStreamWaitValue32_v2(s.streams[0], s.flag, (uint32_t)cases[i].value,
                                      cases[i].flags));
        else
            ok(cuStreamWaitValue64_v2(s.streams[0], s.flag, cases[i].value, cases[i].flags));
        for (int j = 0; j < 10 && res == CUDA_ERROR_NOT_READY; j++)
            res = cuStreamQuery(s.streams[0]);
        cr_expect_eq(res, cases[i].goes_on ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY, "case %zu", i);
        /* Whichever it waits for, so that the next case begins anew. */
        for (int j = 0; cuStreamQuery(s.streams[0]); j++) {
            ok(cuStreamWriteValue64_v2(s.streams[1], s.flag, j % 2 ? 0 : cases[i].value, 0));
            ok(cuStreamSynchronize(s.streams[1]));
        }
        ok(cuStreamSynchronize(s.streams[0]));
    }
}

Test(sim_values, waits_for_another_stream_that_writes)
{
    struct scene s = scene_new();

    ok(cuStreamWaitValue32_v2(s.streams[0], s.flag, 1, CU_STREAM_WAIT_VALUE_EQ));
    ok(cuStreamWriteValue32_v2(s.streams[0], s.mark, 1, 0));
    for (int i = 0; i < 5; i++)
        fails(cuStreamQuery(s.streams[0]), CUDA_ERROR_NOT_READY);
    ok(cuStreamWriteValue32_v2(s.streams[1], s.flag, 1, 0));
    ok(cuStreamSynchronize(s.streams[0]));
    cr_assert_eq(read_word(s.mark), 1);
}

Test(sim_values, waiting_streams_can_release_each_other)
{
    enum { ROUNDS = 200 };
    struct scene s = scene_new();

    for (uint32_t i = 1; i <= ROUNDS; i++) {
        ok(cuStreamWaitValue32_v2(s.streams[0], s.flag, i, CU_STREAM_WAIT_VALUE_GEQ));
        ok(cuStreamWriteValue32_v2(s.streams[0], s.mark, i, 0));
        ok(cuStreamWriteValue32_v2(s.streams[1], s.flag, i, 0));
        ok(cuStreamWaitValue32_v2(s.streams[1], s.mark, i, CU_STREAM_WAIT_VALUE_GEQ));
    }
    ok(cuCtxSynchronize());
    cr_assert_eq(read_word(s.mark), ROUNDS);
}

static void *write_soon(void *flag)
{
    usleep(20000);
    __atomic_store_n((uint32_t *)flag, 7, __ATOMIC_SEQ_CST);
    return NULL;
}

Test(sim_values, waits_for_the_host)
{
    struct scene s = scene_new();
    pthread_t writer;
    uint32_t *flag;

    ok(cuMemHostAlloc((void **)&flag, 4096, 0));
    *flag = 0;
    ok(cuStreamWaitValue32_v2(s.streams[0], (CUdeviceptr)(uintptr_t)flag, 7,
                              CU_STREAM_WAIT_VALUE_EQ));
    ok(cuStreamWriteValue32_v2(s.streams[0], s.mark, 1, 0));
    cr_assert_eq(pthread_create(&writer, NULL, write_soon, flag), 0);
    ok(cuStreamSynchronize(s.streams[0]));
    cr_assert_eq(read_word(s.mark), 1);
    pthread_join(writer, NULL);
}

Test(sim_values, a_batch_is_in_order_and_checked_whole)
{
    struct scene s = scene_new();
    CUstreamBatchMemOpParams batch[] = {
        {.writeValue = {CU_STREAM_MEM_OP_WRITE_VALUE_32, s.flag, {.value = 1}, 0, 0}},
        {.memoryBarrier = {CU_STREAM_MEM_OP_BARRIER, 0}},
        {.waitValue = {CU_STREAM_MEM_OP_WAIT_VALUE_32, s.flag, {.value = 1}, 0, 0}},
        {.writeValue = {CU_STREAM_MEM_OP_WRITE_VALUE_64, s.mark, {.value64 = 1ULL << 40}, 0, 0}},
    };

    ok(cuStreamBatchMemOp_v2(s.streams[0], 4, batch, 0));
    ok(cuStreamSynchronize(s.streams[0]));
    cr_assert_eq(read_wide(s.mark), 1ULL << 40);
    batch[0].writeValue.value = 9;
    batch[3].writeValue.address = s.mark + 4;
    fails(cuStreamBatchMemOp_v2(s.streams[0], 4, batch, 0), CUDA_ERROR_INVALID_VALUE);
    batch[3].operation = CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES;
    fails(cuStreamBatchMemOp_v2(s.streams[0], 4, batch, 0), CUDA_ERROR_NOT_SUPPORTED);
    fails(cuStreamBatchMemOp_v2(s.streams[0], 0, batch, 0), CUDA_ERROR_INVALID_VALUE);
    fails(cuStreamBatchMemOp_v2(s.streams[0], 257, batch, 0), CUDA_ERROR_INVALID_VALUE);
    fails(cuStreamBatchMemOp_v2(s.streams[0], 1, batch, 1), CUDA_ERROR_INVALID_VALUE);
    ok(cuStreamSynchronize(s.streams[0]));
    cr_assert_eq(read_word(s.flag), 1, "nothing of a refused batch is done");
}

Test(sim_values, refuses_what_the_documentation_forbids)
{
    struct scene s = scene_new();
    uint32_t pageable = 0;

    fails(cuStreamWriteValue32_v2(s.streams[0], s.flag + 2, 0, 0), CUDA_ERROR_INVALID_VALUE);
    fails(cuStreamWriteValue64_v2(s.streams[0], s.flag + 4, 0, 0), CUDA_ERROR_INVALID_VALUE);
    fails(cuStreamWriteValue32_v2(s.streams[0], s.flag, 0, 2), CUDA_ERROR_INVALID_VALUE);
    fails(cuStreamWriteValue32_v2(s.streams[0], 0, 0, 0), CUDA_ERROR_INVALID_VALUE);
    fails(cuStreamWriteValue32_v2(s.streams[0], (CUdeviceptr)(uintptr_t)&pageable, 0, 0),
          CUDA_ERROR_INVALID_VALUE);
    fails(cuStreamWaitValue32_v2(s.streams[0], s.flag, 0, 4), CUDA_ERROR_INVALID_VALUE);
    fails(cuStreamWaitValue32_v2(s.streams[0], s.flag, 0, CU_STREAM_WAIT_VALUE_FLUSH),
          CUDA_ERROR_NOT_SUPPORTED);
    fails(cuStreamWaitValue32(s.streams[0], s.flag, 0, 0), CUDA_ERROR_NOT_SUPPORTED);
    fails(cuStreamWriteValue32((CUstream)&s, s.flag, 0, 0), CUDA_ERROR_NOT_SUPPORTED);
    fails(cuStreamWriteValue32_v2((CUstream)&s, s.flag, 0, 0), CUDA_ERROR_INVALID_HANDLE);
}
