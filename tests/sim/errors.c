/* SPDX-License-Identifier: MIT */
/* Error codes by name. */
#include <stddef.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/sim/calls.h"
#include "tests/sim/errors.h"

static const struct {
    CUresult error;
    const char *name;
    const char *text;
} errors[] = {
#define ERROR(name, text)                                                                          \
    {                                                                                              \
        name, #name, text                                                                          \
    }
    ERROR(CUDA_SUCCESS, "no error"),
    ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    ERROR(CUDA_ERROR_NOT_INITIALIZED, "driver not initialised"),
    ERROR(CUDA_ERROR_DEINITIALIZED, "driver shutting down"),
    ERROR(CUDA_ERROR_NO_DEVICE, "no device"),
    ERROR(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    ERROR(CUDA_ERROR_INVALID_IMAGE, "invalid device image"),
    ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    ERROR(CUDA_ERROR_NO_BINARY_FOR_GPU, "no device code for this device"),
    ERROR(CUDA_ERROR_UNSUPPORTED_LIMIT, "limit not supported"),
    ERROR(CUDA_ERROR_INVALID_PTX, "invalid PTX"),
    ERROR(CUDA_ERROR_INVALID_SOURCE, "invalid source"),
    ERROR(CUDA_ERROR_FILE_NOT_FOUND, "file not found"),
    ERROR(CUDA_ERROR_OPERATING_SYSTEM, "operating system call failed"),
    ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid handle"),
    ERROR(CUDA_ERROR_ILLEGAL_STATE, "illegal state"),
    ERROR(CUDA_ERROR_NOT_FOUND, "not found"),
    ERROR(CUDA_ERROR_NOT_READY, "not ready"),
    ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, "illegal address"),
    ERROR(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources for launch"),
    ERROR(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "peer access already enabled"),
    ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"),
    ERROR(CUDA_ERROR_ASSERT, "device assertion"),
    ERROR(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "host memory already registered"),
    ERROR(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, "host memory not registered"),
    ERROR(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned address"),
    ERROR(CUDA_ERROR_LAUNCH_FAILED, "launch failed"),
    ERROR(CUDA_ERROR_NOT_PERMITTED, "not permitted"),
    ERROR(CUDA_ERROR_NOT_SUPPORTED, "not supported"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "not permitted while a stream captures"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "stream capture was invalidated"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_MERGE, "two captures would merge"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "capture was not begun in this stream"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "a captured stream was not joined"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "a dependency would leave the capture"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "implicit dependency on a capturing stream"),
    ERROR(CUDA_ERROR_CAPTURED_EVENT, "event was recorded in a capture"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "capture was begun by another thread"),
    ERROR(CUDA_ERROR_UNKNOWN, "unknown error"),
#undef ERROR
};

bool error_find(const char *name, CUresult *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        if (!strcmp(errors[i].name, name)) {
            *out = errors[i].error;
            return true;
        }
    }
    return false;
}

CUresult sim_cuGetErrorName(CUresult error, const char **p_str)
{
    if (!p_str)
        return CUDA_ERROR_INVALID_VALUE;
    *p_str = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (errors[i].error == error)
            *p_str = errors[i].name;
    return *p_str ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGetErrorString(CUresult error, const char **p_str)
{
    if (!p_str)
        return CUDA_ERROR_INVALID_VALUE;
    *p_str = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (errors[i].error == error)
            *p_str = errors[i].text;
    return *p_str ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
