/* SPDX-License-Identifier: MIT */
#include "tests/bench/programs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/place.h"
#include "runtime/planfile.h"
#include "runtime/util.h"
#include "tests/sim/sim.h"

CUstream program_stream;
bool program_captured;
uint64_t program_weights;
uint64_t program_written;
uint64_t program_scale = 1;
bool program_fills;
uint64_t program_sum;

enum {
    STEP = 128 << 10, /* bytes per access of a kernel */
    LAYERS = 24,
    EXPERTS = 32,
    EXPERTS_USED = 4,
    ROW = 64 << 10, /* bytes of a cache that a token fills, per layer */
};

static void must(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "bench: %s gives error %d\n", what, (int)result);
    exit(1);
}
#define MUST(call) must(call, #call)

/* Words that stand a row apart in the buffer, of which `run` bytes from `done` on are at `there`.
 */
static void add_up(const char *there, uint64_t done, uint64_t run)
{
    for (uint64_t at = align_up(done, ROW); at + sizeof(uint64_t) <= done + run; at += ROW) {
        uint64_t word;

        memcpy(&word, there + (at - done), sizeof(word));
        program_sum = program_sum * 33 + word;
    }
}

static bool touch(uint64_t at, uint64_t bytes, bool write)
{
    for (uint64_t done = 0; done < bytes;) {
        uint64_t left = STEP - (at + done) % STEP;
        uint64_t run = min_u64(left, bytes - done);
        const char *there = sim_kernel_access(at + done, run, write);

        if (!there)
            return false;
        if (!write && program_fills)
            add_up(there, done, run);
        done += run;
    }
    return true;
}

/* multiply(out, weights, bytes, times): reads the weights so often, writes a little. */
struct multiply_params {
    uint64_t out;
    uint64_t weights;
    uint64_t bytes;
    uint64_t times;
};
static const size_t multiply_offsets[] = {0, 8, 16, 24};
static const size_t multiply_sizes[] = {8, 8, 8, 8};

static void multiply_run(const void *params)
{
    const struct multiply_params *p = params;

    for (uint64_t i = 0; i < p->times; i++) {
        if (!touch(p->weights, p->bytes, false))
            return;
    }
    touch(p->out, 4096, true);
}

/* attend(out, cache, filled): appends a row and reads what there is. */
struct attend_params {
    uint64_t out;
    uint64_t cache;
    uint64_t filled;
};
static const size_t attend_offsets[] = {0, 8, 16};
static const size_t attend_sizes[] = {8, 8, 8};

static void attend_run(const void *params)
{
    const struct attend_params *p = params;
    uint64_t *row;

    touch(p->cache, p->filled + ROW, false);
    row = sim_kernel_access(p->cache + p->filled, 8, 1);
    if (row)
        *row = p->filled + 1;
    touch(p->out, 4096, true);
}

/* experts(out, stack, ids, bytes): reads those experts of the stack that the ids name. */
struct experts_params {
    uint64_t out;
    uint64_t stack;
    uint64_t ids;
    uint64_t bytes;
};

static void experts_run(const void *params)
{
    const struct experts_params *p = params;
    const uint32_t *ids = sim_kernel_access(p->ids, EXPERTS_USED * sizeof(*ids), 0);

    for (int i = 0; ids && i < EXPERTS_USED; i++)
        touch(p->stack + ids[i] * p->bytes, p->bytes, false);
    touch(p->out, 4096, true);
}

static const struct sim_native_kernel kernels[] = {
    {"multiply", 4, multiply_offsets, multiply_sizes, multiply_run},
    {"attend", 3, attend_offsets, attend_sizes, attend_run},
    {"experts", 4, multiply_offsets, multiply_sizes, experts_run},
};
static CUfunction functions[ARRAY_SIZE(kernels)];
enum { MULTIPLY, ATTEND, EXPERT_READ };

void programs_init(void)
{
    CUmodule module;

    for (size_t i = 0; i < ARRAY_SIZE(kernels); i++)
        sim_register_kernel(&kernels[i]);
    MUST(cuModuleLoadData(&module, "SIM-NATIVE\n.version 0"));
    for (size_t i = 0; i < ARRAY_SIZE(kernels); i++)
        MUST(cuModuleGetFunction(&functions[i], module, kernels[i].name));
    MUST(cuStreamCreate(&program_stream, CU_STREAM_NON_BLOCKING));
}

