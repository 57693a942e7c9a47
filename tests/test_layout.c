/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>

#include "runtime/image.h"
#include "runtime/layout.h"
#include "runtime/util.h"
#include "tests/data/data.h"

/* What a handle of the driver below points to. */
struct kernel {
    bool is_kernel; /* a CUkernel, which the call for functions refuses */
    CUresult refusal;
    size_t n_params;
    struct kernel_param params[20];
    _Atomic unsigned int asked; /* how often, from the first parameter on */
};

static CUresult answer(struct kernel *kernel, size_t index, size_t *offset, size_t *bytes)
{
    if (index == 0)
        atomic_fetch_add(&kernel->asked, 1);
    if (kernel->refusal)
        return kernel->refusal;
    if (index >= kernel->n_params)
        return CUDA_ERROR_INVALID_VALUE;
    *offset = kernel->params[index].offset;
    *bytes = kernel->params[index].bytes;
    return CUDA_SUCCESS;
}

static CUresult func_get_param_info(CUfunction func, size_t index, size_t *offset, size_t *bytes)
{
    struct kernel *kernel = (struct kernel *)func;

    if (kernel->is_kernel)
        return CUDA_ERROR_INVALID_VALUE;
    return answer(kernel, index, offset, bytes);
}

static CUresult kernel_get_param_info(CUkernel kernel, size_t index, size_t *offset, size_t *bytes)
{
    struct kernel *it = (struct kernel *)kernel;

    return it->is_kernel ? answer(it, index, offset, bytes) : CUDA_ERROR_INVALID_HANDLE;
}

static const struct driver drv = {
    .cuFuncGetParamInfo = func_get_param_info,
    .cuKernelGetParamInfo = kernel_get_param_info,
};
static const struct driver old_drv; /* knows neither call */

static CUfunction handle(const void *it)
{
    return (CUfunction)it;
}

struct view {
    float *data;
    int rows;
    float *bias;
};

#define MIXED_PARAMS                                                                               \
    .n_params = 6, .params = {{0, 1}, {2, 2}, {8, 8}, {16, 4}, {24, sizeof(struct view)}, {52, 12}}

/* The last struct is at offset 52: its only 8-aligned word begins 4 bytes into it. */
static const struct layout_word mixed_words[] = {
    {2, 0, 8}, {4, 0, 24}, {4, 8, 32}, {4, 16, 40}, {5, 4, 56},
};

Test(layout, lists_each_aligned_word_inside_one_parameter)
{
    struct kernel mixed = {MIXED_PARAMS};
    const struct layout *layout = layout_find(&drv, handle(&mixed));

    cr_assert(layout);
    cr_expect_eq(layout->n_params, 6);
    cr_expect_eq(layout->bytes, 64);
    cr_assert_eq(layout->n_words, ARRAY_SIZE(mixed_words));
    for (size_t i = 0; i < ARRAY_SIZE(mixed_words); i++) {
        cr_expect_eq(layout->words[i].param, mixed_words[i].param, "word %zu", i);
        cr_expect_eq(layout->words[i].at, mixed_words[i].at, "word %zu", i);
        cr_expect_eq(layout->words[i].offset, mixed_words[i].offset, "word %zu", i);
    }
    for (size_t i = 0; i < layout->n_params; i++)
        cr_expect_eq(layout->params[i].bytes, mixed.params[i].bytes);
}

Test(layout, asks_the_driver_once)
{
    struct kernel mixed = {MIXED_PARAMS};
    const struct layout *layout = layout_find(&drv, handle(&mixed));

    for (int i = 0; i < 10; i++)
        cr_expect_eq(layout_find(&drv, handle(&mixed)), layout);
    cr_expect_eq(mixed.asked, 1);
}

Test(layout, shares_one_between_functions_of_equal_parameters)
{
    struct kernel one = {MIXED_PARAMS}, two = {MIXED_PARAMS};

    cr_expect_eq(layout_find(&drv, handle(&one)), layout_find(&drv, handle(&two)));
}

