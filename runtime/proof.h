/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How functions come to be trusted under a plan of the user, where nothing was compared before
 * streaming began. Inside of streaming.h.
 *
 * What takes turns is copied to the ring once a pass, and the guard compares each copy with the
 * first one there was of it. So a function is known to leave a piece alone when it ran between two
 * copies of it that are alike; when that is so of all pieces, it is trusted. Until then no
 * copy is used that was made before it ran: see serve.c. Of whom the plan knows it, by an earlier
 * run, it need not be shown again.
 *
 * Locking: the pager's.
 */

#include "runtime/streaming.h"

/* A plan of the user begins. */
void proof_begin(struct streaming *s);

/* A copy of the piece was queued to its slot. */
void proof_copied(const struct streaming *s, struct piece *piece);
/* A launch is going to read it, and the guard to look at it behind that. */
void proof_checked(struct piece *piece);

/* The function is about to be launched. Whether it is trusted; it is noted, if it is not, and then
 * the launch has to wait for all copies before it, and copies behind it for the launch. */
bool proof_launch(struct streaming *s, CUfunction function);

/* From time to time: sees which functions can be trusted by now. Drains the device for it, so that
 * the guard has said what it found. */
void proof_look(struct pager *pager, const struct driver *drv);
