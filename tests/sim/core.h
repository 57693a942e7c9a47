/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What all parts of the simulated driver share: the lock, the settings, the calling thread,
 * handles.
 *
 * One lock guards all state of the simulator. Every sim_<symbol>() and, unless it says otherwise,
 * every internal function runs with it held; kernels run with it held, host functions without.
 */

#include "runtime/driver.h"

struct context;

void core_lock(void);
void core_unlock(void);
/* Releases the lock until another thread calls core_broadcast(). */
void core_wait(void);
void core_broadcast(void);

/* One line to standard error, "sim: " in front. Locking: none. */
void core_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether cuInit has succeeded in this process, or had in the process that forked this one. */
bool core_initialised(void);
void core_set_initialised(void);
bool core_forked(void);

/* Settings, from the environment. */
enum host_vmm { HOST_VMM_NONE = 0, HOST_VMM_HOST = 1, HOST_VMM_NUMA = 2, HOST_VMM_BOTH = 3 };

#define MAX_DEVICES 8
#define MAX_THREADS 256

struct settings {
    uint64_t vram;        /* bytes per card */
    uint64_t host_ram;    /* bytes of pinned host memory */
    int devices;          /* 1..MAX_DEVICES */
    unsigned int threads; /* that run a kernel, 1..MAX_THREADS */
    bool eager;           /* run work at submission */
    bool restless;        /* run some of what is queued before any call */
    bool timed;           /* run what begins first in virtual time */
    enum host_vmm host_vmm;
    bool unified;            /* the card says so */
    bool mixed_copy;         /* one copy may cross from device to host memory */
    bool peers;              /* cards can be let into each other's memory */
    uint64_t seed;           /* order in which independent streams advance */
    const char *stats_path;  /* NULL: none */
    const char *shared_path; /* of what processes share, NULL: nothing */
};
extern struct settings settings;
/* Locking: takes none; thread-safe. */
void settings_read_once(void);
/* Calls `take` with each comma-separated word of a variable. */
void settings_each_word(const char *name, void (*take)(char *word));
/* Ends the process with a line that says what the variable must be. */
void settings_refuse(const char *name, const char *value, const char *accepted);
/* "22MiB" -> bytes. False for anything that is not a number with an optional B/KiB/MiB/GiB/TiB. */
bool settings_parse_bytes(const char *text, uint64_t *out);

/* The calling thread. */
#define MAX_CONTEXT_DEPTH 64

struct thread {
    uint64_t id; /* never reused */
    enum stream_mode mode;
    bool in_host_function;
    CUstreamCaptureMode capture_mode;
    struct context *stack[MAX_CONTEXT_DEPTH]; /* [depth - 1] is current */
    unsigned int depth;
    uint64_t clock_ns;  /* see clock.h */
    unsigned int given; /* errors that call_fail_often() made calls of this thread end with */
};
struct thread *core_thread(void);

/* Handles: which pointers the program holds are alive, and of what kind. */
enum handle_kind {
    HANDLE_NONE,
    HANDLE_CONTEXT,
    HANDLE_STREAM,
    HANDLE_EVENT,
    HANDLE_MODULE,
    HANDLE_LIBRARY,
    HANDLE_FUNCTION,
    HANDLE_KERNEL,
    HANDLE_LINK,
    HANDLE_POOL,
    HANDLE_PHYSICAL,
    HANDLE_GRAPH,
    HANDLE_GRAPH_NODE,
    HANDLE_GRAPH_EXEC,
    HANDLE_USER_OBJECT,
};
/* False when the simulator itself is out of memory. */
bool handle_add(const void *handle, enum handle_kind kind);
void handle_remove(const void *handle);
enum handle_kind handle_kind_of(const void *handle);
static inline bool handle_is(const void *handle, enum handle_kind kind)
{
    return handle_kind_of(handle) == kind;
}
