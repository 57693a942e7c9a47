/* SPDX-License-Identifier: MIT */
#include "planner/idle.h"

#include <errno.h>

#include "runtime/util.h"

/* Both given, the second does nothing. */
static const struct conflict {
    size_t first, second; /* in struct options */
    bool is_text;         /* the first */
    const char *why;
} conflicts[] = {
#define CONFLICT(first, second, is_text, why)                                                      \
    {                                                                                              \
        offsetof(struct options, first), offsetof(struct options, second), is_text, why            \
    }
    CONFLICT(max, check, true, "--max and --check print one line each: ask for one of them"),
    CONFLICT(max, json, true, "--max prints one number; leave out --json"),
    CONFLICT(max, compare, true, "--max prints one number; leave out --compare"),
    CONFLICT(max, explain, true, "--max prints one number; leave out --explain"),
    CONFLICT(check, compare, false, "--check prints one line; leave out --check, or --compare"),
    CONFLICT(check, explain, false, "--check prints one line; leave out --check, or --explain"),
#undef CONFLICT
};

/* What an option is about. */
static const struct subject_row {
    size_t offset;
    bool is_text, of_images; /* else of text */
    const char *name;
} subject_rows[] = {
#define OF(images, field, is_text, name)                                                           \
    {                                                                                              \
        offsetof(struct options, field), is_text, images, name                                     \
    }
    OF(false, ctx, true, "--ctx"),    OF(false, ubatch, true, "--ubatch"),
    OF(false, kv, true, "--kv"),      OF(false, split, false, "--split-cache"),
    OF(true, image, true, "--image"), OF(true, steps, true, "--steps"),
#undef OF
};

static bool is_given(const struct options *options, size_t offset, bool is_text)
{
    const char *field = (const char *)options + offset;

    return is_text ? *(const char *const *)field != NULL : *(const bool *)field;
}

int idle_conflict(const struct options *options, char *error, size_t size)
{
    for (size_t i = 0; i < ARRAY_SIZE(conflicts); i++) {
        const struct conflict *row = &conflicts[i];

        if (!is_given(options, row->first, row->is_text) ||
            !is_given(options, row->second, false) || (options->json && !row->is_text))
            continue;
        snprintf(error, size, "%s", row->why);
        return -EINVAL;
    }
    if (!options->bits || options->moe[0])
        return 0;
    snprintf(error, size, "--bits is for --moe; a size has its type in it, as in 120Bparams@q8_0");
    return -EINVAL;
}

void idle_print(const struct options *options, const struct subject *subject, FILE *out)
{
    bool makes_images = subject->kind == SUBJECT_IMAGE;

    for (size_t i = 0; i < ARRAY_SIZE(subject_rows); i++) {
        const struct subject_row *row = &subject_rows[i];

        if (row->of_images != makes_images && is_given(options, row->offset, row->is_text))
            fprintf(out, "vramshim-plan: %s does nothing here: this model makes %s\n", row->name,
                    makes_images ? "images" : "no images");
    }
    if (options->apart && !subject->tensors)
        fprintf(out, "vramshim-plan: --apart does nothing here: a size has no tensors\n");
}
