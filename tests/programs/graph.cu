/* SPDX-License-Identifier: MIT */
/*
 * A graph with everything: two branches, copies, memsets and a host function, captured from streams
 * that wait for each other; then run with a node's parameters changed, then updated from another
 * capture. Without --graph the same work is simply submitted.
 */
#include "tests/programs/program.h"

#define COUNT (256 * 1024)
#define BYTES (COUNT * sizeof(float))

extern "C" const char program_name[] = "graph";

struct state {
    float *in, *left, *right, *spare, *out;
    float factor;
    cudaStream_t side;
    cudaEvent_t fork, join;
    int host_calls;
};

__global__ void scale(float *out, const float *in, float factor, unsigned int count)
{
    unsigned int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < count)
        out[i] = in[i] * factor + out[i];
}

__global__ void join_branches(float *out, const float *left, const float *right,
                              const float *spare, unsigned int count)
{
    unsigned int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < count)
        out[i] += left[i] - 2.0f * right[i] + spare[count - 1 - i];
}

static void count_call(void *data)
{
    ((struct state *)data)->host_calls++;
}

static void work(cudaStream_t stream, void *data)
{
    struct state *state = (struct state *)data;
    const unsigned int blocks = COUNT / 256;

    CHECK(cudaMemsetAsync(state->left, 0, BYTES, stream));
    CHECK(cudaEventRecord(state->fork, stream));
    CHECK(cudaStreamWaitEvent(state->side, state->fork, 0));
    scale<<<blocks, 256, 0, stream>>>(state->left, state->in, state->factor, COUNT);
    CHECK(cudaMemcpyAsync(state->right, state->in, BYTES, cudaMemcpyDeviceToDevice, state->side));
    scale<<<blocks, 256, 0, state->side>>>(state->right, state->spare, 3.0f, COUNT);
    CHECK(cudaEventRecord(state->join, state->side));
    CHECK(cudaStreamWaitEvent(stream, state->join, 0));
    join_branches<<<blocks, 256, 0, stream>>>(state->out, state->left, state->right, state->spare,
                                              COUNT);
    CHECK(cudaLaunchHostFunc(stream, count_call, state));
}

static cudaGraph_t capture(cudaStream_t stream, struct state *state)
{
    cudaGraph_t graph;

    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    work(stream, state);
    CHECK(cudaStreamEndCapture(stream, &graph));
    return graph;
}

/* Sets the factor in the node of `graph` that scales into state->left. */
static void change_factor(cudaGraphExec_t exec, cudaGraph_t graph, struct state *state,
                          float factor)
{
    cudaGraphNode_t nodes[16];
    size_t count = 16;
    int changed = 0;

    CHECK(cudaGraphGetNodes(graph, nodes, &count));
    for (size_t i = 0; i < count; i++) {
        struct cudaKernelNodeParams params;
        enum cudaGraphNodeType type;

        CHECK(cudaGraphNodeGetType(nodes[i], &type));
        if (type != cudaGraphNodeTypeKernel)
            continue;
        CHECK(cudaGraphKernelNodeGetParams(nodes[i], &params));
        if (params.func != (void *)scale || *(float **)params.kernelParams[0] != state->left)
            continue;
        params.kernelParams[2] = &factor;
        CHECK(cudaGraphExecKernelNodeSetParams(exec, nodes[i], &params));
        changed++;
    }
    if (changed != 1)
        require(cudaErrorUnknown, "finding the node");
}

static void run_graph(cudaStream_t stream, struct state *state)
{
    cudaGraphExecUpdateResultInfo result;
    cudaGraph_t graph = capture(stream, state);
    cudaGraph_t other;
    cudaGraphExec_t exec;
    float *swapped = state->in;

    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    CHECK(cudaGraphLaunch(exec, stream));
    change_factor(exec, graph, state, 5.0f);
    CHECK(cudaGraphLaunch(exec, stream));
    state->in = state->spare;
    state->spare = swapped;
    other = capture(stream, state);
    CHECK(cudaGraphExecUpdate(exec, other, &result));
    CHECK(cudaGraphLaunch(exec, stream));
    CHECK(cudaGraphLaunch(exec, stream));
    CHECK(cudaStreamSynchronize(stream));
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaGraphDestroy(other));
}

static void run_launches(cudaStream_t stream, struct state *state)
{
    float factor = state->factor;
    float *swapped = state->in;

    work(stream, state);
    state->factor = 5.0f;
    work(stream, state);
    state->factor = factor;
    state->in = state->spare;
    state->spare = swapped;
    work(stream, state);
    work(stream, state);
    CHECK(cudaStreamSynchronize(stream));
}

static void expect(float *out, const float *in, const float *spare, float factor)
{
    for (int i = 0; i < COUNT; i++) {
        float left = in[i] * factor;
        float right = spare[i] * 3.0f + in[i];

        out[i] += left - 2.0f * right + spare[COUNT - 1 - i];
    }
}

extern "C" void program_run(void)
{
    const int four = 4;
    float *in = (float *)host_memory(BYTES);
    float *spare = (float *)host_memory(BYTES);
    float *expected = (float *)host_memory(BYTES);
    struct state state = {};

    fill_floats(in, COUNT);
    fill_floats(spare, COUNT);
    state.in = (float *)upload(in, BYTES);
    state.spare = (float *)upload(spare, BYTES);
    state.out = (float *)upload(expected, BYTES);
    state.left = (float *)device_memory(BYTES);
    state.right = (float *)device_memory(BYTES);
    state.factor = 2.0f;
    device_memory(4 * BYTES); /* so that a quarter of all is less than one launch wants */
    CHECK(cudaStreamCreateWithFlags(&state.side, cudaStreamNonBlocking));
    CHECK(cudaEventCreateWithFlags(&state.fork, cudaEventDisableTiming));
    CHECK(cudaEventCreateWithFlags(&state.join, cudaEventDisableTiming));
    if (wants_graph())
        run_graph(program_stream(), &state);
    else
        run_launches(program_stream(), &state);
    expect(expected, in, spare, 2.0f);
    expect(expected, in, spare, 5.0f);
    expect(expected, spare, in, 2.0f);
    expect(expected, spare, in, 2.0f);
    compare_floats("out", (float *)download(state.out, BYTES), expected, COUNT, 1e-5);
    compare_ints("host calls", &state.host_calls, &four, 1);
    CHECK(cudaEventDestroy(state.fork));
    CHECK(cudaEventDestroy(state.join));
    CHECK(cudaStreamDestroy(state.side));
}
