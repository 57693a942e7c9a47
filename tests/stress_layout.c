/* SPDX-License-Identifier: MIT */
/*
 * Threads that look layouts up, against one that keeps forgetting all of them and one whose images
 * come and go, while the table is outgrown. A program by itself, because Criterion cannot run under
 * ThreadSanitizer, which is what this is for. Exits with 1 when a layout was wrong.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include "runtime/image.h"
#include "runtime/layout.h"
#include "runtime/util.h"

enum { N_KERNELS = 3000, N_ROUNDS = 10, PARAMS_MAX = 20 };

/* A kernel's handle is its address here, and how many parameters it has follows from that. */
static char kernels[N_KERNELS];
static _Atomic bool done;

static size_t n_params(const void *handle)
{
    return (size_t)((const char *)handle - kernels) % PARAMS_MAX;
}

static CUresult func_get_param_info(CUfunction func, size_t index, size_t *offset, size_t *bytes)
{
    if (index >= n_params(func))
        return CUDA_ERROR_INVALID_VALUE;
    *offset = 8 * index;
    *bytes = 8;
    return CUDA_SUCCESS;
}

static const struct driver drv = {.cuFuncGetParamInfo = func_get_param_info};

static void *find_all(void *context)
{
    size_t *wrong = context;

    for (int round = 0; round < N_ROUNDS; round++) {
        for (size_t i = 0; i < N_KERNELS; i++) {
            const struct layout *layout = layout_find(&drv, (CUfunction)&kernels[i]);

            if (!layout || layout->n_params != n_params(&kernels[i]) ||
                layout->n_words != layout->n_params)
                ++*wrong;
        }
        if (layout_find(&drv, NULL))
            ++*wrong;
    }
    return NULL;
}

static void *forget_often(void *context)
{
    while (!atomic_load(&done)) {
        layout_forget_all();
        layout_retry_unknown();
    }
    return NULL;
}

static void *attach_often(void *context)
{
    static char owner;

    for (size_t i = 0; !atomic_load(&done); i = (i + 1) % N_KERNELS) {
        image_attach(&owner, "kernel", &kernels[i], IMAGE_HANDLE_FUNCTION);
        if (i % 64 == 0)
            image_forget(&owner);
    }
    return NULL;
}

int main(void)
{
    pthread_t finders[3], others[2];
    size_t wrong[ARRAY_SIZE(finders)] = {0}, sum = 0;

    if (pthread_create(&others[0], NULL, forget_often, NULL) ||
        pthread_create(&others[1], NULL, attach_often, NULL))
        return 1;
    for (size_t i = 0; i < ARRAY_SIZE(finders); i++)
        if (pthread_create(&finders[i], NULL, find_all, &wrong[i]))
            return 1;
    for (size_t i = 0; i < ARRAY_SIZE(finders); i++) {
        pthread_join(finders[i], NULL);
        sum += wrong[i];
    }
    atomic_store(&done, true);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        pthread_join(others[i], NULL);
    printf("%zu of %zu layouts were wrong\n", sum,
           (size_t)ARRAY_SIZE(finders) * N_ROUNDS * N_KERNELS);
    return sum != 0;
}