Test(layout, is_empty_for_a_function_without_parameters)
{
    struct kernel none = {.n_params = 0}, kernel = {.is_kernel = true};
    const struct layout *layout = layout_find(&drv, handle(&none));

    cr_assert(layout);
    cr_expect_eq(layout->n_params, 0);
    cr_expect_eq(layout->n_words, 0);
    cr_expect_eq(layout->bytes, 0);
    cr_expect_eq(layout_find(&drv, handle(&kernel)), layout);
}

/* The call for functions says of such a handle what it says past the last parameter. */
Test(layout, finds_a_kernel_whose_origin_was_not_seen)
{
    struct kernel kernel = {.is_kernel = true, MIXED_PARAMS};
    const struct layout *layout = layout_find(&drv, handle(&kernel));

    cr_assert(layout);
    cr_expect_eq(layout->n_params, 6);
}

static CUresult never_called(CUfunction func, size_t index, size_t *offset, size_t *bytes)
{
    cr_assert_fail("a handle known to be a CUkernel is no CUfunction");
    return CUDA_ERROR_UNKNOWN;
}

static CUresult never_called_either(CUkernel kernel, size_t index, size_t *offset, size_t *bytes)
{
    cr_assert_fail("a handle known to be a CUfunction is no CUkernel");
    return CUDA_ERROR_UNKNOWN;
}

Test(layout, asks_only_the_call_that_fits_a_handle_of_known_origin)
{
    const struct driver kernels = {.cuFuncGetParamInfo = never_called,
                                   .cuKernelGetParamInfo = kernel_get_param_info};
    const struct driver functions = {.cuFuncGetParamInfo = func_get_param_info,
                                     .cuKernelGetParamInfo = never_called_either};
    struct kernel kernel = {.is_kernel = true, MIXED_PARAMS}, function = {.n_params = 0};
    char owner = 0;

    image_attach(&owner, "kernel", &kernel, IMAGE_HANDLE_KERNEL);
    image_attach(&owner, "function", &function, IMAGE_HANDLE_FUNCTION);
    cr_expect(layout_find(&kernels, handle(&kernel)));
    cr_expect(layout_find(&functions, handle(&function)));
}

Test(layout, is_unknown_for_a_null_function)
{
    struct kernel mixed = {MIXED_PARAMS};

    cr_expect_null(layout_find(&drv, NULL));
    layout_find(&drv, handle(&mixed));
    cr_expect_null(layout_find(&drv, NULL));
}

Test(layout, remembers_what_is_unknown_until_something_is_loaded)
{
    struct kernel refused = {.refusal = CUDA_ERROR_INVALID_HANDLE, MIXED_PARAMS};

    for (int i = 0; i < 10; i++)
        cr_expect_null(layout_find(&drv, handle(&refused)));
    cr_expect_eq(refused.asked, 1);

    refused.refusal = CUDA_SUCCESS;
    cr_expect_null(layout_find(&drv, handle(&refused)));
    layout_retry_unknown();
    cr_expect(layout_find(&drv, handle(&refused)));
}

Test(layout, asks_again_after_a_failure_that_may_pass)
{
    struct kernel failing = {.refusal = CUDA_ERROR_OUT_OF_MEMORY, MIXED_PARAMS};

    cr_expect_null(layout_find(&drv, handle(&failing)));
    failing.refusal = CUDA_SUCCESS;
    cr_expect(layout_find(&drv, handle(&failing)));
}

