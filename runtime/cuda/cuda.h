/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The CUDA driver interface, as far as this project uses it: on the include path where no CUDA
 * toolkit is installed. Names, values and layouts are the driver's; tests/test_abi.c holds them
 * against the toolkit's header where there is one. The prototypes come from driver_calls.def.
 *
 * As with the toolkit's header, a plain name means the newest version of a call that the table has
 * (names.h), and its per-thread-default-stream twin with CUDA_API_PER_THREAD_DEFAULT_STREAM. With
 * __CUDA_API_VERSION_INTERNAL every exported name, twins too, is declared as it is.
 */

#include <stddef.h>
#include <stdint.h>

#define VRAMSHIM_OWN_CUDA_H 1
#define CUDA_VERSION        13000

#define CUDAAPI
#define CUDA_CB

typedef uint32_t cuuint32_t;
typedef uint64_t cuuint64_t;

typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef unsigned long long CUmemGenericAllocationHandle;
typedef unsigned long long CUsurfObject;
typedef unsigned long long CUtexObject;
typedef uint64_t CUgraphConditionalHandle;

typedef struct CUarray_st *CUarray;
typedef struct CUctx_st *CUcontext;
typedef struct CUevent_st *CUevent;
typedef struct CUextSemaphore_st *CUexternalSemaphore;
typedef struct CUfunc_st *CUfunction;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphDeviceUpdatableNode_st *CUgraphDeviceNode;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUkern_st *CUkernel;
typedef struct CUlib_st *CUlibrary;
typedef struct CUlinkState_st *CUlinkState;
typedef struct CUmemPoolHandle_st *CUmemoryPool;
typedef struct CUmipmappedArray_st *CUmipmappedArray;
typedef struct CUmod_st *CUmodule;
typedef struct CUstream_st *CUstream;
typedef struct CUuserObject_st *CUuserObject;

typedef void (*CUhostFn)(void *user_data);
typedef size_t (*CUoccupancyB2DSize)(int block_size);

#include "values.h"
#include "layouts.h"

#if defined(__CUDA_API_VERSION_INTERNAL) || defined(CUDA_API_PER_THREAD_DEFAULT_STREAM)
#define __CUDA_API_PTDS(name) name##_ptds
#define __CUDA_API_PTSZ(name) name##_ptsz
#else
#define __CUDA_API_PTDS(name) name
#define __CUDA_API_PTSZ(name) name
#endif

#define PARAMS(...)             __VA_ARGS__
#define ARGS(...)               __VA_ARGS__
#define DECLARE(name, ...)      DECLARE_##__VA_OPT__(SOME)(name, __VA_ARGS__)
#define DECLARE_(name, ...)     CUresult name(void);
#define DECLARE_SOME(name, ...) CUresult name(__VA_ARGS__);
#define DECLARE_TWIN_PLAIN(name, ...)
#define DECLARE_TWIN_PTDS(name, ...) DECLARE(name##_ptds, __VA_ARGS__)
#define DECLARE_TWIN_PTSZ(name, ...) DECLARE(name##_ptsz, __VA_ARGS__)

#define HOOK(symbol, since, twin, params, args)                                                    \
    DECLARE(symbol, params)                                                                        \
    DECLARE_TWIN_##twin(symbol, params)
#define GATE HOOK
#define REAL HOOK
#define PASS HOOK
#include "../driver_calls.def"

#undef PARAMS
#undef ARGS
#undef DECLARE
#undef DECLARE_
#undef DECLARE_SOME
#undef DECLARE_TWIN_PLAIN
#undef DECLARE_TWIN_PTDS
#undef DECLARE_TWIN_PTSZ

#ifndef __CUDA_API_VERSION_INTERNAL
#include "names.h"
#endif