static void launch(int kernel, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    void *params[] = {&a, &b, &c, &d};

    MUST(cuLaunchKernel(functions[kernel], 1, 1, 1, 1, 1, 1, 0, program_stream, params, NULL));
}

/* A component: tensors of one slab, read in order. */
struct component {
    uint64_t *bytes;
    uint32_t n;
    CUdeviceptr base;
    uint64_t total;
};

static CUdeviceptr activations;

static void add(struct component *c, uint64_t bytes)
{
    bytes *= program_scale;
    c->bytes = realloc(c->bytes, (c->n + 1) * sizeof(*c->bytes));
    c->bytes[c->n++] = bytes;
    c->total += bytes;
}

/* Of the first bytes of a tensor, which no other one has. */
static const uint8_t *beginning_of(const struct component *c, uint32_t tensor)
{
    static uint64_t words[PLANFILE_HEAD / 8];
    uint64_t word = (uint64_t)(uintptr_t)c * 31 + tensor + 1;

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        word = word * 6364136223846793005u + 1442695040888963407u;
        words[i] = word >> 16;
    }
    return (const uint8_t *)words;
}

/* Others bytes in every tensor. */
static void fill(struct component *c, uint32_t tensor, CUdeviceptr at)
{
    uint64_t *words = malloc(c->bytes[tensor]);
    uint64_t word = c->total * 31 + tensor + 1;

    for (uint64_t i = 0; words && i < c->bytes[tensor] / sizeof(*words); i++) {
        word = word * 6364136223846793005u + 1442695040888963407u;
        words[i] = word;
    }
    if (!words)
        exit(1);
    MUST(cuMemcpyHtoD_v2(at, words, c->bytes[tensor]));
    free(words);
}

/* An upload says where a tensor begins; the kernels do not look at what is there. */
static void load(struct component *c)
{
    uint64_t at = 0;

    MUST(cuMemAlloc_v2(&c->base, c->total));
    for (uint32_t i = 0; i < c->n; i++) {
        if (program_fills)
            fill(c, i, c->base + at);
        else
            MUST(cuMemcpyHtoD_v2(c->base + at, beginning_of(c, i), PLANFILE_HEAD));
        at += c->bytes[i];
    }
    program_weights += c->total;
}

static CUdeviceptr allocate_written(uint64_t bytes)
{
    CUdeviceptr at;

    MUST(cuMemAlloc_v2(&at, bytes));
    if (program_fills)
        MUST(cuMemsetD8_v2(at, 0, bytes));
    program_written += align_up(bytes, program_scale * 2 * MIB);
    return at;
}

static void read_component(const struct component *c, uint64_t times)
{
    uint64_t at = c->base;

    for (uint32_t i = 0; i < c->n; i++) {
        launch(MULTIPLY, activations + i % 2 * 64 * KIB, at, c->bytes[i], times);
        at += c->bytes[i];
    }
}

static void add_transformer(struct component *c, uint32_t layers, uint64_t unit)
{
    static const uint8_t shares[] = {9, 2, 2, 9, 24, 24, 24};

    for (uint32_t i = 0; i < layers; i++) {
        for (size_t k = 0; k < ARRAY_SIZE(shares); k++)
            add(c, shares[k] * unit);
    }
}

static void wait_and_think(uint64_t ns)
{
    if (program_captured)
        return;
    MUST(cuStreamSynchronize(program_stream));
    sim_clock_charge(ns);
}

/* A decoder: every token reads all weights once. */
static struct component decoder;
static CUdeviceptr caches;

static void decode_shape(void)
{
    add_transformer(&decoder, LAYERS, 640 * KIB);
    add(&decoder, 60 * MIB);
}

static void decode_start(void)
{
    load(&decoder);
    activations = allocate_written(2 * MIB);
    caches = allocate_written((uint64_t)LAYERS * 2 * MIB);
}