Test(layout, does_not_believe_parameters_that_cannot_be)
{
    static const struct kernel_param absurd[][2] = {
        {{0, 8}, {4, 8}},         /* overlapping */
        {{8, 8}, {0, 8}},         /* backwards */
        {{0, 8}, {8, 0}},         /* without a size */
        {{0, 8}, {32760, 16}},    /* more than any launch can pass */
        {{0, 8}, {65535, 65535}}, /* past what the offsets can hold */
    };

    for (size_t i = 0; i < ARRAY_SIZE(absurd); i++) {
        struct kernel *kernel = calloc(1, sizeof(*kernel)); /* not freed: each its own address */

        kernel->n_params = 2;
        memcpy(kernel->params, absurd[i], sizeof(absurd[i]));
        cr_expect_null(layout_find(&drv, handle(kernel)), "case %zu", i);
    }
}

Test(layout, asks_again_after_everything_is_forgotten)
{
    struct kernel mixed = {MIXED_PARAMS};
    const struct layout *before = layout_find(&drv, handle(&mixed)), *after;

    layout_forget_all();
    mixed.n_params = 3; /* the handle now stands for another function */
    after = layout_find(&drv, handle(&mixed));
    cr_assert(after);
    cr_expect_eq(after->n_params, 3);
    cr_expect_eq(before->n_params, 6, "what a launch may still be using is left alone");
}

/* While the driver answers, another thread unloads the module and the handle is given out anew. */
static CUresult answer_late(CUfunction func, size_t index, size_t *offset, size_t *bytes)
{
    struct kernel *kernel = (struct kernel *)func;
    CUresult result = answer(kernel, index, offset, bytes);

    if (result == CUDA_ERROR_INVALID_VALUE && kernel->asked == 1)
        layout_forget_all();
    return result;
}

Test(layout, keeps_no_answer_from_before_everything_was_forgotten)
{
    const struct driver late = {.cuFuncGetParamInfo = answer_late};
    struct kernel mixed = {MIXED_PARAMS};

    cr_assert(layout_find(&late, handle(&mixed)));
    cr_assert(layout_find(&late, handle(&mixed)));
    cr_expect_eq(mixed.asked, 2);
    cr_assert(layout_find(&late, handle(&mixed)));
    cr_expect_eq(mixed.asked, 2);
}

Test(layout, needs_no_new_memory_for_loading_and_unloading_the_same_again)
{
    struct kernel mixed = {MIXED_PARAMS};
    const struct layout *first = layout_find(&drv, handle(&mixed));
    const struct layout_table *table = atomic_load(&layout_current);

    for (int i = 0; i < 10000; i++) {
        layout_forget_all();
        cr_assert_eq(layout_find(&drv, handle(&mixed)), first);
    }
    cr_expect_eq(atomic_load(&layout_current), table);
}

static void make_many(struct kernel *kernels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        kernels[i].n_params = i % ARRAY_SIZE(kernels[i].params);
        for (size_t j = 0; j < kernels[i].n_params; j++)
            kernels[i].params[j] = (struct kernel_param){8 * j, 8};
    }
}

Test(layout, keeps_many_functions_apart)
{
    enum { N = 20000 };
    struct kernel *kernels = calloc(N, sizeof(*kernels));

    make_many(kernels, N);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < N; i++) {
            const struct layout *layout = layout_find(&drv, handle(&kernels[i]));

            cr_assert(layout);
            cr_assert_eq(layout->n_params, kernels[i].n_params);
            cr_assert_eq(kernels[i].asked, kernels[i].n_params ? 1 : 2);
        }
    }
}

static bool spurious;

static CUresult refuse_once(CUfunction func, size_t index, size_t *offset, size_t *bytes)
{
    if (index == 1 && !spurious) {
        spurious = true;
        return CUDA_ERROR_INVALID_VALUE;
    }
    return func_get_param_info(func, index, offset, bytes);
}

Test(layout, believes_in_the_last_parameter_only_when_there_is_none_behind_it_twice)
{
    const struct driver moody = {.cuFuncGetParamInfo = refuse_once};
    struct kernel mixed = {MIXED_PARAMS};
    const struct layout *layout = layout_find(&moody, handle(&mixed));

    cr_assert(layout);
    cr_expect_eq(layout->n_params, mixed.n_params);
}

