/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The plan that the user gave, and which memory of the program holds which of its tensors.
 *
 * A tensor is recognised when it is uploaded: by a fingerprint of its first bytes, so that it does
 * not matter who loads it; else by its size, in the order of the plan. Where a tensor begins and
 * ends is remembered as if launches had named it. All of it is a prediction: what is recognised
 * wrongly is placed badly, and nothing else.
 *
 * Locking: the pager's.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/planfile.h"
#include "runtime/residency.h"

/* Reads the plan. When it cannot be used one warning says why, and there is none. */
void recognise_open(const char *path);

/* A card is going to be used: one warning when the plan was made for another one. */
void recognise_card(const struct driver *drv, CUdevice device);

/* NULL when there is none. Never changes after recognise_open(). */
const struct planfile *recognise_plan(void);

/* The program uploads `bytes` from `source` to `offset` of the range. What is there need not be
 * readable. True when some tensor was recognised that was nowhere before. */
bool recognise_upload(struct range *range, uint64_t offset, const void *source, uint64_t bytes);

/* The range goes. */
void recognise_forget(struct range *range);
/* In the child of a fork: there are no ranges any more. */
void recognise_reset(void);

/* Where a tensor of the plan is; NULL when it is nowhere. */
struct range *recognise_where(uint32_t tensor, uint64_t *out_offset);

/* Whether some tensor of the plan has the byte there. */
bool recognise_covers(const struct range *range, uint64_t offset);

struct recognised {
    uint64_t bytes;   /* of tensors that are somewhere, */
    uint64_t by_size; /* and of these, those that only their size speaks for */
    uint32_t tensors;
    uint32_t pinned; /* of them, those that the plan has pinned */
};
struct recognised recognise_sum(void);
/* Whether all that the plan has pinned is somewhere. */
bool recognise_has_pinned(void);

/*
 * How much of an allocation of so many bytes will stay in device memory, by the plan: calls `stays`
 * for each stretch of it, in order, with the share that stays of what is expected there. False,
 * and nothing called, when it does not look like weights that are still to come.
 */
typedef void recognise_share_fn(void *context, uint64_t offset, uint64_t bytes, double share);
bool recognise_expect(uint64_t bytes, recognise_share_fn *stays, void *context);
