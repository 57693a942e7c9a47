/* SPDX-License-Identifier: MIT */
/*
 * One piece of work, four ways: a model of N chunks is read in order, pass after pass, every second
 * chunk of it at home in host memory.
 *
 *   resident    the same with all of it on the card: what computing takes
 *   in place    kernels read host-located chunks where they are
 *   redirected  they are copied ahead into a ring, and kernels are given the ring's addresses
 *   remapped    they are copied ahead into a ring, and the ring's memory is mapped at their
 * addresses until they have been read; no kernel that is queued uses the range that is remapped
 *
 * The limit is the longer of computing and copying what is not on the card.
 */
#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/link.h"
#include "tests/gpu/report.h"

enum { SLOTS = 4, CHUNKS_MOST = 256, SEED = 11, PASSES = 4 };

static struct model {
    uint64_t chunk, n, times;
    CUdeviceptr homes;
    CUdeviceptr aliases[CHUNKS_MOST]; /* of host chunks, for copies */
    CUmemGenericAllocationHandle chunks[CHUNKS_MOST];
    CUmemGenericAllocationHandle slots[SLOTS];
    CUdeviceptr ring;
    CUevent staged[SLOTS], used[SLOTS];
    CUstream work, copies;
    uint64_t digest; /* of a pass */
} model;

static bool is_away(uint64_t i)
{
    return i % 2;
}

static CUdeviceptr home(uint64_t i)
{
    return model.homes + i * model.chunk;
}

static void model_init(void)
{
    model.homes = range_new(model.n * model.chunk);
    model.ring = range_new(SLOTS * model.chunk);
    MUST(cu.cuStreamCreate(&model.work, CU_STREAM_NON_BLOCKING));
    MUST(cu.cuStreamCreate(&model.copies, CU_STREAM_NON_BLOCKING));
    for (uint64_t i = 0; i < SLOTS; i++) {
        model.slots[i] = physical_new(&card.on_device, model.chunk);
        range_map(model.ring + i * model.chunk, model.chunk, model.slots[i]);
        MUST(cu.cuEventCreate(&model.staged[i], CU_EVENT_DISABLE_TIMING));
        MUST(cu.cuEventCreate(&model.used[i], CU_EVENT_DISABLE_TIMING));
    }
}

/* Homes as they are while streaming, or all on the card. */
static void model_fill(bool all_resident)
{
    for (uint64_t i = 0; i < model.n; i++) {
        bool away = is_away(i) && !all_resident;

        model.chunks[i] = physical_new(away ? &card.on_host : &card.on_device, model.chunk);
        range_map(home(i), model.chunk, model.chunks[i]);
        if (away) {
            model.aliases[i] = range_new(model.chunk);
            range_map(model.aliases[i], model.chunk, model.chunks[i]);
        }
        memory_fill(home(i), model.chunk, SEED + i);
        model.digest += all_resident ? model.times * fill_digest(model.chunk, SEED + i) : 0;
    }
    MUST(cu.cuCtxSynchronize());
}

static void model_empty(void)
{
    MUST(cu.cuCtxSynchronize());
    for (uint64_t i = 0; i < model.n; i++) {
        MUST(cu.cuMemUnmap(home(i), model.chunk));
        MUST(cu.cuMemRelease(model.chunks[i]));
    }
}

static void read_chunk(CUdeviceptr at)
{
    kernel_launch(KERNEL_READ, card.blocks, model.work, at, model.chunk / 16, card.sum,
                  model.times);
}

static void pass_at_home(void)
{
    for (uint64_t i = 0; i < model.n; i++)
        read_chunk(home(i));
}

/* Copies the streamed chunk of number `i` of those that are away into its slot, once that is free.
 */
static void stage(uint64_t i, bool first_lap)
{
    uint64_t slot = i % SLOTS;

    if (!first_lap)
        MUST(cu.cuStreamWaitEvent(model.copies, model.used[slot], 0));
    MUST(cu.cuMemcpyDtoDAsync_v2(model.ring + slot * model.chunk,
                                 model.aliases[(2 * i + 1) % model.n], model.chunk, model.copies));
    MUST(cu.cuEventRecord(model.staged[slot], model.copies));
}

/* Slots are counted on from pass to pass: the ring goes round over the end of a pass. */
static uint64_t turn;

static void pass_redirected(void)
{
    for (uint64_t i = 0; i < model.n; i++) {
        uint64_t slot = turn % SLOTS;

        if (!is_away(i)) {
            read_chunk(home(i));
            continue;
        }
        MUST(cu.cuStreamWaitEvent(model.work, model.staged[slot], 0));
        read_chunk(model.ring + slot * model.chunk);
        MUST(cu.cuEventRecord(model.used[slot], model.work));
        stage(turn + SLOTS, false);
        turn++;
    }
}

/* Moves the home of streamed chunk number `away` between its own memory and a slot's. */
static void remap(uint64_t away, CUmemGenericAllocationHandle to)
{
    CUdeviceptr at = home((2 * away + 1) % model.n);

    MUST(cu.cuMemUnmap(at, model.chunk));
    range_map(at, model.chunk, to);
}

