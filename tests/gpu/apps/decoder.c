/* SPDX-License-Identifier: MIT */
/*
 * A model that is read in order, token after token, on the driver alone: what runs where no
 * framework is, the simulated card among them. Weights are random, uploaded tensor by tensor into
 * one allocation; each token reads all of them, the last result and a cache, and writes a row of
 * that.
 *
 *   decoder --weights BYTES --passes N [--form decode|graph|prefill|streams|hides]
 *          [--tensor BYTES]
 *
 *   graph    the token was captured once and is launched as a graph
 *   prefill  sixteen times as much to compute for each weight
 *   streams  every second tensor is read in a second stream, ordered by events
 *   hides    of each tensor a word is read by a kernel more, which finds another address in memory
 *            and leaves its own there
 *
 * Prints one line of JSON: see tests/gpu/README.md.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/gpu/card.h"
#include "tests/gpu/report.h"

enum { PASSES_MOST = 1024, ROW = 64 << 10, CACHE_ROWS = 64 };

static struct decoder {
    uint64_t weights, tensor, times;
    unsigned int passes;
    bool graph, streams, hides;
    CUdeviceptr at, cache, activations;
    CUstream work[2];
    CUevent joined[2];
    uint64_t digest, seed;
    double seconds[PASSES_MOST];
} decoder = {.passes = 12, .times = 1};

static uint64_t random_word(void)
{
    decoder.seed ^= decoder.seed << 13;
    decoder.seed ^= decoder.seed >> 7;
    decoder.seed ^= decoder.seed << 17;
    return decoder.seed;
}

static CUdeviceptr allocate(uint64_t bytes, const char *what)
{
    CUdeviceptr at;
    CUresult result = cu.cuMemAlloc_v2(&at, bytes);

    if (result == CUDA_SUCCESS)
        return at;
    fprintf(stderr, "decoder: no %llu MiB for %s: %s\n", (unsigned long long)(bytes / MIB), what,
            error_name(result));
    exit(1);
}

/* Words of one tensor are random, of the others the same with one word that is theirs in each page.
 */
static void load(void)
{
    uint64_t *tensor = malloc(decoder.tensor);

    if (!tensor)
        report_die("no host memory");
    decoder.seed = 88172645463325252u;
    for (uint64_t i = 0; i < decoder.tensor / 8; i++)
        tensor[i] = random_word();
    for (uint64_t at = 0; at < decoder.weights; at += decoder.tensor) {
        for (uint64_t i = 0; i < decoder.tensor / 8; i += 512)
            tensor[i] = random_word();
        MUST(cu.cuMemcpyHtoD_v2(decoder.at + at, tensor, decoder.tensor));
    }
    free(tensor);
}

static void start(void)
{
    decoder.at = allocate(decoder.weights, "the weights");
    decoder.cache = allocate((uint64_t)CACHE_ROWS * ROW, "the cache");
    decoder.activations = allocate(4096, "the activations");
    for (int i = 0; i < 2; i++) {
        MUST(cu.cuStreamCreate(&decoder.work[i], CU_STREAM_NON_BLOCKING));
        MUST(cu.cuEventCreate(&decoder.joined[i], CU_EVENT_DISABLE_TIMING));
    }
    load();
    MUST(cu.cuMemsetD8_v2(decoder.cache, 0, (uint64_t)CACHE_ROWS * ROW));
    MUST(cu.cuMemsetD8_v2(decoder.activations, 0, 4096));
    if (decoder.hides)
        MUST(cu.cuMemcpyHtoD_v2(decoder.activations + 1024, &decoder.at, sizeof(decoder.at)));
    MUST(cu.cuCtxSynchronize());
}

static void order(int before, int after)
{
    MUST(cu.cuEventRecord(decoder.joined[before], decoder.work[before]));
    MUST(cu.cuStreamWaitEvent(decoder.work[after], decoder.joined[before], 0));
}

/* The same weight again: what is added depends on what was read alone. */
static void hide(uint64_t tensor)
{
    CUdeviceptr lies = decoder.activations + 1024;

    kernel_launch(KERNEL_FOLLOW, 1, decoder.work[0], lies, decoder.at + tensor * decoder.tensor,
                  decoder.activations, decoder.activations + 2048);
}

