/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The runtime library's interface, as far as tests/cudart has it; for machines without a toolkit,
 * and for the library itself. C and C++. Prototypes derive from the table of calls.
 */

#include <stddef.h>

#define CUDART_VERSION 13000

typedef struct cudaArray *cudaArray_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUfunc_st *cudaFunction_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;
typedef struct CUgraphNode_st *cudaGraphNode_t;
typedef struct CUkern_st *cudaKernel_t;
typedef struct CUlib_st *cudaLibrary_t;
typedef struct CUmemPoolHandle_st *cudaMemPool_t;
typedef struct CUstream_st *cudaStream_t;

#include "cudart_values.h"

typedef enum cudaError cudaError_t;

typedef void (*cudaHostFn_t)(void *user_data);
typedef void (*cudaStreamCallback_t)(cudaStream_t stream, cudaError_t status, void *user_data);

#include "cudart_layouts.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The names of the parameter lists are this header's own: some includer has others of the kind. */
#pragma push_macro("PARAMS")
#pragma push_macro("ARGS")
#undef PARAMS
#undef ARGS
#define PARAMS(...)                           __VA_ARGS__
#define ARGS(...)                             __VA_ARGS__
#define CUDART_PROTO(...)                     CUDART_PROTO_##__VA_OPT__(SOME)(__VA_ARGS__)
#define CUDART_PROTO_(...)                    void
#define CUDART_PROTO_SOME(...)                __VA_ARGS__
#define CALL(name, twin, needs, params, args) cudaError_t name(CUDART_PROTO(params));
#include "cudart_calls.def"
#pragma pop_macro("PARAMS")
#pragma pop_macro("ARGS")

/* These neither fail nor are remembered. */
cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
const char *cudaGetErrorName(cudaError_t error);
const char *cudaGetErrorString(cudaError_t error);

#ifdef __cplusplus
}
#endif