/* Waits, on the host, until the slot was read; gives it to the chunk that is next in it. */
static void remap_next(uint64_t number)
{
    uint64_t slot = number % SLOTS;

    MUST(cu.cuEventSynchronize(model.used[slot]));
    remap(number - SLOTS, model.chunks[(2 * (number - SLOTS) + 1) % model.n]);
    stage(number, true);
    remap(number, model.slots[slot]);
}

static void pass_remapped(void)
{
    for (uint64_t i = 0; i < model.n; i++) {
        uint64_t slot = turn % SLOTS;

        if (is_away(i)) {
            MUST(cu.cuStreamWaitEvent(model.work, model.staged[slot], 0));
            read_chunk(home(i));
            MUST(cu.cuEventRecord(model.used[slot], model.work));
            /* The slot of the launch before this one: this one runs while it is remapped. */
            if (turn)
                remap_next(turn - 1 + SLOTS);
            turn++;
        } else {
            read_chunk(home(i));
        }
    }
}

static void begin_nothing(void)
{
}

static void begin_redirected(void)
{
    turn = 0;
    for (uint64_t i = 0; i < SLOTS; i++)
        stage(i, true);
}

static void begin_remapped(void)
{
    begin_redirected();
    MUST(cu.cuCtxSynchronize());
    for (uint64_t i = 0; i < SLOTS; i++)
        remap(i, model.slots[i]);
}

/* Homes as they were. */
static void end_remapped(void)
{
    MUST(cu.cuCtxSynchronize());
    for (uint64_t i = turn - 1; i < turn - 1 + SLOTS; i++)
        remap(i, model.chunks[(2 * i + 1) % model.n]);
}

static const struct engine {
    const char *name;
    void (*begin)(void);
    void (*pass)(void);
    void (*end)(void);
} engines[] = {
    {"resident", begin_nothing, pass_at_home, begin_nothing},
    {"in place", begin_nothing, pass_at_home, begin_nothing},
    {"redirected", begin_redirected, pass_redirected, begin_nothing},
    {"remapped", begin_remapped, pass_remapped, end_remapped},
};

/* Milliseconds of a pass, of several after a first one; ends the process when it read wrong bytes.
 */
static double measure(const struct engine *engine)
{
    uint64_t digest, from;
    double ms;

    MUST(cu.cuMemsetD8_v2(card.sum, 0, 8));
    MUST(cu.cuCtxSynchronize());
    engine->begin();
    engine->pass();
    MUST(cu.cuStreamSynchronize(model.work));
    from = clock_ns();
    for (int i = 0; i < PASSES; i++)
        engine->pass();
    MUST(cu.cuStreamSynchronize(model.work));
    ms = (double)(clock_ns() - from) / 1e6 / PASSES;
    engine->end();
    MUST(cu.cuCtxSynchronize());
    MUST(cu.cuMemcpyDtoH_v2(&digest, card.sum, 8));
    if (digest != (PASSES + 1) * model.digest)
        report_die("%s: the passes read wrong bytes", engine->name);
    return ms;
}

/* `what` is said of every figure: how large chunks are, and how much is computed. */
static double ask(const struct engine *engine, const char *what, double limit_ms)
{
    double ms = measure(engine);

    report_figure(ms, "ms", "pass, %s, %s", engine->name, what);
    if (limit_ms > 0)
        report_figure(ms / limit_ms, "", "over the limit: %s, %s", engine->name, what);
    return ms;
}

/* Returns how often chunks would have to be read for computing to take as long as copying. */
static uint64_t ask_chunk(const char *what, uint64_t chunk, uint64_t bytes, uint64_t times)
{
    double compute_ms, link_ms, limit_ms;

    model = (struct model){.chunk = chunk, .n = bytes / chunk, .times = times};
    model_init();
    model_fill(true);
    compute_ms = ask(&engines[0], what, 0);
    model_empty();
    model_fill(false);
    link_ms = (double)bytes / 2 / 1e6 /
              link_rate(model.copies, model.ring, model.aliases[1], model.chunk);
    limit_ms = compute_ms > link_ms ? compute_ms : link_ms;
    report_figure(limit_ms, "ms", "limit, %s", what);
    for (size_t i = 1; i < ARRAY_SIZE(engines); i++)
        ask(&engines[i], what, limit_ms);
    model_empty();
    return max_u64(1, (uint64_t)(link_ms / compute_ms * (double)times));
}

static double over_limit(const char *engine, const char *what)
{
    return report_value(0, "over the limit: %s, %s", engine, what);
}

void experiment_engines(void)
{
    static const char *const copying = "copying takes longer";
    double redirected, remapped;
    uint64_t chunk, times;

    card_open();
    card_need_host_memory();
    chunk = scaled(16 * MIB, 2 * MIB);
    times = ask_chunk(copying, chunk, scaled(2 * GIB, 32 * MIB), 1);
    ask_chunk("as long to compute", chunk, scaled(2 * GIB, 32 * MIB), scaled(times, 3));
    if (!card.simulated)
        ask_chunk("chunks of 2 MiB", 2 * MIB, 512 * MIB, 1);
    redirected = over_limit("redirected", copying);
    remapped = over_limit("remapped", copying);
    report_verdict(redirected <= 1.1 * remapped ? VERDICT_CONFIRMED : VERDICT_REFUTED,
                   "redirection takes %.2f, remapping %.2f, reading in place %.2f of the limit",
                   redirected, remapped, over_limit("in place", copying));
}