static unsigned int n_asked;

static CUresult two_pointers(CUfunction func, size_t index, size_t *offset, size_t *bytes)
{
    n_asked += index == 0;
    *offset = 8 * index;
    *bytes = 8;
    return index < 2 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* The slot that a null handle would have is nobody's. */
Test(layout, finds_functions_that_share_a_slot_with_the_null_one)
{
    const struct driver pointers = {.cuFuncGetParamInfo = two_pointers};
    const struct layout_table *table = atomic_load(&layout_current);
    uintptr_t found[3];
    size_t n = 0;

    for (uintptr_t function = 16; n < ARRAY_SIZE(found); function += 16)
        if (layout_hash(table, function) == 0)
            found[n++] = function;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < n; i++)
            cr_assert(layout_find(&pointers, (CUfunction)found[i]));
    cr_expect_eq(n_asked, 3);
    cr_expect_null(layout_find(&pointers, NULL));
    cr_expect_eq(table->slots[0].function, 0);
}

Test(layout, comes_from_the_image_where_the_driver_cannot_be_asked)
{
    struct data cubin = data_load("kernels.sm_90.cubin");
    char owner = 0, function = 0, kernel = 0, unknown = 0;
    const struct layout *layout;

    cr_assert_gt(image_record(&owner, cubin.at, 0), 0);
    image_attach(&owner, "mixed", &kernel, IMAGE_HANDLE_KERNEL);
    image_attach_function(&kernel, &function);
    layout = layout_find(&old_drv, handle(&kernel));
    cr_assert(layout);
    cr_expect_eq(layout->n_params, 8);
    cr_expect_eq(layout->n_words, 6);
    cr_expect_eq(layout_find(&old_drv, handle(&function)), layout);
    cr_expect_null(layout_find(&old_drv, handle(&unknown)));

    image_forget(&owner);
    layout_forget_all();
    cr_expect_null(layout_find(&old_drv, handle(&kernel)));
    data_free(&cubin);
}

Test(layout, comes_from_the_image_where_the_driver_refuses)
{
    struct data cubin = data_load("kernels.sm_90.cubin");
    struct kernel refused = {.refusal = CUDA_ERROR_NOT_SUPPORTED};
    const struct layout *layout;
    char owner = 0;

    image_record(&owner, cubin.at, 0);
    image_attach(&owner, "no_params", &refused, IMAGE_HANDLE_FUNCTION);
    layout = layout_find(&drv, handle(&refused));
    cr_assert(layout);
    cr_expect_eq(layout->n_params, 0);
    data_free(&cubin);
}

/* The words of a launch as a visitor gets them. */
struct seen {
    size_t n;
    uint64_t values[16];
};

static void note(void *context, const struct layout_word *word, uint64_t value)
{
    struct seen *seen = context;

    cr_assert_lt(seen->n, ARRAY_SIZE(seen->values));
    seen->values[seen->n++] = value;
}

static struct view a_view = {(float *)0x7f0000001000, 3, (float *)0x7f0000002000};
static void *a_pointer = (void *)0x7f0000003000;
static const uint32_t a_tail[3] = {0, 0x00004000, 0x7f00};

/* Arguments of the mixed kernel, each on the heap and exactly as large as its parameter. */
static void make_arguments(void **out)
{
    static const char flag = 1;
    static const short count = 2;
    static const int n = 3;
    const void *from[] = {&flag, &count, &a_pointer, &n, &a_view, a_tail};
    static const struct kernel mixed = {MIXED_PARAMS};

    for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
        out[i] = malloc(mixed.params[i].bytes);
        memcpy(out[i], from[i], mixed.params[i].bytes);
    }
}

static void expect_arguments(const struct seen *seen)
{
    cr_assert_eq(seen->n, 5);
    cr_expect_eq(seen->values[0], 0x7f0000003000);
    cr_expect_eq(seen->values[1], 0x7f0000001000);
    cr_expect_eq(seen->values[2] & UINT32_MAX, 3);
    cr_expect_eq(seen->values[3], 0x7f0000002000);
    cr_expect_eq(seen->values[4], 0x7f0000004000);
}