static void decode_pass(uint32_t number)
{
    uint64_t at = decoder.base;

    for (uint32_t i = 0; i < decoder.n; i++) {
        if (i % 7 == 3)
            launch(ATTEND, activations, caches + (uint64_t)(i / 7) * 2 * MIB,
                   (uint64_t)(number % 24) * ROW, 0);
        launch(MULTIPLY, activations + i % 2 * 64 * KIB, at, decoder.bytes[i], 1);
        at += decoder.bytes[i];
    }
    wait_and_think(30000);
}

/* The same, but with so much to compute for each weight that the link can nearly keep up. */
static void prefill_pass(uint32_t number)
{
    (void)number;
    read_component(&decoder, 12);
    wait_and_think(30000);
}

/* Three components: a text encoder, a model that is read many times, and a decoder. */
static struct component parts[3];

enum { STEPS = 12 };

static void add_parts(uint64_t unit)
{
    add_transformer(&parts[0], 6, unit);
    add_transformer(&parts[1], 16, unit);
    add_transformer(&parts[2], 2, unit);
}

static void pipeline_shape(void)
{
    add_parts(640 * KIB);
}

/* The same for those who have no time. */
static void sketch_shape(void)
{
    add_parts(160 * KIB);
}

static void pipeline_start(void)
{
    for (int i = 0; i < 3; i++)
        load(&parts[i]);
    activations = allocate_written(4 * MIB);
}

/* A step of the middle one; so many are an image. */
static void pipeline_pass(uint32_t number)
{
    if (number % STEPS == 0)
        read_component(&parts[0], 1);
    read_component(&parts[1], 4);
    if (number % STEPS == STEPS - 1)
        read_component(&parts[2], 2);
    wait_and_think(30000);
}

/* A mixture of experts: dense parts, and stacks of which a few experts are read, those that were
 * read last more likely than others, and some more popular than others. As a router's, choices of a
 * token differ from each other. */
static struct component mixture;
static CUdeviceptr ids;
static uint32_t (*last_used)[EXPERTS_USED]; /* by layer; pinned */
static uint64_t dice_state = 88172645463325252u;

static uint32_t dice(uint32_t n)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return (uint32_t)(dice_state >> 20) % n;
}

enum { DENSE = 8 << 20, EXPERT = 3 << 19 };

#define NO_EXPERT UINT32_MAX

static void mixture_shape(void)
{
    for (uint32_t i = 0; i < LAYERS; i++) {
        add(&mixture, DENSE);
        add(&mixture, (uint64_t)EXPERTS * EXPERT);
    }
}

static void mixture_start(void)
{
    load(&mixture);
    activations = allocate_written(2 * MIB);
    MUST(cuMemAlloc_v2(&ids, LAYERS * EXPERTS_USED * sizeof(uint32_t)));
    MUST(cuMemHostAlloc((void **)&last_used, LAYERS * sizeof(*last_used), 0));
    memset(last_used, 0xff, LAYERS * sizeof(*last_used));
}

static bool is_used(uint32_t layer, uint32_t expert)
{
    for (uint32_t i = 0; i < EXPERTS_USED; i++) {
        if (last_used[layer][i] == expert)
            return true;
    }
    return false;
}

static void choose_another(uint32_t layer, uint32_t i)
{
    uint32_t expert;

    do {
        expert = ((uint32_t)min_u64(dice(EXPERTS), dice(EXPERTS)) + 7 * layer) % EXPERTS;
    } while (is_used(layer, expert));
    last_used[layer][i] = expert;
}

static void choose_experts(void)
{
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        for (uint32_t i = 0; i < EXPERTS_USED; i++) {
            if (last_used[layer][i] == NO_EXPERT || dice(2))
                choose_another(layer, i);
        }
    }
}

static void mixture_pass(uint32_t number)
{
    uint64_t at = mixture.base;

    (void)number;
    MUST(cuMemcpyHtoDAsync_v2(ids, last_used, LAYERS * sizeof(*last_used), program_stream));
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        launch(MULTIPLY, activations, at, program_scale * DENSE, 1);
        at += program_scale * DENSE;
        launch(EXPERT_READ, activations, at, ids + layer * EXPERTS_USED * sizeof(uint32_t),
               program_scale * EXPERT);
        at += program_scale * EXPERTS * EXPERT;
    }
    wait_and_think(30000);
}

/* Two models that take turns. */
static struct component pair[2];

