/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The plan file: what vramshim-plan decided about a model, for the library to apply.
 *
 *   vramshim-plan 2
 *   model "NAME"
 *   machine DEVICE HOST CHUNK "CARD"                  bytes that were planned with
 *   predict WEIGHTS CACHE BUFFERS DRIVER PEAK ERROR   bytes of device memory asked for
 *   file BYTES DIGEST "PATH"                          one for each file of the model
 *   phase main|beside "NAME"                          tensors that are read in one pass follow
 *   tensor FILE OFFSET BYTES FINGERPRINT TIER RESIDENT "NAME" [pinned]
 *   function DIGEST "NAME"                            known to be harmless: see roll.h
 *   end TENSORS
 *
 * Tensors stand in the order in which a pass reads them. FILE counts the lines above, from 0.
 * RESIDENT is how many of its bytes have their home in device memory; of a pinned one all or none,
 * because somebody wants it so, whatever else has room.
 *
 * A file is taken to be hostile: what planfile_parse() accepts has been checked whole. Printing
 * what was parsed and parsing what was printed gives the same again.
 *
 * Pure, but for planfile_load(). Locking: the caller's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/roll.h"

/* In place of a card's name. */
#define PLANFILE_ANY_CARD "a card with that much memory"

enum {
    PLANFILE_FILES_MAX = 4096,
    PLANFILE_TENSORS_MAX = 1 << 18,
    PLANFILE_PHASES_MAX = 32,
    PLANFILE_HEAD = 4096,    /* bytes of a tensor that its fingerprint is of, */
    PLANFILE_DIGEST = 65536, /* and of a file that its digest is of */
};

enum planfile_tier {
    PLANFILE_DEVICE,   /* all of it stays */
    PLANFILE_STREAM,   /* what does not stay is copied ahead of use */
    PLANFILE_IN_PLACE, /* read where it is, in host memory */
    PLANFILE_TIERS,
};

struct planfile_file {
    char *path;
    uint64_t bytes;
    uint64_t digest;
};

struct planfile_phase {
    char *name;
    bool is_main;   /* runs once per pass; others run beside it */
    uint32_t first; /* tensor */
    uint32_t n;
};

struct planfile_tensor {
    char *name;
    uint32_t file;
    enum planfile_tier tier;
    bool pinned;
    uint64_t offset; /* in its file */
    uint64_t bytes;
    uint64_t resident;
    uint64_t fingerprint; /* 0: it has none that tells it from others */
};

struct planfile {
    char *model;
    char *card;
    uint64_t device, host, chunk; /* bytes that were planned with */
    uint64_t weights, cache, buffers, driver, peak, error;
    struct planfile_file *files;
    uint32_t n_files;
    struct planfile_phase phases[PLANFILE_PHASES_MAX];
    uint32_t n_phases;
    struct planfile_tensor *tensors;
    uint32_t n_tensors;
    struct roll functions; /* that left alone what is read, in an earlier run */
};

/* 0 and a plan to be freed, or -errno and one line in `error` that names the file, the line and
 * what is wrong: -EINVAL for what is no plan, -ENOMEM, or what opening gave. `name` is for that. */
int planfile_load(const char *path, char *error, size_t error_size, struct planfile **out);
int planfile_parse(const char *name, const char *text, size_t size, char *error, size_t error_size,
                   struct planfile **out);
struct planfile *planfile_free(struct planfile *plan); /* NULL is fine; returns NULL */

/* Whether it is for a card that its driver calls so. One for a size alone is for any. */
bool planfile_is_for(const struct planfile *plan, const char *driver_name);

/* Whoever prints looks at the stream's error flag afterwards. */
void planfile_print(const struct planfile *plan, FILE *out);

/* Of the first bytes of a tensor, at most PLANFILE_HEAD of them; 0 when these tell nothing: too
 * few, or all the same. */
uint64_t planfile_fingerprint(const void *bytes, size_t size);
/* Of the beginning of a file; never 0. */
uint64_t planfile_digest(const void *bytes, size_t size);
