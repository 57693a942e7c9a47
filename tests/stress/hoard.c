/* SPDX-License-Identifier: MIT */
/*
 * Fills more memory than there is on the card, and looks whether it is right.
 *
 *   hoard MIB [ROUNDS [LEAVE]]
 *
 * Takes MIB of memory in pieces of 2 MiB, as many as it is given, writes words into each of them by
 * a kernel and reads them back, in each round; ROUNDS of 0 are as many as come until it is asked to
 * terminate. Then it ends as LEAVE says, with work in flight:
 * return (the default, with nothing in flight), exit, quick (_exit), exec (of itself), fork (a
 * child that ends by exit), or stay, which is until it is killed.
 *
 * Ends with 0 when all that it was given held what was written; a line says how much that was.
 */
#include <cuda.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/stress/kernels.h"

enum {
    PIECE = 2 << 20,
    PIECES_MAX = 1024,
    WORDS = 3000, /* bytes of a piece that the kernel writes */
};

static CUdeviceptr pieces[PIECES_MAX];
static size_t n_pieces;
static struct kernels kernels;
static CUstream stream;
static volatile sig_atomic_t asked; /* to terminate */

static void must(CUresult result, const char *call)
{
    const char *name = NULL;

    if (result == CUDA_SUCCESS)
        return;
    (void)cuGetErrorName(result, &name);
    printf("hoard: %s gives %s\n", call, name ? name : "an unknown error");
    exit(3);
}

#define MUST(call, ...) must(call(__VA_ARGS__), #call)

static void start(void)
{
    const char *why = "";
    CUcontext context;

    MUST(cuInit, 0);
    MUST(cuDevicePrimaryCtxRetain, &context, 0);
    MUST(cuCtxSetCurrent, context);
    MUST(cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING);
    must(kernels_open(&kernels, &why), why);
}

static void take(size_t wanted)
{
    CUresult result = CUDA_SUCCESS;

    while (n_pieces < wanted && n_pieces < PIECES_MAX && result == CUDA_SUCCESS) {
        result = cuMemAlloc(&pieces[n_pieces], PIECE);
        n_pieces += result == CUDA_SUCCESS;
    }
    if (result != CUDA_ERROR_OUT_OF_MEMORY)
        must(result, "cuMemAlloc");
}

/* Each piece gets words from its own beginning and from its neighbour's. */
static void launch(uint32_t key)
{
    for (size_t i = 0; i < n_pieces; i++) {
        struct mix_params p = {pieces[i], pieces[(i + 1) % n_pieces] + WORDS, WORDS, key};
        void *params[] = {&p.to, &p.from, &p.n, &p.key};

        MUST(cuLaunchKernel, kernels.mix, 1, 1, 1, 32, 1, 1, 0, stream, params, NULL);
    }
}

static void round_of(uint32_t key)
{
    uint8_t *bytes = malloc(PIECE);

    if (!bytes) {
        printf("hoard: there is no host memory\n");
        exit(3);
    }
    for (size_t i = 0; i < n_pieces; i++) {
        memset(bytes, (int)(key + i), PIECE);
        MUST(cuMemcpyHtoD, pieces[i], bytes, PIECE);
    }
    launch(key);
    MUST(cuStreamSynchronize, stream);
    for (size_t i = 0; i < n_pieces; i++) {
        uint8_t own = (uint8_t)(key + i);
        uint8_t next = (uint8_t)(key + (i + 1) % n_pieces);

        MUST(cuMemcpyDtoH, bytes, pieces[i], PIECE);
        for (size_t at = 0; at < PIECE; at++) {
            if (bytes[at] == (at < WORDS ? mix_byte(own, next, key) : own))
                continue;
            printf("hoard: piece %zu has 0x%02x at %zu\n", i, bytes[at], at);
            exit(4);
        }
    }
    free(bytes);
}

static int leave(const char *how)
{
    int status = 0;

    if (!strcmp(how, "return"))
        return 0;
    launch(1);
    fflush(stdout);
    if (!strcmp(how, "quick"))
        _exit(0);
    if (!strcmp(how, "exec")) {
        execl("/proc/self/exe", "hoard", "4", "1", "exit", (char *)NULL);
        return 5;
    }
    if (!strcmp(how, "fork")) {
        if (fork() == 0)
            exit(cuMemFree(pieces[0]) == CUDA_SUCCESS);
        wait(&status);
        MUST(cuStreamSynchronize, stream);
    }
    while (!strcmp(how, "stay"))
        launch(2);
    exit(status != 0);
}

static void note_signal(int number)
{
    asked = number;
}

int main(int argc, char **argv)
{
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 32;
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;

    if (!rounds)
        signal(SIGTERM, note_signal);
    start();
    take(mib / 2);
    for (unsigned long i = 0; rounds ? i < rounds : !asked; i++)
        round_of((uint32_t)i * 7 + 1);
    printf("hoard: %zu MiB were right\n", 2 * n_pieces);
    return leave(argc > 3 ? argv[3] : "return");
}
