/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a plan is about: the model's pieces in the order in which a pass reads them, with what is
 * read of each, and what the model needs beside them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "planner/arch.h"
#include "planner/demand.h"
#include "planner/model.h"
#include "planner/place.h"

enum subject_kind {
    SUBJECT_LANGUAGE, /* a pass is a token of every sequence */
    SUBJECT_ENCODER,  /* a pass is a batch of texts */
    SUBJECT_IMAGE,    /* a pass is a step of denoising */
};

/* Figures that take the place of estimates; 0: not measured. */
struct measured {
    uint64_t cache;   /* bytes of keys, values and states */
    uint64_t compute; /* bytes of buffers */
    double pass;      /* seconds of a pass of which everything is on the device */
};

/* A part of a model that runs by itself; every model has one at least. */
struct subject_phase {
    const char *name;     /* static */
    size_t first, n;      /* pieces */
    uint64_t bytes;       /* of them */
    double runs;          /* per pass of the main phase */
    struct term compute;  /* buffers while it runs */
    double numbers;       /* that it computes with, per position */
    double more_launches; /* than tensors have */
};

/* Pieces that came together. */
struct subject_part {
    size_t first, n;
    enum input_role role;
    const char *path;
    const struct arch *arch;
};

/* What somebody wants to be where. */
struct subject_pin {
    const char *name;
    enum place_pin where;
    uint64_t bytes;
};

enum {
    SUBJECT_MAX_PHASES = INPUTS_MAX + 1,
    SUBJECT_MAX_PINS = 32,
};

struct subject {
    enum subject_kind kind;
    const struct arch *arch;
    struct workload work;
    struct demand demand;
    struct measured measured;
    uint64_t bytes;      /* of the weights, exact */
    uint64_t parameters; /* numbers in them */
    uint64_t expert_bytes;
    double active;          /* parameters used for a token, of an imagined model */
    double touched_numbers; /* that a pass computes with, per sequence */
    struct subject_phase phases[SUBJECT_MAX_PHASES];
    size_t n_phases, main_phase;
    struct subject_part parts[INPUTS_MAX];
    size_t n_parts;
    struct subject_pin pins[SUBJECT_MAX_PINS];
    size_t n_pins;
    struct place_piece *pieces;
    const struct tensor **tensors; /* of the pieces; NULL for a model that is only imagined */
    size_t n_pieces;
    size_t n_blocks; /* groups of pieces that follow each other; 0: there are none */
};

/* Of a file. 0 or -ENOMEM. Everything that is passed in must outlive it. */
int subject_init(struct subject *out, const struct model *model, const struct arch *arch,
                 const struct workload *work, const struct measured *measured);

/* A model of which only numbers are known. */
struct subject_moe {
    double parameters, active;  /* in all, and used for a token; the same without experts */
    uint32_t n_experts, n_used; /* 0: it is no mixture of experts */
    double bits;                /* of a parameter */
    bool weighed;               /* parameters were not counted, but follow from a size */
};
/* With experts, `active` is less than `parameters`, `n_used` than `n_experts`. Fills *arch too. 0
 * or -ENOMEM. */
int subject_imagine(struct subject *out, const struct subject_moe *moe, struct arch *arch,
                    const struct workload *work, const struct measured *measured);

void subject_fini(struct subject *subject);

/*
 * Something beside the model, of its input's role. An encoder or a decoder is a phase of its own;
 * all others, which have to be added first, belong to the main phase: a draft model with a cache of
 * its own, a projector that no pass reads. 0 or -ENOMEM; `model` must outlive the subject.
 */
int subject_add(struct subject *subject, const struct model *model);

/* The same for another workload. */
void subject_judge(struct subject *subject, const struct workload *work);

/* Device memory beside weights and the driver's, while `phase` runs. */
uint64_t subject_written(const struct subject *subject, size_t phase, uint64_t *error);

/* A pass of a phase when everything is on such a device. */
struct subject_cost {
    double seconds;
    const char *bound; /* what takes most of it */
};
struct subject_cost subject_cost(const struct subject *subject, size_t phase, double device_rate,
                                 double flops, double launch);

/* Bytes of a phase, or of all, that are pinned so. */
uint64_t subject_pinned_in(const struct subject *subject, size_t phase, enum place_pin where);
uint64_t subject_pinned(const struct subject *subject, enum place_pin where);

/* Positions that a pass computes at once. */
double subject_tokens(const struct subject *subject);
