/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The steps of streaming that need a safe point: taking digests, choosing residents, moving homes,
 * making the ring, and giving it all back. Inside of streaming.h.
 *
 * Locking: the pager's. Results: 0, -EAGAIN when no safe point could be had and nothing was done,
 * any other -errno when it cannot be done.
 */

#include "runtime/streaming.h"

/* The card's streaming, made at first use; NULL when memory is short. */
struct streaming *prepare_streaming(struct pager *pager);

/* Forgets the functions that are trusted when handles may mean others now. */
void prepare_trust(struct streaming *s);

/* Has every launch on the card's memory looked into, resident or not. */
void prepare_observation(struct pager *pager, bool on);

/* The learner knows the pass: digests all pieces and begins to watch. */
int prepare_comparison(struct pager *pager, const struct driver *drv);
/* A lap later: digests them again, and makes the plan. Begins to stream, or first to look for who
 * wrote what changed. */
int prepare_plan(struct pager *pager, const struct driver *drv);
/* At a safe point, with a pass and pieces: chooses residents, makes the ring and begins to run. */
int prepare_begin(struct pager *pager, const struct driver *drv);
/* Begins to stream what has not changed. */
int prepare_run(struct pager *pager, const struct driver *drv);
/* Whether what takes turns is still what it was; if so, what was noted is trusted. -EINVAL if not.
 */
int prepare_check(struct pager *pager, const struct driver *drv);

/* All that runs is looked into, as long as something is noted; or only if something takes turns. */
void prepare_watch(struct pager *pager);
void prepare_unwatch(struct pager *pager);
/* The range becomes pieces, with digests. */
int prepare_admit(struct pager *pager, const struct driver *drv, struct range *range);
/* What was noted of memory beside the pass, visits and uses, is over: if it was only read it
 * becomes a phase of the pass, and the plan begins anew with it. 0 also when it stays as it was. */
int prepare_extend(struct pager *pager, const struct driver *drv,
                   const struct pass_learner *learner);

/* At a safe point, or when the context is gone (not `alive`): gives everything back. */
void prepare_end(struct pager *pager, const struct driver *drv, bool alive);
