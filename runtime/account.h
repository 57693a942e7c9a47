/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What memory a run took, beside what its plan had said: the report that the library writes at
 * exit, and vramshim-plan reads.
 *
 *   vramshim-report 2
 *   model "NAME"
 *   card TOTAL FREE OURS              bytes of device memory, when least was free
 *   recognised BYTES BYSIZE OF        of the plan's bytes
 *   term NAME PREDICTED ACTUAL        one for each term, in this order
 *   peak PREDICTED ACTUAL ERROR
 *   function DIGEST "NAME"            that left alone what is read: see roll.h
 *   end
 *
 * Parsed as plans are: see planfile.h. Pure, but for account_load(). Locking: the caller's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/roll.h"

enum account_term {
    ACCOUNT_WEIGHTS,     /* wherever they are */
    ACCOUNT_CACHE,       /* keys, values and states */
    ACCOUNT_BUFFERS,     /* all else that is paged */
    ACCOUNT_UNACCOUNTED, /* of the card: neither free nor the library's */
    ACCOUNT_TERMS,
};

struct account {
    char *model;
    uint64_t total, free, ours;
    uint64_t recognised, by_size, planned; /* bytes of weights */
    struct {
        uint64_t predicted, actual;
    } terms[ACCOUNT_TERMS], peak;
    uint64_t error; /* that the predicted peak was given */
    struct roll functions;
};

const char *account_term_name(enum account_term term);

void account_print(const struct account *account, FILE *out);

/* As planfile_load() and planfile_parse(). What *out holds is given back by account_fini(). */
int account_load(const char *path, char *error, size_t error_size, struct account *out);
int account_parse(const char *name, const char *text, size_t size, char *error, size_t error_size,
                  struct account *out);
void account_fini(struct account *account);

/* Whether the actual peak is further from the predicted one than was said it might be. */
bool account_is_missed(const struct account *account);
