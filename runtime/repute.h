/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is known of functions from run to run: which have been seen to leave alone what they are not
 * given, or what they are given to read. The plan of the user says it of some from the start; the
 * report at exit says of which this run has seen it. Who a function is: see image_function().
 *
 * Locking: its own.
 */

#include <stdbool.h>

#include "runtime/driver.h"
#include "runtime/roll.h"

/* The plan says it of these; it stays there. Nobody is known before. */
void repute_open(const struct roll *known);
/* Whether functions are to be known: there was a plan. */
bool repute_is_open(void);

/* Whether the plan says it of the function, and nothing that this run has seen says otherwise. */
bool repute_find(CUfunction function);

/* This run has seen the function be harmless, */
void repute_earned(CUfunction function);
/* and that it is not. */
void repute_barred(CUfunction function);
/* Somebody has written what is only read, and it may have been anybody: the plan's word counts for
 * nothing from now on, and there is nothing to report. */
void repute_refute(void);

/* Functions that were seen to be harmless, and never otherwise. The list is the caller's to give
 * back; empty when memory is short. */
void repute_report(struct roll *out);
