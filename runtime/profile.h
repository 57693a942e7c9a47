/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a machine is and what things cost on it, as a text file: written by `vramshim bench`, read
 * by the library, the planner and the simulated driver. The rows are in profile.def.
 *
 * Numbers are written with a point whatever the locale.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct price {
    uint64_t ns;
    uint64_t ns_per_mib;
};

enum profile_key {
#define TEXT(key, size) PROFILE_##key,
#define BYTES(key)      PROFILE_##key,
#define NUMBER          BYTES
#define TIME            BYTES
#define RATE            BYTES
#define SHARE           BYTES
#define PRICE           BYTES
#include "runtime/profile.def"
    PROFILE_KEYS,
};

struct profile {
#define TEXT(key, size) char key[size];
#define BYTES(key)      uint64_t key;
#define NUMBER          BYTES
#define TIME            BYTES
#define RATE            BYTES
#define SHARE           BYTES
#define PRICE(key)      struct price key;
#include "runtime/profile.def"
    uint64_t told; /* a bit for each key that is known */
};

static inline bool profile_has(const struct profile *profile, enum profile_key key)
{
    return (profile->told >> key & 1) != 0;
}

static inline void profile_tell(struct profile *profile, enum profile_key key)
{
    profile->told |= (uint64_t)1 << key;
}

/*
 * Adds what `text` says to `profile`. 0; or -EINVAL, the number of the first line that cannot be
 * understood in `line` and that line, shortened, in `word`; what came before it has been added.
 */
int profile_parse(struct profile *profile, const char *text, unsigned int *line, char *word,
                  size_t size);

/*
 * The same with a file's text; `profile` is left as it was on failure. 0; -ENOENT when there is no
 * file; else a negative errno: -EINVAL for what is no profile, -EPERM for one that other users
 * could have written. One line in `error`, in either case.
 */
int profile_read(const char *path, struct profile *profile, char *error, size_t size);

/* Where this machine's is by default: $XDG_CONFIG_HOME/vramshim/profile, or below ~/.config. False
 * when neither is known or the name is too long. */
bool profile_path(char *out, size_t size);

/* Where to look as VRAMSHIM_PROFILE says: empty or NULL is the default place, "none" is nowhere. */
bool profile_place(const char *setting, char *out, size_t size);

/* The lines of all that is known, in the order of profile.def. */
void profile_print(const struct profile *profile, FILE *out);
/* The value of one key as it would be written; false when it is not known. */
bool profile_format(const struct profile *profile, enum profile_key key, char *out, size_t size);
const char *profile_key_name(enum profile_key key);

/* What a call costs at this size, in nanoseconds. */
static inline uint64_t price_at(const struct price *price, uint64_t bytes)
{
    return price->ns + (uint64_t)((unsigned __int128)price->ns_per_mib * bytes >> 20);
}