static void pair_shape(void)
{
    for (int i = 0; i < 2; i++)
        add_transformer(&pair[i], LAYERS / 2, 640 * KIB);
}

static void pair_start(void)
{
    for (int i = 0; i < 2; i++)
        load(&pair[i]);
    activations = allocate_written(2 * MIB);
}

static void pair_pass(uint32_t number)
{
    (void)number;
    read_component(&pair[0], 1);
    read_component(&pair[1], 1);
    wait_and_think(30000);
}

const struct program programs[] = {
    {"decode", decode_shape, decode_start, NULL, decode_pass, 10, 1, 1, &decoder, 1},
    {"prefill", decode_shape, decode_start, NULL, prefill_pass, 10, 1, 1, &decoder, 1},
    {"pipeline", pipeline_shape, pipeline_start, NULL, pipeline_pass, 60, STEPS, 1, NULL, 0},
    {"sketch", sketch_shape, pipeline_start, NULL, pipeline_pass, 36, STEPS, 1, NULL, 0},
    {"experts", mixture_shape, mixture_start, choose_experts, mixture_pass, 40, 1, 8, NULL, 0},
    {"two-models", pair_shape, pair_start, NULL, pair_pass, 10, 1, 1, pair, 2},
};
const uint32_t n_programs = ARRAY_SIZE(programs);

/* What does not stay, beside what is written and the ring. */
static uint64_t streamed_of(const struct planfile *plan)
{
    struct place_request request = {
        .budget = plan->device - plan->buffers,
        .chunk = plan->chunk,
        .compute = 1e-3,
        .link = 12e9,
        .in_place = 9e9,
        .may_stream = true,
        .cache = true,
    };
    struct place_piece *pieces = calloc(plan->n_tensors, sizeof(*pieces));
    struct placement placement;

    for (uint32_t i = 0; pieces && i < plan->n_tensors; i++) {
        pieces[i].bytes = pieces[i].touched = plan->tensors[i].bytes;
        pieces[i].dense = true;
    }
    if (!pieces || place_pieces(pieces, plan->n_tensors, &request, &placement))
        exit(1);
    free(pieces);
    return placement.streamed;
}

static void add_tensors(struct planfile *plan, const struct component *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        plan->tensors[plan->n_tensors++] = (struct planfile_tensor){
            .name = "",
            .tier = PLANFILE_STREAM,
            .offset = plan->weights,
            .bytes = c->bytes[i],
            .fingerprint = planfile_fingerprint(beginning_of(c, i), PLANFILE_HEAD),
        };
        plan->weights += c->bytes[i];
    }
}

static void share_residents(struct planfile *plan)
{
    uint64_t *bytes = calloc(2 * (size_t)plan->n_tensors, sizeof(*bytes));
    uint64_t *resident = bytes + plan->n_tensors;

    for (uint32_t i = 0; bytes && i < plan->n_tensors; i++)
        bytes[i] = plan->tensors[i].bytes;
    if (!bytes || place_shares(bytes, plan->n_tensors, streamed_of(plan), resident))
        exit(1);
    for (uint32_t i = 0; i < plan->n_tensors; i++)
        plan->tensors[i].resident = resident[i];
    free(bytes);
}

bool program_plan(const struct program *program, uint64_t budget, uint64_t written,
                  const struct roll *known, FILE *out)
{
    struct planfile_file file = {.path = "", .digest = 1};
    struct planfile plan = {
        .model = (char *)program->name,
        .card = "",
        .device = budget,
        .chunk = program_scale * 2 * MIB,
        .buffers = written,
        .functions = *known,
        .files = &file,
        .n_files = 1,
        .phases = {{.name = "pass", .is_main = true}},
        .n_phases = 1,
    };
    uint32_t n = 0;

    for (uint32_t i = 0; i < program->n_components; i++)
        n += program->components[i].n;
    plan.tensors = calloc(n, sizeof(*plan.tensors));
    if (!n || !plan.tensors)
        return false;
    for (uint32_t i = 0; i < program->n_components; i++)
        add_tensors(&plan, &program->components[i]);
    file.bytes = plan.weights;
    plan.phases[0].n = n;
    share_residents(&plan);
    planfile_print(&plan, out);
    free(plan.tensors);
    return true;
}
