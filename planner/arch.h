/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a model's description of itself says about the memory it keeps from token to token, layer by
 * layer. The architectures are the rows of archs.def.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ARCH_MAX_LAYERS = 1024,
};

/* How the layers of an architecture remember. */
enum arch_cache {
    ARCH_CACHE_STANDARD,        /* keys and values of every token */
    ARCH_CACHE_SLIDING,         /* some layers of the last tokens only */
    ARCH_CACHE_LATENT,          /* one compressed vector per token */
    ARCH_CACHE_RECURRENT,       /* a state of fixed size */
    ARCH_CACHE_RWKV,            /* the same, in another shape */
    ARCH_CACHE_NO_HEADS,        /* layers without key heads are recurrent */
    ARCH_CACHE_NO_HEADS_NO_FFN, /* those of them that have no feed-forward either */
    ARCH_CACHE_SHORT_CONV,      /* layers without key heads keep the last inputs */
    ARCH_CACHE_BOTH,            /* every layer has keys and values, and a state */
    ARCH_CACHE_INTERVAL,        /* every so manieth layer is full, the others are recurrent */
    ARCH_CACHE_DELTA, /* layers without key heads have a matrix per head, others are latent */
    ARCH_CACHE_NONE,  /* nothing is kept: an encoder */
};

/* What one layer keeps. */
struct arch_layer {
    uint32_t n_kv;  /* heads of keys and values per token; 0: none */
    uint32_t key;   /* numbers in a head's key */
    uint32_t value; /* and value; 0: none is kept */
    bool sliding;   /* of the last tokens only */
    uint64_t state; /* 32-bit numbers kept per sequence */
};

enum arch_verdict {
    ARCH_KNOWN,
    ARCH_UNNAMED,    /* the model does not say what it is */
    ARCH_UNKNOWN,    /* `name` has no row */
    ARCH_INCOMPLETE, /* `missing` is not said */
    ARCH_WRONG,      /* `missing` is said, and cannot be: see `wrong` */
};

struct arch {
    enum arch_verdict verdict;
    char name[64];       /* printable only when passed through text_escape() */
    const char *missing; /* static, a key without prefix; NULL */
    const char *wrong;   /* static: what is wrong with it, as the end of a sentence; NULL */
    enum arch_cache cache;
    uint32_t n_layers;
    uint32_t width;      /* numbers in an activation; 0 unknown */
    uint32_t vocabulary; /* 0 unknown */
    uint64_t context;    /* tokens it was trained for; 0 unknown */
    uint32_t window;     /* tokens that sliding layers see */
    uint32_t n_experts;
    uint32_t n_experts_used;
    struct arch_layer layers[ARCH_MAX_LAYERS];
};

/*
 * Where a description comes from. Keys are those of GGUF without the architecture's prefix. `at`
 * gives the item at `index` of a key that has a list, and the one value of a key that has none:
 * -ENOENT: it is not said, or the list is shorter; -ERANGE: it is no whole non-negative number.
 */
struct arch_facts {
    const void *source;
    const char *name; /* of the architecture; NULL when it is not said */
    size_t name_size;
    int (*at)(const struct arch_facts *facts, const char *key, uint64_t index, uint64_t *out);
};

/* Never fails: what could not be had is in out->verdict, and then no layer keeps anything. */
void arch_read(const struct arch_facts *facts, struct arch *out);

/* "llama.cpp's key-value cache", in words for a person: how the architecture remembers. */
const char *arch_cache_name(enum arch_cache cache);
