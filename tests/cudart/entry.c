/* SPDX-License-Identifier: MIT */
/*
 * The exported calls, generated: see that what a call needs is there, do it, remember its error.
 */
#include "tests/cudart/calls.h"

#define ENTRY(exported, mode, needs, params, action)                                               \
    EXPORT cudaError_t exported(PROTO(params));                                                    \
    EXPORT cudaError_t exported(PROTO(params))                                                     \
    {                                                                                              \
        const struct driver_table *drv = driver_of(mode);                                          \
        cudaError_t error = thread_enter(NEEDS_##needs);                                           \
                                                                                                   \
        (void)drv;                                                                                 \
        return thread_leave(error ? error : action);                                               \
    }
#define CALL(name, twin, needs, params, args)                                                      \
    ENTRY(name, STREAM_LEGACY, needs, PARAMS(params), call_##name(drv AND(args)))                  \
    IF_TWIN_##twin(ENTRY(TWIN_##twin(name), STREAM_PER_THREAD, needs, PARAMS(params),              \
                         call_##name(drv AND(args))))
#define FORWARD(name, twin, needs, params, args, call)                                             \
    ENTRY(name, STREAM_LEGACY, needs, PARAMS(params), error_of(drv->call))                         \
    IF_TWIN_##twin(                                                                                \
        ENTRY(TWIN_##twin(name), STREAM_PER_THREAD, needs, PARAMS(params), error_of(drv->call)))
#include "tests/cudart/include/cudart_calls.def"
