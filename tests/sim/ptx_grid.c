/* SPDX-License-Identifier: MIT */

/*
 * Running a launch: blocks in the order of their index, in one thread or in several.
 *
 * Each thread has a worker: its own view of the launch, with a cache of translations, and the
 * blocks that it has begun. It runs one block to its end before it begins the next, unless the
 * block seems to wait for another one. Then the worker begins another block, or goes on with those
 * it has in turn, so that whatever is waited for comes. A block that only takes long gives way too,
 * but brings a new one in only after all that were begun had their turn.
 *
 * Other threads are called only after some work has been done, as waking them takes longer than a
 * small launch. Workers are kept from launch to launch, with memory for a block.
 */

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "tests/sim/ptx_grid.h"

#define CALL_AFTER     65536             /* thread instructions */
#define RESIDENT_BYTES ((size_t)1 << 28) /* of blocks that one thread has begun */
#define KEPT_BYTES     ((size_t)1 << 26) /* of blocks that one worker keeps */

/* One launch, as its threads share it. What is not constant is only touched atomically. */
struct ptx_grid {
    const struct ptx_kernel *kernel;
    struct ptx_launch launch;
    uint64_t n_blocks;
    uint64_t next; /* block to begin */
    uint64_t workspace[PTX_WORKSPACE_BYTES / sizeof(uint64_t)];
    uint64_t instructions;
    bool stopped;
    bool reported; /* the first of the threads that have a fault fills in the next two */
    struct ptx_fault fault;
    enum ptx_outcome outcome;
    bool called; /* the pool has threads in it; only the launching thread looks */
};

struct worker {
    struct worker *next;
    struct ptx_launch_state state;
    struct ptx_launch launch;
    struct ptx_fault fault;
    uint8_t *params; /* of the launching thread */
    size_t params_bytes;
    struct ptx_resident *spare;           /* no block is in them */
    struct ptx_resident *begun, **last;   /* in the order of their turns */
    size_t begun_bytes, n_begun, n_turns; /* turns since a block began or ended */
    bool waits;                           /* the last block to have its turn waits for another */
};

static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;
static struct worker *idle;

static struct worker *worker_take(void)
{
    struct worker *worker;

    pthread_mutex_lock(&idle_lock);
    worker = idle;
    if (worker)
        idle = worker->next;
    pthread_mutex_unlock(&idle_lock);
    if (worker)
        return worker;
    worker = calloc(1, sizeof(*worker));
    if (worker)
        ptx_memory_init(&worker->state);
    return worker;
}

static void worker_give(struct worker *worker)
{
    pthread_mutex_lock(&idle_lock);
    worker->next = idle;
    idle = worker;
    pthread_mutex_unlock(&idle_lock);
}

static void residents_free(struct ptx_resident *resident)
{
    while (resident) {
        struct ptx_resident *next = resident->next;
        ptx_resident_free(resident);
        resident = next;
    }
}

/* At exit. Workers that still run are left alone. */
__attribute__((destructor)) static void workers_free(void)
{
    struct worker *worker;

    pthread_mutex_lock(&idle_lock);
    while ((worker = idle)) {
        idle = worker->next;
        residents_free(worker->spare);
        free(worker->params);
        free(worker);
    }
    pthread_mutex_unlock(&idle_lock);
}

static void worker_begin(struct worker *worker, struct ptx_grid *grid)
{
    struct ptx_launch_state *state = &worker->state;

    worker->launch = grid->launch;
    worker->begun = NULL;
    worker->last = &worker->begun;
    worker->begun_bytes = 0;
    worker->n_begun = 0;
    worker->n_turns = 0;
    worker->waits = false;
    state->kernel = grid->kernel;
    state->launch = &worker->launch;
    state->grid = grid;
    state->workspace = grid->workspace;
    state->stopped = &grid->stopped;
    state->fault = &worker->fault;
    state->outcome = PTX_DONE;
    state->instructions = 0;
    state->call_at = UINT64_MAX;
}

/* What the worker's blocks have done becomes the launch's. */
static void worker_end(struct worker *worker, struct ptx_grid *grid)
{
    struct ptx_resident **at = &worker->spare;
    size_t kept = 0;

    ptx_memory_flush(&worker->state);
    __atomic_add_fetch(&grid->instructions, worker->state.instructions, __ATOMIC_RELAXED);
    for (struct ptx_resident *begun = worker->begun; begun; begun = begun->next)
        begun->kernel_id = 0;
    *worker->last = worker->spare;
    worker->spare = worker->begun;
    while (*at && (kept += (*at)->bytes) <= KEPT_BYTES)
        at = &(*at)->next;
    residents_free(*at);
    *at = NULL;
}

static void report(struct worker *worker, struct ptx_grid *grid)
{
    if (!__atomic_exchange_n(&grid->reported, true, __ATOMIC_RELAXED)) {
        grid->fault = worker->fault;
        grid->outcome = worker->state.outcome;
    }
    __atomic_store_n(&grid->stopped, true, __ATOMIC_RELAXED);
}

static void out_of_memory(struct worker *worker, struct ptx_grid *grid)
{
    worker->fault = (struct ptx_fault){.line = 0};
    worker->state.outcome = PTX_OUT_OF_MEMORY;
    report(worker, grid);
}

