/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Fatbins: containers of device code for several architectures, as nvcc and fatbinary make them.
 *
 * A pure reader that knows no driver calls. It bears any content: no byte past the given size is
 * touched, and an entry that claims to unpack to more than FATBIN_TEXT_MAX, or to FATBIN_RATIO_MAX
 * times what it is, is damaged. Locking: none.
 */

#include <stddef.h>
#include <stdint.h>

#define FATBIN_TEXT_MAX  ((size_t)256 << 20)
#define FATBIN_RATIO_MAX 4096

/* Why there is no PTX to be had. */
enum fatbin_error {
    FATBIN_E_DAMAGED = 1, /* sizes that do not fit, or an entry that does not unpack */
    FATBIN_E_NO_PTX,      /* machine code only */
    FATBIN_E_TOO_NEW,     /* PTX, but only for newer architectures */
};

/*
 * The fatbin that `image` is or, when it is the wrapper that nvcc puts into programs, points to;
 * NULL for anything else. `limit` bytes of `image` may be read.
 */
const void *fatbin_open(const void *image, size_t limit);

/*
 * The PTX that a card of architecture `arch` (86 for 8.6) runs: of the entries that are not newer,
 * the newest. *out is NUL-terminated and the caller's to free. 0, -ENOMEM or an enum fatbin_error.
 */
int fatbin_ptx(const void *data, size_t limit, unsigned int arch, char **out);

/* A fatbin with one plain PTX entry, for free(). -ENOMEM. */
int fatbin_wrap(const char *text, unsigned int arch, void **out, size_t *out_bytes);

const char *fatbin_error_text(int error);
