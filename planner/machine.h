/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The machine that a plan is for: how much memory of each kind there is, and how fast it is
 * reached. Measured here, or what-if: then nothing of this machine is looked at that was given
 * instead.
 *
 * What `vramshim bench` measured here counts for more than tables, unless another card is asked
 * about.
 *
 * Rates are bytes per second, times seconds.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/config.h"

/* What was asked for. Texts are the person's; NULL where he said nothing. */
struct machine_request {
    const char *gpu;    /* a card of cards.def */
    const char *vram;   /* device memory for what is paged */
    const char *ram;    /* host memory that may be used */
    const char *pinned; /* of it, what may be pinned */
    const char *link;   /* a row of links.def, or a rate such as 12.3GB/s */
    const char *disk;   /* space for what fits neither */
    const char *ram_rate;
    const char *disk_rate;
    const char *driver;  /* device memory that the driver takes for itself */
    const char *profile; /* a file of vramshim bench: the machine is what that says */
};

struct machine {
    bool has_card;
    unsigned int n_cards; /* here; 0: not asked */
    bool measured;        /* the card is here, and its free memory was asked for */
    bool profiled;        /* rates are those that vramshim bench measured */
    bool unified;
    bool without;            /* a machine without any was asked for */
    bool what_if;            /* a card or link was given: no figure of this machine counts */
    char card[96];           /* not escaped */
    char link[32];           /* a row's name, or the rate that was given */
    char why_not[160];       /* when there is no card */
    unsigned int capability; /* to compute: 86 is 8.6; 0: not known */
    uint64_t memory;         /* of the card; 0: not known */
    uint64_t free;           /* of it, before the program starts */
    uint64_t driver, driver_error;
    uint64_t device; /* bytes that may be paged */
    uint64_t host, pinned, disk;
    double pinned_share; /* of host memory; 0: it is no share of it */
    double device_rate, flops, launch, link_rate, in_place_rate, pageable_rate;
    double ram_rate, disk_rate;
    double speed_error; /* share by which predicted times may be off */
};

/* 0, or -EINVAL with one line in `error` for a text that cannot be understood. A card that is not
 * there is no error. */
int machine_look(const struct machine_request *request, struct machine *out, char *error,
                 size_t error_size);

/* Those of the library that are set here; said once what is wrong with them. Not for threads. */
const struct config *machine_settings(void);

/* The directory in which the library puts what fits nowhere else: as it is set, or else could be.
 */
void machine_spill_folder(char *out, size_t size);

/* What matrices of such a compute capability (86 is 8.6) are computed in, beside fp32: "fp16,
 * bf16".
 */
const char *machine_matrix_types(unsigned int capability);

/* As PyTorch calls what this card is to compute in: by what it can, not by how large it is, since
 * what was trained in bf16 may overflow in fp16. */
const char *machine_computing_type(const struct machine *machine);
