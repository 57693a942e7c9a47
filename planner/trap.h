/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Traps: the rows of traps.def. One table and one evaluation for vramshim-plan and the doctor.
 * Pure: facts in, the traps that apply out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "planner/sign.h"

/* All zero: nothing is known, and nothing applies. */
struct trap_facts {
    const char *program; /* a row of engines.def; NULL: not known */
    bool planned;        /* nothing is known of its options: it is as it usually is */
    bool library;        /* the library pages its memory */
    bool own_offload;    /* its own offload does instead */
    struct signs signs;
    /* The model. */
    bool experts, adapter, quantised_cache;
    double bf16, float8;   /* share of its bytes that are stored so */
    uint64_t tied;         /* bytes of an embedding that is the output too */
    uint64_t component;    /* the most that one of several takes, buffers included */
    uint64_t values_saved; /* by a quantised cache, of the values */
    /* The plan. */
    uint64_t device;      /* bytes that may be paged */
    uint64_t host, disk;  /* bytes that lie there */
    double with, without; /* seconds of a pass with the library, and with the program's own offload;
                             0: not known */
    /* The machine that it is for. */
    unsigned int capability; /* 75 is 7.5; 0: not known */
    bool unified, divided;
    double link_rate, pageable_rate, disk_rate;
    /* This machine, when it is that. */
    bool here;
    bool wsl, slow_disk;
    bool through_cache; /* files cannot be read past the page cache */
    uint64_t lockable;  /* bytes that may be locked */
    uint64_t available; /* of host memory; 0: not known */
    uint64_t others;    /* bytes of the card that are in use */
    /* The program's file. */
    bool musl, privileged, is_static;
};

enum trap_verdict {
    TRAP_ABSENT,
    TRAP_POSSIBLE, /* if the program is used as many use it */
    TRAP_APPLIES,
};

enum trap_id {
#define TRAP(id, check, applies, may, signs, says, figures, fix, source) TRAP_##id,
#include "planner/traps.def"
    TRAP_COUNT,
};

struct trap {
    const char *id;
    const char *check; /* of the doctor, which answers there; "" */
    uint64_t signs;
    const char *says, *figures, *fix, *source;
};

const struct trap *trap_at(enum trap_id id);

enum trap_verdict trap_judge(enum trap_id id, const struct trap_facts *facts);

/* The sentence; with facts (else NULL), with what is known of this case in brackets behind it. */
void trap_tell(enum trap_id id, const struct trap_facts *facts, char *out, size_t size);