/* What a token does on the device. */
static void submit(unsigned int number)
{
    CUdeviceptr row = decoder.cache + (uint64_t)(number % CACHE_ROWS) * ROW;

    kernel_launch(KERNEL_FILL, card.blocks, decoder.work[0], row, ROW / 16, number, 0);
    kernel_launch(KERNEL_READ, card.blocks, decoder.work[0], decoder.cache, CACHE_ROWS * ROW / 16,
                  decoder.activations, 1);
    if (decoder.streams)
        order(0, 1);
    for (uint64_t i = 0; i < decoder.weights / decoder.tensor; i++) {
        kernel_launch(KERNEL_READ, card.blocks, decoder.work[decoder.streams && i % 2],
                      decoder.at + i * decoder.tensor, decoder.tensor / 16,
                      decoder.activations + i % 2 * 8, decoder.times);
        if (decoder.hides)
            hide(i);
    }
    if (decoder.streams)
        order(1, 0);
}

static void stop(void)
{
    MUST(cu.cuMemFree_v2(decoder.at));
    MUST(cu.cuMemFree_v2(decoder.cache));
    MUST(cu.cuMemFree_v2(decoder.activations));
    for (int i = 0; i < 2; i++) {
        MUST(cu.cuStreamDestroy_v2(decoder.work[i]));
        MUST(cu.cuEventDestroy_v2(decoder.joined[i]));
    }
    card_close();
}

static CUgraphExec capture(void)
{
    CUgraphExec exec;
    CUgraph graph;

    MUST(cu.cuStreamBeginCapture_v2(decoder.work[0], CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    submit(0);
    MUST(cu.cuStreamEndCapture(decoder.work[0], &graph));
    MUST(cu.cuGraphInstantiateWithFlags(&exec, graph, 0));
    MUST(cu.cuGraphDestroy(graph));
    return exec;
}

static void run(void)
{
    CUgraphExec exec = decoder.graph ? capture() : NULL;
    uint64_t result[2];

    for (unsigned int i = 0; i < decoder.passes; i++) {
        uint64_t from = clock_ns();

        if (exec)
            MUST(cu.cuGraphLaunch(exec, decoder.work[0]));
        else
            submit(i);
        MUST(cu.cuMemcpyDtoHAsync_v2(result, decoder.activations, sizeof(result), decoder.work[0]));
        MUST(cu.cuStreamSynchronize(decoder.work[0]));
        decoder.seconds[i] = (double)(clock_ns() - from) / 1e9;
        decoder.digest = (decoder.digest ^ result[0] ^ result[1]) * 0x9e3779b97f4a7c15;
    }
    if (exec)
        MUST(cu.cuGraphExecDestroy(exec));
}

static void print(void)
{
    printf("{\"weights\": %llu, \"other\": %llu, \"digest\": \"%016llx\", \"passes\": [",
           (unsigned long long)decoder.weights, (unsigned long long)((uint64_t)CACHE_ROWS * ROW),
           (unsigned long long)decoder.digest);
    for (unsigned int i = 0; i < decoder.passes; i++)
        printf("%s%.9f", i ? ", " : "", decoder.seconds[i]);
    printf("]}\n");
}

static bool read_form(const char *form)
{
    decoder.graph = !strcmp(form, "graph");
    decoder.streams = !strcmp(form, "streams");
    decoder.hides = !strcmp(form, "hides");
    if (!strcmp(form, "prefill"))
        decoder.times = 16;
    return decoder.graph || decoder.streams || decoder.hides || decoder.times > 1 ||
           !strcmp(form, "decode");
}

static bool read_options(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"weights", required_argument, NULL, 'w'},
        {"passes", required_argument, NULL, 'p'},
        {"form", required_argument, NULL, 'f'},
        {"tensor", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == 'w')
            decoder.weights = strtoull(optarg, NULL, 10);
        else if (option == 'p')
            decoder.passes = (unsigned int)atoi(optarg);
        else if (option == 't')
            decoder.tensor = strtoull(optarg, NULL, 10);
        else if (option != 'f' || !read_form(optarg))
            return false;
    }
    if (!decoder.tensor)
        decoder.tensor = decoder.weights / 64;
    decoder.tensor = align_up(decoder.tensor, 4096);
    if (decoder.tensor)
        decoder.weights = decoder.weights / decoder.tensor * decoder.tensor;
    return optind == argc && decoder.weights && decoder.passes && decoder.passes <= PASSES_MOST;
}

int main(int argc, char **argv)
{
    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: decoder --weights BYTES --passes N [--form decode|graph|prefill|"
                        "streams|hides] [--tensor BYTES]\n");
        return 2;
    }
    report_as_program("decoder");
    card_open();
    start();
    run();
    print();
    stop();
    return 0;
}