Test(layout, scans_the_words_of_kernel_params)
{
    struct kernel mixed = {MIXED_PARAMS};
    const struct layout *layout = layout_find(&drv, handle(&mixed));
    void **params = malloc(6 * sizeof(*params)); /* and not one entry more */
    void *extra[] = {CU_LAUNCH_PARAM_END};
    struct seen seen = {0};

    make_arguments(params);
    cr_expect_eq(layout_scan(layout, params, NULL, note, &seen), 0);
    expect_arguments(&seen);
    seen.n = 0;
    cr_expect_eq(layout_scan(layout, params, extra, note, &seen), 0, "an empty extra is none");
    expect_arguments(&seen);
    for (size_t i = 0; i < 6; i++)
        free(params[i]);
    free(params);
}

Test(layout, scans_the_words_of_an_extra_buffer)
{
    struct kernel mixed = {MIXED_PARAMS};
    const struct layout *layout = layout_find(&drv, handle(&mixed));
    char *buffer = calloc(1, 64 + 1) + 1; /* no promise of alignment */
    size_t bytes = 64;
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_BUFFER_POINTER, buffer,
                     CU_LAUNCH_PARAM_END};
    struct seen seen = {0};

    memcpy(buffer + 8, &a_pointer, 8);
    memcpy(buffer + 24, &a_view, sizeof(a_view));
    memcpy(buffer + 52, a_tail, sizeof(a_tail));
    cr_expect_eq(layout_scan(layout, NULL, extra, note, &seen), 0);
    expect_arguments(&seen);
    free(buffer - 1);
}

Test(layout, scans_no_further_than_the_extra_buffer_goes)
{
    struct kernel mixed = {MIXED_PARAMS};
    const struct layout *layout = layout_find(&drv, handle(&mixed));

    for (size_t bytes = 0; bytes < 64; bytes++) {
        char *buffer = malloc(bytes);
        void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer, CU_LAUNCH_PARAM_BUFFER_SIZE,
                         &bytes, CU_LAUNCH_PARAM_END};
        struct seen seen = {0};

        if (bytes)
            memset(buffer, 0, bytes);
        cr_expect_eq(layout_scan(layout, NULL, extra, note, &seen), buffer ? 0 : -EINVAL);
        cr_expect_eq(seen.n, (bytes >= 16) + (bytes >= 32) + (bytes >= 40) + (bytes >= 48));
        free(buffer);
    }
}

Test(layout, scans_nothing_of_a_launch_that_the_driver_will_refuse)
{
    struct kernel mixed = {MIXED_PARAMS}, none = {.n_params = 0};
    const struct layout *layout = layout_find(&drv, handle(&mixed));
    void *params[6];
    char buffer[64];
    size_t bytes = sizeof(buffer);
    void *both[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                    CU_LAUNCH_PARAM_END};
    void *sizeless[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer, CU_LAUNCH_PARAM_END};
    void *odd[] = {(void *)0x77, buffer, CU_LAUNCH_PARAM_END};
    struct seen seen = {0};

    make_arguments(params);
    cr_expect_eq(layout_scan(layout, NULL, NULL, note, &seen), -EINVAL);
    cr_expect_eq(layout_scan(layout, params, both, note, &seen), -EINVAL);
    cr_expect_eq(layout_scan(layout, NULL, sizeless, note, &seen), -EINVAL);
    cr_expect_eq(layout_scan(layout, NULL, odd, note, &seen), -EINVAL);
    cr_expect_eq(seen.n, 0);
    cr_expect_eq(layout_scan(layout_find(&drv, handle(&none)), NULL, NULL, note, &seen), 0);
    for (size_t i = 0; i < 6; i++)
        free(params[i]);
}