static bool any_left(const struct ptx_grid *grid)
{
    return __atomic_load_n(&grid->next, __ATOMIC_RELAXED) < grid->n_blocks;
}

/* The next block, begun; NULL when there is none, or no memory. */
static struct ptx_resident *begin_block(struct worker *worker, struct ptx_grid *grid)
{
    struct ptx_resident *resident = worker->spare;
    uint64_t index;

    if (!any_left(grid))
        return NULL;
    if (resident)
        worker->spare = resident->next;
    resident = ptx_resident_fit(resident, &worker->state);
    if (!resident) {
        if (!worker->begun || grid->launch.cooperative)
            out_of_memory(worker, grid);
        return NULL;
    }
    index = __atomic_fetch_add(&grid->next, 1, __ATOMIC_RELAXED);
    if (index >= grid->n_blocks) {
        resident->next = worker->spare;
        worker->spare = resident;
        return NULL;
    }
    worker->n_turns = 0;
    ptx_resident_start(resident, index);
    return resident;
}

/* The block whose turn is next. NULL: none is left to this worker. */
static struct ptx_resident *next_block(struct worker *worker, struct ptx_grid *grid)
{
    bool room = grid->launch.cooperative || worker->begun_bytes < RESIDENT_BYTES;
    struct ptx_resident *resident = NULL;

    if (!worker->begun || (room && (worker->waits || worker->n_turns >= worker->n_begun)))
        resident = begin_block(worker, grid);
    if (resident || !worker->begun)
        return resident;
    /* Whatever they wait for runs elsewhere. */
    if (worker->waits && grid->launch.threads > 1 && worker->n_turns % worker->n_begun == 0)
        sched_yield();
    resident = worker->begun;
    worker->begun = resident->next;
    if (!worker->begun)
        worker->last = &worker->begun;
    worker->begun_bytes -= resident->bytes;
    worker->n_begun--;
    worker->n_turns++;
    return resident;
}

static void take_turn(struct worker *worker, struct ptx_grid *grid, struct ptx_resident *resident)
{
    enum ptx_turn turn = ptx_block_run(&resident->block);

    worker->waits = turn == PTX_TURN_WAITS;
    if (turn == PTX_TURN_TIRED || turn == PTX_TURN_WAITS) {
        resident->next = NULL;
        *worker->last = resident;
        worker->last = &resident->next;
        worker->begun_bytes += resident->bytes;
        worker->n_begun++;
        return;
    }
    if (turn == PTX_TURN_STOPPED) {
        resident->kernel_id = 0;
        if (worker->state.outcome != PTX_DONE)
            report(worker, grid);
    }
    worker->n_turns = 0;
    resident->next = worker->spare;
    worker->spare = resident;
}

static void worker_run(struct worker *worker, struct ptx_grid *grid)
{
    while (!__atomic_load_n(&grid->stopped, __ATOMIC_RELAXED)) {
        struct ptx_resident *resident = next_block(worker, grid);
        if (!resident)
            break;
        take_turn(worker, grid, resident);
    }
    worker_end(worker, grid);
}

/* In a thread of the pool. */
static void help(void *argument)
{
    struct ptx_grid *grid = argument;
    struct worker *worker = any_left(grid) ? worker_take() : NULL;

    if (!worker)
        return;
    worker_begin(worker, grid);
    worker_run(worker, grid);
    worker_give(worker);
}

void ptx_grid_call(struct ptx_launch_state *state)
{
    struct ptx_grid *grid = state->grid;
    uint64_t next = __atomic_load_n(&grid->next, __ATOMIC_RELAXED);
    uint64_t left = grid->n_blocks > next ? grid->n_blocks - next : 0;
    unsigned int others = grid->launch.threads - 1;

    state->call_at = UINT64_MAX;
    if (left)
        grid->called = ptx_pool_start(left < others ? (unsigned int)left : others, help, grid);
}

static bool copy_params(struct worker *worker, struct ptx_grid *grid)
{
    size_t bytes = grid->kernel->param_bytes;

    if (bytes > worker->params_bytes) {
        uint8_t *more = realloc(worker->params, bytes);
        if (!more)
            return false;
        worker->params = more;
        worker->params_bytes = bytes;
    }
    if (bytes)
        memcpy(worker->params, grid->launch.params, bytes);
    grid->launch.params = worker->params;
    return true;
}

enum ptx_outcome ptx_kernel_run(const struct ptx_kernel *kernel, const struct ptx_launch *launch,
                                struct ptx_fault *fault, uint64_t *instructions)
{
    struct ptx_grid grid = {
        .kernel = kernel,
        .launch = *launch,
        .n_blocks = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2],
        .outcome = PTX_DONE,
    };
    struct worker *worker = worker_take();

    *fault = (struct ptx_fault){.line = 0};
    if (!worker)
        return PTX_OUT_OF_MEMORY;
    if (!copy_params(worker, &grid)) {
        worker_give(worker);
        return PTX_OUT_OF_MEMORY;
    }
    worker_begin(worker, &grid);
    if (launch->threads > 1 && grid.n_blocks > 1)
        worker->state.call_at = CALL_AFTER;
    worker_run(worker, &grid);
    if (grid.called)
        ptx_pool_finish();
    worker_give(worker);
    *instructions += grid.instructions;
    if (grid.outcome != PTX_DONE)
        *fault = grid.fault;
    return grid.outcome;
}
